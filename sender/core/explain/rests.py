"""Rests explained: who is left alone, since the receiver throttles it by itself, while everybody else goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sender.core.explain.words import coming, count, quote

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_KINDS = {
    "mailbox": ("mailbox", "mailboxes"),
    "domain": ("domain", "domains"),
    "identity": ("sending domain", "sending domains"),
}
_TOLD = 5


def explain_rests(lane: Mapping[str, Any], now: float) -> Iterator[str]:
    """Say who rests, until when, and what the receiver said."""
    for kind, words in _KINDS.items():
        rests = [rest for rest in lane["rests"] if rest["kind"] == kind]
        if rests:
            some = ", ".join(f"{rest['name'] or '<>'} (tried {coming(rest['until'], now)})" for rest in rests[-_TOLD:])
            more = f" and {len(rests) - _TOLD} more" if len(rests) > _TOLD else ""
            yield (
                f"{count(len(rests), *words)} {'rests' if len(rests) == 1 else 'rest'}, while others go on: "
                f"{some}{more}; the last reply to one was{quote(rests[-1]['reply'])}."
            )


def why_it_rests(recipient: Mapping[str, Any], lane: Mapping[str, Any] | None) -> str:
    """Say for whose sake a recipient rests; empty where it does not."""
    mine = {
        "mailbox": recipient["rcpt_to"].lower(),
        "domain": recipient["domain"],
        "identity": recipient["mail_from"].rpartition("@")[2].lower(),
    }
    for rest in lane["rests"] if lane is not None else ():
        if mine.get(rest["kind"]) == rest["name"]:
            who = f"{_KINDS[rest['kind']][0]} {rest['name'] or '<>'}"
            return f"{who} rests since the receiver said{quote(rest['reply'])}"
    return ""
