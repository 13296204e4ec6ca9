"""The console by hand: who may look and act, what a browser is told, and what is refused."""

from __future__ import annotations

import html
import json
import logging
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest

from sender.clock import Clock
from sender.daemon import Role
from sender.intake.tokens import digest, new_token
from tests.dialogs.api.client import Answer
from tests.dialogs.api.house import MESSAGE, House

if TYPE_CHECKING:
    from tests.dialogs.api.conftest import MakeHouse

_PAGES = ("/", "/queue", "/suspensions", "/search?q=ann@example.net", "/search")
_HOLD = {"kind": "domain", "value": "example.net", "reason": "they asked", "for": "1h", "back": "/suspensions"}
_ACTIONS = ("suspend", "resume", "retry", "bounce", "delete")
_FORM = "application/x-www-form-urlencoded"


class _Browser:
    """What a browser does with cookies and forms, and no more."""

    def __init__(self, house: House) -> None:
        self._house = house
        self.cookies: dict[str, str] = {}
        self.set: list[str] = []

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self._house.port}"

    async def get(self, path: str, **headers: str) -> Answer:
        """Go to a page."""
        return self._kept(await self._house.call("GET", path, None, self._cookies | _named(headers)))

    async def post(self, path: str, form: dict[str, str] | bytes, **headers: str) -> Answer:
        """Send a form of our own page."""
        sent = {"Content-Type": _FORM, "Origin": self.origin, "Sec-Fetch-Site": "same-origin"} | _named(headers)
        body = form if isinstance(form, bytes) else urlencode(form).encode()
        given = {name: value for name, value in sent.items() if value}
        return self._kept(await self._house.call("POST", path, body, self._cookies | given))

    async def log_in(self, token: str, **headers: str) -> Answer:
        """Show a token."""
        return await self.post("/login", {"token": token, "after": "/queue"}, **headers)

    @property
    def _cookies(self) -> dict[str, str]:
        given = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        return {"Cookie": given} if given else {}

    def _kept(self, answer: Answer) -> Answer:
        if "set-cookie" in answer.headers:
            self.set.append(answer.headers["set-cookie"])
            name, _, value = answer.headers["set-cookie"].partition(";")[0].partition("=")
            self.cookies[name] = value.strip('"')
            if not value.strip('"'):
                del self.cookies[name]
        return answer


def _named(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-").title(): value for name, value in headers.items()}


@pytest.fixture
async def house(make_house: MakeHouse) -> House:
    """Give a daemon without tokens, with one message in it that an operator holds."""
    house = await make_house(role=Role.ALL)
    await house.call("POST", "/v1/suspensions", {"all": True, "reason": "at first"})
    assert (await house.send()).status == 202
    return house


@pytest.fixture
async def guarded(make_house: MakeHouse) -> House:
    """Give a daemon with tokens."""
    return await make_house(role=Role.ALL, tokens=True)


async def _held(house: House, *, as_: str = "") -> list[Any]:
    rows: list[Any] = (await house.call("GET", "/v1/suspensions", as_=as_)).json["suspensions"]
    return rows


async def test_every_page_says_what_a_browser_may_do_with_it(house: House) -> None:
    """No page loads, sends or is framed elsewhere; nothing of it is kept, and none has a script or style in it."""
    browser = _Browser(house)
    message_id = (await house.send()).json["id"]
    for path in (*_PAGES, f"/messages/{message_id}", "/nowhere", "/lanes/default/nowhere"):
        answer = await browser.get(path, accept="text/html")
        assert answer.status == (404 if "nowhere" in path else 200), path
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        policy = dict(part.strip().partition(" ")[::2] for part in answer.headers["content-security-policy"].split(";"))
        assert policy["default-src"] == policy["base-uri"] == policy["frame-ancestors"] == "'none'"
        assert {policy[name] for name in ("script-src", "style-src", "img-src", "connect-src", "form-action")} == {
            "'self'"
        }
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "same-origin"
        assert answer.headers["cache-control"] == "no-store"
        text = html.unescape(answer.body.decode())
        assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:", text)
        assert re.findall(r"<script[^>]*>[^<]*", text) == re.findall(r'<script src="/static/[^"]*" defer>', text)
        assert not re.search(r'(?:src|href|action)="(?!/(?!/)|\?|#)', text)


async def test_files_have_a_version_and_are_kept_for_ever(house: House) -> None:
    """What a page names is there under that name, and may be kept."""
    text = (await _Browser(house).get("/")).body.decode()
    names = re.findall(r'"(/static/[^"]+\?v=[0-9a-f]{12})"', text)
    assert len(names) == 3
    for name in names:
        answer = await house.call("GET", name)
        assert answer.status == 200
        assert "immutable" in answer.headers["cache-control"]
    for name in ("/static/nothing.css", "/static/..%2f..%2frendering.py", "/static/"):
        assert (await house.call("GET", name)).status == 404


async def test_a_browser_gets_a_page_and_a_program_gets_json(house: House) -> None:
    """What is not there is told as a page to who asks for pages; under /v1 it is JSON to everybody."""
    browser = _Browser(house)
    assert b"<h1>Not found</h1>" in (await browser.get("/nowhere", accept="text/html,*/*")).body
    assert (await browser.get("/nowhere")).json["error"] == "not_found"
    assert (await browser.get("/v1/nowhere", accept="text/html")).json["error"] == "not_found"
    paths = (await house.call("GET", "/openapi.json")).json["paths"]
    assert all(
        path.startswith("/v1/") or path in {"/healthz", "/readyz", "/metrics", "/openapi.json", "/events.schema.json"}
        for path in paths
    )


async def test_a_method_is_what_a_page_has(house: House) -> None:
    """Pages are read, actions are posted; any other method is 405 with those that there are."""
    for path, status in (("/", 200), ("/queue", 200), ("/login", 303), ("/act/suspend", 405), ("/logout", 405)):
        wrong = await house.call("PUT", path, None, {"Accept": "text/html"})
        assert wrong.status == 405
        assert wrong.headers["allow"]
        assert (await house.call("GET", path)).status == status


async def test_a_process_that_only_accepts_says_so(make_house: MakeHouse) -> None:
    """Its pages tell where the console is."""
    house = await make_house()
    for path in _PAGES:
        answer = await _Browser(house).get(path)
        assert answer.status == 409
        assert b"only accepts mail" in answer.body


async def test_an_action_is_done_and_told_once(house: House) -> None:
    """The browser is sent back to its page, which says how many recipients were touched, once."""
    browser = _Browser(house)
    answer = await browser.post("/act/suspend", _HOLD)
    assert (answer.status, answer.headers["location"]) == (303, "/suspensions")
    assert {"HttpOnly", "SameSite=strict"} <= set(browser.set[-1].split("; "))
    assert (await _held(house))[1]["reason"] == "they asked"
    assert b"Suspended: it touches 1 recipient." in (await browser.get("/suspensions")).body
    assert b"it touches" not in (await browser.get("/suspensions")).body
    browser.cookies["sender_done"] = "<script>.1"
    assert b"<script>" not in (await browser.get("/suspensions")).body


async def test_what_was_done_is_logged(house: House, caplog: pytest.LogCaptureFixture) -> None:
    """The log says who did what to what, in one line whatever was typed."""
    caplog.set_level(logging.INFO)
    await _Browser(house).post("/act/retry", {"kind": "domain", "value": "b.test\nforged", "reason": "x"})
    (line,) = [record.message for record in caplog.records if record.message.startswith("console: retry")]
    assert line == "console: retry kind='domain', value='b.test\\nforged', reason='x' by this machine"


async def test_what_holds_or_ends_mail_needs_a_reason(house: House) -> None:
    """Without a reason, or with one that looks like a fault of ours, nothing is done."""
    browser = _Browser(house)
    for action in ("suspend", "bounce", "delete", "window", "forget"):
        for reason in ("", "  ", "damaged: not at all", "x" * 501, "a\x1b[2J"):
            form = _HOLD | {"reason": reason, "lane": "default/x", "window": "3"}
            answer = await browser.post(f"/act/{action}", form)
            assert answer.status == 422
            assert b"Reason: must" in answer.body
    assert len(await _held(house)) == 1
    assert len(house.stored()) == 1


async def test_what_cannot_be_understood_is_not_done(house: House) -> None:
    """A selection or a time that is none is refused with a page that says why."""
    for form in (
        *({"kind": kind} for kind in ("planet", "reason", "", "all")),
        {"value": ""},
        {"for": "soon"},
        {"for": "9999999d"},
    ):
        answer = await _Browser(house).post("/act/suspend", _HOLD | form)
        assert answer.status == 422, form
        assert b"<h1>Not understood</h1>" in answer.body
    assert len(await _held(house)) == 1


async def test_a_body_is_a_form_of_a_bounded_length(house: House) -> None:
    """JSON, too many fields, bytes that are no text and more than 64 KiB are refused."""
    browser = _Browser(house)
    assert (await browser.post("/act/retry", _HOLD, content_type="application/json")).status == 415
    assert (await browser.post("/act/retry", b"kind=%ff%fe&value=x")).status == 400
    assert (await browser.post("/act/retry", b"&".join([b"a=b"] * 30))).status == 400
    assert (await browser.post("/act/retry", b"a=" + b"b" * 70_000)).status == 413
    assert (await browser.post("/act/launch", _HOLD)).status == 404
    assert (await browser.post("/act/resume", {"id": "9" * 30})).status == 404


async def test_forms_of_other_sites_do_nothing(house: House) -> None:
    """A form that is not of our own page is refused, whatever it would do; a browser without Sec-Fetch may act."""
    browser = _Browser(house)
    elsewhere: tuple[dict[str, str], ...] = (
        *({"sec_fetch_site": site} for site in ("cross-site", "same-site", "none")),
        *({"sec_fetch_site": "", "origin": origin} for origin in ("", "null", "http://[", "https://evil.example")),
        {"sec_fetch_site": "", "origin": "http://127.0.0.1:1"},
        {"host": "evil.example", "origin": "http://evil.example"},
        {"host": "evil.example"},
    )
    for headers in elsewhere:
        for action in _ACTIONS:
            assert (await browser.post(f"/act/{action}", _HOLD, **headers)).status == 403, (action, headers)
    assert len(await _held(house)) == 1
    assert (await browser.post("/act/suspend", _HOLD, sec_fetch_site="")).status == 303


async def test_a_link_from_elsewhere_may_lead_here(house: House) -> None:
    """A person who follows a link sees the page; a page of another site that fetches it does not."""
    browser = _Browser(house)
    elsewhere = {"sec_fetch_site": "cross-site"}
    assert (await browser.get("/", **elsewhere, sec_fetch_mode="navigate", sec_fetch_dest="document")).status == 200
    for mode, dest in (("cors", "empty"), ("no-cors", "image"), ("navigate", "iframe")):
        assert (await browser.get("/", **elsewhere, sec_fetch_mode=mode, sec_fetch_dest=dest)).status == 403
    assert (
        await browser.get("/", host="evil.example", sec_fetch_mode="navigate", sec_fetch_dest="document")
    ).status == 403


async def test_with_tokens_nobody_sees_a_page_without_one(guarded: House) -> None:
    """Every page leads to the login, and back from there; a bearer token is for the API, a fragment is 401."""
    browser = _Browser(guarded)
    for path in _PAGES:
        answer = await browser.get(path, authorization=f"Bearer {guarded.tokens['operator']}")
        assert answer.status == 303
        assert answer.headers["location"].startswith("/login?after=%2F")
        assert (await browser.get(path + ("&" if "?" in path else "?") + "fragment=1")).status == 401
    assert (await browser.post("/act/suspend", _HOLD)).headers["location"] == "/login?after=%2F"
    assert await _held(guarded, as_="operator") == []
    assert (await browser.get("/login")).status == 200


async def test_a_token_opens_the_pages_that_it_is_good_for(guarded: House) -> None:
    """`read` reads, `operate` acts too, `send` opens nothing; the cookie is not the token and opens no call."""
    for name in ("shop", "old"):
        assert (await _Browser(guarded).log_in(guarded.tokens[name])).status == 403
    assert (await _Browser(guarded).log_in(new_token())).status == 403
    for name, acts in (("reader", False), ("operator", True)):
        browser = _Browser(guarded)
        answer = await browser.log_in(guarded.tokens[name])
        assert (answer.status, answer.headers["location"]) == (303, "/queue")
        assert guarded.tokens[name] not in str(browser.cookies)
        assert {"HttpOnly", "SameSite=strict", "Path=/"} <= set(browser.set[-1].split("; "))
        page = await browser.get("/suspensions")
        assert page.status == 200
        assert (b"/act/suspend" in page.body) == acts
        assert (await browser.post("/act/suspend", _HOLD)).status == (303 if acts else 403)
        for path in ("/v1/queue", "/v1/lanes", "/v1/messages"):
            assert (await browser.get(path)).status == 401
    (held,) = await _held(guarded, as_="reader")
    assert held["reason"] == "they asked (operator)"


async def test_a_cookie_that_was_changed_opens_nothing(guarded: House) -> None:
    """Another name, a later instant, another signature, or none."""
    browser = _Browser(guarded)
    await browser.log_in(guarded.tokens["reader"])
    good = browser.cookies["sender_session"]
    name, until, signature = good.split(".")
    operator = "b3BlcmF0b3I="
    for forged in (
        f"{operator}.{until}.{signature}",
        f"{name}.{int(until) + 1}.{signature}",
        f"{name}.{until}.{signature[:-1]}{'0' if signature[-1] != '0' else '1'}",
        f"{name}.{until}.",
        f"{name}.{until}",
        f"é.{until}.{signature}",
        f"{name}.-1.{signature}",
        f"{name}.{'9' * 400}.{signature}",
        f"bm9ib2R5.{until}.{signature}",
        "..",
    ):
        browser.cookies["sender_session"] = forged
        assert (await browser.get("/queue")).status == 303, forged
    browser.cookies["sender_session"] = good
    assert (await browser.get("/queue")).status == 200


async def test_a_login_ends_with_its_time_its_token_and_its_cookie(make_house: MakeHouse) -> None:
    """After twelve hours, when the token is taken out of the file, and by logging out."""
    shift = [0.0]
    real = Clock()
    clock = Clock(wall=lambda: real.wall() + shift[0])
    house = await make_house(role=Role.ALL, tokens=True, clock=clock)
    browser = _Browser(house)
    await browser.log_in(house.tokens["reader"])
    shift[0] = 12 * 3600 - 60
    assert (await browser.get("/queue")).status == 200
    shift[0] = 12 * 3600 + 1
    assert (await browser.get("/queue")).status == 303
    await browser.log_in(house.tokens["reader"])
    assert (await browser.get("/queue")).status == 200
    path = house.daemon.settings.path("tokens.toml")
    text = path.read_text()
    other = new_token()
    for changed in (text.replace("[reader]", "[renamed]"), text.replace(digest(house.tokens["reader"]), digest(other))):
        path.write_text(changed)
        house.daemon.reload(house.daemon.settings)
        assert (await browser.get("/queue")).status == 303
    await browser.log_in(other)
    assert (await browser.get("/queue")).status == 200
    await browser.post("/logout", {})
    assert browser.cookies == {}


async def test_the_cookie_is_secure_where_the_browser_came_by_https(guarded: House) -> None:
    """The browser's own `Origin` tells; what a header of a proxy says does not count."""
    for origin, secure in (("https://mail.example.com", True), ("", False)):
        browser = _Browser(guarded)
        headers = {"origin": origin} if origin else {"x_forwarded_proto": "https"}
        assert (await browser.log_in(guarded.tokens["reader"], **headers)).status == 303
        assert ("Secure" in browser.set[-1]) == secure


async def test_nobody_is_logged_in_by_another_site(guarded: House) -> None:
    """A form elsewhere cannot log somebody in or out."""
    browser = _Browser(guarded)
    assert (await browser.log_in(guarded.tokens["reader"], sec_fetch_site="cross-site")).status == 403
    assert browser.set == []
    await browser.log_in(guarded.tokens["reader"])
    assert (await browser.post("/logout", {}, sec_fetch_site="cross-site")).status == 403
    assert (await browser.get("/queue")).status == 200


async def test_nobody_is_sent_elsewhere(house: House, guarded: House) -> None:
    """Where to go after a login or an action is a path of ours."""
    places = (
        "//evil.example",
        "https://evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "/a\nb",
        "",
        "evil",
        "/é",
    )
    for place in places:
        answer = await _Browser(guarded).post("/login", {"token": guarded.tokens["reader"], "after": place})
        assert (answer.status, answer.headers["location"]) == (303, "/"), place
        answer = await _Browser(house).post("/act/retry", _HOLD | {"back": place})
        assert (answer.status, answer.headers["location"]) == (303, "/"), place


async def test_secrets_are_in_no_log_and_on_no_page(guarded: House, caplog: pytest.LogCaptureFixture) -> None:
    """A token that is typed, right or wrong, is told to nobody."""
    caplog.set_level(logging.DEBUG)
    wrong = new_token()
    browser = _Browser(guarded)
    pages = [await browser.log_in(wrong), await browser.log_in(guarded.tokens["operator"]), await browser.get("/")]
    for secret in (wrong, guarded.tokens["operator"]):
        assert secret not in caplog.text
        assert all(secret not in page.body.decode() for page in pages)
    assert "console: wrong token" in caplog.text


async def test_what_was_sent_is_found_by_every_name(house: House) -> None:
    """An address, its domain and the id lead to the message; what nobody knows leads nowhere."""
    browser = _Browser(house)
    message_id = json.loads((await house.send(MESSAGE | {"to": ["bert@example.org"]})).body)["id"]
    assert (await browser.get(f"/search?q={message_id}")).headers["location"] == f"/messages/{message_id}"
    for sought in ("BERT@example.org", "<bert@example.org>", "example.org", "@example.org"):
        assert message_id in (await browser.get(f"/search?{urlencode({'q': sought})}")).body.decode()
    assert b"Nothing is known" in (await browser.get("/search?q=0000000000000")).body
    assert (await browser.get("/messages/0000000000000")).status == 404
    assert (await browser.get("/messages/x")).status == 422
