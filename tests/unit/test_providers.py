"""The large providers: whose a host is, and what a file of them must be like."""

from __future__ import annotations

from pathlib import Path

import pytest

from sender.core.errors import ConfigError
from sender.core.provider import Providers
from sender.providers import load, provider_of, providers


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("aspmx.l.google.com", "gmail"),
        ("gmail-smtp-in.l.google.com.", "gmail"),
        ("outlook-com.olc.protection.outlook.com", "microsoft-consumer"),
        ("example-org.mail.protection.outlook.com", "microsoft-365"),
        ("MTA5.AM0.YAHOODNS.NET", "yahoo"),
        ("mx01.mail.icloud.com", "icloud"),
        ("mx00.gmx.net", "gmx"),
        ("mx00.t-online.de", "t-online"),
        ("mx3.qq.com", "qq"),
        ("eu-smtp-inbound-1.mimecast.com", "mimecast"),
        ("in1-smtp.messagingengine.com", "fastmail"),
    ],
)
def test_a_host_belongs_to_its_provider(host: str, name: str) -> None:
    """The longest domain that a provider has decides, whatever the case and the final dot."""
    provider = provider_of(host)
    assert provider is not None
    assert provider.name == name


@pytest.mark.parametrize("host", ["", "mx.example.org", "notgoogle.com", "google.com.example.org"])
def test_other_hosts_belong_to_nobody(host: str) -> None:
    """A host that merely resembles a provider's is not one of its own."""
    assert provider_of(host) is None


def test_every_figure_has_its_source() -> None:
    """No limit stands in the file without the page where its provider states it."""
    stated = [
        one for one in providers().providers if one.cap or one.messages_per_session or one.max_recipients or one.share
    ]
    assert stated
    assert all(one.sources for one in stated)


def test_without_providers_no_host_has_one() -> None:
    """The file may be missing: then there is no provider, and nothing else is different."""
    assert Providers().of("aspmx.l.google.com") is None


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('[x]\nmx = ["a.example"]\nshare = 5', "x.share = 5: must be a string"),
        (
            '[x]\nmx = ["a.example"]\nsources = ["s"]\nshare = "a.example"',
            'x.share = "a.example": must be a name of lower-case letters, digits and hyphens',
        ),
        ('[x]\nmx = ["a.example"]\nshare = "y"', 'x.share = "y": must have its source under `sources`'),
        ("[x]\nmx = []", 'x.mx = "": must have at least one domain'),
        ('[x]\nmx = "a.example"', 'x.mx = "a.example": must be an array of strings'),
        ('[x]\nmx = [".a.example"]', 'x.mx = ".a.example": must be a domain in lower case'),
        ('[x]\nmx = ["a.example"]\n[y]\nmx = ["a.example"]', 'y.mx = "a.example": is a domain of x already'),
        ('[x]\nmx = ["a.example"]\ncap = 5', "x.cap = 5: must have its source under `sources`"),
        ('[x]\nmx = ["a.example"]\nsources = ["s"]\ncap = 0', "x.cap = 0: must be a whole number, 1 or more"),
        ('[x]\nmx = ["a.example"]\ncaps = 5', "x.caps = 5: unknown key; known here: cap, "),
        ("x = 1", "x = 1: must be a table"),
        ("x =", "is not TOML"),
    ],
)
def test_a_bad_file_of_providers_is_refused(tmp_path: Path, text: str, problem: str) -> None:
    """Each fault is named with file, key, value and rule."""
    path = tmp_path / "providers.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as refusal:
        load(path)
    assert f"{path}: {problem}" in str(refusal.value)
