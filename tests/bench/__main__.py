"""`make bench`: every figure beside that of something on the same machine in the same run; rows are chosen by name."""

from __future__ import annotations

import argparse
import asyncio
import sys
from typing import TYPE_CHECKING

from tests.bench import batches, controller, depth, drain, intake, lag, receivers, roundtrip, urgent
from tests.bench.report import Report
from tests.servers import ServerMissing

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from tests.servers import Server

_RUNS = 3


async def _drain(report: Report, given: argparse.Namespace) -> None:
    _require(drain.NEEDS)
    await drain.drain(report, messages=given.messages, size=given.size, sessions=given.sessions, runs=given.runs)


async def _large(report: Report, given: argparse.Namespace) -> None:
    _require(drain.NEEDS)
    await drain.large(report, messages=given.large, sessions=given.sessions, runs=given.runs)


async def _tls(report: Report, given: argparse.Namespace) -> None:
    _require(drain.NEEDS_FOR_TLS)
    await drain.tls(report, messages=given.messages, size=given.size, sessions=given.sessions, runs=given.runs)


async def _through(report: Report, given: argparse.Namespace) -> None:
    _require(intake.NEEDS)
    await intake.through(report, messages=given.large, runs=given.runs)


async def _intake(report: Report, given: argparse.Namespace) -> None:
    _require(intake.NEEDS)
    await intake.intake(report, messages=given.messages // 4, size=given.size, runs=given.runs)


async def _batches(report: Report, given: argparse.Namespace) -> None:
    await batches.batches(report, recipients=given.recipients, singles=given.messages // 4, runs=given.runs)


async def _domains(report: Report, given: argparse.Namespace) -> None:
    _require(depth.NEEDS)
    await depth.domains(report, messages=given.most, size=given.size, sessions=given.sessions)


async def _depth(report: Report, given: argparse.Namespace) -> None:
    _require(depth.NEEDS)
    lengths = (given.most // 100, given.most // 10, given.most)
    await depth.depth(report, lengths=lengths, size=given.size, sessions=given.sessions)


async def _urgent(report: Report, given: argparse.Namespace) -> None:
    _require(urgent.NEEDS)
    await urgent.urgent(report, bulk=given.most // 10, size=given.size, sessions=given.sessions)


async def _lag(report: Report, given: argparse.Namespace) -> None:
    _require(lag.NEEDS)
    await lag.lag(report, messages=given.most // 5, size=given.size, sessions=given.sessions)


async def _receivers(_: Report, given: argparse.Namespace) -> None:
    _require(receivers.NEEDS)
    await receivers.receivers(given.receiver, deadline_s=given.deadline, minute_s=given.minute)


async def _controller(_: Report, given: argparse.Namespace) -> None:
    controller.controller(seeds=given.seeds, receivers=given.drawn, scenarios=given.scenario)


async def _roundtrip(report: Report, given: argparse.Namespace) -> None:
    _require(roundtrip.NEEDS)
    await roundtrip.roundtrip(report, given.distant, given.to.lower())


ROWS: dict[str, Callable[[Report, argparse.Namespace], Awaitable[None]]] = {
    "drain": _drain,
    "large": _large,
    "tls": _tls,
    "through": _through,
    "intake": _intake,
    "batches": _batches,
    "roundtrip": _roundtrip,
    "domains": _domains,
    "depth": _depth,
    "urgent": _urgent,
    "lag": _lag,
    "receivers": _receivers,
    "controller": _controller,
}


def _require(servers: Sequence[type[Server]]) -> None:
    for server in servers:
        try:
            server.find()
        except ServerMissing as error:
            sys.exit(f"make bench needs Debian's packages: {error}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.bench")
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"of {', '.join(ROWS)}; default: all")
    speed = parser.add_argument_group("speed")
    speed.add_argument("--messages", type=int, default=20_000)
    speed.add_argument("--size", type=int, default=4096)
    speed.add_argument("--large", type=int, default=2000, metavar="MESSAGES", help="of the large ones")
    speed.add_argument("--most", type=int, default=1_000_000, metavar="MESSAGES", help="of the longest queues")
    speed.add_argument("--recipients", type=int, default=100_000, metavar="N", help="of a batch")
    speed.add_argument("--sessions", type=int, default=50)
    speed.add_argument("--runs", type=int, default=_RUNS)
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
    report = Report()
    for name in given.rows or ROWS:
        await ROWS[name](report, given)
    report.end()


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1:]))
