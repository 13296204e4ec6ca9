"""`sender simulate`: what the controller makes of a model receiver, and how long a campaign takes.

`--json` prints an object: `scenario`, `description`, `duration_s` (simulated, at the most), `campaign` (whether the
mail ends), `messages` (of the campaign, or null), `seeds`, and `controllers`, a list with the oracle last. Each has
`controller`, `delivered`, `throttles` and `sessions_refused` (means over the seeds), `per_thousand` (throttles for
1,000 messages delivered) and `per_thousand_late` (in the second half), `goodput` (share of what the oracle delivers; of
a campaign that ended, the oracle's time in parts of this one) and `goodput_late`, `burst` (most throttles in ten
seconds), `takes_s` (until the campaign had ended; null where it did not), `expired`, `fairness` (Jain's index, of
several senders), `reasons` (throttles by reason), `convergences` (`what`, `at`, `allowed`, `after_s`: how long until
the sessions were near to what is allowed, the slowest of the seeds, null for never) and `way` (`at`, `before`, `after`,
`cause`, `took_s`: how the window moved, in the first seed). Instants and lengths are seconds of simulated time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from sender import settings as configuration
from sender.cli.common import Commands, command, print_json
from sender.core.errors import ConfigError, Problem
from sender.core.quantity import duration_text
from sender.simulation import generator, plot, report, scenario
from sender.simulation.run import CONTROLLERS, simulate

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator, Sequence

    from sender.simulation.report import Figures, Step
    from sender.simulation.run import Run
    from sender.simulation.scenario import Scenario

_ORACLE = "oracle"
_STEPS = 6  # of the window's way, at its beginning and at its end


def register(commands: Commands) -> None:
    """Add the command."""
    parser = command(
        commands,
        "simulate",
        _simulate,
        text="Try the controller against a model receiver, in simulated time.",
        example="sender simulate --connections 30 --per-connection 20 --rate 10/s --messages 1000000",
        reads=True,
    )
    parser.add_argument(
        "scenario",
        nargs="?",
        metavar="SCENARIO",
        help="a shipped scenario (--list), a TOML file of your own, or random:N for a receiver drawn at random",
    )
    parser.add_argument("--list", action="store_true", help="list the shipped scenarios, and where their files are")
    parser.add_argument(
        "--controller",
        action="append",
        choices=list(CONTROLLERS),
        help="who sends (default: ours); given again: side by side. The oracle is always there",
    )
    parser.add_argument("--seeds", type=int, default=1, metavar="N", help="runs with other chances (default: 1)")
    parser.add_argument(
        "--plot", metavar="FILE", help="draw window, throttles and messages over time (.svg, .png, .pdf)"
    )
    described = parser.add_argument_group("a receiver in a few words (or what is to be different in SCENARIO)")
    described.add_argument("--connections", type=int, metavar="N", help="it allows so many at a time")
    described.add_argument("--per-connection", type=int, metavar="N", help="and takes so many messages on each")
    described.add_argument("--rate", metavar="RATE", help='and so many messages in a time, such as "10/s" or "300/min"')
    described.add_argument("--service-time", metavar="TIME", help="which take it so long each (default: 1s)")
    described.add_argument("--messages", type=int, metavar="N", help="a campaign of so many, not mail without end")
    described.add_argument("--duration", metavar="TIME", help="simulated time, at the most")


def _simulate(arguments: argparse.Namespace) -> int:
    if arguments.list:
        return _list(as_json=arguments.json)
    if arguments.seeds < 1:
        raise ConfigError([Problem("command line", "--seeds", arguments.seeds, "must be 1 or more")])
    if arguments.plot:
        plot.check_format(arguments.plot)
    chosen = _scenario(arguments)
    names = [name for name in dict.fromkeys(arguments.controller or ["ours"]) if name != _ORACLE]
    runs = {name: [simulate(chosen, name, seed) for seed in range(arguments.seeds)] for name in [*names, _ORACLE]}
    all_figures = [report.figures(each, runs[_ORACLE]) for each in runs.values()]
    if arguments.plot:
        plot.draw([runs[name][0] for name in names or [_ORACLE]], arguments.plot)
    if arguments.json:
        print_json(report.as_json(chosen, arguments.seeds, all_figures))
    else:
        _print(chosen, all_figures, runs)
    return 0


def _list(*, as_json: bool) -> int:
    scenarios = [scenario.load(name) for name in scenario.shipped()]
    if as_json:
        print_json([{"scenario": one.name, "description": one.description} for one in scenarios])
        return 0
    table = Table(box=None, pad_edge=False, show_header=False)
    for one in scenarios:
        table.add_row(one.name, one.description)
    Console(highlight=False).print(table)
    print(f"\nTheir files are in {scenario.SHIPPED}: copy one to describe a receiver of your own.")
    return 0


# what is simulated


def _scenario(arguments: argparse.Namespace) -> Scenario:
    """Take the scenario that is named, or described, with what is different. Raises ConfigError."""
    changed = _changed(arguments)
    name = arguments.scenario
    if name is None:
        if not changed:
            rule = "must be given, or a receiver such as --connections 30, or --list"
            raise ConfigError([Problem("command line", "SCENARIO", "", rule)])
        described = {"description": _description(arguments), **changed}
        return scenario.from_tables(_with_configuration(arguments, described), place="command line", name="receiver")
    changed = _with_configuration(arguments, changed)
    return generator.named(name, changed) if name.startswith(generator.PREFIX) else scenario.load(name, changed)


def _changed(arguments: argparse.Namespace) -> dict[str, Any]:
    """Put the words of the command line as the keys of a scenario."""
    given = {
        "receiver": {
            "connections": arguments.connections,
            "messages_per_connection": arguments.per_connection,
            "rate": arguments.rate,
            "service_time": arguments.service_time,
        },
        "mail": {"messages": arguments.messages},
    }
    changed: dict[str, Any] = {
        table: {key: value for key, value in keys.items() if value is not None} for table, keys in given.items()
    }
    changed = {table: keys for table, keys in changed.items() if keys}
    return changed if arguments.duration is None else {**changed, "duration": arguments.duration}


def _with_configuration(arguments: argparse.Namespace, tables: dict[str, Any]) -> dict[str, Any]:
    """Let a configuration that is named say how the sender is set; without one it has its defaults."""
    if arguments.config is None:
        return tables
    settings = configuration.load(configuration.find(arguments.config))
    return {**tables, "sender": scenario.sender_keys(settings)}


def _description(arguments: argparse.Namespace) -> str:
    parts = (
        (arguments.connections, "{} connections"),
        (arguments.per_connection, "{} messages on each"),
        (arguments.rate, "messages at {}"),
        (arguments.service_time, "{} for a message"),
    )
    return ", ".join(words.format(value) for value, words in parts if value is not None)


# what is printed


def _print(chosen: Scenario, all_figures: Sequence[Figures], runs: dict[str, list[Run]]) -> None:
    print(f"{chosen.name}: {chosen.description}" if chosen.description else chosen.name)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for number, column in enumerate(("", *(each.controller for each in all_figures))):
        table.add_column(column, justify="right" if number else "left")
    for name, figure in _rows(chosen, runs):
        table.add_row(name, *(figure(each) for each in all_figures))
    for number, convergence in enumerate(all_figures[0].convergences):
        name = f"  {_moment(convergence.what, convergence.at)}, {convergence.allowed} allowed"
        if number == 0:
            table.add_row("sessions are near to what is allowed")
        table.add_row(name, *(_found(each.convergences[number].after_s) for each in all_figures))
    Console(highlight=False, soft_wrap=True).print(table)
    for each in all_figures:
        if each.controller != _ORACLE and each.way:
            print(f"\nThe window of {each.controller}:")
            for line in _way(each.way):
                print(f"  {line}")


def _rows(chosen: Scenario, runs: dict[str, list[Run]]) -> Iterator[tuple[str, Callable[[Figures], str]]]:
    """Give the name of each row, and what stands in it for one controller."""
    if chosen.is_campaign:
        yield f"{chosen.mail.messages:,} messages take", lambda each: _takes(each, runs[each.controller][0])
    else:
        yield f"messages in {duration_text(chosen.duration_s)}", lambda each: f"{each.delivered:,.0f}"
    yield "of what can be done", lambda each: f"{each.goodput:.1%}"
    if not chosen.is_campaign:
        yield "  in the second half", lambda each: f"{each.goodput_late:.1%}"
    yield "throttles for 1,000 messages", lambda each: f"{each.per_thousand:.2f}"
    yield "  in the second half", lambda each: f"{each.per_thousand_late:.2f}"
    yield "  most in 10 seconds", lambda each: str(each.burst)
    if chosen.sender.senders > 1:
        yield "fairness (Jain)", lambda each: f"{each.fairness or 0:.2f}"


def _takes(each: Figures, first: Run) -> str:
    if each.takes_s is not None:
        return duration_text(each.takes_s)
    return f"more than {duration_text(first.ended_at)}"


def _moment(what: str, at: float) -> str:
    return "at the start" if what == "start" else f"after {what} at {duration_text(at)}"


def _found(after_s: float | None) -> str:
    return "never" if after_s is None else f"{after_s:.0f}s"


def _way(steps: Sequence[Step]) -> Iterator[str]:
    """Write the first and the last steps, a line each."""
    for number, step in enumerate(steps):
        if number == _STEPS and len(steps) > 2 * _STEPS:
            yield f"... {len(steps) - 2 * _STEPS} more (--json tells all)"
        if number < _STEPS or number >= len(steps) - _STEPS:
            took = f" in {duration_text(step.took_s)}" if step.took_s >= 1 else ""
            cause = f"  {step.cause.replace('_', ' ')}" if step.cause else ""
            yield f"{_clock(step.at)}  {step.before:>3} \u2192 {step.after:<3}{cause}{took}"


def _clock(at: float) -> str:
    hours, rest = divmod(int(at), 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}"
