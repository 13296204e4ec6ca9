"""Recipients found by their address or domain."""

from __future__ import annotations

from typing import Any

from sender.core.identity import id_text
from sender.core.selection import Kind, Selection
from sender.spool.contract import Spool, State

from .place import NOW, claim, end, mail


async def _find(spool: Spool, rcpt_to: str = "", domain: str = "", limit: int = 10) -> dict[str, Any]:
    return await spool.find_recipients(rcpt_to=rcpt_to, domain=domain, limit=limit)


async def test_an_address_is_found_in_any_case_and_whole_only(spool: Spool) -> None:
    """Upper and lower case are one; a part of an address finds nothing."""
    new = mail("Anna@b.test", "hanna@b.test")
    await spool.accept(new)
    (found,) = (await _find(spool, "anna@B.test"))["recipients"]
    assert (found["rcpt_to"], found["id"], found["state"]) == ("Anna@b.test", id_text(new.id), State.QUEUED)
    assert (await _find(spool, "nna@b.test"))["recipients"] == []
    assert (await _find(spool, "%@b.test"))["recipients"] == []


async def test_what_has_ended_is_found_while_it_is_kept(spool: Spool) -> None:
    """Delivered recipients are found until they are purged, with the instant at which their message ended."""
    await spool.accept(mail())
    await end(spool, await claim(spool))
    (found,) = (await _find(spool, "you@b.test"))["recipients"]
    assert (found["state"], found["ended_at"]) == (State.DELIVERED, NOW)
    await spool.purge(NOW + 1, 10)
    assert (await _find(spool, "you@b.test"))["recipients"] == []


async def test_the_newest_come_first_and_are_few(spool: Spool) -> None:
    """Of more than are wanted the newest are given, and it is told that there are others."""
    for second in range(4):
        await spool.accept(mail(at=NOW + second))
    found = await _find(spool, "you@b.test", limit=3)
    assert [row["accepted_at"] for row in found["recipients"]] == [NOW + 3, NOW + 2, NOW + 1]
    assert not found["complete"]
    assert (await _find(spool, "you@b.test", limit=4))["complete"]


async def test_a_domain_is_found_with_every_state_of_its_mail(spool: Spool) -> None:
    """All recipients of a domain, queued, claimed and held."""
    held = mail("held@b.test")
    await spool.accept(mail("one@b.test"), held, mail("other@a.test"))
    await spool.suspend(Selection(Kind.MESSAGE, id_text(held.id)), now=NOW, until=None, reason="")
    await claim(spool, limit=1)
    found = {row["rcpt_to"]: row["state"] for row in (await _find(spool, domain="B.test"))["recipients"]}
    assert found == {"held@b.test": State.SUSPENDED, "one@b.test": State.CLAIMED}
