"""One message by HTTP: what is taken, what is made of it, and what is refused."""

from __future__ import annotations

import asyncio
import base64
import datetime as dt
import json
from typing import TYPE_CHECKING, Any

import pytest

from sender.core.identity import id_number
from tests.dialogs.api.house import House

if TYPE_CHECKING:
    from tests.dialogs.api.conftest import MakeHouse

_RAW = "From: shop@example.com\r\nTo: ann@example.net\r\nBcc: bert@example.net\r\nX-Sender-Stream: news\r\n\r\nHi\r\n"


async def test_a_message_from_parts_is_durable_when_it_is_answered(house: House) -> None:
    """202 names the message, which stands in the spool with all that was asked for."""
    answer = await house.send(
        cc="Bert <bert@example.net>",
        bcc=["chris@example.net"],
        reply_to="help@example.com",
        subject="Größe",
        html="<p>It is on its way.</p>",
        headers={"X-Order": "17"},
        attachments=[{"filename": "a.txt", "content": base64.b64encode(b"a" * 300_000).decode()}],
        stream="orders",
        campaign="spring",
        metadata={"order": 17, "tags": ["a"]},
        notify=["FAILURE", "DELAY"],
        envelope_id="order 17+",
        list_unsubscribe={"url": "https://example.com/u", "one_click": True},
    )
    assert answer.status == 202
    body, stored = answer.json, house.the_message()
    assert body == {"id": body["id"], "ids": [body["id"]], "recipients": 3}
    assert await house.daemon.spool.message_report(id_number(body["id"])) is not None
    assert (stored.mail_from, stored.stream) == ("shop@example.com", "orders")
    assert stored.rcpt_tos == ("ann@example.net", "bert@example.net", "chris@example.net")
    assert stored.options["metadata"] == {"order": 17, "tags": ["a"]}
    assert (stored.options["campaign"], stored.options["envelope_id"]) == ("spring", "order+2017+2B")
    assert stored.dsn == "NOTIFY=FAILURE,DELAY"
    message = stored.message
    assert (message["subject"], message["x-order"], message["cc"]) == ("Größe", "17", "Bert <bert@example.net>")
    assert message["date"]
    assert message["message-id"] == f"<{body['id']}@mail.sender.test>"
    (file,) = message.iter_attachments()
    assert file.get_payload(decode=True) == b"a" * 300_000
    events = (house.daemon.settings.directory / "events.jsonl").read_text().splitlines()
    assert [json.loads(event)["metadata"] for event in events] == [{"order": 17, "tags": ["a"]}] * 3


@pytest.mark.parametrize("content", [_RAW, base64.encodebytes(_RAW.encode()).decode()], ids=["text", "base64"])
async def test_a_message_that_is_written_goes_as_over_smtp(house: House, content: str) -> None:
    """Content as text or in base64 goes through the same header scan: no Bcc, X-Sender-* honoured, fields completed."""
    body = {"mail_from": "", "rcpt_tos": ["bert@example.net"], "content": content}
    assert (await house.send(body)).status == 202
    stored = house.the_message()
    assert (stored.mail_from, stored.rcpt_tos, stored.stream) == ("", ("bert@example.net",), "news")
    assert b"bcc" not in stored.content.lower()
    assert b"X-Sender" not in stored.content
    assert stored.content.endswith(b"\r\n\r\nHi\r\n")
    assert stored.message["date"]
    assert b"with HTTP id" in stored.content


async def test_x13_nobody_learns_of_blind_copies(house: House) -> None:
    """`bcc` is in the envelope and nowhere in the content; with several recipients, Received names none."""
    await house.send(bcc=["secret@example.net"])
    stored = house.the_message()
    assert "secret@example.net" in stored.rcpt_tos
    assert b"secret" not in stored.content
    assert b"for <" not in stored.content


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"from": "shop@example.com\r\nBcc: x@example.net"}, "from"),
        ({"from": "Shop\r\nX: y <shop@example.com>"}, "from"),
        ({"from": None}, "from"),
        ({"mail_from": "a@b.net> SIZE=1"}, "mail_from"),
        ({"mail_from": "a b@example.com"}, "mail_from"),
        ({"mail_from": "a@b.net\0"}, "mail_from"),
        ({"rcpt_tos": ["ann@example.net", "x@y.net\r\nRCPT TO:<z@example.net>"]}, "rcpt_tos[1]"),
        ({"rcpt_tos": ["<ann@example.net>"]}, "rcpt_tos[0]"),
        ({"rcpt_tos": []}, "rcpt_tos"),
        ({"rcpt_tos": [f"u{number}@example.net" for number in range(1001)]}, "rcpt_tos"),
        ({"to": ["ann@example.net", "Ann\0 <ann@example.net>"]}, "to[1]"),
        ({"to": 5}, "to"),
        ({"cc": "a@b.net, c@d.net"}, "cc[0]"),
        ({"bcc": ["nobody"]}, "bcc[0]"),
        ({"reply_to": "\r\n"}, "reply_to[0]"),
        ({"subject": "a\nBcc: x@example.net"}, "subject"),
        ({"subject": "a\u2028b"}, "subject"),
        ({"subject": 5}, "subject"),
        ({"text": None}, "text"),
        ({"text": "a\0b"}, "text"),
        ({"headers": {"X-A": "1\r\nX-B: 2"}}, "headers.X-A"),
        ({"headers": {"X-A\r\nX-B": "2"}}, "headers.X-A\r\nX-B"),
        ({"headers": {"X A": "2"}}, "headers.X A"),
        ({"headers": {"Bcc": "x@example.net"}}, "headers.Bcc"),
        ({"headers": {"Content-Type": "text/html"}}, "headers.Content-Type"),
        ({"headers": {"X-A": 5}}, "headers.X-A"),
        ({"attachments": [{"filename": "../../etc/passwd", "content": ""}]}, "attachments[0].filename"),
        ({"attachments": [{"filename": "a\r\nX: y", "content": ""}]}, "attachments[0].filename"),
        ({"attachments": [{"filename": "a", "content": "%%%"}]}, "attachments[0].content"),
        (
            {"attachments": [{"filename": "a", "content": "", "content_type": "x\r\ny/z"}]},
            "attachments[0].content_type",
        ),
        ({"attachments": [{"filename": "a", "content": "", "content_id": "logo"}]}, "attachments[0].content_id"),
        ({"attachments": [{"filename": "a"}]}, "attachments[0].content"),
        ({"list_unsubscribe": {"url": "https://x.net/\r\nX: y"}}, "list_unsubscribe.url"),
        ({"list_unsubscribe": {"mailto": "x@y.net", "one_click": True}}, "list_unsubscribe.url"),
        ({"stream": "a b"}, "stream"),
        ({"campaign": ""}, "campaign"),
        ({"priority": "asap"}, "priority"),
        ({"send_at": "tomorrow"}, "send_at"),
        ({"send_at": "2026-01-01T00:00:00"}, "send_at"),
        ({"send_at": "9999-01-01T00:00:00Z"}, "send_at"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
        ({"metadata": {"a": "x" * 4096}}, "metadata"),
        ({"metadata": []}, "metadata"),
        ({"notify": ["NEVER", "FAILURE"]}, "notify"),
        ({"notify": ["ALWAYS"]}, "notify[0]"),
        ({"envelope_id": "ü"}, "envelope_id"),
        ({"content": _RAW}, "from"),
        ({"who": "x"}, "who"),
    ],
    ids=str,
)
async def test_i12_i3_what_cannot_be_used_is_refused_by_its_field(house: House, changes: Any, field: str) -> None:  # noqa: ANN401 - JSON
    """422 names the field, and nothing of the message is stored."""
    answer = await house.send(**changes)
    assert answer.error == (422, field)
    assert field in answer.json["detail"]
    assert house.stored() == []


@pytest.mark.parametrize(
    ("content", "field"),
    [("no message", "content"), ("a: b\r\n\r\n\0", "content"), ("X-Sender-Send-At: soon\r\n\r\nx", "content")],
)
async def test_content_that_cannot_be_taken_is_refused(house: House, content: str, field: str) -> None:
    """What is no message and no base64, has NUL, or asks for what cannot be, is 422 with the words of SMTP."""
    body = {"mail_from": "a@example.com", "rcpt_tos": ["b@example.net"], "content": content}
    assert (await house.send(body)).error == (422, field)
    assert house.stored() == []


async def test_every_problem_of_a_body_is_told(house: House) -> None:
    """Several wrong keys are named together."""
    answer = await house.send(subject=1, text=2, who=3)
    assert [problem["field"] for problem in answer.json["problems"]] == ["subject", "text", "who"]


_NASTY = "x'\"; DROP TABLE messages; -- \\ % _ $1 ?1 :a"


async def test_i13_what_is_sql_elsewhere_is_text_here(house: House) -> None:
    """Signs of SQL come back as they were from every field that is stored."""
    local = '"a\'; DROP TABLE messages; -- % \\\\"@example.net'
    key = "k';--\"%\\"
    metadata = {_NASTY: _NASTY, "nul": "\0", "long": "'" * 3000}
    answer = await house.send(
        http={"Idempotency-Key": key}, mail_from=local, rcpt_tos=[local], subject=_NASTY, metadata=metadata
    )
    assert answer.status == 202, answer.body
    stored = house.the_message()
    assert (stored.mail_from, stored.rcpt_tos, stored.message["subject"]) == (local, (local,), _NASTY)
    assert stored.options["metadata"] == metadata
    receipt = await house.daemon.spool.receipt("", key)
    assert receipt is not None
    assert json.loads(receipt.answer) == answer.json


async def test_i13_a_megabyte_of_quotes_comes_back(house: House) -> None:
    """Long text of nothing but quotes is stored as it is."""
    await house.send(text="'" * 2**20)
    assert house.the_message().message.get_payload(decode=True) == b"'" * 2**20 + b"\r\n"


async def test_a_message_waits_until_it_is_to_be_sent(house: House) -> None:
    """`send_at` and `expires_at` are kept with the message; it cannot be over before it is sent."""
    now = int(house.daemon.clock.wall())
    send_at, expires_at = (dt.datetime.fromtimestamp(now + hours * 3600, dt.UTC).isoformat() for hours in (1, 2))
    answer = await house.send(send_at=send_at, expires_at=expires_at)
    assert answer.status == 202
    report = await house.daemon.spool.message_report(id_number(answer.json["id"]))
    assert report is not None
    assert (report["expires_at"], report["recipients"][0]["due_at"]) == (now + 7200, now + 3600)
    assert house.the_message().options["send_at"] == now + 3600
    assert (await house.send(send_at=expires_at, expires_at=send_at)).error == (422, "expires_at")


async def test_i12_a_key_is_used_once(house: House) -> None:
    """The same body under a key is answered the same, and taken once; another body is a conflict."""
    key = {"Idempotency-Key": "order-17"}
    first, again = await house.send(http=key), await house.send(http=key)
    assert (first.status, again.status, again.json) == (202, 202, first.json)
    assert ("idempotent-replayed" in first.headers, again.headers["idempotent-replayed"]) == (False, "true")
    other = await house.send(http=key, subject="other")
    assert other.error == (409, "Idempotency-Key")
    assert len(house.stored()) == 1
    assert (await house.send(http={"Idempotency-Key": "order-18"})).json["id"] != first.json["id"]


async def test_i12_a_hundred_at_once_with_one_key_are_one_message(house: House) -> None:
    """However many ask at the same time under one key, one message is taken, and all are told of it."""
    key = {"Idempotency-Key": "order-17"}
    answers = await asyncio.gather(*(house.send(http=key) for _ in range(100)))
    assert {answer.status for answer in answers} == {202}
    assert len({answer.body for answer in answers}) == 1
    assert len(house.stored()) == 1


@pytest.mark.parametrize("key", ["", "a b", "ü", "x" * 256])
async def test_i12_a_key_is_visible_ascii(house: House, key: str) -> None:
    """A key is 1 to 255 characters that can be seen."""
    assert (await house.send(http={"Idempotency-Key": key})).error == (422, "Idempotency-Key")
    assert house.stored() == []


async def test_what_was_refused_does_not_use_up_its_key(house: House) -> None:
    """A key under which nothing was taken is free."""
    key = {"Idempotency-Key": "order-17"}
    assert (await house.send(http=key, subject=5)).status == 422
    assert (await house.send(http=key)).status == 202


async def test_nothing_is_taken_where_there_is_no_room(make_house: MakeHouse) -> None:
    """A spool that is full is told with 503, and when to come again."""
    house = await make_house(spool={"max_queued": 1})
    assert (await house.send()).status == 202
    assert house.daemon._pressure is not None
    await house.daemon._pressure.look()
    for answer in (await house.send(), await house.batch()):
        assert answer.error == (503, "")
        assert answer.headers["retry-after"] == "30"
    assert len(house.stored()) == 1


async def test_a_fault_of_the_spool_is_503(house: House) -> None:
    """What cannot be stored is not accepted, and is not said to be."""
    await house.daemon.spool._writer.close()
    answer = await house.send()
    assert answer.error == (503, "")
    assert answer.headers["retry-after"] == "30"


async def test_messages_are_not_larger_than_allowed(make_house: MakeHouse) -> None:
    """Content above `smtp.max_message_size` is 413."""
    house = await make_house(smtp={"max_message_size": "100KiB"})
    assert (await house.send(text="x" * 200_000)).error == (413, "")
    content = {"mail_from": "a@example.com", "rcpt_tos": ["b@example.net"], "content": "A: b\r\n\r\n" + "x" * 200_000}
    assert (await house.send(content)).error == (413, "content")
    assert house.stored() == []
