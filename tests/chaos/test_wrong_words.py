"""Receivers that lie, shout, mix up and object, before a whole daemon (reliability: P11 to P24)."""

from __future__ import annotations

import contextlib
import itertools
from collections import Counter
from typing import TYPE_CHECKING

from sender.sandbox import Behaviour
from sender.spool.contract import State
from tests.chaos.battery import SHORT, Fault, Sized, battery, start
from tests.chaos.faultsink import FaultSink, Flood, Hang, closing, says, then
from tests.chaos.scale import scaled
from tests.dialogs.peer import OFFER, OFFER_CHUNKING, Close, HalfClose, Pause, Send, Take

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.chaos.report import Report
    from tests.dialogs.peer import Step
    from tests.scenes.world import World

_MIX = ("250", "450", "550", "452", "251", "252", "421")
_WORDS = {
    "250": "250 ok", "450": "450 4.2.0 later", "550": "550 5.1.1 no such user", "452": "452 too many",
    "251": "251 forwarded", "252": "252 perhaps", "421": "421 4.4.2 bye for now",
}  # fmt: skip


def _send_to(world: World, domain: str, *addresses: str) -> None:
    """Give a domain its hosts, in the order of their preference."""
    for number, address in enumerate(addresses):
        world.dns.a(f"mx{number}.{domain}", address)
    world.dns.mx(domain, [(10 * number, f"mx{number}.{domain}") for number in range(len(addresses))])


async def test_p11_each_recipient_gets_its_own_answer_in_every_mix(world: World, report: Report) -> None:
    """Of up to four recipients with any seven replies each one ends as its own reply says, and exactly once."""
    most = scaled(2, 4)
    mixes = [mix for count in range(1, most + 1) for mix in itertools.product(_MIX, repeat=count)]
    tried: Counter[str] = Counter()

    def answer(_: str, rcpt_to: str) -> Step:
        """Reply the first time as the address says, then take it, or refuse it for good."""
        code = rcpt_to[:3]
        tried[rcpt_to] += 1
        if code == "421" and tried[rcpt_to] == 1:
            return closing(_WORDS[code])
        return says(_WORDS[code] if code[0] in "25" or (tried[rcpt_to] == 1 and code != "421") else _WORDS["250"])

    _send_to(world, "mix.test", "127.0.1.1")
    neighbour = await world.site("neighbour.test")
    async with FaultSink(address=("127.0.1.1", world.port), rcpt=answer) as sink:
        await start(world, {"window": {"start": 10}})
        mail = []
        for number, mix in enumerate(mixes):
            rcpt_tos = (f"{code}.{place}.{number}@mix.test" for place, code in enumerate(mix))
            mail.append(world.message(*rcpt_tos, mail_from=""))
        await world.submit([*mail, *(world.message("user@neighbour.test") for _ in range(20))])
        await world.until("the neighbour has its mail", lambda: neighbour.tally.messages == 20)
        await world.until_empty(deadline_s=300)
        expected = Counter(State.BOUNCED if code == "550" else State.DELIVERED for mix in mixes for code in mix)
        expected[State.DELIVERED] += 20
        assert world.books().states == expected
        await world.balance()
        await world.stop()
    assert set(sink.ledger.taken.values()) == {1}
    assert len(sink.ledger.taken) == expected[State.DELIVERED] - 20
    assert {rcpt_to[:3] for _, rcpt_to in sink.ledger.taken} == set(_MIX) - {"550"}
    report.held("P11", runs=len(mixes), figures=f"every mix of 7 replies to 1 to {most} recipients, each its own")


async def test_p12_the_recipients_that_are_too_many_go_next(world: World, report: Report) -> None:
    """Who was too many goes in the next transaction and not after a wait, whether told so by 452 or 552."""
    refusals = ["452 4.5.3 Too many recipients", "552 Too many recipients", "452 too many"]
    for number, refusal in enumerate(refusals):
        behaviour = Behaviour(max_recipients=3, recipients_with=refusal, enhanced_codes=False)
        await world.site(f"few{number}.test", behaviour, keep_arrivals=True)
    await start(world, {"retry": {"schedule": ["1h"]}})
    for number in range(len(refusals)):
        await world.send(*(f"user{each}@few{number}.test" for each in range(8)))
    await world.until_empty()
    assert world.books().most_attempts == 1
    arrivals = [[len(each.rcpt_tos) for each in receiver.arrivals] for receiver in world.receivers.values()]
    assert arrivals == [[3, 3, 2]] * 3
    report.held("P12", runs=len(refusals), figures="8 recipients where 3 are taken: 3 transactions, 1 attempt")


async def test_p13_size_is_believed_before_content_is_sent(world: World, report: Report) -> None:
    """What is larger than announced is returned without a byte of it; 552 returns, and 452 waits."""
    small = OFFER.replace(b"100000000", b"5000")
    faults = {
        "announced": ([], small, State.BOUNCED, 0),
        "552 to mail": ([{"mail": [says("552 5.3.4 too big")]}], OFFER, State.BOUNCED, 0),
        "552 at the end": ([{"end_of_data": [says("552 5.3.4 too big")]}], OFFER, State.BOUNCED, 1),
        "452 to mail": ([{"mail": [says("452 no room")]}], OFFER, State.DELIVERED, 1),
        "452 at the end": ([{"end_of_data": [says("452 no room")]}], OFFER, State.DELIVERED, 2),
    }
    async with contextlib.AsyncExitStack() as stack:
        sinks, mail = [], []
        for number, (name, (scripts, offer, _, _)) in enumerate(faults.items()):
            _send_to(world, f"size{number}.test", f"127.0.1.{number + 1}")
            sink = FaultSink(*scripts, address=(f"127.0.1.{number + 1}", world.port), offer=offer)
            sinks.append(await stack.enter_async_context(sink))
            mail.append(Sized((f"user@size{number}.test",), "", name, 20_000))
        await start(world)
        await world.submit(mail)
        await world.until_empty()
        assert world.books().states == Counter(state for _, _, state, _ in faults.values())
        await world.balance()
        await world.stop()
    assert [sink.ledger.contents for sink in sinks] == [contents for *_, contents in faults.values()]
    report.held("P13", runs=len(faults), figures="0 bytes of content where SIZE or MAIL says no; 452 waits")
    report.not_held("P13", reason="a message too large for one host of a site is returned though another may take it")


_NO_REPLIES = (
    b"550-no\r\n250 yes\r\n", b"250-yes\r\n550 no\r\n", b"250X ok\r\n", b"250_ok\r\n", b"25 ok\r\n", b"2500 ok\r\n",
    b"2_5 ok\r\n", b"+25 ok\r\n", b" 25 ok\r\n", b"\xd9\xa2\xd9\xa5\xd9\xa0 ok\r\n",
    b"\xef\xbc\x92\xef\xbc\x95\xef\xbc\x90 ok\r\n", b"150 ok\r\n", b"650 ok\r\n", b"ok\r\n", b"\r\n",
)  # fmt: skip


def _everywhere(wires: Mapping[str, Step], **options: bytes) -> dict[str, Fault]:
    """Put each at the banner, MAIL and the end of data, a connection each."""
    stages = ("mail", "end_of_data", "banner")
    return {
        name: Fault(scripts=[{stage: [step]} for stage in stages], messages=3, options=options)
        for name, step in wires.items()
    }


async def test_p14_what_is_no_reply_is_neither_success_nor_refusal(world: World, report: Report) -> None:
    """Lines of different codes, other separators and other numbers defer; those behind a dot are ambiguous."""
    faults = _everywhere({f"junk{number}": Send(wire) for number, wire in enumerate(_NO_REPLIES)}, offer=OFFER)
    async with battery(world, faults) as peers:
        await peers.endure()
        assert peers.unknown >= len(faults) // 2
        report.held("P14", runs=3 * len(faults), figures=peers.figures)


async def test_p15_replies_without_measure_end_the_session(world: World, report: Report) -> None:
    """Endless lines, endless replies and NULs defer; small oddities are taken as they are."""
    floods: dict[str, Step] = {
        "line": then(Send(b"250 "), Flood(b"x" * 65536)),
        "lines": Flood(b"250-more\r\n" * 5000),
        "nul": Flood(b"\0" * 65536),
        "600 bytes": says("250 " + "x" * 600),
        "bare lf": then(says("250-ok\n250 ok")),
        "escapes": says("250 \x1b[31m\x07"),
    }
    faults = _everywhere(floods, offer=OFFER)
    async with battery(world, faults) as peers:
        await peers.endure()
        assert peers.unknown
        report.held("P15", runs=3 * len(faults), figures=peers.figures)


async def test_p16_one_reply_too_many_is_never_a_verdict(world: World, report: Report) -> None:
    """Where a 250 stands behind a 354 and the content is refused, nobody is told that it was delivered."""
    lies: dict[str, Step] = {
        "stray": then(says("354 go", "250 ok"), Take(1), says("550 5.7.1 no")),
        "stray later": then(says("354 go"), Send(b"250 ok\r\n")),
        "blank": says("354 go", ""),
        "half": then(says("354 go"), Send(b"25")),
    }
    faults = {
        name: Fault(scripts=[{"data": [step]}] * 2, messages=2, options={"offer": OFFER}) for name, step in lies.items()
    }
    faults["early"] = Fault(scripts=[{"ehlo": [says("250 sink.test", "250 ok")]}] * 2)
    faults["mail twice"] = Fault(scripts=[{"mail": [says("250 ok", "250 ok")]}] * 2)
    async with battery(world, faults) as peers:
        await peers.endure()
        assert all(set(ledger.taken.values()) == {1} for ledger in peers.ledgers.values())
        report.held("P16", runs=len(faults), figures=peers.figures)


async def test_p17_unusual_codes_mean_what_their_first_digit_says(world: World, report: Report) -> None:
    """Any 2yz behind the content is delivery, once; a 2yz to DATA and a 3yz anywhere else are none."""
    faults = {
        f"end {code}": Fault(scripts=[{"end_of_data": [says(f"{code} ok")] * 2}]) for code in (200, 251, 252, 253)
    }
    faults |= {f"rcpt {code}": Fault(scripts=[{"rcpt": [says(f"{code} ok")] * 2}]) for code in (251, 252)}
    faults["data 250"] = Fault(scripts=[{"data": [says("250 ok")]}] * 2)
    faults["mail 354"] = Fault(scripts=[{"mail": [says("354 go")]}] * 2)
    faults["rcpt 354"] = Fault(scripts=[{"rcpt": [says("354 go")]}] * 2)
    faults["end 354"] = Fault(scripts=[{"end_of_data": [says("354 go")]}] * 2)
    async with battery(world, faults) as peers:
        await peers.endure()
        for name in ("end 200", "end 251", "end 252", "end 253"):
            assert set(peers.ledgers[name].came.values()) == {1}
        report.held("P17", runs=len(faults), figures=peers.figures)


async def test_p18_who_knows_no_ehlo_gets_its_mail(world: World, report: Report) -> None:
    """Refused, hung up on or answered with garbage: HELO or another connection delivers at last."""
    faults = {str(code): Fault(scripts=[{"ehlo": [says(f"{code} what")] * 9}] * 9) for code in (500, 502, 504, 550)}
    faults["closes"] = Fault(scripts=[{"ehlo": [closing("502 what")]}] * 9)
    faults["no word"] = Fault(scripts=[{"ehlo": [Close()]}] * 2)
    offers = (b"250-\r\n250-size 5000000\r\n250-PIPELINING\r\n250 PIPELINING\r\n", b"250-x\n250-X \xff\xfe ;=\n250 \n")
    for number, offer in enumerate(offers):
        faults[f"offer{number}"] = Fault(scripts=[], options={"offer": offer})
    async with battery(world, faults) as peers:
        await peers.endure()
        assert world.books().most_attempts <= 3  # of those who hang up without a word
        report.held("P18", runs=len(faults), figures=peers.figures)


async def test_p20_a_chunk_that_comes_to_nothing_is_ambiguous_only_without_an_answer(
    world: World, report: Report
) -> None:
    """BDAT that is refused or closed upon: the content goes again, and only what was not answered is counted."""
    ends: dict[str, Step] = {
        "503": says("503 what"),
        "450": says("450 4.2.0 later"),
        "421": closing("421 4.4.2 bye for now"),
        "closed": Close(),
        "reset": Close(abort=True),
    }
    faults = {
        name: Fault(
            # That BDAT works is shown by the first; behind the last nothing is under way.
            scripts=[{"end_of_data": [says("250 ok"), says("250 ok"), step]}, {"end_of_data": [step]}],
            messages=3,
            options={"offer": OFFER_CHUNKING},
        )
        for name, step in ends.items()
    }
    async with battery(world, faults, {"window": {"start": 1}}) as peers:
        await peers.endure(at_once=True)
        assert peers.unknown
        report.held("P20", runs=2 * len(faults), figures=peers.figures)


async def test_p21_who_speaks_another_protocol_is_left(world: World, report: Report) -> None:
    """HTTP, SSH and TLS at the banner or later defer, and so does who lets one wait for each line."""
    others: dict[str, Step] = {
        "http": Send(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"),
        "ssh": Send(b"SSH-2.0-OpenSSH_9.9\r\n"),
        "tls": Send(b"\x15\x03\x01\x00\x02\x02\x16" * 3000),
    }
    faults = _everywhere(others, offer=OFFER)
    pit: tuple[Step, ...] = (Send(b"220-\r\n"), Pause(0.4))
    faults["tar pit"] = Fault(scripts=[{"banner": [then(*pit * 9)]}] * 2)
    async with battery(world, faults, SHORT) as peers:
        await peers.endure()
        report.held("P21", runs=3 * len(faults), figures=peers.figures)


async def test_p22_a_verdict_that_was_read_stays_valid_however_the_connection_ends(
    world: World, report: Report
) -> None:
    """Behind a 250 a reset, a half-close or silence repeats nothing; who never reads is given up."""
    endings: dict[str, Step] = {
        "reset": Close(abort=True),
        "half": then(HalfClose(), Hang()),
        "deaf": Hang(deaf=True),
        "closed": Close(),
    }
    faults = {
        name: Fault(scripts=[{"end_of_data": [then(says("250 ok"), step)]}] * 4, messages=4)
        for name, step in endings.items()
    }
    async with battery(world, faults, SHORT) as peers:
        await peers.endure()
        for name in endings:
            assert set(peers.ledgers[name].came.values()) == {1}, name
        report.held("P22", runs=len(faults), figures=peers.figures)
    report.not_held("P22", reason="packet loss and an MTU black hole were not tried: they need netem in the kernel")


async def test_p23_a_session_that_ends_between_two_messages_returns_nothing(world: World, report: Report) -> None:
    """Closed while idle, after some messages, at RSET, or by a 503 to the next MAIL: the next session takes it."""
    offers = [says("250-sink.test", "250 8BITMIME"), says("250-sink.test", "250-PIPELINING", "250 SIZE 5000000")]
    faults = {
        "idle": Fault(scripts=[{"end_of_data": [then(says("250 ok"), Pause(0.05), Close())]}] * 3, messages=6),
        "after two": Fault(scripts=[{"end_of_data": [says("250 ok"), then(says("250 ok"), Close())]}] * 3, messages=8),
        "offers": Fault(
            scripts=[{"ehlo": [offer], "end_of_data": [says("250 ok"), closing("250 ok")]} for offer in offers * 2],
            messages=10,
        ),
        "nested": Fault(scripts=[{"mail": [says("250 ok"), says("503 5.5.1 nested MAIL")]}] * 3, messages=8),
        "rset": Fault(scripts=[{"rcpt": [says("450 later")], "rset": [says("500 what")]}] * 3, messages=4),
    }
    async with battery(world, faults, {"window": {"start": 1}}) as peers:
        await peers.endure()
        report.held("P23", runs=len(faults), figures=peers.figures)


async def test_p24_one_message_that_is_refused_fails_no_other(world: World, report: Report) -> None:
    """A 550 5.7.1 to MAIL returns that message alone; by a rule it returns none, and the lane rests."""
    _send_to(world, "first.test", "127.0.1.1")
    _send_to(world, "ruled.test", "127.0.1.2")
    blocked = {"mail": [says("550 5.7.1 blocked")]}
    by_rule = {"mail": [says("550 5.7.1 blocked by our list")]}
    (world.folder / "own.toml").write_text(_RULE)
    async with (
        FaultSink(blocked, address=("127.0.1.1", world.port)) as first,
        FaultSink(*[by_rule] * 9, address=("127.0.1.2", world.port)) as ruled,
    ):
        await start(world, {"classify": {"rules": "own.toml"}, "window": {"start": 1}})
        await world.submit([world.message("user@first.test", mail_from="") for _ in range(10)])
        await world.until_empty()
        assert world.books().states == {State.BOUNCED: 1, State.DELIVERED: 9}
        await world.submit_at_once([world.message("user@ruled.test") for _ in range(10)])
        await world.until_true("the lane rests", lambda: _is_held(world))
        assert not ruled.ledger.came
        assert world.books().states[State.BOUNCED] == 1
        await world.command("delete", "--domain", "ruled.test")
        await world.balance()
        await world.stop()
    assert set(first.ledger.taken.values()) == {1}
    report.held("P24", runs=2, figures="1 of 10 returned, the next ones on the same session taken; by a rule 0 of 10")


async def _is_held(world: World) -> bool:
    lanes = await world.json("lanes")
    return any(lane["blocked_by"] == "hold" for lane in lanes if "ruled" in lane["name"])


_RULE = """
[[rule]]
name = "our address is blocked"
text = ['blocked by our list']
codes = ["5"]
stages = ["mail"]
reason = "reputation"
scope = "lane"
outcome = "deferred"
examples = [{ reply = "550 5.7.1 blocked by our list", stage = "mail" }]
counterexamples = [{ reply = "550 5.7.1 blocked", stage = "mail" }]
"""
