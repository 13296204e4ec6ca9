"""Real Postfix, Exim and smtp-sink in dialogue with our sessions, with what they announce and without."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from sender.core.stage import Stage
from sender.settings import DeliverySettings
from sender.smtp.habits import Habits, Way
from sender.smtp.opening import Target, open_session
from sender.smtp.session import Answer, Outgoing, Session
from tests.servers import EximReceiver, PostfixReceiver, SmtpSink, require

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.servers import Server

_REJECT = {"smtpd_recipient_restrictions": "check_recipient_access inline:{{nobody@b.test = REJECT}}"}
_DENY = {"acl_smtp_rcpt": "${if eq{$local_part}{nobody}{deny}{accept}}", "pipelining_connect_advertise_hosts": ":"}


@dataclass(frozen=True)
class _Kind:
    """A real server, and the ways that are open to it."""

    server: type[Server]
    start: Callable[[], AbstractAsyncContextManager[PostfixReceiver | EximReceiver | SmtpSink]]
    ways: frozenset[Way]
    refuses: bool = True


_ALL = frozenset(Way)
_PLAIN = frozenset({Way.PIPELINING, Way.OVERLAPPING})
_KINDS = {
    "postfix": _Kind(PostfixReceiver, lambda: PostfixReceiver(settings=_REJECT), _ALL),
    "postfix without chunking": _Kind(
        PostfixReceiver,
        lambda: PostfixReceiver(settings={**_REJECT, "smtpd_discard_ehlo_keywords": "chunking"}),
        _PLAIN,
    ),
    "postfix step by step": _Kind(
        PostfixReceiver,
        lambda: PostfixReceiver(settings={**_REJECT, "smtpd_discard_ehlo_keywords": "chunking,pipelining"}),
        frozenset(),
    ),
    "exim": _Kind(EximReceiver, lambda: EximReceiver(settings=_DENY), _ALL),
    "exim without chunking": _Kind(
        EximReceiver, lambda: EximReceiver(settings={**_DENY, "chunking_advertise_hosts": ""}), _PLAIN
    ),
    "exim step by step": _Kind(
        EximReceiver,
        lambda: EximReceiver(settings={**_DENY, "chunking_advertise_hosts": "", "pipelining_advertise_hosts": ":"}),
        frozenset(),
    ),
    "smtp-sink": _Kind(SmtpSink, SmtpSink, _PLAIN, refuses=False),
    "smtp-sink step by step": _Kind(SmtpSink, lambda: SmtpSink(["-p"]), frozenset(), refuses=False),
}


def _letter(*mailboxes: str, content: bytes) -> Outgoing:
    return Outgoing(
        mail_from="me@a.test",
        rcpt_tos=[f"{mailbox}@b.test" for mailbox in mailboxes],
        size=len(content),
        eight_bit=False,
        smtputf8=False,
        first=content,
    )


def _letters(count: int) -> list[Outgoing]:
    """Make messages of all kinds: for one, for several, for nobody, long ones, some with dots."""
    header = b"From: me@a.test\r\nSubject: x\r\n\r\n"
    contents = [header + b"hello\r\n", header + b".\r\n..\r\n" * 300, header + (b"x" * 70 + b"\r\n") * 2000]
    envelopes = [("one",), ("one", "nobody"), ("nobody",), ("one", "two", "three"), ("nobody", "nobody")]
    return [
        _letter(*envelopes[number % 5], content=contents[2 if number % 7 == 6 else number % 2])
        for number in range(count)
    ]


async def _carried(session: Session, letters: list[Outgoing]) -> list[list[Answer]]:
    """Carry messages, each begun behind the one before where the session allows it."""
    queue, ahead = iter(letters), list[Outgoing]()

    def following() -> Outgoing | None:
        ahead.extend([message for message in [next(queue, None)] if message is not None])
        return ahead[-1] if ahead else None

    answers = []
    while message := ahead.pop() if ahead else next(queue, None):
        answers.append(await session.transact(message, following))
    return answers


@pytest.mark.parametrize("name", _KINDS)
async def test_a_real_receiver_copes_with_what_is_sent_ahead(name: str) -> None:
    """Messages of all kinds on one session get their own answers, on every way that the server announces."""
    kind = _KINDS[name]
    require(kind.server)
    letters = _letters(40)
    habits = Habits()
    async with kind.start() as receiver:
        host, port = receiver.address
        target = Target(host=name, address=host, port=port, source_address="", helo="a.test", tls="none")
        session = await open_session(target, DeliverySettings(), habits)
        assert isinstance(session, Session)
        answers = await _carried(session, letters)
        assert session.usable
        await session.quit()
        taken = sum(any(answer.delivered for answer in each) for each in answers)
        if isinstance(receiver, SmtpSink):
            await receiver.received(taken)
        else:
            await receiver.until("it has logged them", lambda: receiver.messages_accepted() == taken)
    for letter, each in zip(letters, answers, strict=True):
        for rcpt_to, answer in zip(letter.rcpt_tos, each, strict=True):
            refused = kind.refuses and rcpt_to.startswith("nobody")
            assert answer.delivered is not refused, (rcpt_to, answer)
            assert answer.stage is (Stage.RCPT if refused else Stage.END_OF_DATA)
    assert habits.mishandled == []
    assert {way for way in Way if way in habits._worked} >= kind.ways
    if Way.CHUNKING not in kind.ways:
        assert Way.CHUNKING not in habits._worked
