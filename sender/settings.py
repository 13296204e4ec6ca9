"""`config/sender.toml` as a frozen value; what is wrong with a file is told all at once.

Each key stands here once, with its default and its rule. Unknown keys, wrong types and impossible values are problems
that name file, key, value and rule.
"""

from __future__ import annotations

import ipaddress
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, Field, field_validator

from sender.core.address import canonical_domain
from sender.core.endpoint import parse_address, split_endpoint, split_nameserver
from sender.core.errors import AddressError, ConfigError, Problem
from sender.core.options import checked_name
from sender.core.provider import share_name
from sender.core.schedule import RetryPolicy
from sender.events_settings import EventsSettings
from sender.tables import (
    Count,
    Duration,
    MaybeZeroDuration,
    MaybeZeroSize,
    OptionalDuration,
    Size,
    Table,
    checked,
    problems_in,
    read,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

SEARCHED = (Path("config/sender.toml"), Path("/etc/sender/sender.toml"))


def _address(value: str) -> str:
    if value:
        parse_address(value)
    return value


def _nameserver(value: str) -> str:
    split_nameserver(value)
    return value


def _route(value: str) -> str:
    if value != "mx":
        try:
            split_endpoint(value)
        except ValueError as error:
            raise ValueError('must be "host:port" or "mx"') from error
    return value


def _host_name(value: str) -> str:
    canonical_domain(value)
    return value


def _optional_host_name(value: str) -> str:
    return _host_name(value) if value else value


def _endpoint(value: str) -> str:
    split_endpoint(value)
    return value


def _network(value: str) -> str:
    try:
        ipaddress.ip_network(value)
    except ValueError as error:
        raise ValueError(f'must be a network such as "192.0.2.0/24": {error}') from error
    return value


def _domain_key(value: str) -> str:
    return value if value == "*" else canonical_domain(value)


def _destination_key(value: str) -> str:
    try:
        return canonical_domain(value)
    except AddressError:  # the name of a site
        return value.lower()


Endpoint = Annotated[str, AfterValidator(_endpoint)]
Network = Annotated[str, AfterValidator(_network)]
Nameserver = Annotated[str, AfterValidator(_nameserver)]
Route = Annotated[str, AfterValidator(_route)]
HostName = Annotated[str, AfterValidator(_host_name)]
Tls = Literal["none", "opportunistic", "required"]


class SpoolSettings(Table):
    """`[spool]`: where accepted mail is kept."""

    url: str = "sqlite:spool/spool.db"
    commit_interval: MaybeZeroDuration = 0.003
    keep_ended: MaybeZeroDuration = 3600.0
    keep_keys: Duration = 86400.0  # how long an Idempotency-Key is known
    min_free: MaybeZeroSize = 512 * 2**20  # bytes of its disk; nothing is accepted below
    max_queued: Count = 10_000_000  # recipients; nothing is accepted above
    max_hold: Duration = 30 * 86400.0  # that mail may wait for its `send_at`
    drop: str = "drop"  # where `sender sendmail` leaves mail while no daemon runs; beside the file of the spool

    @field_validator("url")
    @classmethod
    def _supported(cls, value: str) -> str:
        if not value.startswith("sqlite:") or value == "sqlite:":
            raise ValueError('must be "sqlite:" and a file, such as "sqlite:spool/spool.db"')
        return value


class SmtpSettings(Table):
    """`[smtp]`: the submission listener, and `[listeners.NAME]`: others, which have its keys where they set no own."""

    listen: tuple[Endpoint, ...] = ("127.0.0.1:2525",)
    listen_tls: tuple[Endpoint, ...] = ()  # TLS from the first byte on (RFC 8314)
    max_message_size: Size = 25 * 2**20
    max_recipients: Count = 1000
    max_connections: Count = 1000
    max_connections_per_address: Count = 100
    max_hops: Count = 100
    max_commands: Count = 100  # that lead to no message, between two that do
    max_errors: Count = 20  # of a client, between two messages
    max_auth_failures: Count = 3  # in a connection
    max_auth_failures_per_address: Count = 50  # within `auth_failure_window`
    auth_failure_window: Duration = 600.0
    relay_networks: tuple[Network, ...] = ("127.0.0.0/8", "::1/128")
    users_file: str = ""
    tls_cert: str = ""
    tls_key: str = ""
    command_timeout: Duration = 300.0
    block_timeout: Duration = 180.0
    session_timeout: Duration = 3600.0  # of a connection, and of one message's content
    goodbye_timeout: Duration = 5.0  # that a client may take to read the last reply
    min_data_rate: Size = 500  # bytes of content per second, on average over block_timeout
    long_lines: Literal["fold", "refuse"] = "fold"  # those above 998 bytes (RFC 5321 section 4.5.3.1.6)
    control_headers: bool = True  # X-Sender-Stream and the others are honoured, and removed


class SendmailSettings(Table):
    """`[sendmail]`: how long `sender sendmail` waits for a daemon before it leaves a message in the drop folder."""

    connect_timeout: Duration = 10.0
    reply_timeout: Duration = 60.0
    end_of_data_timeout: Duration = 600.0  # who gives up earlier sends the message twice
    quit_timeout: Duration = 2.0


class HttpSettings(Table):
    """`[http]`: API, metrics and health."""

    listen: Endpoint = "127.0.0.1:8025"
    intake_listen: Endpoint | Literal[""] = ""  # of a process that only accepts, beside the delivering one
    tokens_file: str = ""  # empty: this machine may call, nobody else
    max_batch_size: Size = 256 * 2**20  # bytes of the body of a batch
    max_recipients: Count = 1000  # of one message
    max_requests: Count = 100  # with a body, at the same time; 503 above
    body_timeout: Duration = 60.0  # for the next piece of a body
    health_timeout: Duration = 5.0  # for the answer of the spool to /healthz; 503 afterwards


class DnsSettings(Table):
    """`[dns]`: who is asked, and for how long answers are kept."""

    nameservers: tuple[Nameserver, ...] = ()
    timeout: Duration = 5.0
    lifetime: Duration = 15.0
    min_ttl: MaybeZeroDuration = 30.0
    max_ttl: Duration = 3600.0
    failure_ttl: MaybeZeroDuration = 30.0


class DeliverySettings(Table):
    """`[delivery]`: sessions with receivers. The timeouts are those of RFC 5321 section 4.5.3.2."""

    port: Annotated[int, Field(ge=1, le=65535)] = 25
    tls: Tls = "opportunistic"
    allow_private_addresses: bool = False
    max_sessions: Count = 2000
    messages_per_session: Count = 1000
    max_recipients: Count = 100
    idle_timeout: MaybeZeroDuration = 5.0
    connect_timeout: Duration = 30.0
    banner_timeout: Duration = 300.0
    ehlo_timeout: Duration = 300.0
    starttls_timeout: Duration = 120.0
    mail_timeout: Duration = 300.0
    rcpt_timeout: Duration = 300.0
    data_timeout: Duration = 120.0
    block_timeout: Duration = 180.0
    end_of_data_timeout: Duration = 600.0
    rset_timeout: Duration = 20.0
    quit_timeout: Duration = 5.0
    pipelining: bool = True
    chunking: bool = True
    max_addresses: Count = 5
    connect_backoff: Duration = 15.0
    connect_backoff_max: Duration = 600.0
    sibling_wait: MaybeZeroDuration = 0.1
    drain_timeout: Duration = 660.0


class WindowSettings(Table):
    """`[window]`: the adaptive limit."""

    start: Count = 5
    max: Count = 100
    headroom: Annotated[float, Field(gt=0, le=1)] = 0.8


_SCHEDULE_S = (120.0, 300.0, 900.0, 1800.0, 3600.0, 7200.0, 14400.0)


class RetrySettings(Table):
    """`[retry]`: when a deferred recipient is tried again."""

    schedule: Annotated[tuple[Duration, ...], Field(min_length=1)] = _SCHEDULE_S
    jitter: Annotated[float, Field(ge=0, lt=1)] = 0.1
    max_age: Duration = 259200.0
    delay_warning: OptionalDuration = None

    def policy(self) -> RetryPolicy:
        """Give the rules as the core takes them."""
        return RetryPolicy(
            schedule_s=self.schedule, jitter=self.jitter, max_age_s=self.max_age, delay_warning_s=self.delay_warning
        )


class RestSettings(Table):
    """`[rests]`: how long a mailbox, domain or identity that is throttled by itself is left alone."""

    first: Duration = 600.0
    doubtful: Duration = 60.0  # the first, where no reply said whom it concerns
    max: Duration = 86400.0


class NoticeSettings(Table):
    """`[notices]`: what senders are told of their mail."""

    max_per_hour: Count = 1000  # to one sender; beyond, outcomes are recorded and nobody is told


class SourceSettings(Table):
    """`[sources.NAME]`: a local address to send from."""

    address: Annotated[str, AfterValidator(_address)] = ""
    helo: Annotated[str, AfterValidator(_optional_host_name)] = ""


class DestinationSettings(Table):
    """`[destinations."NAME"]`: what is different for one domain or site."""

    max_window: Count | None = None
    cap: Count | None = None  # sessions that the receiver is known to allow; `window.headroom` of them are used
    messages_per_session: Count | None = None
    max_recipients: Count | None = None
    share: Annotated[str, AfterValidator(share_name)] | None = None  # sites with the same name here have one limit
    pipelining: bool | None = None
    chunking: bool | None = None
    tls: Tls | None = None
    route: Route | None = None
    source: str | None = None
    retry: RetrySettings | None = None


_AS_USUAL = DestinationSettings()


class StreamSettings(Table):
    """`[streams.NAME]`: mail that shares a priority and a fair share."""

    priority: Literal["urgent", "normal", "bulk"] = "normal"
    weight: Annotated[float, Field(gt=0)] = 1.0


class ClassifySettings(Table):
    """`[classify]`: what replies mean."""

    rules: str = ""  # a file of rules that are read before the shipped ones


class Settings(Table):
    """The whole configuration. Relative paths are relative to `directory`."""

    hostname: HostName = Field(default_factory=socket.getfqdn)
    spool: SpoolSettings = SpoolSettings()
    smtp: SmtpSettings = SmtpSettings()
    listeners: dict[Annotated[str, AfterValidator(checked_name)], SmtpSettings] = Field(default={})
    sendmail: SendmailSettings = SendmailSettings()
    http: HttpSettings = HttpSettings()
    dns: DnsSettings = DnsSettings()
    routes: dict[Annotated[str, AfterValidator(_domain_key)], Route] = Field(default={})
    delivery: DeliverySettings = DeliverySettings()
    events: EventsSettings = EventsSettings()
    window: WindowSettings = WindowSettings()
    retry: RetrySettings = RetrySettings()
    rests: RestSettings = RestSettings()
    notices: NoticeSettings = NoticeSettings()
    sources: dict[str, SourceSettings] = Field(default={"default": SourceSettings()})
    destinations: dict[Annotated[str, AfterValidator(_destination_key)], DestinationSettings] = Field(default={})
    streams: dict[str, StreamSettings] = Field(default={"default": StreamSettings()})
    classify: ClassifySettings = ClassifySettings()
    directory: Path = Field(default=Path(), exclude=True)

    @property
    def rules_path(self) -> Path | None:
        """The file of the operator's own rules."""
        return self.path(self.classify.rules) if self.classify.rules else None

    @property
    def spool_path(self) -> Path:
        """The file of the spool."""
        return self.directory / self.spool.url.removeprefix("sqlite:")

    def path(self, name: str) -> Path:
        """Give a file that is named relative to the configuration."""
        return self.directory / name

    @property
    def webhook_path(self) -> Path:
        """The folder in which events wait for the webhook."""
        return self.spool_path.parent / self.events.webhook_folder

    @property
    def drop_path(self) -> Path:
        """The folder in which `sender sendmail` leaves mail while no daemon runs."""
        return self.spool_path.parent / self.spool.drop

    @property
    def all_listeners(self) -> dict[str, SmtpSettings]:
        """Every listener by its name; that of `[smtp]` is `smtp`."""
        return {"smtp": self.smtp, **self.listeners}

    def stream(self, name: str) -> StreamSettings:
        """Give what holds for a stream; one that is not configured has the defaults."""
        return self.streams.get(name) or self.streams.get("default") or StreamSettings()

    def destination(self, name: str) -> DestinationSettings:
        """Give what is different for a domain or site; nothing, where it is not configured."""
        return self.destinations.get(name) or _AS_USUAL


def find(path: str | None) -> Path:
    """Find the configuration file: the one that is named, `$SENDER_CONFIG`, or the usual places. Raises ConfigError."""
    named = path or os.environ.get("SENDER_CONFIG")
    if named:
        return Path(named)
    for candidate in SEARCHED:
        if candidate.is_file():
            return candidate
    places = ", ".join(map(str, SEARCHED))
    raise ConfigError(
        [Problem("configuration", "", None, f"no file: give --config FILE or $SENDER_CONFIG (looked at {places})")]
    )


def load(path: Path) -> Settings:
    """Read a file. Raises ConfigError with every problem in it."""
    return from_tables(read(path), path)


def from_tables(tables: dict[str, Any], path: Path) -> Settings:
    """Check tables that stand, or could stand, in a file. Raises ConfigError."""
    settings = checked(Settings, {**_inherited(tables), "directory": path.parent.absolute()}, str(path))
    problems = list(_contradictions(settings, path))
    if problems:
        raise ConfigError(problems)
    return settings


def _inherited(tables: dict[str, Any]) -> dict[str, Any]:
    """Let each further listener have the keys of `[smtp]` that it does not set itself, but for where it listens.

    What is wrong with a key is told where it stands, and once: only known keys are handed on, and good ones.
    """
    listeners, smtp = tables.get("listeners"), tables.get("smtp", {})
    if not isinstance(listeners, dict) or not isinstance(smtp, dict):
        return tables
    wrong = {problem.name.partition(".")[0] for problem in problems_in(SmtpSettings, smtp, "")}
    shared = {key: value for key, value in smtp.items() if key not in wrong} | {"listen": (), "listen_tls": ()}
    return {
        **tables,
        "listeners": {name: {**shared, **own} if isinstance(own, dict) else own for name, own in listeners.items()},
    }


def _contradictions(settings: Settings, path: Path) -> list[Problem]:
    """Find what each key allows and the whole does not."""
    place = str(path)
    problems = []
    for name, smtp in settings.all_listeners.items():
        table = "smtp" if smtp is settings.smtp else f"listeners.{name}"
        problems += [Problem(place, f"{table}.{key}", value, rule) for key, value, rule in _of_listener(settings, smtp)]
    if "smtp" in settings.listeners:
        problems.append(Problem(place, "listeners.smtp", "", "must have another name: [smtp] is the one of this name"))
    if (tokens_file := settings.http.tokens_file) and _is_missing(settings.path(tokens_file)):
        problems.append(Problem(place, "http.tokens_file", tokens_file, "must be a file that can be read"))
    problems += [
        Problem(place, f"events.{key}", value, rule)
        for key, value, rule in settings.events.contradictions(lambda name: _is_missing(settings.path(name)))
    ]
    if settings.window.start > settings.window.max:
        problems.append(
            Problem(place, "window.start", settings.window.start, f"must be at most window.max, {settings.window.max}")
        )
    for name, destination in settings.destinations.items():
        if destination.source is not None and destination.source not in settings.sources:
            key = f'destinations."{name}".source'
            known = ", ".join(settings.sources)
            problems.append(Problem(place, key, destination.source, f"must be one of the sources: {known}"))
    if "default" not in settings.sources:
        problems.append(Problem(place, "sources", ", ".join(settings.sources), 'must have a table "sources.default"'))
    return problems


def _of_listener(settings: Settings, smtp: SmtpSettings) -> Iterator[tuple[str, str, str]]:
    """Find what is wrong with a listener as a whole: key, value and rule."""
    if bool(smtp.tls_cert) != bool(smtp.tls_key):
        yield "tls_key" if smtp.tls_cert else "tls_cert", "", "must be set with the other of tls_cert and tls_key"
    if smtp.listen_tls and not smtp.tls_cert:
        yield "tls_cert", "", "must be set where listen_tls is"
    if smtp is not settings.smtp and not (smtp.listen or smtp.listen_tls):
        yield "listen", "", "must name an address, or listen_tls must"
    for key in ("users_file", "tls_cert", "tls_key"):
        name = getattr(smtp, key)
        if name and _is_missing(settings.path(name)):
            yield key, name, "must be a file that can be read"


def _is_missing(path: Path) -> bool:
    """Tell whether something is no file; who may not look, as a user of `sender sendmail`, cannot tell."""
    try:
        return not path.is_file()
    except PermissionError:
        return False
