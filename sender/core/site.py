"""The name of a site: the domains that share one MX set (RFC 5321 section 5.1)."""

from __future__ import annotations

import os.path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def site_name(hosts: Iterable[str]) -> str:
    """Name the site of a set of MX hosts: readable, and the same whatever their order and their preferences are.

    One host names itself; several show what they differ in: `(alt1|alt2|mx).example.com`.
    """
    names = sorted({host.lower().rstrip(".") for host in hosts})
    if len(names) == 1:
        return names[0]
    reversed_labels = [name.split(".")[::-1] for name in names]
    shared = os.path.commonprefix(reversed_labels)  # noqa: RUF071 - of lists of labels, which it compares whole
    if shared in reversed_labels:  # one name ends all others: keep a label of it in sight
        shared = shared[:-1]
    suffix = ".".join(reversed(shared))
    heads = [name.removesuffix(suffix).rstrip(".") for name in names]
    shown = "|".join(heads)
    return f"({shown}).{suffix}" if suffix else f"({shown})"
