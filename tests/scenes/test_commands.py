"""The commands that need no daemon, as a person types them."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
import urllib.request
from pathlib import Path

import pytest

_CHECKOUT = Path(__file__).parents[2]


async def sender(*words: str, stdin: str = "", folder: Path = _CHECKOUT) -> tuple[int, str, str]:
    """Run a command; give its exit code, output and errors."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "sender", *words),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(_CHECKOUT)},
    )
    async with asyncio.timeout(120):
        output, errors = await process.communicate(stdin.encode())
    return process.returncode or 0, output.decode(), errors.decode()


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Write a configuration whose port nobody listens on."""
    path = tmp_path / "sender.toml"
    path.write_text('hostname = "sender.test"\n[http]\nlisten = "127.0.0.1:9"\n')
    return path


async def test_the_shipped_configuration_is_good() -> None:
    """The configuration that `make run` starts with has no problem."""
    code, output, _ = await sender("config", "check", "--config", "config/sender.toml")
    assert (code, output) == (0, "config/sender.toml: good\n")


async def test_a_wrong_configuration_is_refused_with_every_problem(tmp_path: Path) -> None:
    """Each problem names file, key, value and rule; the exit code is 2."""
    path = tmp_path / "sender.toml"
    path.write_text('[delivery]\nmax_sessions = 0\ntls = "maybe"\n')
    code, output, errors = await sender("config", "check", "--config", str(path))
    assert (code, output) == (2, "")
    assert sorted(errors.splitlines()) == [
        f"{path}: delivery.max_sessions = 0: must be 1 or more",
        f'{path}: delivery.tls = "maybe": must be "none", "opportunistic" or "required"',
    ]


async def test_the_configuration_in_force_can_be_loaded_again(config: Path, tmp_path: Path) -> None:
    """`config show` prints JSON with every default."""
    code, output, _ = await sender("config", "show", "--config", str(config))
    shown = json.loads(output)
    assert (code, shown["hostname"], shown["retry"]["max_age"]) == (0, "sender.test", "3d")


async def test_a_password_becomes_a_hash_that_stands_in_a_users_file(config: Path, tmp_path: Path) -> None:
    """What `config hash-password` prints is taken by `config check`."""
    code, output, _ = await sender("config", "hash-password", "--config", str(config), stdin="secret\n")
    assert code == 0
    (tmp_path / "users.toml").write_text(f'anna = "{output.strip()}"\n')
    config.write_text(config.read_text() + '[smtp]\nusers_file = "users.toml"\n')
    code, _, errors = await sender("config", "check", "--config", str(config))
    assert (code, errors) == (0, "")


async def test_replies_are_classified_from_the_command_line() -> None:
    """`classify` says what a reply means, as text, as JSON, and line by line."""
    reply = "421 4.7.0 too many connections, try again in 300 seconds"
    code, output, _ = await sender("classify", "--stage", "banner", reply)
    assert (code, output.startswith("deferred (lane): connection_limit, asks for 300 s")) == (0, True)
    code, output, _ = await sender("classify", "--json", "--stage", "banner", reply)
    verdict = json.loads(output)
    assert (verdict["outcome"], verdict["scope"], verdict["reason"], verdict["retry_after_s"]) == (
        *("deferred", "lane", "connection_limit"),
        300.0,
    )
    line = json.dumps({"reply": "550-5.1.1 no such\n550 5.1.1 user", "stage": "rcpt"})
    code, output, _ = await sender("classify", "--jsonl", stdin=f"{line}\n{line}\n")
    assert [json.loads(line)["reason"] for line in output.splitlines()] == ["mailbox_unknown"] * 2


@pytest.mark.parametrize(
    "words", [("classify", "no code"), ("classify",), ("classify", "--jsonl"), ("queue", "--bogus")]
)
async def test_wrong_usage_ends_with_2(words: tuple[str, ...]) -> None:
    """What cannot be meant is refused with exit code 2 and a line about it."""
    code, _, errors = await sender(*words, stdin="{}\n")
    assert code == 2
    assert errors.strip()


async def test_a_message_is_enqueued_and_shown_without_a_daemon(config: Path) -> None:
    """`enqueue` prints an id; `message`, `queue` and `top` read the spool."""
    message = "From: a@b.test\nSubject: hello\n\nbody\n"
    words = ("enqueue", "--config", str(config), "--from", "a@b.test", "--to", "c@d.test", "--to", "e@f.test")
    code, output, errors = await sender(*words, stdin=message)
    assert (code, errors) == (0, "")
    code, shown, _ = await sender("message", "--json", "--config", str(config), output.strip())
    assert [recipient["rcpt_to"] for recipient in json.loads(shown)["recipients"]] == ["c@d.test", "e@f.test"]
    code, shown, _ = await sender("queue", "--config", str(config))
    assert shown.startswith("2 queued (2 due, 0 deferred)")
    code, shown, _ = await sender("top", "--once", "--config", str(config))
    assert (code, "2 accepted" in shown) == (0, True)


async def test_a_wrong_address_is_not_enqueued(config: Path) -> None:
    """Every wrong address is named, and nothing is spooled."""
    words = ("enqueue", "--config", str(config), "--from", "a b@c.test", "--to", "nobody")
    code, _, errors = await sender(*words, stdin="Subject: x\n\n")
    assert code == 2
    assert [line.split(" = ")[0] for line in errors.splitlines()] == ["command line: --from", "command line: --to"]
    assert not (config.parent / "spool").exists()


def _page(url: str) -> str:
    """Fetch a page, without what says when it was made."""
    with urllib.request.urlopen(url, timeout=10) as response:  # noqa: S310 - our own daemon
        text: str = response.read().decode()
    return text.partition("<footer>")[0]


@pytest.mark.scene
async def test_the_demonstration_shows_a_window_that_shrinks_and_grows() -> None:
    """`sender demo --stay` delivers everything, tells how the limit was found, and goes on with the console."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "sender", "demo", "--stay"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(_CHECKOUT)},
    )
    assert process.stdout is not None
    async with asyncio.timeout(120):
        output = (await process.stdout.readuntil(b"Ctrl-C ends it.")).decode()
        url = re.findall(r"The console: (http://[0-9.:]+/)", output)[-1]
        page = await asyncio.to_thread(_page, url)
        assert "mx.<wbr>capped.<wbr>test" in page
        while await asyncio.to_thread(_page, url) == page:  # noqa: ASYNC110 - mail goes on
            await asyncio.sleep(0.1)
        process.send_signal(signal.SIGINT)
        _, errors = await process.communicate()
    assert (process.returncode, errors) == (130, b"")
    assert "2000 delivered, 30 bounced" in output
    told = output[output.index("How the limit of default/mx.capped.test was found") :]
    assert 'refused: "421 4.7.0 mx.capped.test Error: too many connections' in told
    assert "taken" in told
