"""A client that sends exactly the bytes it is told to."""

from __future__ import annotations

import asyncio
import base64
import socket
import ssl
import struct
from pathlib import Path
from typing import Self

PATIENCE_S = 10.0
CERTIFICATE = Path(__file__).with_name("certificate.pem")
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Client:
    """One connection; every wait ends with TimeoutError when nothing comes."""

    def __init__(self, port: int, source: str = "127.0.0.1") -> None:
        self._port = port
        self._source = source

    async def __aenter__(self) -> Self:
        """Connect."""
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self._port, local_addr=(self._source, 0))
        link: socket.socket = self.writer.get_extra_info("socket")
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Disconnect."""
        self.writer.transport.abort()
        await asyncio.sleep(0)

    def send(self, wire: bytes) -> None:
        """Send these bytes."""
        self.writer.write(wire)

    async def send_apart(self, *pieces: bytes) -> None:
        """Send pieces so that each is read by itself."""
        for piece in pieces:
            self.writer.write(piece)
            await self.writer.drain()
            for _ in range(4):
                await asyncio.sleep(0)

    def reset(self) -> None:
        """Reset the connection."""
        link: socket.socket = self.writer.get_extra_info("socket")
        link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self.writer.transport.abort()

    async def reply(self) -> str:
        """Read one reply, its lines joined with a line feed; empty when the connection has ended."""
        lines: list[str] = []
        async with asyncio.timeout(PATIENCE_S):
            while True:
                try:
                    line = (await self.reader.readline()).decode()
                except ConnectionError:
                    line = ""
                lines.append(line.rstrip("\r\n"))
                if line[3:4] != "-":
                    return "\n".join(lines)

    async def say(self, *commands: str | bytes) -> list[str]:
        """Send commands in one write, and read as many replies."""
        self.send(b"".join((each.encode() if isinstance(each, str) else each) + b"\r\n" for each in commands))
        return [await self.reply() for _ in commands]

    async def greet(self) -> str:
        """Read the banner, say EHLO, and give the answer."""
        await self.reply()
        return (await self.say("EHLO client.test"))[0]

    async def secure(self) -> None:
        """Begin TLS, trusting this certificate only, and greet again."""
        (answer,) = await self.say("STARTTLS")
        assert answer.startswith("220")
        context = ssl.create_default_context(cafile=str(CERTIFICATE))
        await self.writer.start_tls(context, server_hostname="mx.sandbox.test")
        await self.say("EHLO client.test")

    async def begin(self, *rcpt_tos: str, mail_from: str = "me@a.test") -> None:
        """Open a transaction up to the 354."""
        rcpts = [f"RCPT TO:<{rcpt_to}>" for rcpt_to in rcpt_tos or ("you@b.test",)]
        replies = await self.say(f"MAIL FROM:<{mail_from}>", *rcpts, "DATA")
        assert [reply[:3] for reply in replies] == ["250"] * (1 + len(rcpts)) + ["354"]

    async def deliver(self, content: bytes = b"Subject: x\r\n\r\nhello\r\n", *rcpt_tos: str) -> str:
        """Send one message with its end, stuffed already, and give the answer."""
        await self.begin(*rcpt_tos)
        self.send(content + b".\r\n")
        return await self.reply()


def plain(name: str, password: str) -> str:
    """Give the argument of AUTH PLAIN."""
    return base64.b64encode(f"\0{name}\0{password}".encode()).decode()


def codes(replies: list[str]) -> list[str]:
    """Give the code of each reply."""
    return [reply[:3] for reply in replies]
