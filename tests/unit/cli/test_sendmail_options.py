"""The command line of sendmail."""

from __future__ import annotations

from typing import Any

import pytest

from sender.cli.sendmail_options import UsageError, Wishes, parse


@pytest.mark.parametrize(
    ("line", "asked"),
    [
        ("a@b.test c@d.test", {"rcpt_tos": ["a@b.test", "c@d.test"]}),
        ("-t", {"from_headers": True}),
        ("-i", {"dot_ends": False}),
        ("-oi", {"dot_ends": False}),
        ("-o i", {"dot_ends": False}),
        ("-ti", {"from_headers": True, "dot_ends": False}),
        ("-f a@b.test", {"mail_from": "a@b.test"}),
        ("-fa@b.test", {"mail_from": "a@b.test"}),
        ("-r a@b.test", {"mail_from": "a@b.test"}),
        ("-tfa@b.test", {"from_headers": True, "mail_from": "a@b.test"}),
        ("-F Ann", {"full_name": "Ann"}),
        ("-N success,delay", {"notify": "SUCCESS,DELAY"}),
        ("-Nnever", {"notify": "NEVER"}),
        ("-R hdrs", {"returns": "HDRS"}),
        ("-V a=b+c", {"envelope_id": "a+3Db+2Bc"}),
        ("--config /etc/x.toml -t", {"config": "/etc/x.toml", "from_headers": True}),
        ("--config=/etc/x.toml", {"config": "/etc/x.toml"}),
        ("--help", {"help": True}),
        ("-t -- -f", {"from_headers": True, "rcpt_tos": ["-f"]}),
        ("a@b.test -i", {"rcpt_tos": ["a@b.test"], "dot_ends": False}),
        ("-", {"rcpt_tos": ["-"]}),
    ],
)
def test_what_is_asked_for_is_understood(line: str, asked: dict[str, Any]) -> None:
    """Letters may stand together, and values behind them or apart."""
    assert parse(line.split()) == Wishes(**asked)


def test_an_empty_sender_is_one() -> None:
    """`-f ""` is the null sender, and not no sender."""
    assert parse(["-f", ""]).mail_from == ""


@pytest.mark.parametrize(
    "line",
    [
        "-bm",
        "-B8BITMIME",
        "-B 8BITMIME",
        "-v",
        "-G",
        "-U",
        "-n",
        "-m",
        "-em",
        "-e m",
        "-oem",
        "-odb",
        "-oMrSMTP",
        "-oQ/var/spool",
        "-X /tmp/log",
        "-L tag",
        "-O DeliveryMode=b",
        "-ODeliveryMode=b",
        "-q1h",
        "-d0.1",
        "-h 5",
        "-p SMTP",
        "-C /etc/mail/submit.cf",
        "-Ac",
    ],
)
def test_options_that_change_nothing_here_are_passed_over(line: str) -> None:
    """With their values, so that none of these becomes a recipient."""
    assert parse([*line.split(), "a@b.test"]) == Wishes(rcpt_tos=["a@b.test"])


@pytest.mark.parametrize("mode", "adDhHilpPstvz")
def test_modes_of_other_programs_are_refused(mode: str) -> None:
    """Nothing is sent by who wanted the queue or a daemon; a sentence says what to do instead."""
    with pytest.raises(UsageError, match=rf"^-b{mode}[ :]"):
        parse([f"-b{mode}"])


@pytest.mark.parametrize("line", ["-y", "--frob", "-f", "-t -F", "-N sometimes", "-R all", "-V ü", f"-V {'x' * 101}"])
def test_what_is_not_understood_is_refused(line: str) -> None:
    """An option, or a value that it cannot have."""
    with pytest.raises(UsageError):
        parse(line.split())


@pytest.mark.parametrize("control", ["\r", "\n", "\0", "\t", "\x1b", "\x7f", "\x85", "\u2028"])
@pytest.mark.parametrize("option", ["{}", "-f{}", "-F{}", "-V{}", "-N{}", "-R{}", "-O{}", "--config={}"])
def test_i3_control_characters_are_refused_in_every_argument(option: str, control: str) -> None:
    """No argument can begin a line of its own, neither in a command nor in a header."""
    with pytest.raises(UsageError, match="control characters"):
        parse(["-t", option.format(f"a@b.test{control}RCPT TO:<x@y.test>")])
