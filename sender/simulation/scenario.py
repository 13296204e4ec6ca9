"""A scenario: a receiver, the mail for it and the sender's limits, as TOML; what is left out is as the product has it.

Shipped scenarios lie in `scenarios/`, one file each. The same tables can be put together from the command line.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from sender.core.errors import ConfigError, Problem
from sender.core.quantity import exact_duration
from sender.settings import DeliverySettings, WindowSettings
from sender.tables import (
    Count,
    Duration,
    MaybeZeroDuration,
    NotNegative,
    Number,
    PerSecond,
    Positive,
    Share,
    Table,
    checked,
    read,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sender.settings import Settings

SHIPPED = Path(__file__).parent / "scenarios"
_DELIVERY, _WINDOW = DeliverySettings(), WindowSettings()
_HOUR_S, _WEEK_S = 3600.0, 7 * 86400.0


class PenaltyTable(Table):
    """`[receiver.penalty]`: refusals that close the door to us altogether."""

    refusals: Count  # more than so many
    within: Duration
    lasts: Duration


class OthersTable(Table):
    """`[receiver.others]`: senders that share the cap with us."""

    sessions: Positive
    amplitude: NotNegative = 0.0
    period: Duration = 1200.0
    noise: NotNegative = 0.0


class DomainTable(Table):
    """`[[receiver.domains]]`: what holds for one of the domains that the mail is for, by its number from 0."""

    number: Number
    blocked: bool = False
    rate: PerSecond | None = None
    burst: Count | None = None


class ChangeTable(Table):
    """`[[receiver.changes]]`: what is different from an instant on."""

    at: MaybeZeroDuration
    connections: Count | None = None
    rate: PerSecond | None = None
    service_time: Duration | None = None
    overloaded_above: Count | None = None
    blocked: bool | None = None


class ReceiverTable(Table):
    """`[receiver]`: what it allows, how it counts, how it says no, and how fast it is."""

    connections: Count | None = None  # at a time; not set: no cap
    refuses_at: Literal["banner", "mail"] = "banner"
    when_lowered: Literal["drain", "kill"] = "drain"  # sessions beyond a new cap are let finish, or closed at MAIL
    release_delay: MaybeZeroDuration = 0.0  # a session that has said QUIT is counted for so long
    abandoned_for: MaybeZeroDuration = 1800.0  # one that was cut off is
    counts_every: MaybeZeroDuration = 0.0  # several nodes that tell each other their counts so often
    connection_quota: Count | None = None  # connections begun in a span, those included that it has refused
    connection_span: Duration = 60.0
    messages_per_connection: Count | None = None
    broken_nodes: Share = 0.0  # of connections, that meet a node which refuses them
    penalty: PenaltyTable | None = None
    others: OthersTable | None = None

    rate: PerSecond | None = None  # messages, as a token bucket
    burst: Count | None = None  # not set: what comes in a second
    quota: Count | None = None  # messages in a span that begins with its first one
    quota_span: Duration = 60.0
    greylisted: Share = 0.0  # of messages, until `greylisted_for` after their first attempt
    greylisted_for: Duration = 300.0
    greylisting_misread: Share = 0.0  # of these replies, that read like one about too many connections
    lost: Share = 0.0  # of transactions, that end with the connection
    overloaded_above: Count | None = None  # transactions at a time
    domains: tuple[DomainTable, ...] = ()

    service_time: Duration = 1.0  # of one message, in the mean
    service_variation: NotNegative = 0.4  # standard deviation, in parts of the mean
    knee: Count | None = None  # transactions at a time, beyond which each takes longer
    knee_exponent: Positive = 1.0
    round_trip: Duration = 0.05
    tls_time: MaybeZeroDuration = 0.15
    banner_delay: MaybeZeroDuration = 0.05
    names_wait: Duration | None = None  # "try again in ..." with each refusal
    changes: tuple[ChangeTable, ...] = ()


class MailTable(Table):
    """`[mail]`: a campaign of `messages`, or mail that comes at a `rate`, or else a queue that never empties."""

    messages: Count | None = None
    rate: PerSecond | None = None
    wave_rate: PerSecond | None = None  # in its place, for `wave_for` every `wave_every`
    wave_every: Duration = 600.0
    wave_for: Duration = 60.0
    domains: Count = 1


class SenderTable(Table):
    """`[sender]`: how the sender is configured."""

    start_window: Count = _WINDOW.start
    max_window: Count = _WINDOW.max
    messages_per_session: Count = _DELIVERY.messages_per_session
    idle_timeout: MaybeZeroDuration = _DELIVERY.idle_timeout
    connect_backoff: Duration = _DELIVERY.connect_backoff
    connect_backoff_max: Duration = _DELIVERY.connect_backoff_max
    senders: Count = 1  # that know nothing of each other
    apart: MaybeZeroDuration = 60.0  # between their starts


class EventTable(Table):
    """`[[events]]`: what happens to the sender."""

    at: MaybeZeroDuration
    what: Literal["restart", "crash", "cut"]  # stop cleanly, or not, and go on at once; every connection is lost


class Scenario(Table):
    """See the module. The name is that of the file."""

    description: str = ""
    duration: Duration | None = None  # not set: until every message has ended; of a queue that never empties, an hour
    receiver: ReceiverTable = ReceiverTable()
    mail: MailTable = MailTable()
    sender: SenderTable = SenderTable()
    events: tuple[EventTable, ...] = ()
    name: str = Field(default="", exclude=True)

    @property
    def is_campaign(self) -> bool:
        """Tell whether the mail ends."""
        return self.mail.messages is not None

    @property
    def duration_s(self) -> float:
        """The simulated time, at the most."""
        return self.duration or (_WEEK_S if self.is_campaign else _HOUR_S)


def shipped() -> list[str]:
    """List the scenarios that come with the package."""
    return sorted(path.stem for path in SHIPPED.glob("*.toml"))


def load(name: str, changed: Mapping[str, Any] | None = None) -> Scenario:
    """Read a shipped scenario or a file, with some keys changed. Raises ConfigError with every problem."""
    path = SHIPPED / f"{name}.toml"
    if name not in shipped():
        path = Path(name)
        if path.suffix != ".toml":
            rule = "must be a TOML file or a shipped scenario (sender simulate --list)"
            raise ConfigError([Problem("command line", "SCENARIO", name, rule)])
    changed = changed or {}
    try:
        return from_tables(merged(read(path), changed), place=str(path), name=path.stem)
    except ConfigError as error:
        raise ConfigError([_in_its_place(problem, changed) for problem in error.problems]) from None


def _in_its_place(problem: Problem, changed: Mapping[str, Any]) -> Problem:
    """Say of a value that was given on the command line that it stands there."""
    value: Any = changed
    for key in problem.name.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    return problem if value is None else Problem("command line", problem.name, problem.value, problem.rule)


def from_tables(tables: Mapping[str, Any], *, place: str, name: str) -> Scenario:
    """Check tables that stand, or could stand, in a file. Raises ConfigError with every problem."""
    scenario = checked(Scenario, {**tables, "name": name}, place)
    problems = list(_contradictions(scenario, place))
    if problems:
        raise ConfigError(problems)
    return scenario


def sender_keys(settings: Settings) -> dict[str, Any]:
    """Give `[sender]` as a configuration has it."""
    return {
        "start_window": settings.window.start,
        "max_window": settings.window.max,
        "messages_per_session": settings.delivery.messages_per_session,
        "idle_timeout": exact_duration(settings.delivery.idle_timeout),
        "connect_backoff": exact_duration(settings.delivery.connect_backoff),
        "connect_backoff_max": exact_duration(settings.delivery.connect_backoff_max),
    }


def merged(tables: Mapping[str, Any], changed: Mapping[str, Any]) -> dict[str, Any]:
    """Change keys of tables, and of the tables in them."""
    result = dict(tables)
    for key, value in changed.items():
        below = result.get(key)
        result[key] = merged(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return result


def _contradictions(scenario: Scenario, place: str) -> Iterator[Problem]:
    """Find what each key allows and the whole does not."""
    receiver, mail, sender = scenario.receiver, scenario.mail, scenario.sender
    if sender.start_window > sender.max_window:
        rule = f"must be at most sender.max_window, {sender.max_window}"
        yield Problem(place, "sender.start_window", sender.start_window, rule)
    if mail.messages is not None and mail.rate is not None:
        yield Problem(place, "mail.rate", _rate(mail.rate), "must not be set with mail.messages")
    if mail.wave_rate is not None and mail.rate is None:
        yield Problem(place, "mail.wave_rate", _rate(mail.wave_rate), "must be set with mail.rate")
    if mail.wave_for > mail.wave_every:
        yield Problem(place, "mail.wave_for", exact_duration(mail.wave_for), "must be at most mail.wave_every")
    for index, domain in enumerate(receiver.domains):
        if domain.number >= mail.domains:
            rule = f"must be less than mail.domains, {mail.domains}"
            yield Problem(place, f"receiver.domains.{index}.number", domain.number, rule)
    yield from _changes_of_nothing(receiver, place)
    if receiver.others is not None and receiver.connections is None:
        yield Problem(place, "receiver.connections", "", "must be set where others share it")


def _changes_of_nothing(receiver: ReceiverTable, place: str) -> Iterator[Problem]:
    for index, change in enumerate(receiver.changes):
        for key in ("connections", "rate"):
            value = getattr(change, key)
            if value is not None and getattr(receiver, key) is None:
                shown = _rate(value) if key == "rate" else value
                yield Problem(place, f"receiver.changes.{index}.{key}", shown, f"must be set as receiver.{key} first")


def _rate(per_second: float) -> str:
    return f"{per_second:g}/s"
