"""A network of its own, in which every address of the internet is this machine (needs user namespaces)."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from .process import ServerMissing, find_program

if TYPE_CHECKING:
    from pathlib import Path

_ROUTES = (
    "ip link set lo up && ip route add local default dev lo && ip -6 route add local default dev lo"
    ' && ip route add local 255.255.255.255 dev lo && exec "$@"'
)


class Apart:
    """See `everywhere`."""

    @classmethod
    def find(cls) -> Path:
        """Find the programs, and try them; or raise ServerMissing."""
        unshare = find_program("unshare")
        find_program("ip")
        tried = subprocess.run([*everywhere(), "true"], capture_output=True, check=False, timeout=10)
        if tried.returncode:
            raise ServerMissing("unshare", tried.stderr.decode().strip())
        return unshare


def everywhere() -> list[str]:
    """Give the words before a command that runs it where all addresses are its own, and nothing leaves."""
    return ["unshare", "--user", "--map-root-user", "--net", "sh", "-c", _ROUTES, "sh"]
