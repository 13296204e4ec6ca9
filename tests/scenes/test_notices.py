"""What senders ask to be told (RFC 3461), from their MAIL and RCPT to the receiver, or to the notice in their inbox."""

from __future__ import annotations

import email
import email.policy
import time
from dataclasses import replace
from email.message import EmailMessage
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sender.sandbox import Behaviour
from sender.spool.contract import State
from tests.dialogs.session.sending import CERTIFICATE, server_context
from tests.dialogs.trust import trusting

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sender.sandbox import Receiver
    from tests.scenes.world import World

_ASKED = ["NOTIFY=SUCCESS,FAILURE", "ORCPT=rfc822;Ann+2BBox@Old.test"]


async def _submit(
    world: World, *rcpt_tos: str, mail: list[str], rcpt: list[str] | None = None, secure: bool = False
) -> str:
    """Submit a message with parameters; give its id."""
    message = world.message(*rcpt_tos)
    async with world.client() as client:
        if secure:
            await client.starttls(validate_certs=False)
        _, reply = await client.sendmail(
            message.mail_from, message.rcpt_tos, message.content, mail_options=mail, rcpt_options=rcpt or []
        )
    return reply.rpartition(" ")[2]


def _notices(inbox: Receiver) -> list[EmailMessage]:
    parsed = [email.message_from_bytes(arrival.content, policy=email.policy.default) for arrival in inbox.arrivals]
    assert all(isinstance(notice, EmailMessage) for notice in parsed)
    return [notice for notice in parsed if isinstance(notice, EmailMessage)]


def _groups(notice: EmailMessage) -> list[dict[str, str]]:
    (status,) = [part for part in notice.walk() if part.get_content_type() == "message/delivery-status"]
    return [{name: str(value) for name, value in group.items()} for group in status.get_payload()]  # type: ignore[union-attr]


async def test_b2_a_receiver_with_dsn_takes_over_what_was_asked(world: World) -> None:
    """The parameters reach it as they were written, and whether the mail arrives it tells itself: we tell nobody."""
    receiver = await world.site("told.test", Behaviour(dsn=True), keep_arrivals=True)
    await world.start()
    await _submit(world, "ann@told.test", mail=["RET=HDRS", "ENVID=Qq+2B314"], rcpt=_ASKED)
    await world.send("ann@told.test")
    await world.until_empty()
    asked, plain = receiver.arrivals
    assert (asked.parameters["RET"], asked.parameters["ENVID"]) == ("HDRS", "Qq+2B314")
    assert {**asked.rcpt_parameters[0]} == {"NOTIFY": "SUCCESS,FAILURE", "ORCPT": "rfc822;Ann+2BBox@Old.test"}
    assert not {"RET", "ENVID"} & set(plain.parameters)
    assert not plain.rcpt_parameters[0]


async def test_b2_what_a_receiver_without_dsn_takes_is_told_as_relayed(world: World) -> None:
    """It gets no parameters, and the sender, who asked, a notice with what it had called its message and recipient."""
    inbox = await world.inbox()
    receiver = await world.site("plain.test", keep_arrivals=True)
    await world.start()
    await _submit(world, "ann@plain.test", mail=["ENVID=Qq+2B314"], rcpt=_ASKED)
    await world.until_empty()
    assert [set(arrival.parameters) for arrival in receiver.arrivals] == [{"SIZE"}]
    (notice,) = _notices(inbox)
    about, group = _groups(notice)
    assert about["Original-Envelope-Id"] == "Qq+314"
    assert (group["Action"], group["Status"]) == ("relayed", "2.0.0")
    assert group["Original-Recipient"] == "rfc822; Ann+Box@Old.test"
    assert group["Final-Recipient"] == "rfc822; ann@plain.test"
    assert group["Remote-MTA"] == "dns; mx.plain.test"
    world.notices = 1


async def test_b2_who_asks_to_hear_nothing_hears_nothing(world: World) -> None:
    """With NOTIFY=NEVER mail bounces in silence, beside a recipient of the same message that is told of."""
    inbox = await world.inbox()
    await world.site("choosy.test", Behaviour(unknown_prefixes=("nobody",)))
    await world.start()
    await _submit(world, "nobody@choosy.test", mail=[], rcpt=["NOTIFY=NEVER"])
    await _submit(world, "nobody-else@choosy.test", mail=[], rcpt=["NOTIFY=FAILURE"])
    await world.until_empty()
    assert world.books().states[State.BOUNCED] == 2
    (notice,) = _notices(inbox)
    assert [group["Final-Recipient"] for group in _groups(notice)[1:]] == ["rfc822; nobody-else@choosy.test"]
    world.notices = 1


async def test_a_message_comes_back_as_it_was_asked(world: World) -> None:
    """With RET=FULL it comes back whole, as the client sent it; else its headers do."""
    inbox = await world.inbox()
    await world.site("choosy.test", Behaviour(unknown_prefixes=("nobody",)))
    await world.start()
    for returns in (["RET=FULL"], ["RET=HDRS"], []):
        await _submit(world, "nobody@choosy.test", mail=returns)
    await world.until_empty()
    last = [list(notice.iter_parts())[-1] for notice in _notices(inbox)]
    assert sorted(part.get_content_type() for part in last) == ["message/rfc822", *["text/rfc822-headers"] * 2]
    assert sum("Good news." in part.as_string() for part in last) == 1
    world.notices = 3


async def test_i16_a_sender_gets_no_more_notices_than_it_may(world: World) -> None:
    """Beyond `notices.max_per_hour` outcomes are recorded and nobody is told."""
    inbox = await world.inbox()
    await world.site("choosy.test", Behaviour(unknown_prefixes=("nobody",)))
    await world.start({"notices": {"max_per_hour": 3}})
    await world.submit([world.message(f"nobody{number}@choosy.test") for number in range(10)])
    await world.until_empty()
    assert world.books().states[State.BOUNCED] == 10
    assert len(inbox.arrivals) == 3
    assert (await world.metrics()).total("sender_notices_suppressed_total") == 7
    world.notices = 3


@pytest.fixture
def trusted(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let this machine trust the receivers' certificate."""
    yield from trusting(CERTIFICATE, monkeypatch)


@pytest.mark.usefixtures("trusted")
async def test_t12_mail_that_needs_tls_goes_under_verified_tls_or_comes_back(world: World) -> None:
    """Where TLS is required and REQUIRETLS is taken it goes with that; elsewhere it comes back with 5.7.30."""
    certificate = str(Path(CERTIFICATE).absolute())
    inbox = await world.inbox()
    safe = await world.receiver(
        "mx.sandbox.test",
        Behaviour(name="mx.sandbox.test", tls=server_context(), requiretls=True),
        keep_arrivals=True,
    )
    world.dns.mx("safe.test", [(10, "mx.sandbox.test")])
    plain = await world.site("plain.test")
    await world.start(
        {
            "smtp": {"tls_cert": certificate, "tls_key": certificate},
            "destinations": {"safe.test": {"tls": "required"}},
        }
    )
    await _submit(world, "ann@safe.test", mail=["REQUIRETLS"], secure=True)
    await _submit(world, "ann@plain.test", mail=["REQUIRETLS", "RET=FULL"], secure=True)
    await world.until_empty()
    (arrival,) = safe.arrivals
    assert arrival.tls
    assert "REQUIRETLS" in arrival.parameters
    assert plain.tally.messages == 0
    (notice,) = _notices(inbox)
    (_, group) = _groups(notice)
    assert (group["Action"], group["Status"]) == ("failed", "5.7.30")
    assert group["Diagnostic-Code"].startswith("x-sender; 550 5.7.30 REQUIRETLS")
    assert "Good news." not in notice.as_string()
    metrics = await world.metrics()
    assert metrics.by("sender_sessions_tls_total", "version") == {"TLSv1.3": 1, "none": 2}  # one for the notice
    expires_at = metrics.by("sender_peer_certificate_expiry_timestamp_seconds", "provider")
    assert {site: at > time.time() for site, at in expires_at.items()} == {"mx.sandbox.test+required": True}
    world.notices = 1


async def test_x8_mail_to_an_address_that_a_receiver_cannot_take_comes_back_readable(world: World) -> None:
    """Without SMTPUTF8 it is refused by us with 5.6.7, and the notice has the address as it was written (RFC 6533)."""
    inbox = await world.inbox()
    receiver = await world.site("plain.test", Behaviour(smtputf8=False))
    await world.start()
    message = world.message("jörg@plain.test")
    async with world.client() as client:
        await client.sendmail(message.mail_from, message.rcpt_tos, message.content, mail_options=["SMTPUTF8"])
    await world.until_empty()
    assert receiver.tally.messages == 0
    (arrival,) = inbox.arrivals
    assert arrival.parameters["BODY"] == "8BITMIME"
    (notice,) = _notices(inbox)
    assert [part.get_content_type() for part in notice.iter_parts()] == [
        "text/plain",
        "message/global-delivery-status",
        "message/global-headers",
    ]
    for line in ("Final-Recipient: utf-8; jörg@plain.test", "Status: 5.6.7", "<jörg@plain.test>"):
        assert f"\r\n{line}\r\n".encode() in arrival.content
    world.notices = 1


async def test_b4_a_message_to_many_gives_a_notice_for_each_attempt_that_fails(world: World) -> None:
    """Of ninety recipients thirty fail at each of three attempts: three notices, and each of them stands in one."""
    inbox = await world.inbox()
    names = [f"{wave}{number}@large.test" for wave in ("first", "second", "third") for number in range(30)]
    behaviour = Behaviour(name="mx.large.test", unknown_prefixes=("first",), full_prefixes=("second", "third"))
    receiver = await world.site("large.test", behaviour)
    await world.start({"retry": {"schedule": ["1h"]}})
    await world.send(*names)
    for wave, number in (("second", 1), ("third", 2)):
        await world.until("an attempt was made", lambda number=number: len(inbox.arrivals) == number)  # type: ignore[misc]
        await world.until("it is recorded", lambda: world.books().states[State.CLAIMED] == 0)
        receiver.behaviour = replace(
            behaviour, unknown_prefixes=(wave,), full_prefixes=("third",) if wave == "second" else ()
        )
        await world.command("retry", "--domain", "large.test")
    await world.until_empty()
    told = [group["Final-Recipient"] for notice in _notices(inbox) for group in _groups(notice)[1:]]
    assert sorted(told) == sorted(f"rfc822; {name}" for name in names)
    assert [len(_groups(notice)) - 1 for notice in _notices(inbox)] == [30, 30, 30]
    world.notices = 3
