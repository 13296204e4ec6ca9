"""Who may call, what a call must look like, and how long it may take."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import TYPE_CHECKING, Any

import pytest

from sender.intake.tokens import new_token
from tests.dialogs.api.client import JSON, call, connected
from tests.dialogs.api.house import BATCH, MESSAGE, House

if TYPE_CHECKING:
    from tests.dialogs.api.conftest import MakeHouse

_READING = (
    "/v1/messages?rcpt_to=a@b.test",
    "/v1/queue",
    "/v1/queue/ages",
    "/v1/lanes",
    "/v1/lanes/default/x",
    "/v1/memory",
    "/v1/messages/0000000000000",
    "/v1/suspensions",
)
_ACTING: tuple[tuple[str, str, object], ...] = (
    ("GET", "/v1/traces?site=x", None),
    ("POST", "/v1/lanes/default/x", {"window": 1}),
    ("POST", "/v1/memory", {"version": 1, "lanes": {}}),
    ("POST", "/v1/suspensions", {"all": True}),
    ("DELETE", "/v1/suspensions", {"all": True}),
    ("DELETE", "/v1/suspensions/1", None),
    ("POST", "/v1/retries", {"all": True}),
    ("POST", "/v1/bounces", {"all": True}),
    ("POST", "/v1/deletions", {"all": True}),
)
_SENDING: tuple[tuple[str, str, object], ...] = (("POST", "/v1/messages", MESSAGE), ("POST", "/v1/batches", BATCH))
_ALL = (*(("GET", path, None) for path in _READING), *_ACTING, *_SENDING)
_ELSEWHERE = 409  # the house does not deliver: an operator's call that may be made is answered so


@pytest.fixture
async def guarded(make_house: MakeHouse) -> House:
    """Give a house with a file of tokens."""
    return await make_house(tokens=True)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": ""},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer "},
        {"Authorization": f"Bearer sender_{'A' * 43}"},
        {"Authorization": "Basic c2hvcDpzZWNyZXQ="},
        {"X-Forwarded-For": "127.0.0.1"},
        {"Cookie": "token=x"},
    ],
    ids=str,
)
async def test_i12_without_a_token_nobody_may_call(guarded: House, headers: dict[str, str]) -> None:
    """Where there is a file of tokens, whoever shows none, or another, is answered 401; nothing is taken."""
    for method, path, body in _ALL:
        answer = await guarded.call(method, path, body, headers)
        assert answer.error == (401, ""), path
        assert answer.headers["www-authenticate"].startswith("Bearer")
    assert guarded.stored() == []


async def test_i12_a_token_that_has_expired_opens_nothing(guarded: House) -> None:
    """An expired token is as good as none."""
    for method, path, body in _ALL:
        assert (await guarded.call(method, path, body, as_="old")).error == (401, ""), path
    assert guarded.stored() == []


async def test_i12_a_token_in_the_query_is_none(guarded: House) -> None:
    """A token counts only where logs do not have it."""
    token = guarded.tokens["shop"]
    for query in (f"token={token}", f"access_token={token}", f"Authorization=Bearer+{token}"):
        assert (await guarded.call("POST", f"/v1/messages?{query}", MESSAGE)).status == 401
    assert guarded.stored() == []


async def test_i12_two_tokens_are_none(guarded: House) -> None:
    """A request that says twice who it is from is from nobody."""
    async with connected(guarded.port) as line:
        data = json.dumps(MESSAGE).encode()
        shown = f"Bearer {guarded.tokens['shop']}\r\nAuthorization: Bearer {guarded.tokens['operator']}"
        await line.begin("POST", "/v1/messages", JSON | {"Authorization": shown, "Content-Length": str(len(data))})
        await line.send(data)
        assert (await line.answer()).status == 401
    assert guarded.stored() == []


@pytest.mark.parametrize(
    ("name", "sends", "reads", "acts"),
    [("shop", True, False, False), ("reader", False, True, False), ("operator", False, True, True)],
)
async def test_i12_a_token_is_good_for_its_scopes(
    guarded: House, name: str, *, sends: bool, reads: bool, acts: bool
) -> None:
    """`send` sends, `read` reads, `operate` reads and acts; what is beyond a token's scopes is 403."""
    calls = [("GET", path, None) for path in _READING]
    for wanted, given in ((reads, calls), (acts, _ACTING), (sends, _SENDING)):
        for method, path, body in given:
            status = (await guarded.call(method, path, body, as_=name)).status
            assert status == (403 if not wanted else 202 if given is _SENDING else _ELSEWHERE), path


async def test_health_and_metrics_are_open(guarded: House) -> None:
    """Monitoring and the description need no token."""
    for path in ("/healthz", "/readyz", "/metrics", "/openapi.json"):
        assert (await guarded.call("GET", path)).status == 200


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"from": "boss@example.org"}, "mail_from"),
        ({"mail_from": "boss@example.org"}, "mail_from"),
        ({"from": "boss@example.org", "mail_from": "shop@example.com"}, "from"),
        ({"from": "shop@example.com.evil.org"}, "mail_from"),
    ],
)
async def test_i12_a_token_is_good_for_its_senders(guarded: House, changes: dict[str, str], field: str) -> None:
    """Another sender than the token's, in the envelope or in `From`, is 403."""
    answer = await guarded.call("POST", "/v1/messages", MESSAGE | changes, as_="shop")
    assert answer.error == (403, field)
    template: dict[str, Any] = BATCH["template"]
    for body in (
        BATCH | {"template": template | {"from": "boss@example.org"}},
        BATCH | {"mail_from": "{{ rcpt_to }}"},
    ):
        assert (await guarded.call("POST", "/v1/batches", body, as_="shop")).status == 403
    content = {"mail_from": "shop@example.com", "rcpt_tos": ["a@b.net"], "content": "From: boss@example.org\r\n\r\nx"}
    assert (await guarded.call("POST", "/v1/messages", content, as_="shop")).status == 403
    assert guarded.stored() == []


async def test_a_token_has_a_rate(guarded: House) -> None:
    """Recipients above the token's rate are 429, with the seconds until they may come; another token has its own."""
    many = MESSAGE | {"to": [f"user{number}@example.net" for number in range(100)]}
    assert (await guarded.call("POST", "/v1/messages", many, as_="shop")).status == 202
    for path, body in (("/v1/messages", MESSAGE), ("/v1/batches", BATCH)):
        answer = await guarded.call("POST", path, body, as_="shop")
        assert answer.error == (429, "")
        assert 1 <= int(answer.headers["retry-after"]) <= 2
    assert len(guarded.stored()) == 1


async def test_a_key_belongs_to_its_token(guarded: House) -> None:
    """The answer to one client's key is not given to another."""
    key = {"Idempotency-Key": "k"}
    first = await guarded.call("POST", "/v1/messages", MESSAGE, key, as_="shop")
    assert first.status == 202
    assert guarded.the_message().options["submitter"] == "shop"
    assert await guarded.daemon.spool.receipt("reader", "k") is None
    assert await guarded.daemon.spool.receipt("shop", "k") is not None


async def test_tokens_are_read_again_on_reload(guarded: House) -> None:
    """A token that is taken out of the file opens nothing after a reload; a file with problems changes nothing."""
    path = guarded.daemon.settings.path("tokens.toml")
    text = path.read_text()
    path.write_text("[shop]\n")
    with pytest.raises(Exception, match=r"shop\.token"):
        guarded.daemon.reload(guarded.daemon.settings)
    assert (await guarded.call("POST", "/v1/messages", MESSAGE, as_="shop")).status == 202
    path.write_text(text.replace("[shop]", "[renamed]").replace('scopes = ["send"]', 'scopes = ["read"]'))
    guarded.daemon.reload(guarded.daemon.settings)
    assert (await guarded.call("POST", "/v1/messages", MESSAGE, as_="shop")).status == 403


async def test_i12_secrets_are_in_no_log_no_error_and_no_event(
    guarded: House, caplog: pytest.LogCaptureFixture
) -> None:
    """What a client shows is told to nobody."""
    caplog.set_level(logging.DEBUG)
    wrong = new_token()
    answers = [
        await guarded.call("POST", "/v1/messages", MESSAGE, as_="shop"),
        await guarded.call("POST", "/v1/messages", MESSAGE | {"subject": 5}, as_="shop"),
        await guarded.call("POST", "/v1/messages", MESSAGE, {"Authorization": f"Bearer {wrong}"}),
    ]
    events = guarded.daemon.settings.path("events.jsonl").read_text()
    for secret in (wrong, *guarded.tokens.values()):
        assert secret not in caplog.text
        assert secret not in events
        assert all(secret not in answer.body.decode() for answer in answers)
    assert "wrong or expired token" in caplog.text


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://["},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Host": "evil.example", "Origin": "http://evil.example"},
        {"Host": "evil.example"},
        {"Host": "127.0.0.1.evil.example"},
    ],
    ids=str,
)
async def test_i12_pages_of_other_sites_may_not_call(house: House, headers: dict[str, str]) -> None:
    """Without tokens, a browser on this machine does nothing for a page that comes from elsewhere."""
    for method, path, body in _ALL:
        assert (await house.call(method, path, body, headers)).error == (403, ""), path
    assert house.stored() == []


async def test_i12_a_browser_is_never_told_that_it_may(house: House) -> None:
    """No answer has a header that would let another site's page read it, and no preflight succeeds."""
    preflight = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    answers = [
        await house.call("OPTIONS", "/v1/messages", None, preflight),
        await house.call("GET", "/metrics", None, {"Origin": "https://evil.example"}),
    ]
    assert answers[0].status == 405
    assert not any(name.startswith("access-control") for answer in answers for name in answer.headers)


async def test_our_own_page_may_call(house: House) -> None:
    """A page of the daemon itself is on this machine."""
    origin = {"Origin": f"http://127.0.0.1:{house.port}", "Sec-Fetch-Site": "same-origin"}
    assert (await house.send(None, origin)).status == 202


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "TRACE", "post", "FOO"])
async def test_i12_a_method_is_what_it_says(house: House, method: str) -> None:
    """Only POST sends, whatever other headers say; other methods are 405 with those that there are."""
    overrides = {"X-HTTP-Method-Override": "POST", "X-Method-Override": "POST"}
    for path, allowed in (("/v1/messages", {"GET", "HEAD", "POST"}), ("/v1/batches", {"POST"})):
        answer = await house.call(method, path, MESSAGE, overrides)
        if method in allowed:
            assert answer.status == 422  # it looks for mail, and was not told whose
            continue
        assert answer.status in {400, 405}
        assert answer.status == 400 or set(answer.headers["allow"].split(", ")) == allowed
    assert (await house.call("POST", "/healthz?_method=GET", {})).status == 405
    assert house.stored() == []


async def test_methods_of_one_path_are_all_named(house: House) -> None:
    """405 names every method of the path."""
    answer = await house.call("PUT", "/v1/suspensions", {"all": True})
    assert answer.error == (405, "")
    assert set(answer.headers["allow"].split(", ")) == {"GET", "HEAD", "POST", "DELETE"}
    assert (await house.call("GET", "/v1/queue/")).error == (404, "")


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "text/plain"},
        {"Content-Type": ""},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "multipart/form-data; boundary=x"},
        {"Content-Type": "application/json; charset=utf-16"},
        {"Content-Type": "application/jsonx"},
        {"Content-Encoding": "gzip"},
    ],
    ids=str,
)
async def test_i12_a_body_is_json_and_says_so(house: House, headers: dict[str, str]) -> None:
    """Another type, or a body that is compressed, is 415: a form of a web page cannot send mail."""
    for method, path, body in _SENDING:
        assert (await house.call(method, path, body, headers)).error == (415, ""), path
    for method, path, body in _ACTING:
        if body is not None:
            of_a_page = {**headers, "Referer": "http://127.0.0.1/"}
            assert (await house.call(method, path, body, of_a_page)).error == (415, ""), path
    assert house.stored() == []


@pytest.mark.parametrize("kind", ["", "application/x-www-form-urlencoded"])
async def test_an_operator_need_not_say_that_a_body_is_json(house: House, kind: str) -> None:
    """What `curl -d` says will do for the calls that are typed by hand."""
    answer = await house.call("POST", "/v1/retries", {"domain": "b.test"}, {"Content-Type": kind})
    assert answer.status == 409  # it was understood; this process only accepts mail


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"not json",
        b'{"subject": NaN}',
        b'{"subject": Infinity}',
        b'{"subject": "a", "subject": "b"}',
        b'{"metadata": {"a": 1, "a": 2}}',
        b'{"metadata": {"a": ' + b"9" * 60_000 + b"}}",
        b'{"metadata": {"a": 1e400}}',
        b'{"metadata": {"a": 9223372036854775808}}',
        b'{"metadata": ' + b"[" * 30_000 + b"]" * 30_000 + b"}",
        b'{"subject": "\\ud800"}',
        b'{"subject": "\xff"}',
        b'{"subject": "a"} {}',
    ],
    ids=range(14),
)
@pytest.mark.parametrize("path", ["/v1/messages", "/v1/batches", "/v1/suspensions"])
async def test_i12_what_is_no_json_to_everybody_is_none(house: House, path: str, body: bytes) -> None:
    """400 for what is no JSON, for repeated keys, NaN, numbers without end, halves of characters, and depth."""
    assert (await house.call("POST", path, body)).error == (400, "")
    assert house.stored() == []


@pytest.mark.parametrize("body", [b"[]", b'"x"', b"5", b"null"])
async def test_i12_a_body_is_an_object(house: House, body: bytes) -> None:
    """JSON that is no object is refused."""
    for path in ("/v1/messages", "/v1/suspensions", "/v1/batches"):
        assert (await house.call("POST", path, body)).status in {400, 422}


async def test_i12_a_body_that_is_too_large_is_not_waited_for(make_house: MakeHouse) -> None:
    """413 comes before the body where its length is announced, and the connection ends."""
    house = await make_house(smtp={"max_message_size": "100KiB"}, http={"max_batch_size": "1MiB"})
    for path, most in (("/v1/messages", 100 * 1024 * 4 // 3 + 2**20), ("/v1/batches", 2**20), ("/v1/retries", 65536)):
        async with connected(house.port) as line:
            head = JSON | {"Host": "localhost", "Content-Length": str(most + 1)}
            await line.begin("POST", path, head)
            answer = await line.answer()
            assert answer.error == (413, "")
            assert str(most) in answer.json["detail"]
            assert await line.ended()


async def test_i12_a_body_that_becomes_too_large_is_cut_off(make_house: MakeHouse) -> None:
    """413 comes as soon as a body without a length is longer than it may be."""
    house = await make_house(http={"max_batch_size": "1MiB"})
    for path, pieces in (("/v1/batches", 18), ("/v1/suspensions", 2)):
        async with connected(house.port) as line:
            await line.begin("POST", path, JSON | {"Host": "localhost", "Transfer-Encoding": "chunked"})
            for _ in range(pieces):
                await line.send(b"10000\r\n" + b" " * 65536 + b"\r\n")
            assert (await line.answer()).error == (413, "")
            assert await line.ended()


async def test_i12_a_body_that_comes_too_slowly_is_not_waited_for(make_house: MakeHouse) -> None:
    """408 comes where the next piece does not, and the connection ends; nothing is taken."""
    house = await make_house(http={"body_timeout": "200ms"})
    for path in ("/v1/messages", "/v1/batches"):
        async with connected(house.port) as line:
            await line.begin("POST", path, JSON | {"Host": "localhost", "Transfer-Encoding": "chunked"})
            await line.send(b"1\r\n{\r\n")
            assert (await line.answer()).error == (408, "")
            assert await line.ended()
    assert house.stored() == []


async def test_i12_a_body_that_has_no_end_is_forgotten(house: House) -> None:
    """A client that goes away within its body leaves nothing, and others are served."""
    for path in ("/v1/messages", "/v1/batches"):
        async with connected(house.port) as line:
            await line.begin("POST", path, JSON | {"Host": "localhost", "Content-Length": "1000"})
            await line.send(json.dumps(MESSAGE).encode())
    assert (await house.send()).status == 202
    assert len(house.stored()) == 1


async def test_i12_only_so_many_bodies_come_in_at_a_time(make_house: MakeHouse) -> None:
    """Above `http.max_requests` a request with a body is 503, to be repeated; one that ends makes room."""
    house = await make_house(http={"max_requests": 2})
    async with connected(house.port) as one, connected(house.port) as other:
        for line in (one, other):
            await line.begin("POST", "/v1/messages", JSON | {"Host": "localhost", "Content-Length": "1000"})

        async def refused() -> bool:
            answer = await house.send()
            return answer.status == 503 and answer.headers["retry-after"] == "1"

        async with asyncio.timeout(10):
            while not await refused():  # noqa: ASYNC110 - of what comes in nobody tells
                await asyncio.sleep(0.01)
        assert (await house.call("GET", "/healthz")).status == 200
        await one.send(b" " * 1000)
        assert (await one.answer()).status == 400
        assert (await house.send()).status == 202


async def test_operators_calls_are_answered_elsewhere(house: House) -> None:
    """A process that only accepts says that another one delivers."""
    for method, path, body in (*(("GET", path, None) for path in _READING), *_ACTING):
        answer = await house.call(method, path, body)
        assert answer.error == (409, ""), path
        assert "ask the delivering one" in answer.json["detail"]


async def test_i12_only_this_machine_may_call_without_tokens(make_house: MakeHouse) -> None:
    """A caller who, as a proxy on this machine says, is elsewhere may not."""
    house = await make_house()
    answer = await call(house.port, "POST", "/v1/messages", MESSAGE, {"X-Forwarded-For": "192.0.2.1"})
    assert answer.error == (403, "")
    assert house.stored() == []


@pytest.mark.parametrize(
    "wrong", ["order=size", "state=asleep", "limit=-1", "limit=many", "start=1.5", "limit=9999999999"]
)
async def test_a_list_of_lanes_is_asked_for_in_known_words(house: House, wrong: str) -> None:
    """An unknown order or state, and what is no count, is refused with the name of the parameter."""
    answer = await call(house.port, "GET", f"/v1/lanes?{wrong}")
    assert answer.status == 422
    assert answer.json["field"] == wrong.partition("=")[0]
