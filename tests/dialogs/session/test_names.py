"""Under which names a receiver's certificate counts, where TLS is required: those of the MX host (RFC 6125)."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sender.core.errors import SessionError
from sender.core.outcome import Trouble
from sender.core.stage import Stage
from sender.sandbox import Behaviour, Receiver
from tests.dialogs.trust import trusting

from .sending import connect, delivered, letter

if TYPE_CHECKING:
    from collections.abc import Iterator

# For mx.names.test, mx_1.names.test, xn--bcher-kva.names.test, *.wild.names.test and 127.0.0.1.
_CERTIFICATE = Path(__file__).parents[1] / "names.pem"


@pytest.fixture(autouse=True)
def _trusted(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let this machine trust the certificate."""
    yield from trusting(_CERTIFICATE, monkeypatch)


class _Names:
    """The receiver's side of TLS, which keeps the names that it was asked for."""

    def __init__(self) -> None:
        self.asked: list[str | None] = []
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(_CERTIFICATE)
        self.context.sni_callback = self._hear

    def _hear(self, _link: ssl.SSLObject, name: str | None, _context: ssl.SSLContext) -> None:
        self.asked.append(name)


@pytest.mark.parametrize(
    ("host", "asked"),
    [
        ("mx.names.test", "mx.names.test"),
        ("mx.names.test.", "mx.names.test"),
        ("MX.Names.Test", "MX.Names.Test"),
        ("mx_1.names.test", "mx_1.names.test"),
        ("xn--bcher-kva.names.test", "xn--bcher-kva.names.test"),
        ("a.wild.names.test", "a.wild.names.test"),
    ],
)
async def test_t7_a_certificate_for_the_mx_host_counts(host: str, asked: str) -> None:
    """The name is asked for without its last dot (RFC 6066 section 3); underscores and A-labels are names."""
    names = _Names()
    async with Receiver(Behaviour(tls=names.context), keep_arrivals=True) as receiver:
        session = await connect(receiver.port, tls="required", host=host)
        assert delivered(await session.transact(letter()))
        await session.quit()
    assert names.asked == [asked]
    assert receiver.arrivals[0].tls


@pytest.mark.parametrize("host", ["names.test", "mx.other.test", "a.b.wild.names.test", "mx1.names.test"])
async def test_t7_a_certificate_for_another_name_does_not(host: str) -> None:
    """Not even for the address that is called, which is one of its names: who answers there is not what was asked."""
    async with Receiver(Behaviour(tls=_Names().context)) as receiver:
        with pytest.raises(SessionError) as caught:
            await connect(receiver.port, tls="required", host=host)
        assert (caught.value.stage, caught.value.trouble) == (Stage.STARTTLS, Trouble.TLS)
        assert receiver.tally.messages == 0
