"""`sender top`: what it shows is what the daemon says, its keys do what they say, and it outlives the daemon."""

from __future__ import annotations

import asyncio
import itertools
import json
import signal
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from textual.events import Click, Key
from textual.widgets import Input

from sender import cli
from sender.cli.live.app import Live
from sender.cli.live.cells import layout, row
from sender.cli.live.lanes import LanesScreen
from sender.cli.live.rows import Rows
from sender.engine.listing import Listing, Order
from sender.intake.tokens import digest, new_token
from sender.sandbox import Behaviour
from tests.scenes.terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from textual.pilot import Pilot

    from tests.scenes.world import World

_SLOW = {"retry": {"schedule": ["1h"]}}
_SOON_S = 10.0
_HOSTILE = "452 4.2.2 [red]full[/] \x1b[2J\x1b]0;owned\x07 [@click=app.quit]here[/] [/nothing]"


class _Viewer:
    """Somebody who looks at the view and presses keys."""

    def __init__(self, world: World, view: Live, pilot: Pilot[None]) -> None:
        self._world = world
        self.view = view
        self._pilot = pilot

    @property
    def lines(self) -> list[str]:
        """What stands on the screen."""
        strips = self.view.screen._compositor.render_strips()
        return ["".join(segment.text for segment in strip).rstrip() for strip in strips]

    @property
    def rows(self) -> list[str]:
        """The rows of lanes."""
        screen = self.view.screen
        fitting = screen.rows.fitting if isinstance(screen, LanesScreen) else 0
        return list(itertools.takewhile(bool, self.lines[3 : 3 + fitting]))

    @property
    def names(self) -> list[str]:
        """The names of lanes, as they are shown in a narrow column."""
        return [line.split()[0].removeprefix("default/") for line in self.rows]

    async def press(self, *keys: str) -> None:
        """Press keys. What they open is there when it is seen."""
        # The pilot's own way waits until the process is idle, which a daemon in it never is.
        for key in keys:
            self.view.post_message(Key(key, key if len(key) == 1 else None))
            await self._pilot.pause(0)

    async def click(self, x: int, y: int) -> None:
        """Click on a place of the rows."""
        rows = self.view.screen.query_one(Rows)
        rows.post_message(
            Click(rows, x, y, delta_x=0, delta_y=0, button=1, shift=False, meta=False, ctrl=False, screen_x=x)
        )
        await self._pilot.pause(0)

    async def sees(self, *words: str) -> None:
        """Wait until all of these words are on the screen."""

        def seen() -> bool:
            text = " ".join(" ".join(self.lines).split())
            return all(word in text for word in words)

        try:
            await self._world.until(f"the screen shows {words}", seen, deadline_s=_SOON_S)
        except TimeoutError as error:
            pytest.fail(f"{error}\n" + "\n".join(self.lines))

    async def has(self, names: list[str]) -> None:
        """Wait until the rows are these lanes, in this order."""
        try:
            await self._world.until(f"the rows are {names}", lambda: self.names == names, deadline_s=_SOON_S)
        except TimeoutError as error:
            pytest.fail(f"{error}\n" + "\n".join(self.lines))

    async def answers(self, path: str) -> Any:  # noqa: ANN401 - JSON
        """Ask the daemon itself."""
        status, body = await self._world.get(path)
        assert status == 200, body
        return json.loads(body)


@asynccontextmanager
async def _viewing(world: World, *, width: int = 140, height: int = 30, token: str = "") -> AsyncIterator[_Viewer]:
    view = Live(world.settings, token=token, every_s=0.5)
    async with view.run_test(size=(width, height), notifications=True) as pilot:
        yield _Viewer(world, view, pilot)


async def _with_full(world: World, counts: dict[str, int], reply: str = "452 4.2.2 mailbox full") -> None:
    """Start a daemon with so many deferred messages for each site."""
    for domain in counts:
        await world.site(domain, Behaviour(full_prefixes=("user",), full_with=reply))
    await world.start(_SLOW)
    messages = [world.message(f"user{number}@{domain}") for domain in counts for number in range(counts[domain])]
    await world.submit(messages)

    async def deferred() -> bool:
        assert world.daemon.control is not None
        lanes = (await world.daemon.control.lanes(Listing(brief=True)))["lanes"]
        return sum(lane["deferred"] for lane in lanes) == len(messages) and not any(lane["sessions"] for lane in lanes)

    await world.until_true("they are deferred, and nothing moves", deferred)


async def _with_memories(world: World, count: int) -> None:
    """Start a daemon that knows so many lanes besides that of remembered.test."""
    await world.site("remembered.test")
    await world.start(_SLOW)
    await world.send("user@remembered.test")
    await world.until_empty()
    assert world.daemon.control is not None
    memory = await world.daemon.control.memory()
    (one,) = memory["lanes"].values()
    memory["lanes"] = {f"default/mx{number:03}.test": one for number in range(count)}
    await world.daemon.control.bring(memory, "a test")


async def test_the_rows_are_what_the_daemon_says(world: World) -> None:
    """Every lane stands there with its figures, the busiest first; above them the totals and the daemon's address."""
    await _with_full(world, {"one.test": 1, "two.test": 4, "three.test": 2})
    async with _viewing(world) as viewer:
        await viewer.sees("7 queued 3 of 3 lanes 7 accepted 0 delivered 0 bounced 0 expired")
        await viewer.sees(world.settings.http.listen, "UTC by busy")
        await viewer.has(["mx.two.test", "mx.three.test", "mx.one.test"])

        async def agrees() -> bool:
            answer = await viewer.answers("/v1/lanes?brief=1&order=busy")
            told = [row(lane, layout(140), blocks=True) for lane in answer["lanes"]]
            return [line.split() for line in viewer.rows] == [line.split() for line in told]

        await world.until_true("each row is that of the daemon's answer", agrees)


async def test_lanes_are_put_in_order_and_filtered(world: World) -> None:
    """`s` goes through the orders, a click on a head takes its own, `/` and `f` filter; Esc shows all again."""
    await _with_full(world, {"one.test": 1, "two.test": 4, "three.test": 2})
    async with _viewing(world, width=80, height=24) as viewer:
        await viewer.has(["mx.two.test", "mx.three.test", "mx.one.test"])
        for order in [*list(Order)[2:], Order.NAME]:
            await viewer.press("s")
            await viewer.sees(f"by {order}")
            answer = await viewer.answers(f"/v1/lanes?brief=1&order={order}")
            if order is not Order.OLDEST:  # they are nearly of an age
                await viewer.has([lane["site"] for lane in answer["lanes"]])
        heads = viewer.lines[2]
        await viewer.click(heads.index("queued") + 2, 0)
        await viewer.sees("by queued", "queue▾")
        await viewer.has(["mx.two.test", "mx.three.test", "mx.one.test"])
        await viewer.press("slash", *"T", *"W")
        await viewer.has(["mx.two.test"])
        await viewer.sees("1 of 3 lanes", '"TW"')
        await viewer.press("enter")
        await world.until("keys are keys again", lambda: not isinstance(viewer.view.focused, Input))
        await viewer.press("f")
        await viewer.sees("0 of 3 lanes", "throttled")
        await viewer.press("escape")
        await viewer.has(["mx.two.test", "mx.three.test", "mx.one.test"])
        assert max(map(len, viewer.lines)) <= 80


async def test_a_lane_is_explained(world: World) -> None:
    """Enter shows each sentence of the explanation, the window drawn, and every change; it follows; `q` goes back."""
    await world.site("capped.test", Behaviour(max_sessions=2, latency_s=0.01))
    await world.start({**_SLOW, "window": {"start": 4}})
    await world.submit_at_once([world.message(f"user{number}@capped.test") for number in range(60)])
    await world.until_empty()
    async with _viewing(world, height=50) as viewer:
        await viewer.has(["mx.capped.test"])
        await viewer.press("enter")
        await viewer.sees("window over the last", "too many connections from")
        lane = await viewer.answers("/v1/lanes/default/mx.capped.test")
        await viewer.sees(lane["explanation"][0], *(f"{entry['from']} → {entry['to']}" for entry in lane["history"]))
        assert any(set(line) - {" "} == {"x"} for line in viewer.lines)
        await world.command("lane", "mx.capped.test", "--set-window", "7", "--reason", "they raised it")
        await viewer.sees("has a window of 7 sessions", "they raised it")
        await viewer.press("q")
        await viewer.has(["mx.capped.test"])


async def test_a_site_is_suspended_and_resumed(world: World) -> None:
    """`p` asks for how long and why, and says who waits; Esc leaves it alone; `r` lets go what holds the lane."""
    await _with_full(world, {"one.test": 1, "two.test": 4})
    async with _viewing(world, width=100) as viewer:
        await viewer.has(["mx.two.test", "mx.one.test"])
        await viewer.press("j", "p")
        await viewer.sees("Suspend site mx.one.test?", "1 recipient is queued in default/mx.one.test, 1 of them")
        await viewer.press("escape")
        await viewer.has(["mx.two.test", "mx.one.test"])
        await viewer.press("p")
        await viewer.sees("Suspend site mx.one.test?")
        await viewer.press("s", "enter")
        await viewer.sees("how long: ")
        assert (await viewer.answers("/v1/suspensions"))["suspensions"] == []
        await viewer.press("backspace", *"1h", "tab", *"[b]no", "enter")
        await viewer.sees("site mx.one.test is suspended: 1 recipient held", ": [b]no")
        (held,) = (await viewer.answers("/v1/suspensions"))["suspensions"]
        assert (held["kind"], held["value"], held["reason"]) == ("site", "mx.one.test", "[b]no")
        await viewer.press("f", "f")
        await viewer.has(["mx.one.test"])
        await viewer.press("r")
        await viewer.sees("Resume site mx.one.test?")
        await viewer.press("enter")
        await viewer.sees("site mx.one.test is resumed: 1 recipient let go")
        assert (await viewer.answers("/v1/suspensions"))["suspensions"] == []


async def test_what_holds_a_lane_is_resumed(world: World) -> None:
    """Where all mail is suspended, `r` offers to resume all of it: nothing less would let the lane go."""
    await _with_full(world, {"one.test": 1})
    await world.command("suspend", "--all")
    async with _viewing(world) as viewer:
        await viewer.sees("suspended")
        await viewer.press("r")
        await viewer.sees("Resume all mail?")
        await viewer.press("enter")
        await viewer.sees("all mail is resumed")
        assert (await viewer.answers("/v1/suspensions"))["suspensions"] == []


async def test_a_lane_is_retried_and_its_window_set(world: World) -> None:
    """`t` makes deferred mail due, `w` sets a window and says what is no number; both work beside the explanation."""
    await _with_full(world, {"one.test": 2})
    receiver = world.receivers["mx.one.test"]
    receiver.behaviour = Behaviour()
    async with _viewing(world) as viewer:
        await viewer.has(["mx.one.test"])
        await viewer.press("e")
        await viewer.sees("has a window of 5 sessions")
        await viewer.press("w")
        await viewer.sees("Set the window of default/mx.one.test?")
        await viewer.press("x", "enter")
        await viewer.sees("sessions: must be a number, 1 or more")
        await viewer.press("backspace", "backspace", "9", "tab", *"more", "enter")
        await viewer.sees("the window of default/mx.one.test is 9", "has a window of 9 sessions")
        assert (await viewer.answers("/v1/lanes/mx.one.test"))["history"][-1]["reason"] == "more"
        await viewer.press("t")
        await viewer.sees("Retry site mx.one.test now?")
        await viewer.press("enter")
        await viewer.sees("site mx.one.test is retried: 2 recipients made due")
        await world.until_empty()
        assert receiver.tally.messages == 2


async def test_the_view_outlives_the_daemon(world: World) -> None:
    """While no daemon runs it shows the spool and acts on it; while none answers, the last figures; and it goes on."""
    await _with_full(world, {"one.test": 3})
    async with _viewing(world) as viewer:
        await viewer.sees("3 queued 1 of 1 lanes")
        await world.stop()
        await viewer.sees("no daemon runs at", "this is the spool", "3 queued 1 of 1 lanes")
        await viewer.press("t")
        await viewer.sees("Retry site mx.one.test now?")
        await viewer.press("enter")
        await viewer.sees("site mx.one.test is retried: 3 recipients made due")

        async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.close()

        async with await asyncio.start_server(hang_up, "127.0.0.1", world.http_port):
            await viewer.sees("does not answer", "; last seen", "3 queued 1 of 1 lanes")
            screen = viewer.view.screen
            assert isinstance(screen, LanesScreen)
            first = next(iter(screen.rows.render_line(1)))
            assert first.style is not None
            assert first.style.dim
        await world.start()
        await viewer.sees(f"{world.settings.http.listen} ", "UTC by busy")
        await world.until("it is the daemon's answer", lambda: not screen.earlier)


async def test_what_a_receiver_says_is_shown_as_it_is(world: World) -> None:
    """Markup in a reply is text, and what would move the cursor or name the window is a question mark."""
    await world.site(
        "hostile.test",
        Behaviour(max_sessions=1, latency_s=0.01, refuse_with=f"421 4.7.0 too many connections {_HOSTILE}"),
    )
    await world.start({**_SLOW, "window": {"start": 2}})
    await world.submit_at_once([world.message(f"user{number}@hostile.test") for number in range(60)])
    await world.until_empty()
    async with _viewing(world, width=200, height=40) as viewer:
        await viewer.has(["mx.hostile.test"])
        await viewer.press("e")
        await viewer.sees("[red]full[/] ?[2J?]0;owned? [@click=app.quit]here[/] [/nothing]")
        await world.command("suspend", "--site", "mx.hostile.test", "--reason", "[red]\x1b[2J[/no]")
        await viewer.press("q")
        await viewer.sees("[red]?[2J[/no]")


async def test_only_what_fits_is_asked_for(world: World) -> None:
    """On a small screen the cursor goes over all lanes, and each look asks for as many as there are rows."""
    await _with_memories(world, 99)
    async with _viewing(world, width=80, height=24) as viewer:
        await viewer.press("s", "s", "s", "s", "s", "s", "s", "s")
        await viewer.sees("by name")
        names = ["mx.remembered.test", *(f"mx{number:03}.test" for number in range(99))]
        await viewer.has(names[:20])
        await viewer.press("pagedown")
        await viewer.has(names[1:21])
        await viewer.press("G")
        await viewer.has(names[80:])
        await viewer.press("up", "e")
        await viewer.sees("default/mx097.test has a window of")
        await viewer.press("q", "slash", *"mx00")
        await viewer.has(names[1:11])
        assert all(len(line) <= 80 for line in viewer.lines)


async def test_who_may_not_act_is_told(world: World) -> None:
    """Without a token the view says that it needs one; to one that may only read, the refusal of an act is told."""
    await _with_full(world, {"one.test": 1})
    await world.stop()
    token = new_token()
    (world.folder / "tokens.toml").write_text(f'[ann]\ntoken = "{digest(token)}"\nscopes = ["read"]\n')
    await world.start({**_SLOW, "http": {"tokens_file": "tokens.toml"}})
    async with _viewing(world) as viewer:
        await viewer.sees("give it with --token or $SENDER_TOKEN")
    async with _viewing(world, token=token) as viewer:
        await viewer.has(["mx.one.test"])
        await viewer.press("t")
        await viewer.sees("Retry site")
        await viewer.press("enter")
        await viewer.sees("operate")


@pytest.mark.parametrize("text", ["0", "-1", "nan", "often"])
def test_how_often_is_a_length_of_time(text: str) -> None:
    """A refresh that cannot be is wrong usage."""
    with pytest.raises(SystemExit) as raised:
        cli.main(["top", "--every", text])
    assert raised.value.code == 2


async def test_a_terminal_is_left_as_it_was(world: World) -> None:
    """In a real terminal `q` ends it, and so does SIGTERM; colours and blocks are left out where they have no place."""
    await _with_full(world, {"one.test": 1})
    await world.command("suspend", "--site", "mx.one.test")
    words = ("top", "--config", str(world.folder / "sender.toml"))
    async with (
        Terminal(*words) as one,
        Terminal(*words, environment={"NO_COLOR": "1", "PYTHONIOENCODING": "ascii"}) as other,
    ):
        await one.draws(b"mx.one.test")
        await one.draws("▄▄▄▄".encode())
        assert b"94m" in one.drawn
        one.press(b"q")
        assert (await one.ended(), one.restored) == (0, True)
        await other.draws(b"mx.one.test")
        await other.draws(b"====")
        other.press(b"t")
        await other.draws(b"Retry site mx.one.test now?")
        other.press(b"\r")
        await other.draws(b"site mx.one.test is retried")
        other.signal(signal.SIGTERM)
        assert (await other.ended(), other.restored) == (0, True)
        assert other.drawn.isascii()
        assert b"94m" not in other.drawn
