"""msmtp: a client that programs call in place of sendmail."""

from __future__ import annotations

import asyncio
from pathlib import Path

from .process import ServerError, find_program


class Msmtp:
    """Submits to one listener, by name and password under TLS."""

    def __init__(
        self, address: tuple[str, int], *, user: str, password: str, mechanism: str, implicit_tls: bool = False
    ) -> None:
        """Set where to submit to, and how."""
        host, port = address
        self._options = (
            f"--host={host}",
            f"--port={port}",
            f"--user={user}",
            f"--passwordeval=printf %s {password}",
            f"--auth={mechanism.lower()}",
            "--tls=on",
            f"--tls-starttls={'off' if implicit_tls else 'on'}",
            "--tls-certcheck=off",  # the tests' certificate is nobody's
        )

    @classmethod
    def find(cls) -> Path:
        """Find the program; or raise ServerMissing."""
        return find_program("msmtp")

    async def send(self, mail_from: str, rcpt_tos: tuple[str, ...], content: bytes, *dsn: str) -> None:
        """Submit a message; `dsn` has options of its command line. Raises ServerError."""
        process = await asyncio.create_subprocess_exec(
            self.find(),
            *self._options,
            f"--from={mail_from}",
            *dsn,
            "--",
            *rcpt_tos,
            stdin=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={},
        )
        async with asyncio.timeout(30):
            _, errors = await process.communicate(content)
        if process.returncode:
            raise ServerError("msmtp", f"ended with {process.returncode}", errors.decode(errors="replace"))
