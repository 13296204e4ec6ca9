"""A bare SMTP client that sends exactly the bytes it is told to."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    import ssl

    from sender.sandbox import Receiver

_PATIENCE_S = 30.0


class Client:
    """One connection to a receiver; every wait ends with TimeoutError when nothing comes."""

    def __init__(self, receiver: Receiver) -> None:
        """Connect to this receiver when entered."""
        self._receiver = receiver
        self.reader: asyncio.StreamReader
        self.writer: asyncio.StreamWriter

    async def __aenter__(self) -> Self:
        """Connect."""
        self.reader, self.writer = await asyncio.open_connection(self._receiver.host, self._receiver.port)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Disconnect."""
        self.writer.transport.abort()
        await asyncio.sleep(0)

    def send(self, wire: bytes) -> None:
        """Send these bytes."""
        self.writer.write(wire)

    async def reply(self) -> str:
        """Read one reply, its lines joined with a line feed; empty when the connection has ended."""
        lines: list[str] = []
        async with asyncio.timeout(_PATIENCE_S):
            while True:
                try:
                    line = (await self.reader.readline()).decode()
                except ConnectionResetError:
                    line = ""
                lines.append(line.rstrip("\r\n"))
                if line[3:4] != "-":
                    return "\n".join(lines)

    async def say(self, *commands: str) -> list[str]:
        """Send commands in one write, and read as many replies."""
        self.send("".join(f"{command}\r\n" for command in commands).encode())
        return [await self.reply() for _ in commands]

    async def greet(self) -> str:
        """Read the banner, say EHLO, and give the answer."""
        await self.reply()
        return (await self.say("EHLO client.test"))[0]

    async def deliver(self, content: bytes = b"hello\r\n", rcpt_to: str = "you@b.test") -> list[str]:
        """Send one message with DATA, and give the replies to MAIL, RCPT, DATA and the dot."""
        replies = await self.say("MAIL FROM:<me@a.test>", f"RCPT TO:<{rcpt_to}>", "DATA")
        if replies[2].startswith("354"):
            self.send(stuff(content) + b".\r\n")
            replies.append(await self.reply())
        return replies

    async def secure(self, context: ssl.SSLContext) -> None:
        """Begin TLS."""
        await self.writer.start_tls(context, server_hostname="mx.sandbox.test")


def stuff(content: bytes) -> bytes:
    """Put a dot before every line that begins with one (RFC 5321 4.5.2)."""
    return b"".join(b"." + line if line.startswith(b".") else line for line in _lines(content))


def _lines(content: bytes) -> list[bytes]:
    """Split after CRLF only."""
    pieces = content.split(b"\r\n")
    return [piece + b"\r\n" for piece in pieces[:-1]] + [piece for piece in pieces[-1:] if piece]


def codes(replies: list[str]) -> list[str]:
    """Give the code of each reply."""
    return [reply[:3] for reply in replies]
