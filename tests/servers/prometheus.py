"""A private Prometheus, and its promtool.

It is unpacked by tests/debian.sh and not installed: nothing of it shall start with the machine.
"""

from __future__ import annotations

import asyncio
import json
import os
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from .process import LOOPBACK, ProcessTree, Server, find_program, listens, read_log

if TYPE_CHECKING:
    from collections.abc import Mapping

_CHECKOUT = Path(__file__).parents[2]


def _find(name: str) -> Path:
    cache = Path(os.environ.get("SENDER_DEBIAN_CACHE", _CHECKOUT / ".cache/debian"))
    return find_program(name, cache / "prometheus/usr/bin")


class Promtool:
    """Checks what Prometheus is given."""

    @classmethod
    def find(cls) -> Path:
        """Find promtool; or raise ServerMissing."""
        return _find("promtool")


class Prometheus(Server):
    """A Prometheus with a configuration, given as prometheus.yml has it; paths in it are absolute."""

    def __init__(
        self,
        configuration: Mapping[str, Any],
        *,
        name: str = "prometheus",
        host: str = LOOPBACK,
        port: int | None = None,
    ) -> None:
        """Set the configuration."""
        super().__init__(name=name, host=host, port=port)
        self._configuration = dict(configuration)

    @classmethod
    def find(cls) -> Path:
        """Find the unpacked Prometheus; or raise ServerMissing."""
        return _find("prometheus")

    @property
    def log(self) -> str:
        """What it printed."""
        return read_log(self.folder / "prometheus.out", self.folder / "prometheus.out.err")

    async def _start(self, program: Path) -> None:
        file = self.folder / "prometheus.yml"
        file.write_text(yaml.safe_dump(self._configuration))
        self._tree = await ProcessTree.start(
            program,
            f"--config.file={file}",
            f"--storage.tsdb.path={self.folder / 'data'}",
            f"--web.listen-address={self.host}:{self.port}",
            "--enable-feature=exemplar-storage",
            "--log.level=warn",
            output=self.folder / "prometheus.out",
        )
        await self.until(f"listens on port {self.port}", lambda: listens(self.port))
        async with asyncio.timeout(10):
            while not await asyncio.to_thread(_is_ready, f"http://{self.host}:{self.port}/-/ready"):  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    async def ask(self, path: str, **parameters: str | float) -> Any:  # noqa: ANN401 - JSON
        """Ask the API (`query`, `query_range`, `rules`, ...) and give its data; HTTPError where it refuses."""
        query = urllib.parse.urlencode(parameters)
        return await asyncio.to_thread(_get, f"http://{self.host}:{self.port}/api/v1/{path}?{query}")

    async def value(self, query: str) -> float | None:
        """Give the value of an expression that has one, now."""
        found = (await self.ask("query", query=query))["result"]
        return float(found[0]["value"][1]) if found else None


def _is_ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=10):  # noqa: S310 - our own server
            return True
    except urllib.error.HTTPError as error:
        error.close()
        return False


def _get(url: str) -> Any:  # noqa: ANN401 - JSON
    with urllib.request.urlopen(url, timeout=10) as response:  # noqa: S310 - our own server
        return json.load(response)["data"]
