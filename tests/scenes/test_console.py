"""The console in a real browser: what operators see is what the calls say, and what they click is done."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from sender.intake.tokens import digest, new_token
from sender.sandbox import Behaviour
from sender.spool.sqlite import Role as SpoolRole
from sender.spool.sqlite import open_spool
from tests.scenes.browser import NARROW, Chromium, Visitor, launched
from tests.scenes.world import World
from tests.servers import require

if TYPE_CHECKING:
    from playwright.async_api import Browser

pytestmark = pytest.mark.asyncio(loop_scope="module")
Arrive = Callable[..., Awaitable[Visitor]]
_HOSTILE = '<script>window.hacked=1</script><img src=x onerror="window.hacked=1">"\'&<b>bold</b>'
_INJECT = """() => {
    const script = document.createElement("script");
    script.textContent = "window.hacked = 1";
    document.body.append(script);
}"""
_LATER = {"retry": {"schedule": ["1h"]}}
_MANY = 10_000
_CAPPED = "/lanes/default/mx.capped.test"


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def browser() -> AsyncIterator[Browser]:
    """Give one browser for all of these: to launch it takes a second."""
    require(Chromium)
    async with launched() as browser:
        yield browser


@pytest_asyncio.fixture(loop_scope="module")
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """Give a world, whose books are balanced in the end."""
    async with World(tmp_path) as world:
        yield world
        await world.balance()


@pytest_asyncio.fixture(loop_scope="module")
async def arrive(browser: Browser, world: World) -> AsyncIterator[Arrive]:
    """Give a function that brings visitors; when they leave, nothing has gone wrong in their windows."""
    visitors: list[Visitor] = []

    async def come(**options: Any) -> Visitor:  # noqa: ANN401 - the browser's own
        visitor = Visitor(browser, world.http_port)
        visitors.append(visitor)
        await visitor.arrive(**options)
        return visitor

    yield come
    for visitor in visitors:
        await visitor.leave()


async def _capped(world: World, count: int = 300, **tables: Any) -> None:  # noqa: ANN401 - any table
    """Start a daemon whose lane to capped.test is about to find that no more than two sessions are allowed."""
    await world.site("capped.test", Behaviour(name="mx.capped.test", max_sessions=2, accept_delay_s=0.03))
    await world.start({**_LATER, **tables})
    await world.submit([world.message(f"user{number}@capped.test") for number in range(count)])


async def _deferred(world: World, reply: str = "452 4.2.2 mailbox full", count: int = 3, **tables: Any) -> list[str]:  # noqa: ANN401 - any table
    """Start a daemon with messages that a receiver has deferred; give their ids."""
    await world.site("full.test", Behaviour(full_prefixes=("user",), full_with=reply))
    await world.start({**_LATER, **tables})
    ids = await world.submit([world.message(f"user{number}@full.test") for number in range(count)], sessions=1)

    async def all_deferred() -> bool:
        return bool((await _api(world, "/v1/queue"))["deferred"] == count)

    await world.until_true("they are deferred", all_deferred)
    return ids


async def _api(world: World, path: str) -> Any:  # noqa: ANN401 - JSON
    status, body = await world.get(path)
    assert status == 200
    return json.loads(body)


_CELLS = """() => [...document.querySelectorAll("table.lanes tbody tr")].map(row => ({
    name: row.querySelector("th").innerText.trim(),
    window: row.children[2].innerText.trim(), sessions: row.children[3].innerText.trim(),
    queued: row.children[4].innerText.trim(), deferred: row.children[5].innerText.trim(),
    delivered: row.children[6].innerText.trim(), deferrals: row.children[7].innerText.trim(),
    state: row.querySelector(".pill").innerText.trim(), why: row.querySelector(".why").innerText.trim()}))"""


def _row(lane: dict[str, Any]) -> dict[str, str]:
    """Give what the console should show of a lane."""
    return {
        "name": lane["name"],
        "window": f"{lane['window']} of {lane['max_window']}",
        "sessions": str(lane["sessions"]),
        "queued": f"{lane['queued']:,}",
        "deferred": f"{lane['deferred']:,}",
        "delivered": f"{lane['delivered_per_minute']:,}",
        "deferrals": f"{lane['deferrals_per_minute']:,}",
        "state": lane["state"],
        "why": lane["why"],
    }


async def test_what_is_shown_is_what_the_calls_say_while_a_lane_shrinks(world: World, arrive: Arrive) -> None:
    """The window of a lane goes down before one's eyes, without a reload; at a standstill every cell is the API's."""
    await _capped(world, 10, window={"start": 5})
    await world.until_empty()
    await world.send("user@capped.test", mail_from="")
    visitor = await arrive()
    assert await visitor.go() == 200
    (shown,) = await visitor.page.evaluate(_CELLS)
    assert shown["name"] == "default/mx.capped.test"
    await world.submit([world.message(f"more{number}@capped.test") for number in range(80)])
    cell = "() => document.querySelector('table.lanes tbody td:nth-child(3) b').innerText === '2'"
    await visitor.until(cell)
    lane = (await _api(world, "/v1/lanes"))["lanes"][0]
    assert lane["window"] == 2
    assert any(change["reply"].startswith("421") for change in lane["history"])
    await world.until_empty()

    async def agrees() -> bool:
        (seen,) = await visitor.page.evaluate(_CELLS)
        return bool(seen == _row((await _api(world, "/v1/lanes"))["lanes"][0]))

    await world.until_true("the page is what the API says", agrees)
    totals = dict(zip(await visitor.texts(".totals dt"), await visitor.texts(".totals dd"), strict=True))
    assert (totals["Accepted"], totals["Delivered"], totals["Queued"]) == ("91", "91", "0")


async def test_a_lanes_page_tells_what_was_refused_and_with_which_words(world: World, arrive: Arrive) -> None:
    """A mark in the drawn history tells the reply when it is focused; the table of changes and the sentences too."""
    await _capped(world, 60)
    await world.until_empty()
    visitor = await arrive()
    await visitor.go("/")
    await visitor.click("table.lanes tbody th a")
    assert await visitor.page.title() == "default/mx.capped.test · sender"
    lane = await _api(world, "/v1/lanes/default/mx.capped.test")
    refusals = [change for change in lane["history"] if change["reply"]]
    marks = visitor.page.locator(".chart .mark")
    assert await marks.count() == len(refusals)
    await marks.first.focus()
    told = await visitor.text("#told")
    assert "421 4.7.0 mx.capped.test Error: too many connections" in told
    assert await visitor.text(".totals dd") == f"{lane['window']} of {lane['max_window']}"
    rows = await visitor.texts("#changes tbody tr")
    assert len(rows) == len(lane["history"])
    assert sum("421 4.7.0" in row for row in rows) == len(refusals)

    async def agrees() -> bool:
        await visitor.looked_again()
        explanation = (await _api(world, "/v1/lanes/mx.capped.test"))["explanation"]
        return bool(await visitor.texts("#explanation li") == explanation)

    await world.until_true("the sentences are the API's, which tell the time", agrees)
    await visitor.click(".spans >> text=15m")
    assert await marks.count() == len(refusals)


async def test_what_is_clicked_is_done(world: World, arrive: Arrive) -> None:
    """Suspend, resume, retry and the window by their buttons: the page tells how many recipients were touched."""
    await _deferred(world)
    receiver = world.receivers["mx.full.test"]
    visitor = await arrive()
    await visitor.go("/lanes/default/mx.full.test")

    async def click(button: str, **fields: str) -> str:
        form = visitor.page.locator(f'form:has(button:text-is("{button}"))').first
        for name, value in fields.items():
            field = form.locator(f"[name={name}]")
            await (field.select_option(value) if name == "for" else field.fill(value))
        async with visitor.page.expect_navigation():
            await form.locator(f'button:text-is("{button}")').click()
        return await visitor.text(".done")

    assert (
        await click("Suspend", **{"reason": "they <b>asked</b>", "for": "4h"}) == "Suspended: it touches 3 recipients."
    )
    (held,) = (await _api(world, "/v1/suspensions"))["suspensions"]
    assert (held["kind"], held["value"], held["reason"]) == ("site", "mx.full.test", "they <b>asked</b>")
    assert "they <b>asked</b>" in await visitor.text(".act .held")
    assert await visitor.text("h1 .pill") == "suspended"
    await visitor.go("/suspensions")
    assert "they <b>asked</b>" in await visitor.text("#held tbody tr")
    assert await click("Resume", reason="over") == "Resumed: it touches 3 recipients."
    assert (await _api(world, "/v1/suspensions"))["suspensions"] == []
    await visitor.go("/lanes/default/mx.full.test")
    assert await visitor.page.locator(".done").count() == 0
    assert await click("Set", reason="they said so", window="3") == "The window is set to 3."
    assert (await _api(world, "/v1/lanes/mx.full.test"))["window"] == 3
    receiver.behaviour = Behaviour()
    assert await click("Retry") == "Due now: 3 recipients."
    await world.until_empty()
    assert receiver.tally.messages == 3


async def test_a_recipient_is_found_and_its_message_shown(world: World, arrive: Arrive) -> None:
    """An address finds its messages, an id its page: every attempt with its reply, and when the next one is."""
    first, *_ = await _deferred(world, count=2)
    visitor = await arrive()
    await visitor.go()
    await visitor.page.keyboard.press("/")
    await visitor.page.fill("header input[name=q]", "USER0@full.test")
    await visitor.page.keyboard.press("Enter")
    await visitor.page.wait_for_selector("#found")
    assert await visitor.texts("#found tbody th") == [first]
    await visitor.click("#found tbody th a")
    message = await _api(world, f"/v1/messages/{first}")
    (recipient,) = message["recipients"]
    assert await visitor.text(".recipient .why") == recipient["waiting_for"]
    rows = await visitor.texts(".recipient tbody tr")
    assert [("accepted" in rows[0]), ("452 4.2.2 mailbox full" in rows[1]), ("next attempt" in rows[2])] == [True] * 3
    assert "mailbox_full" in rows[1]
    assert await visitor.page.locator(".timeline .mark").count() == 1
    await visitor.page.fill("header input[name=q]", first)
    await visitor.page.press("header input[name=q]", "Enter")
    await visitor.page.wait_for_url(f"**/messages/{first}")
    await visitor.page.fill("form[action='/act/suspend'] [name=reason]", "sent by mistake")
    await visitor.click("button:text-is('Bounce')")
    assert await visitor.text(".done") == "Returned to the senders: 1 recipient."
    assert await visitor.text(".recipient .pill") == "bounced"
    await visitor.go("/search?q=nobody@full.test")
    assert "Nothing is known of nobody@full.test" in await visitor.text(".lead")
    await world.stop(drain_s=0)
    world.notices = 1


async def test_what_receivers_say_is_text(world: World, arrive: Arrive) -> None:
    """A reply that is a script stays a reply on every page, and the policy that would stop it is in force."""
    (message_id,) = await _deferred(world, f"452 4.2.2 {_HOSTILE}", count=1)
    visitor = await arrive()
    for path in ("/", "/lanes/default/mx.full.test", f"/messages/{message_id}", "/search?q=user0@full.test"):
        await visitor.go(path)
        assert not await visitor.page.evaluate("Boolean(window.hacked) || document.images.length > 0")
    await visitor.go(f"/messages/{message_id}")
    assert _HOSTILE in await visitor.text(".recipient tbody tr:nth-child(2) .reply")
    assert visitor.wrong == []
    await visitor.page.evaluate(_INJECT)
    assert not await visitor.page.evaluate("Boolean(window.hacked)")
    assert any("Content Security Policy" in said for said in visitor.wrong)
    visitor.wrong.clear()


async def test_the_keyboard_is_enough(world: World, arrive: Arrive) -> None:
    """`/` goes to the filter, arrows to the rows, Enter opens; what has the focus is seen, and keeps it."""
    await _deferred(world)
    visitor = await arrive()
    await visitor.go()
    keyboard = visitor.page.keyboard
    await keyboard.press("Tab")
    assert await visitor.page.evaluate("document.activeElement.className") == "skip"
    await keyboard.press("/")
    await keyboard.type("FULL")
    await visitor.until("() => location.search.includes('match=FULL')")
    await keyboard.press("ArrowDown")
    assert await visitor.page.evaluate("document.activeElement.innerText") == "default/mx.full.test"
    outline = await visitor.page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"
    await visitor.looked_again()
    assert await visitor.page.evaluate("document.activeElement.innerText") == "default/mx.full.test"
    await keyboard.press("Enter")
    await visitor.page.wait_for_url("**/lanes/default/mx.full.test")
    order = []
    for _ in range(40):
        await keyboard.press("Tab")
        order.append(await visitor.page.evaluate("document.activeElement.innerText || document.activeElement.name"))
    assert order.index("Lanes") < order.index("15m") < order.index("Suspend") < order.index("Forget")


async def test_rows_change_places_and_keep_the_focus(world: World, arrive: Arrive) -> None:
    """When a lane comes to have the most mail, its row moves up; it is the same row, and who was there still is."""
    await _deferred(world, count=2)
    await world.site("more.test", Behaviour(full_prefixes=("user",)))
    await world.send("user@more.test")
    visitor = await arrive()
    await visitor.go()
    names = ["default/mx.full.test", "default/mx.more.test"]
    await visitor.until("() => document.querySelectorAll('tbody th').length === 2")
    assert await visitor.texts("tbody th") == names
    await visitor.page.focus("tbody tr:nth-child(2) th a")
    await visitor.page.evaluate("document.activeElement.mine = true")
    await world.submit([world.message(f"user{number}@more.test") for number in range(4)])
    await visitor.until("() => document.querySelector('tbody th').innerText === 'default/mx.more.test'")
    assert await visitor.texts("tbody th") == names[::-1]
    assert await visitor.page.evaluate("document.activeElement.mine === true")
    assert await visitor.page.evaluate("document.activeElement.innerText") == "default/mx.more.test"


async def test_it_fits_a_telephone_in_light_and_dark(world: World, arrive: Arrive) -> None:
    """No page is wider than 360 pixels; dark is dark, and light is light."""
    (message_id, *_) = await _deferred(world, "452 4.2.2 " + "mailboxisfullandthiswordislong" * 8)
    shades = {}
    for scheme in ("light", "dark"):
        visitor = await arrive(viewport=NARROW, color_scheme=scheme)
        pages = ("/", "/lanes/default/mx.full.test", "/queue", "/suspensions", "/search?q=full.test")
        for path in (*pages, f"/messages/{message_id}", "/nowhere")[:: 1 if scheme == "light" else 3]:
            assert await visitor.go(path) == (404 if path == "/nowhere" else 200)
            assert await visitor.fits(), path
        visitor.wrong = [said for said in visitor.wrong if "404" not in said]
        shades[scheme] = await visitor.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert shades == {"light": "rgb(245, 246, 248)", "dark": "rgb(17, 21, 27)"}


async def test_who_shows_a_token_sees_what_it_is_good_for(world: World, arrive: Arrive) -> None:
    """With tokens there is a page to log in; who only reads sees no button that acts, and who logs out sees nothing."""
    tokens = {scope: new_token() for scope in ("read", "operate", "send")}
    (world.folder / "tokens.toml").write_text(
        "".join(f'[{name}]\ntoken = "{digest(token)}"\nscopes = ["{name}"]\n' for name, token in tokens.items())
    )
    await world.start({"http": {"tokens_file": "tokens.toml"}})
    visitor = await arrive()
    page = visitor.page

    async def log_in(token: str) -> None:
        await page.fill("#token", token)
        await visitor.click("main button")

    await visitor.go("/suspensions")
    assert page.url.endswith("/login?after=%2Fsuspensions")
    await log_in(tokens["send"])
    assert "has not the scope" in await visitor.text(".bad")
    visitor.wrong.clear()  # a browser notes that the form was refused
    await log_in(tokens["read"])
    assert page.url.endswith("/suspensions")
    assert await page.locator("main button").count() == 0
    (cookie,) = await page.context.cookies()
    assert (cookie.get("httpOnly"), cookie.get("sameSite"), cookie.get("secure")) == (True, "Strict", False)
    assert tokens["read"] not in str(cookie)
    await visitor.click("text=Log out")
    assert await page.title() == "Log in · sender"
    assert await page.context.cookies() == []
    await log_in(tokens["operate"])
    await visitor.go("/suspensions")
    await page.fill("[name=value]", "held.test")
    await page.fill(".act [name=reason]", "they asked")
    await visitor.click("main button:text-is('Suspend')")
    assert "they asked (operate)" in await visitor.text("#held tbody tr")


async def test_ten_thousand_lanes_are_no_burden(world: World, arrive: Arrive) -> None:
    """A page has a hundred of them, the filter finds one, and the next page follows."""
    world.configure()
    spool = await open_spool(world.settings.spool_path, SpoolRole.TOOL, now=world.clock.wall())
    now = world.clock.wall()
    memory = {
        f"default/mx{number:05}.test": {"at": now, "limit": 1 + number % 50, "history": []} for number in range(_MANY)
    }
    await spool.save_lanes(memory, now)
    await spool.close(clean=True)
    await world.start()
    visitor = await arrive()
    began = time.monotonic()
    await visitor.go("/?order=name")
    print(f"{_MANY} lanes: the page is there after {1000 * (time.monotonic() - began):.0f} ms")
    assert len(await visitor.page.evaluate(_CELLS)) == 100
    assert "100 of 10,000" in await visitor.text(".pager")
    await visitor.click("text=Next")
    await visitor.page.wait_for_url("**start=100*")
    assert (await visitor.page.evaluate(_CELLS))[0]["name"] == "default/mx00100.test"
    await visitor.page.fill("[name=match]", "mx09999")
    await visitor.until("() => document.querySelectorAll('table.lanes tbody tr').length === 1")
    (row,) = await visitor.page.evaluate(_CELLS)
    assert (row["name"], row["window"], row["state"]) == ("default/mx09999.test", "50 of 100", "asleep")
    await visitor.go("/?order=window&match=mx000")
    assert [row["window"] for row in await visitor.page.evaluate(_CELLS)][:3] == ["50 of 100", "50 of 100", "49 of 100"]


async def test_it_says_when_the_daemon_does_not_answer(world: World, arrive: Arrive) -> None:
    """What is shown stays when the daemon is gone, and says so; when it is back the page goes on by itself."""
    await world.start()
    visitor = await arrive()
    await visitor.go()
    await visitor.looked_again()
    await world.stop()
    await visitor.look()
    await visitor.until("() => document.getElementById('status').innerText.includes('has not answered since')")
    assert await visitor.page.locator(".totals").count() == 1
    await world.start()
    await visitor.look()
    await visitor.until("() => document.getElementById('status').hidden")
    visitor.wrong.clear()  # a browser notes every request that has no answer


async def test_it_works_without_its_script(world: World, arrive: Arrive) -> None:
    """Filter, order and actions are links and forms."""
    await _deferred(world)
    visitor = await arrive(java_script_enabled=False)
    await visitor.go()
    await visitor.page.fill("[name=match]", "nobody")
    await visitor.click("text=Show")
    assert "No lane is like that" in await visitor.text(".empty")
    await visitor.go("/?state=open&order=oldest")
    assert await visitor.texts("table.lanes tbody th") == ["default/mx.full.test"]
    assert await visitor.page.get_attribute("th[aria-sort]", "aria-sort") == "descending"
    await visitor.go("/queue")
    assert await visitor.texts(".shape .total td:nth-child(2)") == ["3"]


async def test_what_needs_attention_is_said_first(world: World, arrive: Arrive) -> None:
    """Who blocks us, who cannot be reached and what is held stand above the lanes, each with its reason and a link."""
    blocks = "421 4.7.0 [TS01] Messages from {peer} temporarily deferred due to user complaints"
    await world.site("blocking.test", Behaviour(name="mx.blocking.test", max_sessions=0, refuse_with=blocks))
    world.dns.mx("gone.test", [(10, "mx.gone.test")])
    world.dns.a("mx.gone.test", "127.0.0.250")
    await world.start({"retry": {"schedule": ["1h"]}, "delivery": {"connect_backoff": "5m"}})
    visitor = await arrive()
    await visitor.go()
    assert "Nothing." in await visitor.text("#attention")
    await world.command("suspend", "--domain", "held.test", "--reason", "they asked")
    await world.submit([world.message(f"user@{domain}") for domain in ("blocking.test", "gone.test", "held.test")])
    await visitor.until("() => document.querySelectorAll('#attention > ul > li').length === 3")
    said = await visitor.texts("#attention > ul > li")
    assert said[0].startswith("1 receiver blocks us, or asked for a rest. default/mx.blocking.test 1 queued;")
    assert said[1].startswith("1 receiver cannot be reached. default/mx.gone.test 1 queued;")
    assert "mx.gone.test[127.0.0.250]: while connecting" in said[1]
    assert said[2] == "1 suspension holds mail back."
    await visitor.click("#attention >> text=default/mx.gone.test")
    assert (await visitor.text("h1")).startswith("default/mx.gone.test ")
