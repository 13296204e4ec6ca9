"""How a session is opened: dialled, greeted, encrypted as the policy says, or not."""

from __future__ import annotations

import contextlib
import socket

import pytest

from sender.core.errors import SessionError
from sender.core.outcome import Trouble
from sender.core.stage import Stage
from sender.sandbox import Behaviour, Close, Hang, Receiver
from sender.settings import Tls
from sender.smtp.opening import Refused, Target, open_session
from sender.smtp.session import Session
from tests.dialogs.peer import Close as PeerClose
from tests.dialogs.peer import Content, Drip, Expect, Peer, Send, Step, Take, envelope, greeting, said

from .sending import attempt, connect, delivered, letter, limits, server_context

OFFER_TLS = b"250-peer.test\r\n250 STARTTLS\r\n"


async def trouble(port: int, *, tls: Tls = "none", **timeouts: float) -> tuple[Stage, Trouble]:
    """Try to open a session, and give the stage and the trouble that it ends with."""
    with pytest.raises(SessionError) as raised:
        await attempt(port, limits(**timeouts), tls=tls)
    assert str(raised.value).startswith("mx.sandbox.test[127.0.0.1]: ")
    return raised.value.stage, raised.value.trouble


async def test_p1_a_port_where_nobody_listens_refuses() -> None:
    """A refused connection is a trouble of the connect stage."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        assert await trouble(taken.getsockname()[1]) == (Stage.CONNECT, Trouble.REFUSED)


async def test_p1_a_connection_that_is_never_made_times_out() -> None:
    """A peer that does not complete the handshake of TCP costs the connect timeout."""
    with socket.socket() as full, socket.socket() as first, socket.socket() as second:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for waiting in (first, second):
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        assert await trouble(full.getsockname()[1], connect_timeout=0.1) == (Stage.CONNECT, Trouble.TIMEOUT)


async def test_l13_a_fault_of_this_machine_is_no_fault_of_the_receiver() -> None:
    """An address that cannot be bound here is a local trouble."""
    target = Target(
        host="mx.b.test", address="127.0.0.1", port=25, source_address="192.0.2.1", helo="sender.test", tls="none"
    )
    with pytest.raises(SessionError) as raised:
        await open_session(target, limits())
    assert (raised.value.stage, raised.value.trouble) == (Stage.CONNECT, Trouble.LOCAL)


async def test_l24_the_source_address_and_the_name_are_used() -> None:
    """The receiver sees the connection from the chosen address, and the chosen name in EHLO."""
    async with Receiver(Behaviour(), keep_arrivals=True) as receiver:
        target = Target(
            host="mx.b.test",
            address="127.0.0.1",
            port=receiver.port,
            source_address="127.0.0.9",
            helo="out9.sender.test",
            tls="none",
        )
        session = await open_session(target, limits())
        assert isinstance(session, Session)
        assert delivered(await session.transact(letter()))
        await session.quit()
    assert (receiver.arrivals[0].peer, receiver.arrivals[0].helo) == ("127.0.0.9", "out9.sender.test")


@pytest.mark.parametrize(
    ("steps", "timeouts", "stage"),
    [
        ([], {"banner_timeout": 0.05}, Stage.BANNER),
        ([Drip(b"220-x\r\n" * 100, 0.02)], {"banner_timeout": 0.1}, Stage.BANNER),
        ([Send(b"220 x\r\n"), Expect(b"EHLO")], {"ehlo_timeout": 0.05}, Stage.EHLO),
        ([Send(b"220 x\r\n"), Expect(b"EHLO"), Drip(b"250-x\r\n" * 100, 0.02)], {"ehlo_timeout": 0.1}, Stage.EHLO),
        ([*greeting(OFFER_TLS), Expect(b"STARTTLS")], {"starttls_timeout": 0.05}, Stage.STARTTLS),
        ([*greeting(OFFER_TLS), *said("STARTTLS", b"220 go\r\n")], {"starttls_timeout": 0.05}, Stage.STARTTLS),
    ],
    ids=["banner", "banner drips", "ehlo", "ehlo drips", "starttls", "handshake"],
)
async def test_p2_p3_silence_while_opening_is_told_with_its_stage(
    steps: list[Step], timeouts: dict[str, float], stage: Stage
) -> None:
    """Each stage of the opening has its own timer, and the connection is closed when it ends."""
    async with Peer(steps) as peer:
        expected = Trouble.TLS if stage is Stage.STARTTLS else Trouble.TIMEOUT
        found = await trouble(peer.port, tls="required" if stage is Stage.STARTTLS else "none", **timeouts)
        assert found[0] is stage
        assert found[1] in {expected, Trouble.TIMEOUT}
        await peer.ended()
        assert peer.visit.gone


@pytest.mark.parametrize("abort", [False, True])
@pytest.mark.parametrize("stage", ["banner", "ehlo"])
async def test_p5_a_connection_that_ends_while_opening_is_lost(stage: str, *, abort: bool) -> None:
    """A receiver that closes without a word is lost at that stage."""
    async with Receiver(Behaviour(scripted={stage: [Close(abort=abort)] * 2})) as receiver:
        assert await trouble(receiver.port) == (Stage(stage), Trouble.LOST)


@pytest.mark.parametrize("stage", ["banner", "ehlo"])
@pytest.mark.parametrize("reply", ["421 4.7.0 too many", "450 later", "451 4.3.0 not now"])
async def test_p9_p10_a_transient_refusal_is_the_answer(stage: str, reply: str) -> None:
    """What the receiver says in place of a session comes back with its stage and its host."""
    async with Receiver(Behaviour(scripted={stage: [Close(reply=reply)]})) as receiver:
        refused = await attempt(receiver.port)
        assert isinstance(refused, Refused)
        assert (refused.stage, str(refused.reply)) == (Stage(stage), reply)
        assert refused.host == "mx.sandbox.test[127.0.0.1]"
        await receiver.until_idle()


@pytest.mark.parametrize("reply", ["554 5.7.1 no mail from you", "550 no", "354 what"])
async def test_p10_a_refusing_banner_is_the_answer(reply: str) -> None:
    """Nothing is sent to a receiver that refuses in its banner."""
    async with Peer([Send(reply.encode() + b"\r\n")]) as peer:
        refused = await attempt(peer.port)
        assert isinstance(refused, Refused)
        assert (refused.stage, str(refused.reply)) == (Stage.BANNER, reply)
        await peer.ended()
        assert peer.visit.rest == b""


@pytest.mark.parametrize("code", [500, 502, 504, 550])
async def test_p18_helo_follows_an_ehlo_that_is_refused_for_good(code: int) -> None:
    """A receiver that does not know EHLO gets HELO, and mail without extensions."""
    steps = [Send(b"220 x\r\n"), *said("EHLO", b"%d what\r\n" % code), *said("HELO", b"250 x\r\n"), *envelope()]
    async with Peer([*steps, Content(), Send(b"250 ok\r\n")]) as peer:
        session = await connect(peer.port, tls="opportunistic")
        assert delivered(await session.transact(letter()))
        session.abort()
    assert peer.visit.commands == [
        b"EHLO sender.test",
        b"HELO sender.test",
        b"MAIL FROM:<me@a.test>",
        b"RCPT TO:<you@b.test>",
        b"DATA",
    ]


@pytest.mark.parametrize("behind", [[PeerClose()], [Expect(b"HELO"), PeerClose()], [PeerClose(abort=True)]])
async def test_p18_who_closes_behind_an_ehlo_that_it_does_not_know_gets_helo_anew(behind: list[Step]) -> None:
    """A receiver that refuses EHLO as unknown and hangs up is greeted with HELO on a connection of its own."""
    refusing = [Send(b"220 x\r\n"), *said("EHLO", b"502 what\r\n"), *behind]
    plain = [Send(b"220 x\r\n"), *said("HELO", b"250 x\r\n"), *envelope(), Content(), Send(b"250 ok\r\n")]
    async with Peer(refusing, plain) as peer:
        session = await connect(peer.port, tls="opportunistic")
        assert delivered(await session.transact(letter()))
        session.abort()
        await peer.ended()
    assert len(peer.visits) == 2


async def test_p18_who_refuses_us_at_ehlo_and_closes_is_not_called_again() -> None:
    """A 5yz that is about us and not about the command is the answer."""
    async with Peer([Send(b"220 x\r\n"), *said("EHLO", b"554 5.7.1 go away\r\n"), PeerClose()]) as peer:
        with contextlib.suppress(SessionError):
            refused = await attempt(peer.port)
            assert isinstance(refused, Refused)
        await peer.ended()
    assert len(peer.visits) == 1


async def test_p18_no_helo_follows_an_ehlo_that_is_refused_for_now() -> None:
    """A 4yz to EHLO is the answer, and a refused HELO is too."""
    async with Peer([Send(b"220 x\r\n"), *said("EHLO", b"451 later\r\n")]) as peer:
        refused = await attempt(peer.port)
        assert isinstance(refused, Refused)
        assert refused.reply.code == 451
        await peer.ended()
        assert peer.visit.rest == b""
    async with Peer([Send(b"220 x\r\n"), *said("EHLO", b"502 what\r\n"), *said("HELO", b"550 no\r\n")]) as peer:
        refused = await attempt(peer.port)
        assert isinstance(refused, Refused)
        assert (refused.stage, refused.reply.code) == (Stage.EHLO, 550)
        await peer.ended()


@pytest.mark.parametrize(
    "offer",
    [
        b"250-peer.test greets you\r\n250-pipelining\r\n250-size 100000\r\n250 8bitmime\r\n",
        b"250-\r\n250-SIZE=100000\r\n250-PIPELINING\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 AUTH=LOGIN\r\n",
        b"250-peer.test\n250-8BITMIME\n250-XYZ \xff\xfe garbage -- ; =\n250 \n",
        b"250 8BITMIME\r\n",
    ],
)
async def test_p18_odd_offers_are_read_as_far_as_they_go(offer: bytes) -> None:
    """Lower case, repeated, empty and unknown lines in the answer to EHLO disturb nothing."""
    async with Peer([*greeting(offer), *envelope(), Content(), Send(b"250 ok\r\n")]) as peer:
        session = await connect(peer.port, tls="opportunistic")
        assert delivered(await session.transact(letter()))
        session.abort()


@pytest.mark.parametrize(
    "banner", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"SSH-2.0-OpenSSH_9.9\r\n", b"\x15\x03\x01\x00\x02\x02\x16" * 2000]
)
async def test_p21_a_peer_that_speaks_something_else_is_left(banner: bytes) -> None:
    """A peer whose first words are no SMTP is a protocol error, and is sent nothing."""
    async with Peer([Send(banner)]) as peer:
        assert await trouble(peer.port) == (Stage.BANNER, Trouble.PROTOCOL)
        await peer.ended()
        assert peer.visit.rest == b""


async def test_p16_more_than_a_banner_is_out_of_step() -> None:
    """A second reply before EHLO ends the session."""
    async with Peer([Send(b"220 x\r\n250 y\r\n")]) as peer:
        found = await trouble(peer.port)
        assert found[1] is Trouble.PROTOCOL
        await peer.ended()


@pytest.mark.parametrize("tls", ["opportunistic", "required", "none"])
async def test_l14_tls_by_policy_with_a_certificate_that_nobody_signed(tls: Tls) -> None:
    """Opportunistic TLS takes any certificate, required TLS does not, and without a wish there is none."""
    behaviour = Behaviour(tls=server_context())
    async with Receiver(behaviour, keep_arrivals=True) as receiver:
        if tls == "required":
            assert await trouble(receiver.port, tls=tls) == (Stage.STARTTLS, Trouble.TLS)
        else:
            session = await connect(receiver.port, tls=tls, host="mx.sandbox.test.")
            assert session.tls == ("TLSv1.3" if tls == "opportunistic" else "")
            assert delivered(await session.transact(letter()))
            await session.quit()
        await receiver.until_idle()
    assert [arrival.tls for arrival in receiver.arrivals] == {"opportunistic": [True], "required": [], "none": [False]}[
        tls
    ]


async def test_tls_that_is_required_and_not_offered_is_a_trouble_before_mail() -> None:
    """Without STARTTLS in the offer nothing is sent where TLS is required; else it goes in clear text."""
    async with Peer([*greeting()]) as peer:
        assert await trouble(peer.port, tls="required") == (Stage.STARTTLS, Trouble.TLS)
        await peer.ended()
        assert peer.visit.rest == b""
    async with Receiver(Behaviour()) as receiver:
        session = await connect(receiver.port, tls="opportunistic")
        assert (session.tls, delivered(await session.transact(letter()))) == ("", True)
        session.abort()


BROKEN: dict[str, list[Step]] = {
    "refused": said("STARTTLS", b"454 4.7.0 not now\r\n"),
    "refused for good": said("STARTTLS", b"502 what\r\n"),
    "garbage": [*said("STARTTLS", b"220 go\r\n"), Take(100), Send(b"this is no TLS\r\n" * 9)],
    "closed": [*said("STARTTLS", b"220 go\r\n"), PeerClose()],
    "reset": [*said("STARTTLS", b"220 go\r\n"), PeerClose(abort=True)],
    "injected": said("STARTTLS", b"220 go\r\n250 injected\r\n"),
    "half injected": said("STARTTLS", b"220 go\r\n250-inj"),
}


@pytest.mark.parametrize("name", sorted(BROKEN))
async def test_l17_broken_tls_is_clear_text_on_a_new_connection_where_tls_is_a_wish(name: str) -> None:
    """A receiver whose TLS does not work gets its mail without it (RFC 7435); what it said before counts not."""
    plain = [*greeting(OFFER_TLS), *envelope(), Content(), Send(b"250 ok\r\n")]
    async with Peer([*greeting(OFFER_TLS), *BROKEN[name]], plain) as peer:
        session = await connect(peer.port, limits(starttls_timeout=0.2), tls="opportunistic")
        assert session.tls == ""
        assert delivered(await session.transact(letter()))
        session.abort()
        await peer.ended()
    assert len(peer.visits) == 2
    assert b"MAIL" not in peer.visits[0].rest


@pytest.mark.parametrize("name", sorted(BROKEN))
async def test_l17_broken_tls_is_no_session_where_tls_is_required(name: str) -> None:
    """Where TLS is required a receiver whose TLS does not work gets no MAIL, and there is no second connection."""
    async with Peer([*greeting(OFFER_TLS), *BROKEN[name]]) as peer:
        if name.startswith("refused"):
            refused = await attempt(peer.port, tls="required")
            assert isinstance(refused, Refused)
            assert refused.stage is Stage.STARTTLS
        else:
            found = await trouble(peer.port, tls="required", starttls_timeout=0.2)
            assert found[0] is Stage.STARTTLS
            assert found[1] in {Trouble.TLS, Trouble.PROTOCOL, Trouble.LOST}
        await peer.ended()
    assert len(peer.visits) == 1
    assert b"MAIL" not in peer.visit.rest


async def test_what_was_offered_in_clear_text_is_forgotten_under_tls() -> None:
    """Only the answer to the EHLO under TLS counts."""
    behaviour = Behaviour(tls=server_context(), scripted={"ehlo": ["250-x\r\n250-SIZE 1\r\n250 STARTTLS"]})
    async with Receiver(behaviour) as receiver:
        session = await connect(receiver.port, tls="opportunistic")
        assert session.tls
        assert delivered(await session.transact(letter()))
        session.abort()


async def test_p2_a_receiver_that_hangs_under_tls_is_left() -> None:
    """Timers hold under TLS as well, and the connection is closed."""
    async with Receiver(Behaviour(tls=server_context(), chunking=False, scripted={"mail": [Hang()]})) as receiver:
        session = await connect(receiver.port, limits(mail_timeout=0.05), tls="opportunistic")
        (answer,) = await session.transact(letter())
        assert (answer.stage, answer.trouble) == (Stage.MAIL, Trouble.TIMEOUT)
        await receiver.until_idle()
