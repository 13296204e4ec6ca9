"""Recipients by domain and age."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from sender.core.options import Options
from sender.spool.contract import Spool, State

from .place import NOW, claim, mail, settlements

_MINUTE = 60.0


async def _ages(
    spool: Spool, now: float = NOW, *, domain: str = "", site: str = "", stream: str = "", limit: int = 20
) -> dict[str, Any]:
    return await spool.age_report(now, domain=domain, site=site, stream=stream, limit=limit)


@pytest.mark.parametrize(
    ("minutes", "column"),
    [(0, 0), (4.9, 0), (5.1, 1), (15, 2), (39, 3), (41, 4), (639, 7), (1279, 8), (1281, 9), (9e3, 9)],
)
async def test_each_age_has_its_column(spool: Spool, minutes: float, column: int) -> None:
    """Columns end after 5, 10, 20, ... 1280 minutes since acceptance; what is older is in the last."""
    await spool.accept(mail(at=NOW - minutes * _MINUTE))
    ages = await _ages(spool)
    assert ages["minutes"] == [5, 10, 20, 40, 80, 160, 320, 640, 1280]
    assert ages["due"] == [int(number == column) for number in range(10)]
    assert sum(ages["deferred"]) == 0


async def test_what_waits_for_a_later_attempt_is_counted_apart(spool: Spool) -> None:
    """A recipient that was tried is deferred until its next attempt is due, and then in line again."""
    await spool.accept(mail(at=NOW - 6 * _MINUTE))
    claimed = await claim(spool)
    await spool.settle(settlements(claimed, State.QUEUED, due_at=NOW + 60), [], {}, NOW)
    ages = await _ages(spool)
    assert (sum(ages["due"]), ages["deferred"][1]) == (0, 1)
    ages = await _ages(spool, NOW + 61)
    assert (sum(ages["due"]), sum(ages["deferred"])) == (1, 0)


async def test_what_was_put_off_without_an_attempt_is_in_line(spool: Spool) -> None:
    """Who was throttled was not tried: it keeps its place, and its age."""
    await spool.accept(mail(at=NOW - 6 * _MINUTE))
    (claimed,) = await claim(spool)
    (recipient,) = claimed.recipients
    await spool.release([recipient.id], {recipient.id: NOW + 60})
    ages = await _ages(spool)
    assert (ages["due"][1], sum(ages["deferred"])) == (1, 0)


async def test_the_largest_domains_come_first_and_the_sums_have_all(spool: Spool) -> None:
    """Of more domains than are shown the smaller ones count only in the sums."""
    for number, domain in enumerate(("a.test", "b.test", "c.test")):
        await spool.accept(*(mail(f"user{each}@{domain}") for each in range(number + 1)))
    await spool.set_sites({"c.test": "mx.c.test"})
    ages = await _ages(spool, limit=2)
    assert [(row["domain"], row["site"], sum(row["due"])) for row in ages["domains"]] == [
        ("c.test", "mx.c.test", 3),
        ("b.test", None, 2),
    ]
    assert sum(ages["due"]) == 6


async def test_streams_of_a_domain_are_one_row(spool: Spool) -> None:
    """A domain's mail is counted together, and one stream alone where that is asked for."""
    await spool.accept(mail(stream="news"), mail(stream="orders"))
    (row,) = (await _ages(spool))["domains"]
    assert sum(row["due"]) == 2
    ages = await _ages(spool, stream="news")
    assert (sum(ages["due"]), sum(ages["domains"][0]["due"])) == (1, 1)


@pytest.mark.parametrize(
    ("wanted", "count"),
    [
        ({"domain": "B.te"}, 1),
        ({"domain": "test"}, 2),
        ({"site": "mx.b.test"}, 1),
        ({"site": "mx"}, 0),
        ({"domain": "%"}, 0),
    ],
    ids=str,
)
async def test_what_is_asked_for_is_counted_alone(spool: Spool, wanted: dict[str, str], count: int) -> None:
    """A part of a domain's name, in any case, or a whole site."""
    await spool.accept(mail("you@a.test"), mail("you@b.test"))
    await spool.set_sites({"b.test": "mx.b.test"})
    ages = await _ages(spool, domain=wanted.get("domain", ""), site=wanted.get("site", ""))
    assert (sum(ages["due"]), sum(sum(row["due"]) for row in ages["domains"])) == (count, count)


async def test_what_is_to_be_sent_later_has_no_age(spool: Spool) -> None:
    """Scheduled mail is counted from the instant that it waits for."""
    await spool.accept(replace(mail(due_at=NOW + 100), options=Options(send_at=NOW + 100)))
    assert sum((await _ages(spool))["due"]) == 0
    assert sum((await _ages(spool, NOW + 101))["due"]) == 1


async def test_an_empty_spool_has_no_ages(spool: Spool) -> None:
    """Nothing is counted where nothing is."""
    ages = await _ages(spool)
    assert (sum(ages["due"]), sum(ages["deferred"]), ages["domains"]) == (0, 0, [])
