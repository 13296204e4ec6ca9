"""What becomes of mail that a receiver does not take at once: later attempts, notices, expiry."""

from __future__ import annotations

import email
import email.policy
from email.message import EmailMessage
from typing import TYPE_CHECKING

from sender.sandbox import Behaviour, Close
from sender.spool.contract import State

if TYPE_CHECKING:
    from pathlib import Path

    from sender.sandbox import Receiver
    from tests.scenes.world import World


async def test_greylisted_mail_comes_back_when_it_was_told_to(world: World) -> None:
    """A greylisted message is delivered at its second attempt, after the wait that the reply named."""
    receiver = await world.site("grey.test", Behaviour(greylist_s=1.0))
    await world.start({"retry": {"schedule": ["1h"]}})
    ids = await world.submit([world.message(f"user{number}@grey.test") for number in range(20)])
    await world.until_empty()
    assert receiver.tally.messages == 20
    for message_id in ids:
        (recipient,) = (await world.json("message", message_id))["recipients"]
        assert recipient["attempts"] == 2
        assert [record["outcome"] for record in recipient["history"]] == ["deferred", "delivered"]
        assert recipient["history"][0]["reason"] == "greylisted"


async def test_unknown_mailboxes_give_one_notice_per_message(world: World) -> None:
    """A message with two unknown mailboxes gives one notice that names both, and its third recipient gets it."""
    inbox = await world.inbox()
    receiver = await world.site("choosy.test", Behaviour(unknown_prefixes=("nobody",)))
    await world.start()
    for number in range(3):
        await world.send(f"nobody{number}@choosy.test", f"user{number}@choosy.test", f"nobody-else{number}@choosy.test")
    await world.until_empty()
    assert receiver.tally.recipients == 3
    notices = _notices(inbox)
    assert len(notices) == 3
    for number, notice in enumerate(sorted(notices, key=lambda notice: notice.as_string().find("nobody0") < 0)[:1]):
        assert [(part["Final-Recipient"], part["Action"], part["Status"]) for part in _recipients(notice)] == [
            (f"rfc822; nobody{number}@choosy.test", "failed", "5.1.1"),
            (f"rfc822; nobody-else{number}@choosy.test", "failed", "5.1.1"),
        ]
    world.notices = 3


async def test_a_notice_that_fails_causes_no_notice(world: World) -> None:
    """Mail without a sender bounces silently, and so does a notice that its addressee does not take."""
    inbox = await world.inbox(Behaviour(unknown_prefixes=("news",)))
    await world.site("choosy.test", Behaviour(unknown_prefixes=("nobody",)))
    await world.start()
    await world.send("nobody@choosy.test", mail_from="")
    await world.send("nobody@choosy.test")
    await world.until_empty()
    assert inbox.tally.messages == 0
    assert world.books().states[State.BOUNCED] == 3
    world.notices = 1


async def test_mail_that_is_too_old_expires(world: World) -> None:
    """Mail that is deferred until its time is over expires with a notice of status 5.4.7 and the last answer."""
    inbox = await world.inbox()
    receiver = await world.site("busy.test", Behaviour(full_prefixes=("user",)))
    await world.start({"retry": {"schedule": ["200ms"], "max_age": "1s"}})
    await world.send("user@busy.test")
    await world.until_empty()
    (notice,) = _notices(inbox)
    (recipient,) = _recipients(notice)
    assert (recipient["Action"], recipient["Status"]) == ("failed", "5.4.7")
    assert "mailbox full" in recipient["Diagnostic-Code"]
    assert receiver.tally.messages == 0
    assert world.books().states[State.EXPIRED] == 1
    world.notices = 1


async def test_mail_to_a_site_that_is_down_expires(world: World) -> None:
    """Mail for a host that refuses every connection expires as well, with a notice of status 5.4.7."""
    inbox = await world.inbox()
    down = await world.site("down.test")
    await down.close()
    await world.start({"retry": {"schedule": ["200ms"], "max_age": "1s"}})
    await world.send("user@down.test")
    await world.until_empty()
    (recipient,) = _recipients(_notices(inbox)[0])
    assert recipient["Status"] == "5.4.7"
    world.notices = 1


async def test_a_destination_may_wait_longer_than_the_others(world: World) -> None:
    """A destination with a longer `max_age` of its own keeps its mail beyond the general one."""
    await world.inbox()
    receiver = await world.site("patient.test", Behaviour(full_prefixes=("user",)))
    patient = {"retry": {"schedule": ["200ms"], "max_age": "1h"}}
    await world.start({"retry": {"schedule": ["200ms"], "max_age": "500ms"}, "destinations": {"patient.test": patient}})
    await world.send("user@patient.test")
    await world.until("it is older than most mail may become", lambda: world.books().most_attempts >= 5)
    await world.stop()
    await world.start()  # what is too old is looked for at the start
    attempts = world.books().most_attempts
    await world.until("it is tried again", lambda: world.books().most_attempts > attempts + 1)
    receiver.behaviour = Behaviour()
    await world.until_empty()
    assert world.books().states[State.DELIVERED] == 1


async def test_a_sender_is_warned_of_a_delay_once(world: World) -> None:
    """A message that is late gives one warning, however often it is tried, and no notice when it arrives at last."""
    inbox = await world.inbox()
    receiver = await world.site("late.test", Behaviour(full_prefixes=("user",)))
    await world.start({"retry": {"schedule": ["200ms"], "delay_warning": "300ms"}})
    await world.send("user@late.test")
    await world.until("it was tried often", lambda: world.books().most_attempts >= 6)
    receiver.behaviour = Behaviour()
    await world.until_empty()
    (notice,) = _notices(inbox)
    (recipient,) = _recipients(notice)
    assert (recipient["Action"], recipient["Status"][0]) == ("delayed", "4")
    assert receiver.tally.messages == 1
    world.notices = 1


async def test_a_connection_lost_after_the_content_is_counted(world: World) -> None:
    """Where the answer to the content is lost, the message is tried again; a metric tells that it may be twice."""
    receiver = await world.site("lossy.test", Behaviour(scripted={"end_of_data": [Close(accept=True)]}))
    await world.start()
    await world.send("user@lossy.test")
    await world.until_empty()
    assert receiver.tally.messages == 2
    assert (await world.metrics()).total("sender_ambiguous_total") == 1


async def test_a_final_refusal_of_the_session_bounces_nothing(world: World) -> None:
    """A receiver that greets with 554 has refused no message: the mail waits, and goes when it is greeted again."""
    receiver = await world.site("closed.test", Behaviour(scripted={"banner": ["554 5.3.2 No service"] * 2}))
    await world.start()
    await world.send("user@closed.test")
    await world.until_empty()
    assert receiver.tally.messages == 1


def _notices(inbox: Receiver) -> list[EmailMessage]:
    """Read what arrived: every message is a notice with the null sender."""
    notices = []
    for arrival in inbox.arrivals:
        assert arrival.mail_from == ""
        notices.append(email.message_from_bytes(arrival.content, policy=email.policy.default))
    return notices


def _recipients(notice: EmailMessage) -> list[EmailMessage]:
    """Give the fields about each recipient (RFC 3464 section 2.3)."""
    assert notice.get_content_type() == "multipart/report"
    (report,) = (part for part in notice.walk() if part.get_content_type() == "message/delivery-status")
    return [part for part in report.iter_parts() if isinstance(part, EmailMessage)][1:]


async def test_a_session_that_is_refused_for_good_has_refused_no_message(world: World) -> None:
    """A 554 at the banner says nothing about a message: it is deferred, and goes when sessions are taken again."""
    banner = "554 5.7.1 mx.strict.test is closed to you"
    receiver = await world.site("strict.test", Behaviour(scripted={"banner": [Close(reply=banner)]}))
    await world.start({"retry": {"schedule": ["100ms"]}, "delivery": {"connect_backoff": "50ms"}})
    await world.send("user@strict.test")
    await world.until_empty()
    assert receiver.tally.messages == 1
    assert world.books().states[State.DELIVERED] == 1


async def test_rules_of_the_operator_decide_first(world: World, tmp_path: Path) -> None:
    """A rule in the file of `[classify] rules` is read before the shipped ones, and knows the host that spoke."""
    rules = tmp_path / "rules.toml"
    rules.write_text(
        "[[rule]]\nname = \"own: not here\"\ntext = ['house rule 7']\nmx = ['mx.own.test']\nreason = \"policy\"\n"
        "scope = \"recipient\"\nexamples = [{ reply = '550 house rule 7', mx = 'mx.own.test' }]\n"
        "counterexamples = ['550 house rule 7', '550 house rule 8']\n"
    )
    await world.site("own.test", Behaviour(unknown_prefixes=("user",), unknown_with="550 5.1.1 house rule 7"))
    await world.start({"classify": {"rules": str(rules)}})
    message_id = await world.send("user@own.test", mail_from="")
    await world.until_empty()
    (recipient,) = (await world.json("message", message_id))["recipients"]
    assert (recipient["history"][0]["reason"], recipient["history"][0]["rule"]) == ("policy", "own: not here")
