"""Addresses with ports, as people write them: `host:port`, and name servers."""

from __future__ import annotations

import ipaddress
import re

_ENDPOINT = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([^\[\]:\s]+)):([0-9]{1,5})")
_DNS_PORT, _LAST_PORT = 53, 65535


def split_endpoint(text: str) -> tuple[str, int]:
    """Split `host:port`; IPv6 addresses stand in brackets. Raises ValueError with the rule."""
    match = _ENDPOINT.fullmatch(text)
    if match is None or int(match[3]) > _LAST_PORT:
        raise ValueError('must be "host:port"')
    return match[1] or match[2], int(match[3])


def split_nameserver(text: str) -> tuple[str, int]:
    """Split the address of a name server from its port, which may be missing. Raises ValueError with the rule."""
    has_port = text.startswith("[") or text.count(":") == 1
    host, port = split_endpoint(text) if has_port else (text, _DNS_PORT)
    parse_address(host)
    return host, port


def parse_address(text: str) -> None:
    """Take an IP address as it is. Raises ValueError with the rule."""
    try:
        ipaddress.ip_address(text)
    except ValueError as error:
        raise ValueError('must be an address such as "192.0.2.1" or "2001:db8::1"') from error
