"""Who is told of what, what comes back with it, and how often that happens."""

from __future__ import annotations

import logging
import zlib
from dataclasses import replace
from typing import Any

import pytest

from sender.core.options import NO_OPTIONS, Options
from sender.core.outcome import Outcome, Reason
from sender.engine.results import Result
from sender.spool.contract import BLOCK, ClaimedMessage, ClaimedRecipient, State

from .desk import Desk, got
from .values import CONTENT, message, recipients

_OLD_S = 1e6  # beyond the greatest age
_LATE_S = 7200.0

# RFC 3461 section 4.1: what the sender hears of a recipient that was delivered to a receiver without DSN, that bounced,
# that is late, and that expired.
_TABLE = {
    "": ("", "failed", "delayed", "failed"),
    "NEVER": ("", "", "", ""),
    "SUCCESS": ("relayed", "", "", ""),
    "FAILURE": ("", "failed", "", "failed"),
    "DELAY": ("", "", "delayed", ""),
    "SUCCESS,FAILURE": ("relayed", "failed", "", "failed"),
    "SUCCESS,DELAY": ("relayed", "", "delayed", ""),
    "FAILURE,DELAY": ("", "failed", "delayed", "failed"),
    "SUCCESS,FAILURE,DELAY": ("relayed", "failed", "delayed", "failed"),
}
_ENDS = {"delivered": State.DELIVERED, "bounced": State.BOUNCED, "late": State.QUEUED, "expired": State.EXPIRED}


def _claimed(notify: str = "", mailbox: str = "you@example.org", original: str = "") -> ClaimedRecipient:
    dsn = " ".join(filter(None, (f"NOTIFY={notify}" if notify else "", f"ORCPT={original}" if original else "")))
    return replace(recipients(mailbox)[0], dsn=dsn)


def _became(end: str, recipient: ClaimedRecipient) -> Result:
    match end:
        case "delivered":
            return got(Outcome.DELIVERED, "250 2.0.0 queued", recipient=recipient)
        case "bounced":
            return got(Outcome.BOUNCED, "550 5.1.1 no", recipient=recipient, reason=Reason.MAILBOX_UNKNOWN)
        case _:
            return got(Outcome.DEFERRED, "450 4.2.0 later", recipient=recipient, reason=Reason.GREYLISTED)


def _actions(desk: Desk) -> list[str]:
    actions = []
    for notice in desk.batch.notices:
        lines = [line for line in notice.content.decode().splitlines() if line.startswith("Action: ")]
        assert len(set(lines)) == 1
        actions.append(lines[0].removeprefix("Action: "))
    return actions


@pytest.mark.parametrize("tells", [False, True])
@pytest.mark.parametrize("end", _ENDS)
@pytest.mark.parametrize("notify", _TABLE)
def test_b2_a_sender_hears_what_it_asked_for(notify: str, end: str, *, tells: bool) -> None:
    """Over NOTIFY, what became of the recipient, and whether the receiver has DSN: a notice, or none."""
    desk = Desk({"expired": _OLD_S}.get(end, _LATE_S), delay_warning="1h")
    desk.settle(_became(end, _claimed(notify)), tells=tells)
    expected = dict(zip(_ENDS, _TABLE[notify], strict=True))[end]
    if tells and end == "delivered":
        expected = ""  # the receiver took that over
    assert _actions(desk) == [expected] * bool(expected)
    (settlement,) = desk.batch.settlements
    assert settlement.state is _ENDS[end]
    assert settlement.warned is (expected == "delayed")


@pytest.mark.parametrize("notify", _TABLE)
@pytest.mark.parametrize("end", _ENDS)
def test_b2_nobody_hears_of_a_message_without_a_sender(notify: str, end: str) -> None:
    """A notice, and any other mail from the null sender, causes none, whatever was asked."""
    desk = Desk({"expired": _OLD_S}.get(end, _LATE_S), delay_warning="1h")
    desk.settle(_became(end, _claimed(notify)), mail_from="")
    assert desk.batch.notices == []


@pytest.mark.parametrize("notify", _TABLE)
def test_what_expires_unseen_is_told_as_a_failure(notify: str) -> None:
    """Mail that waited too long without an attempt is told of to who wants to hear of failures."""
    desk = Desk(_OLD_S)
    desk.settler.expire(message(_claimed(notify)), desk.metrics, "too old")
    assert bool(desk.batch.notices) is bool(_TABLE[notify][3])


def test_who_must_not_be_told_of_is_left_out() -> None:
    """Recipients of one transaction share a notice of each kind, each of them where its sender wants to hear of it."""
    desk = Desk()
    names = ("a", "b", "c", "d", "e")
    wishes = ("", "NEVER", "FAILURE", "SUCCESS", "SUCCESS")
    one, two, three, four, five = (
        replace(_claimed(wish, f"{name}@example.org"), id=number)
        for number, (name, wish) in enumerate(zip(names, wishes, strict=True))
    )
    desk.settle(
        *(_became("bounced", each) for each in (one, two, three, four)),
        _became("delivered", five),
    )
    failed, relayed = desk.batch.notices
    assert [name for name in names if f"{name}@example.org".encode() in failed.content] == ["a", "c"]
    assert [name for name in names if f"{name}@example.org".encode() in relayed.content] == ["e"]
    assert len(desk.batch.settlements) == 5


def test_a_notice_names_what_the_sender_has_called_things() -> None:
    """ENVID and ORCPT come back decoded, and in the case in which they were written."""
    desk = Desk()
    recipient = _claimed("FAILURE", original="rfc822;You+2BBox@Old.example")
    desk.settle(_became("bounced", recipient), options=Options(envelope_id="QQ+2B314159Aa"))
    (notice,) = desk.batch.notices
    assert b"\r\nOriginal-Envelope-Id: QQ+314159Aa\r\n" in notice.content
    assert b"\r\nOriginal-Recipient: rfc822; You+Box@Old.example\r\nFinal-Recipient: rfc822; you" in notice.content


def test_a_notice_is_mail_as_any_other() -> None:
    """It has the checksum of its content, asks for nothing, and is due at once."""
    desk = Desk()
    desk.settle(_became("bounced", _claimed()), options=Options(campaign="spring", metadata={"order": 7}))
    (notice,) = desk.batch.notices
    assert notice.checksum == zlib.crc32(notice.content)
    assert (notice.options, notice.dsn) == (NO_OPTIONS, ())
    assert notice.due_ats[0] <= desk.now


# what comes back


def _settled(content: bytes, end: str = "bounced", notify: str = "", **facts: Any) -> bytes:  # noqa: ANN401
    desk = Desk(_LATE_S, delay_warning="1h")
    of = replace(message(_claimed(notify)), content=content, **{"size": len(content), **facts})
    desk.settle_of(of, _became(end, of.recipients[0]))
    (notice,) = desk.batch.notices
    return notice.content


def _sized(size: int) -> bytes:
    return CONTENT + b"x" * (size - len(CONTENT) - 2) + b"\r\n"


_FULL = Options(returns="FULL")


@pytest.mark.parametrize("returns", ["", "HDRS"])
def test_headers_come_back_where_nothing_else_is_asked(returns: str) -> None:
    """Without RET, and with RET=HDRS, of a message its headers come back."""
    written = _settled(CONTENT, options=Options(returns=returns))
    assert b"\r\nContent-Type: text/rfc822-headers\r\n" in written
    assert b"hello" not in written


def test_a_message_comes_back_whole_on_request() -> None:
    """With RET=FULL a message that failed comes back as it is."""
    written = _settled(CONTENT, options=_FULL)
    assert b"\r\nContent-Type: message/rfc822\r\n\r\n" + CONTENT in written


@pytest.mark.parametrize(("end", "notify"), [("late", "DELAY"), ("delivered", "SUCCESS")])
def test_only_with_a_failure_a_message_comes_back_whole(end: str, notify: str) -> None:
    """RET is about failures (RFC 3461 section 4.3): with other notices the headers come back."""
    assert b"hello" not in _settled(CONTENT, end, notify, options=_FULL)


@pytest.mark.parametrize(("size", "whole"), [(64 * 1024, True), (64 * 1024 + 1, False)])
def test_i16_a_large_message_does_not_come_back_whole(size: int, *, whole: bool) -> None:
    """Of more than 64 KiB only the headers come back, whatever was asked."""
    assert (b"message/rfc822\r\n" in _settled(_sized(size), options=_FULL)) is whole


@pytest.mark.parametrize(("blocks", "size"), [(2, BLOCK + 10), (1, len(CONTENT) + 1)])
def test_a_message_that_is_not_at_hand_does_not_come_back_whole(blocks: int, size: int) -> None:
    """What lies in further blocks, or is not what was accepted, is not returned as if it was the message."""
    assert b"hello" not in _settled(CONTENT, options=_FULL, blocks=blocks, size=size)


def test_t12_a_message_that_needs_tls_is_protected_on_its_way_back() -> None:
    """Its notices need TLS as well, and only its headers come back (RFC 8689 section 5)."""
    desk = Desk()
    desk.settle(_became("bounced", _claimed()), options=Options(require_tls=True, returns="FULL", campaign="spring"))
    (notice,) = desk.batch.notices
    assert notice.options == Options(require_tls=True)
    assert b"hello" not in notice.content


# how many


def _fail(desk: Desk, mail_from: str = "me@example.com", notify: str = "") -> int:
    """Let one message fail; give how many notices there are by now."""
    of: ClaimedMessage = message(_claimed(notify), mail_from=mail_from)
    desk.settle_of(of, _became("bounced", of.recipients[0]))
    return len(desk.batch.notices)


def test_i16_a_sender_gets_so_many_notices_in_an_hour(caplog: pytest.LogCaptureFixture) -> None:
    """Beyond `notices.max_per_hour` none is written; outcomes are recorded, it is counted, and the log says it once."""
    desk = Desk()
    assert [_fail(desk) for _ in range(25)] == [*range(1, 21), 20, 20, 20, 20, 20]
    assert len(desk.batch.settlements) == 25
    assert desk.value("notices_suppressed_total") == 5
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert warnings == [
        "<me@example.com> has had 20 notices within an hour (notices.max_per_hour) and gets no more of them"
    ]
    assert _fail(desk, "you@example.com") == 21
    assert _fail(desk, "ME@example.com") == 21
    desk.steady += 3600
    assert _fail(desk) == 22


def test_a_notice_that_nobody_gets_does_not_count() -> None:
    """Who asked not to be told loses no notice for it."""
    desk = Desk()
    assert [_fail(desk, notify="NEVER") for _ in range(25)] == [0] * 25
    assert _fail(desk) == 1


def test_the_cap_follows_the_configuration(caplog: pytest.LogCaptureFixture) -> None:
    """Another cap holds from the next notice on, the hour that runs included."""
    desk = Desk()
    assert _fail(desk) == 1
    desk.reload(max_per_hour=2)
    assert [_fail(desk) for _ in range(3)] == [2, 2, 2]
    assert len(caplog.records) == 1
