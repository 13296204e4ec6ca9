"""Which lane carries a domain, and which limit it keeps to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sender.engine.placement import place
from sender.route.resolver import MxHost
from sender.route.router import Route
from sender.settings import from_tables


def _route(host: str) -> Route:
    return Route(site=host, hosts=(MxHost(10, host),), port=25, static=False)


_TENANT = "example-org.mail.protection.outlook.com"
_HOTMAIL = "hotmail-com.olc.protection.outlook.com"
_CONSUMER = "microsoft-consumer"


@pytest.mark.parametrize(
    ("host", "tables", "site", "limited_as"),
    [
        ("mx.a.test", {}, "mx.a.test", "mx.a.test"),
        ("mx.a.test", {"mx.a.test": {"share": "hosting"}}, "mx.a.test", "hosting"),
        ("mx.a.test", {"a.test": {"tls": "required"}}, "mx.a.test+required", "mx.a.test"),
        ("mx.a.test", {"mx.a.test": {"tls": "required"}}, "mx.a.test", "mx.a.test"),
        (_TENANT, {}, _TENANT, _TENANT),
        (_TENANT, {"microsoft-365": {"share": "ms"}}, _TENANT, "ms"),
        (_TENANT, {"microsoft-365": {"share": "ms"}, _TENANT: {"share": ""}}, _TENANT, _TENANT),
        (_HOTMAIL, {}, _HOTMAIL, _CONSUMER),
        (_HOTMAIL, {_CONSUMER: {"share": ""}}, _HOTMAIL, _HOTMAIL),
        (_HOTMAIL, {_CONSUMER: {"share": "ms"}}, _HOTMAIL, "ms"),
        ("mx1.comcast.net", {}, "mx1.comcast.net", "comcast"),
    ],
)
def test_a_domain_has_a_lane_and_a_limit(host: str, tables: dict[str, Any], site: str, limited_as: str) -> None:
    """The limit is the site's own, or one that the operator or else the provider says is shared."""
    placement = place(from_tables({"destinations": tables}, Path("sender.toml")), "a.test", _route(host))
    assert (placement.lane, placement.allowance) == (f"default/{site}", f"default/{limited_as}")


@pytest.mark.parametrize("name", ["a.test", "mx.a.test"])
def test_limits_are_of_a_source(name: str) -> None:
    """What one source may do says nothing about another, to a shared limit neither."""
    tables = {"mx.a.test": {"share": "hosting"}, name: {"source": "two"}}
    tables["mx.a.test"] = {"share": "hosting", **tables["mx.a.test"]}
    settings = from_tables({"sources": {"default": {}, "two": {}}, "destinations": tables}, Path("sender.toml"))
    placement = place(settings, "a.test", _route("mx.a.test"))
    assert (placement.lane, placement.allowance) == ("two/mx.a.test", "two/hosting")
