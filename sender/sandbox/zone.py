"""The records and failures that a scripted DNS server answers from.

A zone is the whole world: every name that has no record, and no name with records below it, does not exist.
Names are compared without case and final dot.
A record of `*.parent` stands for every name below `parent` that is not there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import dns.exception
import dns.name
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset

Value = str | tuple[object, ...]
Records = Mapping[str, Mapping[str, Iterable[Value]]]
"""`{name: {type: values}}`; a value is the text of a record, or its words as a tuple."""

FAILURES = frozenset({"timeout", "garbage", "truncate", "wrong-id"})
"""Failures that are not a response code."""

_TEXT_LIMIT = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What a zone says to a question: records, and whether the last name exists at all; or only a failure."""

    rrsets: tuple[dns.rrset.RRset, ...] = ()
    exists: bool = True
    failure: str = ""


class Zone:
    """Records and failures by name and type."""

    def __init__(self, records: Records | None = None) -> None:
        """Begin with these records."""
        self._rrsets: dict[str, dict[str, dns.rrset.RRset]] = {}
        self._failures: dict[str, dict[str | None, str]] = {}
        self._existing: set[str] | None = None
        for name, types in (records or {}).items():
            for rdtype, values in types.items():
                self.set(name, rdtype, values)

    def set(self, name: str, rdtype: str, values: Iterable[Value], ttl: int = 60) -> None:
        """Replace the records of a name and type; without values the name stays, but has no such record."""
        kind = rdtype.upper()
        owner = dns.name.from_text(name)
        rrset = dns.rrset.RRset(owner, dns.rdataclass.IN, dns.rdatatype.from_text(kind))
        rrset.update_ttl(ttl)
        for value in values:
            text = _text(kind, value)
            rrset.add(dns.rdata.from_text(rrset.rdclass, rrset.rdtype, text, dns.name.root, relativize=False), ttl)
        self._rrsets.setdefault(canonical(name), {})[kind] = rrset
        self._existing = None

    def fail(self, name: str, rdtype: str | None, failure: str) -> None:
        """Fail every question for a name (and type): a response code, or one of `FAILURES`.

        `truncate` answers with TC over UDP and hangs up over TCP.
        """
        if failure not in FAILURES:
            try:
                dns.rcode.from_text(failure)
            except dns.exception.DNSException as error:
                message = f"failure = {failure!r}: must be a response code or one of {', '.join(sorted(FAILURES))}"
                raise ValueError(message) from error
        self._failures.setdefault(canonical(name), {})[rdtype.upper() if rdtype else None] = failure

    def clear(self, name: str) -> None:
        """Forget the records and failures of a name."""
        self._rrsets.pop(canonical(name), None)
        self._failures.pop(canonical(name), None)
        self._existing = None

    def find(self, name: str, rdtype: str) -> Finding:
        """Answer a question; CNAMEs are followed to their end, a loop of them once around."""
        chain: list[dns.rrset.RRset] = []
        asked, seen = canonical(name), set[str]()
        while True:
            seen.add(asked)
            failures = self._failures.get(asked, {})
            failure = failures.get(rdtype, failures.get(None, ""))
            if failure:
                return Finding(failure=failure)
            types = self._types(asked)
            if types is None:
                return Finding(rrsets=tuple(chain), exists=self._exists(asked))
            wanted = types.get(rdtype)
            alias = types.get("CNAME") if not wanted else None
            found = wanted or alias
            if not found:
                return Finding(rrsets=tuple(chain))
            chain.append(_owned(found, asked))
            if alias is None:
                return Finding(rrsets=tuple(chain))
            asked = canonical(str(alias[0].target))
            if asked in seen:
                return Finding(rrsets=tuple(chain))

    def _types(self, name: str) -> dict[str, dns.rrset.RRset] | None:
        """Give the records of a name, by type, from the nearest wildcard if the name does not exist."""
        if self._exists(name):
            return self._rrsets.get(name)
        parent = name
        while parent:
            parent = parent.partition(".")[2]
            if self._exists(parent):
                return self._rrsets.get(f"*.{parent}" if parent else "*")
        return None

    def _exists(self, name: str) -> bool:
        if self._existing is None:
            self._existing = {""}  # the root
            for known in self._rrsets:
                labels = known.split(".")
                self._existing.update(".".join(labels[start:]) for start in range(len(labels)))
        return name in self._existing


def canonical(name: str) -> str:
    """Give the form in which names are compared."""
    return dns.name.from_text(name).to_text(omit_final_dot=True).lower()


def _owned(rrset: dns.rrset.RRset, name: str) -> dns.rrset.RRset:
    owner = dns.name.from_text(name)
    if rrset.name == owner:
        return rrset
    return dns.rrset.from_rdata_list(owner, rrset.ttl, list(rrset))


def _text(rdtype: str, value: Value) -> str:
    text = value if isinstance(value, str) else " ".join(str(word) for word in value)
    if rdtype != "TXT" or text.startswith('"'):
        return text
    pieces = [text[start : start + _TEXT_LIMIT] for start in range(0, len(text), _TEXT_LIMIT)] or [""]
    return " ".join('"' + piece.replace("\\", "\\\\").replace('"', '\\"') + '"' for piece in pieces)
