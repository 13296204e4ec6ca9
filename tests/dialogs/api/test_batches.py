"""One template and many recipients by HTTP."""

from __future__ import annotations

import asyncio
import hashlib
import json
from typing import TYPE_CHECKING, Any

import pytest

from sender.spool.contract import Receipt
from tests.dialogs.api.client import JSON, connected
from tests.dialogs.api.house import BATCH, House

if TYPE_CHECKING:
    from tests.dialogs.api.conftest import MakeHouse

_KEY = {"Idempotency-Key": "spring"}


def _recipients(count: int) -> list[dict[str, Any]]:
    return [
        {"rcpt_to": f"user{number}@example.net", "substitutions": {"name": f"Nümber {number}"}}
        for number in range(count)
    ]


async def test_each_recipient_has_a_message_of_its_own(house: House) -> None:
    """202 counts the messages, which stand in the spool with what is theirs and what they share."""
    answer = await house.batch(
        recipients=_recipients(250),
        mail_from="b+{{ rcpt_to|replace('@', '=') }}@example.com",
        campaign="spring",
        stream="news",
        metadata={"a": 1},
    )
    assert answer.status == 202
    body = answer.json
    assert (body["accepted"], body["recipients"], body["campaign"]) == (250, 250, "spring")
    stored = house.stored()
    assert [one.rcpt_tos for one in stored] == [(f"user{number}@example.net",) for number in range(250)]
    assert stored[7].mail_from == "b+user7=example.net@example.com"
    assert (stored[7].message["subject"], stored[7].message["to"]) == ("Hello Nümber 7", "user7@example.net")
    assert (stored[7].stream, stored[7].options["metadata"]) == ("news", {"a": 1})
    ids = [one.message["message-id"].partition("@")[0].removeprefix("<") for one in stored]
    assert (body["first_id"], body["last_id"]) == (ids[0], ids[-1])
    assert len(set(ids)) == 250


async def test_keys_stand_in_any_order_and_addresses_alone(house: House) -> None:
    """Recipients may come before the template, as addresses or objects; a recipient's metadata goes over the rest."""
    bert = {"rcpt_to": "bert@example.net", "to": "Bert <b@example.net>", "metadata": {"b": 2}}
    body = {
        "recipients": ["ann@example.net", bert],
        "metadata": {"a": 1, "b": 1},
        "substitutions": {"name": "friend"},
        "template": BATCH["template"],
    }
    assert (await house.batch(body)).status == 202
    one, other = house.stored()
    assert (one.message["subject"], one.message["to"]) == ("Hello friend", "ann@example.net")
    assert (other.message["to"], other.options["metadata"]) == ("Bert <b@example.net>", {"a": 1, "b": 2})
    assert one.options["metadata"] == {"a": 1, "b": 1}


async def test_a_body_in_small_pieces_is_the_same(house: House) -> None:
    """A batch may come in chunks of any size."""
    data = json.dumps(BATCH).encode()
    async with connected(house.port) as line:
        await line.begin("POST", "/v1/batches", JSON | {"Host": "localhost", "Transfer-Encoding": "chunked"})
        for start in range(0, len(data), 7):
            piece = data[start : start + 7]
            await line.send(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
        await line.send(b"0\r\n\r\n")
        assert (await line.answer()).status == 202
    assert len(house.stored()) == 2


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"template": None}, "template"),
        ({"template": {"from": "shop@example.com"}}, "template.text"),
        ({"template": {"text": "x"}}, "template.from"),
        ({"template": BATCH["template"] | {"from": "x\r\ny <shop@example.com>"}}, "template.from"),
        ({"template": BATCH["template"] | {"subject": "{{ name"}}, "template.subject"),
        ({"template": BATCH["template"] | {"html": "{{ x.pop() }}"}}, "template.html"),
        ({"template": BATCH["template"] | {"headers": {"Bcc": "x@y.net"}}}, "template.headers.Bcc"),
        ({"template": BATCH["template"] | {"cc": "x@y.net"}}, "template.cc"),
        ({"template": BATCH["template"] | {"attachments": [{"filename": "../x", "content": ""}]}}, None),
        ({"mail_from": "{% set a = 1 %}"}, "mail_from"),
        ({"recipients": []}, "recipients"),
        ({"recipients": {"rcpt_to": "ann@example.net"}}, "recipients"),
        ({"recipients": None}, "recipients"),
        ({"recipients": [5, "ann@example.net"]}, "recipients[0]"),
        ({"recipients": [{"rcpt_to": "ann@example.net\r\nDATA"}]}, "recipients[0].rcpt_to"),
        ({"recipients": [{"rcpt_to": "ann@example.net", "substitutions": {}}]}, "recipients[0]"),
        ({"recipients": [{"rcpt_to": "ann@example.net", "metadata": {"a": "x" * 5000}}]}, "recipients[0].metadata"),
        ({"stream": "a b"}, "stream"),
        ({"send_at": "soon"}, "send_at"),
        ({"notify": ["NEVER"]}, "notify"),
    ],
    ids=str,
)
async def test_i12_nothing_of_a_batch_is_taken_if_anything_is_wrong(
    house: House, changes: dict[str, Any], field: str | None
) -> None:
    """422 names the field, and no message of the batch is stored."""
    answer = await house.batch(**changes)
    assert answer.error == (422, field or "template.attachments[0].filename")
    assert house.stored() == []


async def test_i12_the_last_recipient_can_spoil_it_all(house: House) -> None:
    """What is wrong with one of many is found before the first is accepted, and named with its place."""
    recipients = _recipients(1000)
    recipients[999]["rcpt_to"] = "nobody"
    answer = await house.batch(recipients=recipients)
    assert answer.error == (422, "recipients[999].rcpt_to")
    recipients[999] = {"rcpt_to": "ann@example.net", "substitutions": {"name": "a\r\nBcc: x@example.net"}}
    answer = await house.batch(recipients=recipients)
    assert answer.error == (422, "recipients[999]")
    assert "template.subject: must have no line ends" in answer.json["detail"]
    assert house.stored() == []


async def test_the_first_twenty_problems_are_told(house: House) -> None:
    """Who misses what is named for twenty recipients, and no more."""
    recipients = [{"rcpt_to": f"user{number}@example.net"} for number in range(50)]
    problems = (await house.batch(recipients=recipients)).json["problems"]
    assert [problem["field"] for problem in problems] == [f"recipients[{number}]" for number in range(20)]
    assert {problem["rule"] for problem in problems} == {"template.subject: line 1: `name` is undefined"}


async def test_i12_a_batch_with_a_key_is_taken_once(house: House) -> None:
    """A repeat is answered the same and takes nothing; another body under the key is a conflict."""
    first, again = await house.batch(None, _KEY), await house.batch(None, _KEY)
    assert (first.status, again.status, again.json) == (202, 202, first.json)
    assert again.headers["idempotent-replayed"] == "true"
    assert (await house.batch(None, _KEY, campaign="other")).error == (409, "Idempotency-Key")
    assert (await house.send(None, _KEY)).error == (409, "Idempotency-Key")
    assert len(house.stored()) == 2


async def test_i12_a_batch_that_is_under_way_is_not_begun_again(house: House) -> None:
    """Who asks for a batch while it is being accepted is told so, and may ask again."""
    api = house.daemon._api
    assert api is not None
    async with api._idempotency.turn("", "spring"):
        answer = await house.batch(None, _KEY)
        assert answer.error == (409, "")
        assert (answer.json["detail"], answer.headers["retry-after"]) == ("a request with this key is under way", "1")
    assert (await house.batch(None, _KEY)).status == 202


async def test_i12_a_hundred_at_once_with_one_key_are_one_batch(house: House) -> None:
    """However many send the same batch at the same time, each recipient has one message."""
    answers = await asyncio.gather(*(house.batch(None, _KEY, recipients=_recipients(150)) for _ in range(100)))
    assert {answer.status for answer in answers} <= {202, 409}
    assert len({answer.body for answer in answers if answer.status == 202}) == 1
    assert len(house.stored()) == 150


async def test_a_batch_that_broke_off_goes_on_where_it_was(house: House) -> None:
    """With a receipt for the first part, a repeat takes the rest, and no recipient twice."""
    body = json.dumps(BATCH | {"recipients": _recipients(250)}).encode()
    begun = Receipt(owner="", key="spring", digest=hashlib.sha256(body).digest(), taken=100)
    await house.daemon.spool.accept(receipt=begun)
    answer = await house.batch(body, _KEY)
    assert answer.status == 202
    assert (answer.json["accepted"], answer.json["first_id"]) == (250, None)
    assert [one.rcpt_tos for one in house.stored()] == [(f"user{number}@example.net",) for number in range(100, 250)]
    again = await house.batch(body, _KEY)
    assert (again.json, len(house.stored())) == (answer.json, 150)


async def test_a_batch_that_stops_says_how_far_it_came(make_house: MakeHouse) -> None:
    """Where the queue becomes full in between, 503 tells how many are accepted; a repeat goes on from there."""
    house = await make_house()
    pressure = house.daemon._pressure
    assert pressure is not None
    for chore in house.daemon._chores:  # none of which shall look at the queue
        chore.cancel()

    async def fill() -> None:
        while not house.stored():  # noqa: ASYNC110 - of a commit nobody tells
            await asyncio.sleep(0)
        pressure.why = "the queue is full"

    filling = asyncio.create_task(fill())
    answer = await house.batch(None, _KEY, recipients=_recipients(2000))
    await filling
    taken = len(house.stored())
    assert 0 < taken < 2000
    assert answer.error == (503, "")
    assert f"the queue is full; {taken} of 2000 recipients are accepted" in answer.json["detail"]
    pressure.why = ""
    assert (await house.batch(None, _KEY, recipients=_recipients(2000))).status == 202
    assert [one.rcpt_tos for one in house.stored()] == [(f"user{number}@example.net",) for number in range(2000)]


async def test_large_messages_are_kept_in_blocks(house: House) -> None:
    """A batch whose messages are longer than a block is stored whole."""
    template = BATCH["template"] | {"attachments": [{"filename": "a", "content": "YWFh" * 200_000}]}
    assert (await house.batch(template=template)).status == 202
    one, other = house.stored()
    for stored in (one, other):
        (file,) = stored.message.iter_attachments()
        assert file.get_payload(decode=True) == b"aaa" * 200_000


async def test_messages_of_a_batch_are_not_larger_than_allowed(make_house: MakeHouse) -> None:
    """A recipient whose message would be too large is named before anything is accepted."""
    house = await make_house(smtp={"max_message_size": "20KiB"})
    recipients = _recipients(3)
    recipients[2]["substitutions"] = {"name": "x", "long": "x" * 30_000}
    template = BATCH["template"] | {"text": "{{ long|default('') }}"}
    answer = await house.batch(template=template, recipients=recipients)
    assert answer.error == (422, "recipients[2]")
    assert house.stored() == []


async def test_a_batch_leaves_no_file_behind(house: House) -> None:
    """The file of the body has no name, whatever becomes of the batch."""
    before = sorted(path.name for path in house.daemon.settings.directory.iterdir())
    assert (await house.batch()).status == 202
    assert (await house.batch(recipients=[5])).status == 422
    assert sorted(path.name for path in house.daemon.settings.directory.iterdir()) == before
