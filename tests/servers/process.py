"""Run a real server in a private folder, and leave nothing of it behind.

- A server is a session of its own (setsid); stopping it ends every process of that session.
- A killed test run leaves no server either: it gets a signal when the thread that started it dies
  (Postfix's master, which forgets that signal, ends by itself after four hours).
- Waiting is for a condition, with a deadline; a server that ended instead is an error that carries the end of its log.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import pwd
import random
import shutil
import signal
import socket
import tempfile
import time
from abc import ABC, abstractmethod
from collections import deque
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from types import TracebackType

LOOPBACK = "127.0.0.1"
NO_SETTINGS: Mapping[str, str] = MappingProxyType({})

_PROC = Path("/proc")
_LISTENING = "0A"
_ENDED = ("Z", "X")
_POLL_S = 0.005
_GREETING = b"220"
# Whom a server counts by address is the test's client, not the one who looks whether it is there.
_LOOKS_FROM = "127.0.0.254", 0
# Below the range from which the kernel takes the ports of outgoing connections.
_PORTS = range(10_000, 32_000)
_given: deque[int] = deque(maxlen=1000)  # ports, which somebody may be about to listen on


class ServerError(Exception):
    """A real server did not do what was asked of it."""

    def __init__(self, server: str, problem: str, log: str = "") -> None:
        """Remember the server, what went wrong and the end of its log."""
        super().__init__(server, problem, log)
        self.server = server
        self.problem = problem
        self.log = log

    def __str__(self) -> str:
        """Say what went wrong, then show the log."""
        return f"{self.server}: {self.problem}" + (f"\n{self.log}" if self.log else "")


class ServerMissing(ServerError):  # noqa: N818 - the fact, not a failure
    """A program that a test needs is not on this machine, or may not be run by this user."""


def find_program(name: str, *folders: Path | str) -> Path:
    """Find a program in the search path, in the system's sbin folders or in `folders`; or raise ServerMissing."""
    path = os.pathsep.join([*map(str, folders), os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
    found = shutil.which(name, path=path)
    if found is None:
        raise ServerMissing(name, "not on this machine; tests/debian.sh fetches it")
    return Path(found)


def require_root(server: str) -> None:
    """Raise ServerMissing where the tests do not run as root."""
    if os.geteuid() != 0:
        raise ServerMissing(server, "only root can start it")


def require_user(server: str, user: str) -> pwd.struct_passwd:
    """Find a system user by name; or raise ServerMissing."""
    try:
        return pwd.getpwnam(user)
    except KeyError as error:
        raise ServerMissing(server, f"the user {user} does not exist; tests/debian.sh makes it") from error


def free_port(host: str = LOOPBACK) -> int:
    """Choose a TCP port on which nothing listens, or soon will; no outgoing connection will take it."""
    for port in random.SystemRandom().sample(_PORTS, k=200):
        if port in _given:
            continue
        with socket.socket() as candidate:
            candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                candidate.bind((host, port))
                _given.append(port)
                return port
    raise ServerError(host, "no free port")


async def until(what: str, holds: Callable[[], bool], *, deadline_s: float = 10.0, poll_s: float = _POLL_S) -> None:
    """Wait until `holds` is true; raise TimeoutError that names `what` at the deadline."""
    give_up_at = time.monotonic() + deadline_s
    while not holds():
        if time.monotonic() > give_up_at:
            message = f"not within {deadline_s:g} s: {what}"
            raise TimeoutError(message)
        await asyncio.sleep(poll_s)


async def greets(host: str, port: int) -> bool:
    """Tell whether the port answers 220 now; the connection ends with QUIT and has ended on both sides at return."""
    try:
        reader, writer = await asyncio.open_connection(host, port, local_addr=_LOOKS_FROM)
    except OSError:
        return False
    try:
        async with asyncio.timeout(10):
            greeting = await reader.readline()
            writer.write(b"QUIT\r\n")
            await reader.read()
    except (OSError, TimeoutError):
        return False
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
    return greeting.startswith(_GREETING)


def listens(port: int) -> bool:
    """Tell whether something listens on the IPv4 port, without connecting to it."""
    return any(state == _LISTENING for state, _ in _sockets(port))


def connected(pids: Collection[int], port: int) -> set[int]:
    """Choose those of `pids` that hold a connection accepted on the IPv4 port."""
    inodes = {f"socket:[{inode}]" for state, inode in _sockets(port) if state != _LISTENING}
    return {pid for pid in pids if inodes & _descriptors(pid)}


def program_name(pid: int) -> str:
    """Read the name of a process's program; empty when it has ended."""
    try:
        return (_PROC / str(pid) / "comm").read_text().strip()
    except OSError:
        return ""


def _sockets(port: int) -> list[tuple[str, str]]:
    """List the state and inode of every IPv4 socket on the local port (proc(5), /proc/net/tcp)."""
    suffix = f":{port:04X}"
    rows = [line.split() for line in (_PROC / "net/tcp").read_text().splitlines()[1:]]
    return [(row[3], row[9]) for row in rows if row[1].endswith(suffix)]


def _descriptors(pid: int) -> set[str]:
    targets = set()
    with contextlib.suppress(OSError):
        for link in (_PROC / str(pid) / "fd").iterdir():
            with contextlib.suppress(OSError):
                targets.add(str(link.readlink()))
    return targets


class ProcessTree:
    """A program and everything that it starts."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        """Take over a process that leads its own session."""
        self._process = process

    @classmethod
    async def start(cls, *argv: str | Path, output: Path, user: pwd.struct_passwd | None = None) -> Self:
        """Start a program as `user`; `output` gets its standard output, and its standard error with `.err` added."""
        identity = []
        if user is not None:
            identity = [f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
        with output.open("ab") as stdout, output.with_name(output.name + ".err").open("ab") as stderr:
            process = await asyncio.create_subprocess_exec(
                find_program("setpriv"),
                "--pdeathsig=TERM",
                *identity,
                *argv,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                start_new_session=True,
            )
        return cls(process)

    @property
    def pid(self) -> int:
        """The process that was started."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """What the started process ended with; None while it runs."""
        return self._process.returncode

    def members(self) -> set[int]:
        """List the processes of the tree that have not ended."""
        return {int(stat.parent.name) for stat in _PROC.glob("[0-9]*/stat") if self._is_member(stat)}

    def _is_member(self, stat: Path) -> bool:
        try:
            state, _parent, _group, session = stat.read_text().rpartition(")")[2].split()[:4]
        except OSError:
            return False
        return int(session) == self.pid and state not in _ENDED

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the started process."""
        self._process.send_signal(number)

    async def ended(self) -> int:
        """Wait until the started process has ended, and give its exit code."""
        return await self._process.wait()

    async def stop(self, *, deadline_s: float = 5.0) -> None:
        """Terminate the program, then kill whatever is left of the tree."""
        try:
            if self.exit_code is None:
                self.signal(signal.SIGTERM)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self.ended(), deadline_s)
        finally:
            self._kill()
        await self.ended()

    def _kill(self) -> None:
        # Again and again, because a process may fork between the listing and the signal. It does not await:
        # a cancelled test must leave nothing either.
        give_up_at = time.monotonic() + 10
        while members := self.members():
            for pid in members:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            if time.monotonic() > give_up_at:
                raise ServerError(str(self.pid), f"cannot be killed: {sorted(members)}")
            time.sleep(_POLL_S)


class Server(ABC):
    """A real server on loopback: started on entry, gone on exit, with its folder."""

    def __init__(self, *, name: str, host: str, port: int | None) -> None:
        """Choose the address: `port` or, for None, a free one."""
        self.name = name
        self.host = host
        self.port = port if port is not None else free_port(host)
        self.folder = Path()
        self._tree: ProcessTree | None = None

    @classmethod
    @abstractmethod
    def find(cls) -> Path:
        """Find the server's program; or raise ServerMissing."""

    @abstractmethod
    async def _start(self, program: Path) -> None:
        """Write the configuration, start the program, wait until it is ready."""

    @property
    @abstractmethod
    def log(self) -> str:
        """What the server has logged."""

    @property
    def address(self) -> tuple[str, int]:
        """Where the server listens."""
        return self.host, self.port

    async def __aenter__(self) -> Self:
        """Start the server in a new folder that other system users can enter."""
        program = self.find()
        self.folder = Path(tempfile.mkdtemp(prefix=f"sender-{self.name}-"))
        self.folder.chmod(0o755)
        try:
            await self._start(program)
        except BaseException:
            await self._stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the server and remove its folder."""
        await self._stop()

    async def _stop(self) -> None:
        try:
            if self._tree is not None:
                await self._tree.stop()
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def tree(self) -> ProcessTree:
        """The server's processes, while it runs."""
        if self._tree is None:
            raise ServerError(self.name, "not started")
        return self._tree

    async def until(self, what: str, holds: Callable[[], bool], *, deadline_s: float = 10.0) -> None:
        """Wait until `holds` is true; raise ServerError when the server ends before, or at the deadline."""

        def holds_yet() -> bool:
            # In this order: what an ended server has done no longer changes.
            code = self.tree.exit_code
            if holds():
                return True
            if code is not None:
                raise ServerError(self.name, f"ended with {code} before: {what}", self._log_end())
            return False

        try:
            await until(what, holds_yet, deadline_s=deadline_s)
        except TimeoutError as error:
            raise ServerError(self.name, str(error), self._log_end()) from error

    async def _until_it_greets(self) -> None:
        await self.until(f"listens on port {self.port}", lambda: listens(self.port))
        if not await greets(self.host, self.port):
            raise ServerError(self.name, f"no 220 on port {self.port}", self._log_end())

    def _log_end(self) -> str:
        return "\n".join(self.log.splitlines()[-20:])


def read_log(*files: Path) -> str:
    """Read log files, one after the other; one that does not exist is empty."""
    return "".join(file.read_text(errors="replace") for file in files if file.exists())
