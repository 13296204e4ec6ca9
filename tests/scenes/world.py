"""A world for scenes: a name server, receivers on loopback addresses of one port, a daemon, and clients that submit.

- Every address, port and file belongs to one world; nothing of it is left when the block ends.
- Waiting is for a condition, with a deadline.
- What became of the mail is read from the database file itself, not by the program that is examined.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import urllib.error
import urllib.request
from collections import Counter
from contextlib import AsyncExitStack, closing, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from io import StringIO
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Self

import aiosmtplib

from sender import cli
from sender import settings as configuration
from sender.clock import Clock
from sender.daemon import Daemon, Role
from sender.sandbox import Behaviour, DnsServer, Receiver
from sender.spool.contract import State
from tests.scenes.metrics import Metrics
from tests.servers.process import free_port, until

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
    from pathlib import Path

ORIGIN = "news@origin.test"
DEADLINE_S = 30.0
_NO_HEADERS: Mapping[str, str] = MappingProxyType({})
Tables = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Submission:
    """A message to submit; the subject is its identity in the ledgers too."""

    rcpt_tos: tuple[str, ...]
    mail_from: str = ORIGIN
    identity: str = ""

    @property
    def content(self) -> bytes:
        """Give the message as a client sends it."""
        head = f"From: {ORIGIN}\r\nTo: list@origin.test\r\nSubject: scene\r\nX-Ledger: {self.identity}\r\n"
        return f"{head}\r\nGood news.\r\n".encode()


@dataclass(slots=True)
class Books:
    """What the spool's file says: recipients by state, and what stands beside them."""

    states: Counter[State] = field(default_factory=Counter)
    totals: dict[str, int] = field(default_factory=dict)
    notices: int = 0
    most_attempts: int = 0

    @property
    def waiting(self) -> int:
        """Count the recipients that have not ended."""
        return self.states[State.QUEUED] + self.states[State.CLAIMED] + self.states[State.SUSPENDED]


class World:
    """See the module. `notices` is how many bounces and warnings the scene expects by its end."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.http_port = free_port()
        self.smtp_port = free_port()
        self.dns = DnsServer()
        self.receivers: dict[str, Receiver] = {}
        self.daemon: Daemon
        self.clock = Clock()
        self.notices = 0
        self.settings: configuration.Settings
        self._stack = AsyncExitStack()
        self._running = False
        self._before: dict[str, int] = {}
        self._number = 0

    async def __aenter__(self) -> Self:
        await self._stack.enter_async_context(self.dns)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._running:
            await self.stop()
        await self._stack.aclose()

    # the surroundings

    async def receiver(self, name: str, behaviour: Behaviour | None = None, **options: Any) -> Receiver:  # noqa: ANN401 - the receiver's own
        """Start a receiver with an address of its own, and give the name that address."""
        address = f"127.0.0.{len(self.receivers) + 2}"
        receiver = Receiver(behaviour or Behaviour(name=name), host=address, port=self.port, **options)
        await self._stack.enter_async_context(receiver)
        self.receivers[name] = receiver
        self.dns.a(name, address)
        return receiver

    async def inbox(self, behaviour: Behaviour | None = None, **options: Any) -> Receiver:  # noqa: ANN401 - the receiver's own
        """Start the receiver of the domain that the scenes send from: notices arrive there."""
        receiver = await self.receiver("mx.origin.test", behaviour, keep_arrivals=True, **options)
        self.dns.mx("origin.test", [(10, "mx.origin.test")])
        return receiver

    async def site(self, domain: str, behaviour: Behaviour | None = None, **options: Any) -> Receiver:  # noqa: ANN401 - the receiver's own
        """Start a receiver `mx.DOMAIN` that is the only MX host of a domain."""
        self.dns.mx(domain, [(10, f"mx.{domain}")])
        return await self.receiver(f"mx.{domain}", behaviour, **options)

    # the daemon

    def configure(self, tables: Tables | None = None) -> Path:
        """Write the configuration: the world's own, with the scene's tables laid over it."""
        merged = _merged(self._defaults(), tables or {})
        path = self.folder / "sender.toml"
        path.write_text(_toml(merged))
        self.settings = configuration.load(path)
        return path

    def _defaults(self) -> Tables:
        return {
            "hostname": "sender.test",
            "spool": {"url": "sqlite:spool.db", "min_free": "1MiB"},
            "smtp": {"listen": [f"127.0.0.1:{self.smtp_port}"]},
            "http": {"listen": f"127.0.0.1:{self.http_port}"},
            "dns": {
                "nameservers": [self.dns.address],
                "timeout": "1s",
                "lifetime": "2s",
                "min_ttl": "0s",
                "failure_ttl": "0s",
            },
            "delivery": {
                "port": self.port,
                "allow_private_addresses": True,
                "idle_timeout": "200ms",
                "connect_backoff": "200ms",
                "connect_backoff_max": "200ms",
            },
            "retry": {"schedule": ["300ms"], "jitter": 0.0, "max_age": "10m"},
        }

    async def start(self, tables: Tables | None = None, *, role: Role = Role.ALL) -> Daemon:
        """Start a daemon in this process, on the configuration there is or on a new one."""
        if tables is not None or not hasattr(self, "settings"):
            self.configure(tables)
        self._before = self.books().totals if self.settings.spool_path.exists() else {}
        self.daemon = Daemon(self.settings, role, clock=self.clock)
        await self.daemon.start()
        self._running = True
        delivered = State.DELIVERED.word  # by a process that could not record it
        self._before[delivered] = self._before.get(delivered, 0) + self.daemon.spool.recovered
        return self.daemon

    async def stop(self, *, drain_s: float = 10.0) -> None:
        """Stop the daemon."""
        self._running = False
        await self.daemon.stop(drain_s=drain_s)

    # clients

    async def send(self, *rcpt_tos: str, mail_from: str = ORIGIN) -> str:
        """Submit one message over SMTP; give its id."""
        return (await self.submit([self.message(*rcpt_tos, mail_from=mail_from)]))[0]

    def message(self, *rcpt_tos: str, mail_from: str = ORIGIN) -> Submission:
        """Write a message with an identity of its own."""
        self._number += 1
        return Submission(rcpt_tos, mail_from, f"message-{self._number}")

    async def submit(self, messages: Sequence[Submission], *, sessions: int = 8) -> list[str]:
        """Submit messages over a few SMTP sessions; give the ids of those that were accepted: all of them."""
        queue = iter(messages)
        ids: list[str] = []
        async with asyncio.TaskGroup() as group:
            for _ in range(min(sessions, len(messages))):
                group.create_task(self._submit(queue, ids))
        return ids

    async def submit_at_once(self, messages: Sequence[Submission]) -> None:
        """Submit messages of which none goes before all are accepted, however long that takes."""
        await self.command("suspend", "--all")
        await self.submit(messages)
        await self.command("resume", "--all")

    async def _submit(self, queue: Iterable[Submission], ids: list[str]) -> None:
        async with self.client() as client:
            for message in queue:
                _, reply = await client.sendmail(message.mail_from, message.rcpt_tos, message.content)
                ids.append(reply.rpartition(" ")[2])

    def client(self) -> aiosmtplib.SMTP:
        """Give a client of the daemon's listener."""
        return aiosmtplib.SMTP(hostname="127.0.0.1", port=self.smtp_port, local_hostname="client.test", start_tls=False)

    async def get(self, path: str, headers: Mapping[str, str] = _NO_HEADERS) -> tuple[int, bytes]:
        """Ask the daemon by HTTP: status and body."""
        status, body, _ = await asyncio.to_thread(_get, f"http://127.0.0.1:{self.http_port}{path}", headers)
        return status, body

    async def command(self, *words: str) -> tuple[int, str]:
        """Run a command of `sender` on this world's configuration: its exit code, and what it printed."""
        return await self.run(words[0], "--config", str(self.folder / "sender.toml"), *words[1:])

    async def run(self, *words: str) -> tuple[int, str]:
        """Run a command of `sender` as it is: its exit code, and what it printed."""
        return await asyncio.to_thread(_command, list(words))

    async def lane(self) -> Any:  # noqa: ANN401 - JSON
        """Show the only lane there is."""
        (lane,) = await self.json("lanes")
        return await self.json("lane", lane["name"])

    async def json(self, *words: str) -> Any:  # noqa: ANN401 - JSON
        """Run a reading command with --json and give what it printed."""
        code, text = await self.command(*words, "--json")
        assert code == 0, text
        return json.loads(text)

    # what became of the mail

    def books(self) -> Books:
        """Read the spool's file, all of it at one instant."""
        books = Books()
        with closing(self.database()) as database:
            database.execute("BEGIN")
            books.states.update(
                {
                    State(state): count
                    for state, count in database.execute("SELECT state, count(*) FROM recipients GROUP BY state")
                }
            )
            books.totals = dict(database.execute("SELECT name, count FROM totals"))
            (books.notices,) = database.execute("SELECT count(*) FROM messages WHERE listener = 'notice'").fetchone()
            (most,) = database.execute("SELECT max(attempts) FROM recipients").fetchone()
            books.most_attempts = most or 0
        return books

    def database(self, *, writes: bool = False) -> sqlite3.Connection:
        """Open the spool's file, as a rule for reading."""
        uri = f"file:{self.settings.spool_path}?mode={'rw' if writes else 'ro'}"
        return sqlite3.connect(uri, uri=True, timeout=10.0)

    async def until(self, what: str, holds: Callable[[], bool], *, deadline_s: float = DEADLINE_S) -> None:
        """Wait until something holds."""
        await until(what, holds, deadline_s=deadline_s, poll_s=0.02)

    async def until_true(
        self, what: str, holds: Callable[[], Awaitable[bool]], *, deadline_s: float = DEADLINE_S
    ) -> None:
        """Wait until something holds that has to be awaited."""
        async with asyncio.timeout(deadline_s):
            while not await holds():  # noqa: ASYNC110 - of what holds nobody else tells
                await asyncio.sleep(0.02)

    async def until_empty(self, *, deadline_s: float = DEADLINE_S) -> None:
        """Wait until every recipient has ended, and the daemon knows it."""
        await self.until(f"empty: {self.settings.spool_path}", lambda: not self.books().waiting, deadline_s=deadline_s)
        if self._running:
            await self.until("the daemon knows that nothing is queued", self.daemon.emptied.is_set)

    async def balance(self) -> None:
        """Assert conservation: every accepted recipient is in exactly one place, by file, report and metrics."""
        if not hasattr(self, "settings") or not self.settings.spool_path.exists():
            return  # nothing was started
        books = self.books()
        assert books.totals.get("accepted", 0) == books.states.total()
        for state in (State.DELIVERED, State.BOUNCED, State.EXPIRED, State.REMOVED):
            assert books.totals.get(state.word, 0) == books.states[state], state
        assert books.notices == self.notices
        if self._running and self.daemon.control is not None:
            await self._report_agrees()
            await self._metrics_agree()

    async def _report_agrees(self) -> None:
        control = self.daemon.control
        assert control is not None

        async def agrees() -> bool:
            report, totals, books = await control.queue(), (await control.lanes())["totals"], self.books()
            waiting = report["queued"] + report["suspended"] + report["in_flight"]
            ended = sum(totals.get(state.word, 0) for state in State if state.ended)
            return bool(waiting == books.waiting and totals.get("accepted", 0) == waiting + ended)

        # Mail moves between two looks; what is conserved is so whenever it stands still.
        await self.until_true("the queue's report agrees with the file", agrees)

    async def _metrics_agree(self) -> None:
        async def agree() -> bool:
            books, metrics = self.books(), await self.metrics()
            since = {name: books.totals.get(name, 0) - self._before.get(name, 0) for name in books.totals}
            bounces = metrics.by("sender_bounces_total", "reason")
            expired = bounces.pop("expired", 0.0)
            ended = metrics.by("sender_stream_recipients_total", "outcome")
            return (
                all(ended.get(state.word, 0.0) == since.get(state.word, 0) for state in State if state.ended)
                and metrics.by("sender_attempts_total", "outcome").get("delivered", 0.0) == since.get("delivered", 0)
                and sum(bounces.values()) == since.get("bounced", 0)
                and expired == since.get("expired", 0)
            )

        await self.until_true("the metrics agree with the file", agree)

    async def metrics(self) -> Metrics:
        """Scrape the daemon."""
        url = f"http://127.0.0.1:{self.http_port}/metrics"
        status, body, content_type = await asyncio.to_thread(_get, url)
        assert status == 200
        return Metrics(body.decode(), content_type)


def _get(url: str, headers: Mapping[str, str] = _NO_HEADERS) -> tuple[int, bytes, str]:
    """Fetch a page: status, body, content type."""
    request = urllib.request.Request(url, headers=dict(headers))  # noqa: S310 - our own daemon
    try:
        with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310 - as above
            return int(response.status), response.read(), response.headers["content-type"]
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read(), error.headers["content-type"]


def _command(argv: list[str]) -> tuple[int, str]:
    printed = StringIO()
    with redirect_stdout(printed), redirect_stderr(printed):
        code = cli.main(argv)
    return code, printed.getvalue()


def _merged(below: Tables, above: Tables) -> Tables:
    merged = dict(below)
    for key, value in above.items():
        merged[key] = _merged(merged[key], value) if isinstance(value, dict) and key in merged else value
    return merged


def _toml(tables: Tables, path: str = "") -> str:
    """Write tables as TOML: JSON's scalars and arrays are TOML's."""
    lines = [f"[{path}]"] if path else []
    lines += [
        f"{json.dumps(key)} = {json.dumps(value)}" for key, value in tables.items() if not isinstance(value, dict)
    ]
    inner = (
        _toml(v, f"{path}.{json.dumps(k)}" if path else json.dumps(k)) for k, v in tables.items() if isinstance(v, dict)
    )
    return "\n".join([*lines, "", *inner])
