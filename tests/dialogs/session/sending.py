"""How these tests send: to a port of loopback, in milliseconds."""

from __future__ import annotations

import ssl
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path

from sender.core.outcome import Trouble
from sender.core.stage import Stage
from sender.sandbox import Behaviour, Close, Hang
from sender.settings import DeliverySettings, Tls
from sender.smtp.ear import NOBODY, Ear
from sender.smtp.habits import Habits
from sender.smtp.opening import Refused, Target, open_session
from sender.smtp.session import Answer, Outgoing, Session

CERTIFICATE = Path(__file__).parent.parent / "certificate.pem"
HELLO = b"Subject: x\r\n\r\nhello\r\n"
TIMEOUTS = (
    "connect_timeout",
    "banner_timeout",
    "ehlo_timeout",
    "starttls_timeout",
    "mail_timeout",
    "rcpt_timeout",
    "data_timeout",
    "block_timeout",
    "rset_timeout",
    "end_of_data_timeout",
    "quit_timeout",
)


WAYS = ("step by step", "pipelining", "chunking")


def taking(way: str, scripted: Mapping[str, Sequence[str | Close | Hang]] | None = None) -> Behaviour:
    """Make a receiver's behaviour that has messages sent in one of the WAYS."""
    return Behaviour(pipelining=way != "step by step", chunking=way == "chunking", scripted=scripted or {})


def limits(patient_s: float = 5.0, **timeouts: float) -> DeliverySettings:
    """Give timeouts: long ones where nothing else is asked."""
    seconds = dict.fromkeys(TIMEOUTS, patient_s) | timeouts
    return DeliverySettings.model_validate({name: f"{round(length_s * 1000)}ms" for name, length_s in seconds.items()})


async def attempt(
    port: int,
    timeouts: DeliverySettings | None = None,
    *,
    tls: Tls = "none",
    host: str = "mx.sandbox.test",
    habits: Habits | None = None,
    ear: Ear = NOBODY,
) -> Session | Refused:
    """Open a session, or be refused."""
    target = Target(host=host, address="127.0.0.1", port=port, source_address="", helo="sender.test", tls=tls)
    return await open_session(target, timeouts or limits(), habits, ear)


async def connect(
    port: int,
    timeouts: DeliverySettings | None = None,
    *,
    tls: Tls = "none",
    host: str = "mx.sandbox.test",
    habits: Habits | None = None,
    ear: Ear = NOBODY,
) -> Session:
    """Open a session that must open."""
    session = await attempt(port, timeouts, tls=tls, host=host, habits=habits, ear=ear)
    assert isinstance(session, Session)
    return session


async def converse(session: Session, *messages: Outgoing) -> list[list[Answer]]:
    """Carry messages as the engine does: each is offered behind the one before, and carried on if it was taken."""
    waiting = deque(messages)
    answers: list[list[Answer]] = []
    taken: list[Outgoing] = []

    def following() -> Outgoing | None:
        taken.extend([waiting.popleft()] if waiting else [])
        return taken[-1] if taken else None

    while taken or (waiting and (session.usable or not answers)):
        message = taken.pop() if taken else waiting.popleft()
        answers.append(await session.transact(message, following))
    return answers


def letter(*rcpt_tos: str, content: bytes = HELLO, mail_from: str = "me@a.test") -> Outgoing:
    """Make a message as the engine hands it over."""
    return Outgoing(
        mail_from=mail_from,
        rcpt_tos=rcpt_tos or ("you@b.test",),
        size=len(content),
        eight_bit=not content.isascii(),
        smtputf8=False,
        first=content,
    )


def shown(answers: list[Answer]) -> list[tuple[Stage, int | Trouble | None]]:
    """Give for each recipient the stage, and the code or the trouble."""
    return [(answer.stage, answer.reply.code if answer.reply is not None else answer.trouble) for answer in answers]


def delivered(answers: list[Answer]) -> bool:
    """Tell whether every recipient is delivered."""
    return all(answer.delivered for answer in answers)


def server_context() -> ssl.SSLContext:
    """Give a receiver's side of TLS, with a certificate that nobody has signed."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    return context
