"""logrotate, run by hand on a file of its own."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from .process import find_program

_CHECKOUT = Path(__file__).parents[2]


class Logrotate:
    """Rotates what one configuration names; its state is beside it."""

    def __init__(self, configuration: Path) -> None:
        configuration.chmod(0o644)  # one that others may write it does not read
        self._configuration = configuration

    @classmethod
    def find(cls) -> Path:
        """Find it, installed or unpacked by tests/debian.sh; or raise ServerMissing."""
        cache = Path(os.environ.get("SENDER_DEBIAN_CACHE", _CHECKOUT / ".cache/debian"))
        return find_program("logrotate", cache / "logrotate/usr/sbin")

    async def rotate(self, *, programs: Path) -> None:
        """Rotate now, whatever its schedule says; programs that it calls are searched for in a folder first."""
        process = await asyncio.create_subprocess_exec(
            self.find(),
            "--force",
            f"--state={self._configuration}.state",
            self._configuration,
            stderr=asyncio.subprocess.PIPE,
            env={"PATH": f"{programs}:/usr/sbin:/usr/bin:/bin"},
        )
        _, errors = await process.communicate()
        assert (process.returncode, errors.decode()) == (0, "")
