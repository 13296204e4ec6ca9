"""A private stunnel: STARTTLS before a server that has none, such as smtp-sink."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .process import LOOPBACK, ProcessTree, Server, find_program, listens, read_log

if TYPE_CHECKING:
    from pathlib import Path

_CONFIGURATION = """\
foreground = yes
syslog = no
debug = warning
pid =
[smtp]
accept = {host}:{port}
connect = {to[0]}:{to[1]}
protocol = smtp
cert = {certificate}
TIMEOUTclose = 0
"""


class Stunnel(Server):
    """Offers STARTTLS, and hands on what it hears to a server that it hears in clear text."""

    def __init__(
        self,
        to: tuple[str, int],
        certificate: Path,
        *,
        name: str = "stunnel",
        host: str = LOOPBACK,
        port: int | None = None,
    ) -> None:
        """Set the server, and a PEM file with a key and a certificate."""
        super().__init__(name=name, host=host, port=port)
        self._to = to
        self._certificate = certificate

    @classmethod
    def find(cls) -> Path:
        """Find stunnel; or raise ServerMissing."""
        return find_program("stunnel4")

    @property
    def log(self) -> str:
        """What it has printed."""
        return read_log(self.folder / "stunnel.out", self.folder / "stunnel.out.err")

    async def _start(self, program: Path) -> None:
        configuration = self.folder / "stunnel.conf"
        configuration.write_text(
            _CONFIGURATION.format(host=self.host, port=self.port, to=self._to, certificate=self._certificate)
        )
        self._tree = await ProcessTree.start(program, configuration, output=self.folder / "stunnel.out")
        await self.until(f"listens on port {self.port}", lambda: listens(self.port))
