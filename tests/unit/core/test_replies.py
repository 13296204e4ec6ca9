"""What the shipped rules make of replies that were collected from published lists, logs and server programs.

Each line of `replies/` has the reply, where it comes from (`source`) and what it means. Meanings were written down
before a line was tried, by the conventions that `config/replies.toml` and `core/meanings/` follow; a line of `low`
confidence is one that its text alone does not decide.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from sender.core.reply import Reply
from sender.core.stage import Stage
from sender.rules import classify

_FOLDER = Path(__file__).parent / "replies"
_FILES = sorted(path.stem for path in _FOLDER.glob("*.jsonl"))


@dataclass(frozen=True)
class _Judged:
    """A collected reply: what it should mean, and what it is taken to mean."""

    meant: dict[str, object]
    taken: dict[str, object]


@cache
def _judged(name: str) -> tuple[_Judged, ...]:
    rows = [json.loads(line) for line in (_FOLDER / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()]
    judged = []
    for row in rows:
        if row["confidence"] != "low":
            verdict = classify(Stage(row["stage"]), Reply.parse(row["reply"]))
            taken = {key: getattr(verdict, key) for key in ("outcome", "scope", "reason", "retry_after_s")}
            judged.append(_Judged({key: row[key] for key in taken}, taken))
    return tuple(judged)


def _share(key: str, name: str) -> float:
    judged = _judged(name)
    return sum(one.meant[key] == one.taken[key] for one in judged) / len(judged)


def test_enough_replies_are_collected() -> None:
    """At least 500 replies are collected, from lists, providers and server programs."""
    assert sum(len(_judged(name)) for name in _FILES) >= 500


@pytest.mark.parametrize("name", _FILES)
def test_collected_replies_are_understood(name: str) -> None:
    """Of each collection 98 % of outcomes, 95 % of scopes and 95 % of reasons are read as they are meant."""
    assert _share("outcome", name) >= 0.98
    assert _share("scope", name) >= 0.95
    assert _share("reason", name) >= 0.95


@pytest.mark.parametrize("name", _FILES)
def test_every_wait_that_a_collected_reply_names_is_read(name: str) -> None:
    """A named wait is read to the second, and none is found where none is named."""
    assert [one.taken["retry_after_s"] for one in _judged(name)] == [
        one.meant["retry_after_s"] for one in _judged(name)
    ]


@pytest.mark.parametrize("name", _FILES)
def test_no_collected_reply_is_listed_twice(name: str) -> None:
    """One reply at one stage counts once."""
    rows = [json.loads(line) for line in (_FOLDER / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()]
    assert len({(row["stage"], row["reply"]) for row in rows}) == len(rows)
