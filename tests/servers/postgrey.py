"""A private postgrey: the policy service that lets a Postfix receiver greylist."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from .process import LOOPBACK, ProcessTree, Server, find_program, listens, read_log, require_root, require_user

if TYPE_CHECKING:
    from pathlib import Path

_USER = "postgrey"
# postgrey's own words name no wait; %s is what is left of it in seconds.
NAMES_NO_WAIT = "Greylisted, see http://postgrey.schweikert.ch/help/%r.html"
NAMES_THE_WAIT = "Greylisted, please try again in %s seconds"


class Postgrey(Server):
    """Lets each new triplet of client, sender and recipient come again after `delay_s`.

    After `known_after` messages of a client that came again it greylists this client no more; 0 is never.
    """

    def __init__(
        self,
        *,
        delay_s: int,
        text: str = NAMES_NO_WAIT,
        known_after: int = 0,
        name: str = "postgrey",
        host: str = LOOPBACK,
        port: int | None = None,
    ) -> None:
        """Set the wait and what is said; both begin with the word by which PostfixReceiver counts: `Greylisted`."""
        super().__init__(name=name, host=host, port=port)
        self._options = (
            f"--delay={delay_s}",
            f"--greylist-text={text}",
            f"--auto-whitelist-clients={known_after}",
        )

    @classmethod
    def find(cls) -> Path:
        """Find postgrey; or raise ServerMissing."""
        program = find_program("postgrey")
        require_root("postgrey")
        require_user("postgrey", _USER)
        return program

    @property
    def log(self) -> str:
        """What it has decided and, before it, what it printed."""
        return read_log(self.folder / "postgrey.out", self.folder / "postgrey.out.err")

    async def _start(self, program: Path) -> None:
        database = self.folder / "db"
        database.mkdir(mode=0o700)
        shutil.chown(database, _USER, _USER)
        self._tree = await ProcessTree.start(
            program,
            f"--inet={self.host}:{self.port}",
            f"--dbdir={database}",
            f"--user={_USER}",
            f"--group={_USER}",
            # Nobody is known but by experience.
            "--whitelist-clients=/dev/null",
            "--whitelist-recipients=/dev/null",
            *self._options,
            output=self.folder / "postgrey.out",
        )
        await self.until(f"listens on port {self.port}", lambda: listens(self.port))
