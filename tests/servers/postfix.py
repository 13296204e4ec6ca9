"""Private Postfix instances: what they have in common, and the one that relays a queue.

- `master` runs directly in a folder with its own configuration, queue and log; the system's instance is not touched.
- Postfix checks the user ids of its folders, so only root can start one.
- A setting is any main.cf parameter and overrides the one that is written here.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import time
from grp import getgrnam
from typing import TYPE_CHECKING

from .process import (
    LOOPBACK,
    NO_SETTINGS,
    ProcessTree,
    Server,
    ServerMissing,
    connected,
    find_program,
    program_name,
    read_log,
    require_root,
    require_user,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

_OWNER = "postfix"
_SETGID_GROUP = "postdrop"
_DAEMONS = "/usr/lib/postfix/sbin", "/usr/libexec/postfix"
_QUEUES = "maildrop", "hold", "incoming", "active", "deferred"
_OTHER_FOLDERS = "bounce", "corrupt", "defer", "flush", "private", "saved", "trace"

# service type private unpriv chroot wakeup maxproc command
_SERVICES = """\
{host}:{port} inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
tlsproxy unix - - n - 0 tlsproxy
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
showq unix n - n - - showq
postlog unix-dgram n - n - 1 postlogd
"""
_QUEUE_MANAGER = "qmgr "
_LISTENERS = "smtpd", "postscreen"

_SETTLED_S = 10
_LONGEST_RUN_S = "14400"
_DEFERRED = re.compile(r" postfix/\w+\[\d+\]: (\w+): to=<.*, status=deferred ")


class Postfix(Server):
    """A private instance with one inbound smtpd, behind a postscreen where it is told so."""

    def __init__(self, *, name: str, host: str, port: int | None, settings: Mapping[str, str], held: bool) -> None:
        super().__init__(name=name, host=host, port=port)
        self._settings = dict(settings)
        self._held = held

    @classmethod
    def find(cls) -> Path:
        """Find Postfix's master; or raise ServerMissing."""
        program = find_program("master", *_DAEMONS)
        require_root("postfix")
        require_user("postfix", _OWNER)
        try:
            getgrnam(_SETGID_GROUP)
        except KeyError as error:
            raise ServerMissing("postfix", f"the group {_SETGID_GROUP} does not exist") from error
        return program

    @property
    def log(self) -> str:
        """The mail log, and before it what master printed."""
        return read_log(self.folder / "master.out.err", self.folder / "mail.log")

    @property
    def _queue(self) -> Path:
        return self.folder / "queue"

    async def _start(self, program: Path) -> None:
        self._make_folders()
        await self._run(program)

    async def _run(self, program: Path) -> None:
        self._write_configuration()
        # master forgets the signal at the end of its parent, so it gets an end of its own.
        options = ("-c", self.folder / "etc", "-e", _LONGEST_RUN_S)
        self._tree = await ProcessTree.start(program, *options, output=self.folder / "master.out")
        await self._until_it_greets()

    def _make_folders(self) -> None:
        for folder in (self.folder / "etc", self._queue, self._queue / "pid"):
            folder.mkdir(mode=0o755)
        for name in (*_QUEUES, *_OTHER_FOLDERS):
            self._make_owned(self._queue / name, 0o700)
        self._make_owned(self._queue / "public", 0o710, group=_SETGID_GROUP)
        self._make_owned(self._queue / "maildrop", 0o730, group=_SETGID_GROUP)
        self._make_owned(self.folder / "data", 0o700)

    @staticmethod
    def _make_owned(folder: Path, mode: int, *, group: str | None = None) -> None:
        folder.mkdir(exist_ok=True)
        folder.chmod(mode)
        shutil.chown(folder, _OWNER, group)

    def _write_configuration(self) -> None:
        """Replace main.cf and master.cf; a process that starts meanwhile reads the old or the new one whole."""
        settings = self._defaults() | self._settings
        texts = {"main.cf": [f"{key} = {value}" for key, value in settings.items()], "master.cf": self._services()}
        for file, lines in texts.items():
            draft = self.folder / "etc" / f"{file}.new"
            draft.write_text("\n".join(lines) + "\n")
            # Postfix waits until a main.cf has not changed for a second before it believes it.
            os.utime(draft, (0, time.time() - _SETTLED_S))
            draft.replace(self.folder / "etc" / file)

    def _services(self) -> list[str]:
        services = _SERVICES.format(host=self.host, port=self.port).splitlines()
        return [line for line in services if not (self._held and line.startswith(_QUEUE_MANAGER))]

    def _defaults(self) -> dict[str, str]:
        return {
            "compatibility_level": "3.6",
            "queue_directory": str(self._queue),
            "data_directory": str(self.folder / "data"),
            "maillog_file": str(self.folder / "mail.log"),
            "maillog_file_prefixes": str(self.folder),
            "mail_owner": _OWNER,
            "setgid_group": _SETGID_GROUP,
            "myhostname": f"{self.name}.test",
            "mydestination": "",
            "mynetworks": "127.0.0.0/8",
            "inet_interfaces": LOOPBACK,
            "inet_protocols": "ipv4",
            "alias_maps": "",
            "local_recipient_maps": "",
            "smtpd_relay_restrictions": "permit_mynetworks, reject",
            "smtpd_peername_lookup": "no",
            "smtp_host_lookup": "native",
            "default_process_limit": "200",
            # Queueing must not be slowed down because delivery is slower.
            "in_flow_delay": "0",
            "enable_long_queue_ids": "yes",
        }

    async def reload(self, **settings: str) -> None:
        """Change main.cf parameters while mail flows; the next connection finds them in force.

        Open sessions go on under the old ones, and a new anvil counts connections from zero.
        """
        self._settings.update(settings)
        self._write_configuration()
        old = self._listeners()
        self.tree.signal(signal.SIGHUP)
        # A listener that waits still has the old settings in memory; one in a session ends with that session.
        await self.until("old listeners are gone", lambda: not self._waiting(old & self._listeners()))

    async def restart(self, **settings: str) -> None:
        """Stop and start again with main.cf parameters changed: every session is cut, wherever it is."""
        self._settings.update(settings)
        await self.tree.stop()
        await self._run(self.find())

    def _listeners(self) -> set[int]:
        return {pid for pid in self.tree.members() if program_name(pid) in _LISTENERS}

    def _waiting(self, listeners: set[int]) -> set[int]:
        return listeners - connected(listeners, self.port)


class PostfixSender(Postfix):
    """A Postfix that relays everything to one address; a held one queues until it is released."""

    def __init__(
        self,
        relay_to: tuple[str, int],
        settings: Mapping[str, str] = NO_SETTINGS,
        *,
        held: bool = False,
        name: str = "postfix-sender",
        host: str = LOOPBACK,
        port: int | None = None,
    ) -> None:
        """Set where to relay to and any other main.cf parameters."""
        relay = {"relayhost": f"[{relay_to[0]}]:{relay_to[1]}"}
        super().__init__(name=name, host=host, port=port, settings={**relay, **settings}, held=held)

    async def release(self) -> None:
        """Start to deliver what was queued: it waits in the incoming queue, as if it had come in at this instant."""
        # Held is without a queue manager: nothing was tried, deferred or delayed.
        self._held = False
        self._write_configuration()
        self.tree.signal(signal.SIGHUP)
        await self.until("the queue manager listens", (self._queue / "public/qmgr").exists)

    def queued(self) -> int:
        """Count the messages in all queues."""
        return len(set(self._queued()))

    def _queued(self) -> Iterator[str]:
        # In the order in which a message moves, so that none is missed: from deferred it goes to active again.
        for queue in (*_QUEUES, "active"):
            yield from _messages(self._queue / queue)

    def deferred(self) -> int:
        """Count the messages that wait for another attempt."""
        return sum(1 for _ in _messages(self._queue / "deferred"))

    def deferred_once(self) -> int:
        """Count the messages that had to wait for another attempt, whatever became of them then."""
        return len(set(_DEFERRED.findall(self.log)))

    async def drained(self, *, deadline_s: float = 60.0) -> None:
        """Wait until every message has left the queue."""
        await self.until("the queue is empty", lambda: next(self._queued(), None) is None, deadline_s=deadline_s)


def _messages(folder: Path) -> Iterator[str]:
    """Give the ids of the messages in a queue folder and in its hash folders, and read no more of it than is asked."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from _messages(folder / entry.name)
            else:
                yield entry.name
