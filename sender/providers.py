"""`config/providers.toml` as a value: the large mailbox providers by their MX hosts.

Everything works without the file.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any

from sender.core.errors import ConfigError, Problem
from sender.core.provider import Provider, Providers, share_name
from sender.shipped import shipped
from sender.tables import read

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

_FIGURES = ("cap", "messages_per_session", "max_recipients")
_DOMAIN = re.compile(r"[a-z0-9-]+(?:\.[a-z0-9-]+)+")
_KEYS = {"title", "mx", "sources", "share", *_FIGURES}


@cache
def providers() -> Providers:
    """Give those that come with the package; none, where the file is not there. Raises ConfigError."""
    path = shipped("providers.toml")
    return load(path) if path is not None else Providers()


def provider_of(mx_host: str) -> Provider | None:
    """Give the provider that an MX host belongs to."""
    return providers().of(mx_host)


def provider_of_all(mx_hosts: Iterable[str]) -> Provider | None:
    """Give the provider that all MX hosts of a site belong to."""
    found = {provider_of(host) for host in mx_hosts}
    return found.pop() if len(found) == 1 else None


def load(path: Path) -> Providers:
    """Read a file. Raises ConfigError with every problem in it."""
    tables = read(path)
    problems: list[Problem] = []
    found: list[Provider] = []
    taken: dict[str, str] = {}
    for name, table in tables.items():
        if not isinstance(table, dict):
            problems.append(Problem(str(path), name, table, "must be a table"))
            continue
        wrong = list(_wrong(str(path), name, table, taken))
        problems += wrong
        if not wrong:
            found.append(
                Provider(
                    name=name,
                    title=table.get("title", name),
                    mx=tuple(table["mx"]),
                    sources=tuple(table.get("sources", ())),
                    share=table.get("share"),
                    **{key: table[key] for key in _FIGURES if key in table},
                )
            )
    if problems:
        raise ConfigError(problems)
    return Providers(tuple(found))


def _wrong(place: str, name: str, table: dict[str, Any], taken: dict[str, str]) -> Iterator[Problem]:
    for key, value in table.items():
        if key not in _KEYS:
            yield Problem(place, f"{name}.{key}", value, f"unknown key; known here: {', '.join(sorted(_KEYS))}")
    if not isinstance(table.get("title", ""), str):
        yield Problem(place, f"{name}.title", table["title"], "must be a string")
    for key in ("mx", "sources"):
        value = table.get(key, [])
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            yield Problem(place, f"{name}.{key}", str(value), "must be an array of strings")
            return
    if not table.get("mx"):
        yield Problem(place, f"{name}.mx", "", "must have at least one domain")
    for domain in table.get("mx", ()):
        if _DOMAIN.fullmatch(domain) is None:
            yield Problem(place, f"{name}.mx", domain, "must be a domain in lower case")
        if taken.setdefault(domain, name) != name:
            yield Problem(place, f"{name}.mx", domain, f"is a domain of {taken[domain]} already")
    yield from _wrong_figures(place, name, table)


def _wrong_figures(place: str, name: str, table: dict[str, Any]) -> Iterator[Problem]:
    share = table.get("share", "")
    if not isinstance(share, str):
        yield Problem(place, f"{name}.share", share, "must be a string")
        return
    try:
        share_name(share)
    except ValueError as error:
        yield Problem(place, f"{name}.share", share, str(error))
    if share and not table.get("sources"):
        yield Problem(place, f"{name}.share", share, "must have its source under `sources`")
    for key in _FIGURES:
        figure = table.get(key, 1)
        if not isinstance(figure, int) or isinstance(figure, bool) or figure < 1:
            yield Problem(place, f"{name}.{key}", figure, "must be a whole number, 1 or more")
        elif key in table and not table.get("sources"):
            yield Problem(place, f"{name}.{key}", figure, "must have its source under `sources`")
