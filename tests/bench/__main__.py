"""`make bench`: every figure beside that of something on the same machine in the same run; rows are chosen by name."""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
from typing import TYPE_CHECKING

from tests.bench import controller, receivers, roundtrip
from tests.bench.postfix_drain import postfix_drain, smtp_source_rate
from tests.bench.sender_drain import sender_drain
from tests.servers import PostfixSender, ServerMissing, SmtpSink, SmtpSource

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from tests.servers import Server

_RUNS = 3


async def _drain(given: argparse.Namespace) -> None:
    _require(PostfixSender, SmtpSink, SmtpSource)
    messages, size, sessions, runs = given.messages, given.size, given.sessions, given.runs
    async with SmtpSink() as sink:
        print(f"{messages} messages of {size} bytes, {sessions} sessions, one sink, median of {runs} runs:")
        postfix = await _median(runs, lambda: postfix_drain(messages, size, sessions, sink.address))
        _row("Postfix drains its queue", postfix, postfix)
        sender = await _median(runs, lambda: sender_drain(messages, size, sessions, sink.address))
        _row("sender drains its queue (durable outcomes, events, metrics)", sender, postfix)
        source = await _median(runs, lambda: smtp_source_rate(messages, size, sessions, sink.address))
        _row("smtp-source, no queue at all", source, postfix)


async def _receivers(given: argparse.Namespace) -> None:
    _require(*receivers.NEEDS)
    await receivers.receivers(given.receiver, deadline_s=given.deadline, minute_s=given.minute)


async def _controller(given: argparse.Namespace) -> None:
    controller.controller(seeds=given.seeds, receivers=given.drawn, scenarios=given.scenario)


async def _roundtrip(given: argparse.Namespace) -> None:
    _require(*roundtrip.NEEDS)
    await roundtrip.roundtrip(given.distant, given.to.lower())


ROWS: dict[str, Callable[[argparse.Namespace], Awaitable[None]]] = {
    "drain": _drain,
    "receivers": _receivers,
    "controller": _controller,
    "roundtrip": _roundtrip,
}


def _require(*servers: type[Server]) -> None:
    for server in servers:
        try:
            server.find()
        except ServerMissing as error:
            sys.exit(f"make bench needs Debian's packages: {error}")


async def _median(runs: int, measure: Callable[[], Awaitable[float]]) -> float:
    return statistics.median([await measure() for _ in range(runs)])


def _row(name: str, rate: float, yardstick: float) -> None:
    print(f"  {name:<62} {rate:9,.0f}/s  {rate / yardstick:6.2f} x Postfix", flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.bench")
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"of {', '.join(ROWS)}; default: all")
    drain = parser.add_argument_group("drain")
    drain.add_argument("--messages", type=int, default=20_000)
    drain.add_argument("--size", type=int, default=4096)
    drain.add_argument("--sessions", type=int, default=50)
    drain.add_argument("--runs", type=int, default=_RUNS)
    real = parser.add_argument_group("receivers")
    real.add_argument("--receiver", default="", metavar="WORDS", help="only those whose names contain this")
    real.add_argument("--minute", type=int, default=6, metavar="SECONDS", help="by which rates are counted; really 60")
    real.add_argument("--deadline", type=float, default=60.0, metavar="SECONDS", help="for each sender")
    simulated = parser.add_argument_group("controller")
    simulated.add_argument("--seeds", type=int, default=2, help="runs of each scenario")
    simulated.add_argument("--drawn", type=int, default=60, metavar="N", help="receivers drawn at random")
    simulated.add_argument("--scenario", action="append", default=[], metavar="NAME", help="only these scenarios")
    distant = parser.add_argument_group("roundtrip")
    distant.add_argument("--distant", type=int, default=800, metavar="MESSAGES", help="that each sender sends")
    distant.add_argument("--to", default="", metavar="WORD", help="only receivers whose names contain this")
    return parser


async def _main(argv: Sequence[str]) -> None:
    parser = _parser()
    given = parser.parse_args(argv)
    if unknown := set(given.rows) - set(ROWS):
        parser.error(f"no such row: {', '.join(sorted(unknown))}; there are {', '.join(ROWS)}")
    for name in given.rows or ROWS:
        await ROWS[name](given)


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1:]))
