"""A private Exim that takes mail for any domain.

- It is unpacked by tests/debian.sh and not installed, because the Debian package conflicts with Postfix.
- It runs as the user that is compiled into it, from a copy without the set-user-id bit.
- Accepted messages stay in its spool until it stops, so that no delivery takes time from accepting.
"""

from __future__ import annotations

import os
import pwd
import re
import shutil
import signal
from pathlib import Path
from typing import TYPE_CHECKING

from .log import Follower
from .process import (
    LOOPBACK,
    NO_SETTINGS,
    ProcessTree,
    Server,
    find_program,
    read_log,
    require_root,
    require_user,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

_USER = "Debian-exim"
_CHECKOUT = Path(__file__).parents[2]

_ROUTER = """\
begin routers
discard:
  driver = redirect
  data = :blackhole:
"""

_STARTED = re.compile(r" daemon started: ")
_REFUSED = re.compile(r"^.{19} Connection from .* refused: too many connections")
_ACCEPTED = re.compile(r"^.{19} \S+ <= (?:.* id=(\S+))?")


class EximReceiver(Server):
    """An Exim that accepts mail for any domain from loopback.

    `max_per_host` is its cap per client address; None is no cap. A setting is any main option of Exim.
    """

    def __init__(
        self,
        max_per_host: int | None = None,
        settings: Mapping[str, str] = NO_SETTINGS,
        *,
        name: str = "exim-receiver",
        host: str = LOOPBACK,
        port: int | None = None,
    ) -> None:
        """Set the cap and any other main options."""
        super().__init__(name=name, host=host, port=port)
        self._settings = {**_cap(max_per_host), **settings}
        self._follower: Follower | None = None
        self._refused = 0
        self._message_ids: list[str] = []

    @classmethod
    def find(cls) -> Path:
        """Find the unpacked Exim; or raise ServerMissing."""
        cache = Path(os.environ.get("SENDER_DEBIAN_CACHE", _CHECKOUT / ".cache/debian"))
        program = find_program("exim4", cache / "exim4-daemon-light/usr/sbin")
        require_root("exim")
        require_user("exim", _USER)
        return program

    @property
    def log(self) -> str:
        """The main log, and before it what was printed and the panic log."""
        return read_log(*(self.folder / file for file in ("exim.out.err", "log/paniclog", "log/mainlog")))

    async def _start(self, program: Path) -> None:
        user = pwd.getpwnam(_USER)
        for folder in (self.folder / "spool", self.folder / "log"):
            folder.mkdir(mode=0o755)
            os.chown(folder, user.pw_uid, user.pw_gid)
        binary = self.folder / "exim4"
        shutil.copyfile(program, binary)
        binary.chmod(0o755)
        self._write_configuration()
        self._tree = await ProcessTree.start(
            binary,
            "-C",
            self._configuration,
            "-bdf",
            "-oX",
            f"{self.host}.{self.port}",
            output=self.folder / "exim.out",
            user=user,
        )
        await self.until("the daemon has started", lambda: self._starts() > 0)
        await self._until_it_greets()
        # The daemon counts a connection until it has seen its process end.
        await self.until("the first connection is over", lambda: self.tree.members() == {self.tree.pid})

    @property
    def _configuration(self) -> Path:
        return self.folder / "exim.conf"

    def _write_configuration(self) -> None:
        options = [f"{key} = {value}" for key, value in (self._defaults() | self._settings).items()]
        draft = self.folder / "exim.conf.new"
        draft.write_text("\n".join([*options, _ROUTER]))
        draft.chmod(0o644)
        draft.replace(self._configuration)

    def _defaults(self) -> dict[str, str]:
        return {
            "primary_hostname": f"{self.name}.test",
            # It executes itself again on SIGHUP.
            "exim_path": str(self.folder / "exim4"),
            "spool_directory": str(self.folder / "spool"),
            "split_spool_directory": "true",
            "log_file_path": str(self.folder / "log/%slog"),
            "pid_file_path": str(self.folder / "spool/exim.pid"),
            "notifier_socket": "",
            "keep_environment": "",
            "add_environment": "",
            "disable_ipv6": "true",
            "host_lookup": "",
            "rfc1413_query_timeout": "0s",
            "tls_advertise_hosts": "",
            "acl_smtp_rcpt": "accept",
            "queue_only": "true",
            "smtp_accept_max": "500",
            "smtp_connect_backlog": "128",
        }

    async def reload(self, **settings: str) -> None:
        """Change main options while mail flows; the next connection finds them in force.

        Open sessions go on under the old ones, and the daemon no longer counts them.
        """
        self._settings.update(settings)
        self._write_configuration()
        before = self._starts()
        self.tree.signal(signal.SIGHUP)
        await self.until("the daemon has started again", lambda: self._starts() > before)

    async def change_cap(self, max_per_host: int | None) -> None:
        """Change the cap while mail flows; see `reload`."""
        await self.reload(**_cap(max_per_host))

    def connections_refused(self) -> int:
        """Count the connections refused because of the cap."""
        self._read_on()
        return self._refused

    def refusals(self) -> int:
        """Count all refusals: of connections."""
        return self.connections_refused()

    def messages_accepted(self) -> int:
        """Count the messages accepted."""
        return len(self.message_ids())

    def message_ids(self) -> list[str]:
        """Give the Message-IDs of what was accepted, in order; what came twice is there twice."""
        self._read_on()
        return self._message_ids

    def _read_on(self) -> None:
        self._follower = self._follower or Follower(self.folder / "log/mainlog")
        for line in self._follower.lines():
            if accepted := _ACCEPTED.match(line):
                self._message_ids.append(accepted[1] or "")
            self._refused += _REFUSED.match(line) is not None

    def _starts(self) -> int:
        return len(_STARTED.findall(self.log))


def _cap(max_per_host: int | None) -> dict[str, str]:
    # Zero is Exim's word for no limit.
    return {"smtp_accept_max_per_host": str(max_per_host or 0)}
