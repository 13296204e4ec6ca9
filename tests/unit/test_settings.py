"""The configuration: what is taken, and every rule with the words of its refusal (`tests/bad_config`)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sender.core.endpoint import split_endpoint
from sender.core.errors import ConfigError
from sender.settings import Settings, find, from_tables, load

_ROOT = Path(__file__).parents[2]
_BAD = sorted(path.parent for path in (_ROOT / "tests/bad_config").glob("*/sender.toml"))


def _loaded(tmp_path: Path, text: str) -> Settings:
    path = tmp_path / "sender.toml"
    path.write_text(text, encoding="utf-8")
    return load(path)


@pytest.mark.parametrize("folder", _BAD, ids=lambda folder: folder.name)
def test_a_bad_configuration_is_refused_with_every_problem_by_file_key_value_and_rule(folder: Path) -> None:
    """Each folder in `tests/bad_config` is refused with exactly the lines that it expects."""
    path = folder / "sender.toml"
    with pytest.raises(ConfigError) as refusal:
        load(path)
    lines = str(refusal.value).replace(str(path), "sender.toml")
    assert lines == (folder / "expected").read_text(encoding="utf-8").rstrip("\n")


def test_the_folders_of_bad_configurations_are_found() -> None:
    """There are bad configurations to refuse, each with what it expects."""
    assert len(_BAD) >= 15
    assert all((folder / "expected").is_file() for folder in _BAD)


def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    """A configuration that cannot be read says which file, and why."""
    with pytest.raises(ConfigError, match=r"none\.toml: cannot be read: No such file or directory$"):
        load(tmp_path / "none.toml")


def test_a_file_that_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    """A configuration in another encoding is no TOML."""
    path = tmp_path / "sender.toml"
    path.write_bytes(b'hostname = "caf\xe9.example"')
    with pytest.raises(ConfigError, match=r"sender\.toml: is not TOML: "):
        load(path)


def test_an_empty_file_is_a_configuration(tmp_path: Path) -> None:
    """Every key has a default; these are the contract's."""
    settings = _loaded(tmp_path, "")
    assert settings.hostname
    assert settings.spool.url == "sqlite:spool/spool.db"
    assert settings.smtp.listen == ("127.0.0.1:2525",)
    assert settings.smtp.max_message_size == 25 * 2**20
    assert settings.smtp.relay_networks == ("127.0.0.0/8", "::1/128")
    assert settings.http.listen == "127.0.0.1:8025"
    assert (settings.delivery.port, settings.delivery.tls, settings.delivery.max_sessions) == (
        25,
        "opportunistic",
        2000,
    )
    assert (settings.delivery.messages_per_session, settings.delivery.idle_timeout) == (1000, 5)
    assert settings.delivery.model_dump()["allow_private_addresses"] is False
    assert (settings.window.start, settings.window.max, settings.window.headroom) == (5, 100, 0.8)
    assert list(settings.retry.schedule) == [120, 300, 900, 1800, 3600, 7200, 14400]
    assert (settings.retry.jitter, settings.retry.max_age, settings.retry.delay_warning) == (0.1, 3 * 86400, None)
    assert (settings.sources["default"].address, settings.sources["default"].helo) == ("", "")
    assert (settings.streams["default"].priority, settings.streams["default"].weight) == ("normal", 1)


@pytest.mark.parametrize(
    ("stage", "seconds"),
    [
        ("connect", 30),
        ("banner", 300),
        ("ehlo", 300),
        ("starttls", 120),
        ("mail", 300),
        ("rcpt", 300),
        ("data", 120),
        ("block", 180),
        ("end_of_data", 600),
        ("quit", 5),
    ],
)
def test_the_timeouts_are_those_of_rfc_5321(stage: str, seconds: float) -> None:
    """No default of a stage is shorter than RFC 5321 section 4.5.3.2 asks for."""
    assert getattr(Settings().delivery, f"{stage}_timeout") == seconds


def test_the_configuration_that_comes_with_sender_is_good() -> None:
    """`config/sender.toml` can be loaded."""
    assert load(_ROOT / "config/sender.toml").smtp.listen


def test_what_is_written_is_what_holds(tmp_path: Path) -> None:
    """Durations, sizes, arrays and tables are read with their meaning."""
    settings = _loaded(
        tmp_path,
        """
        hostname = "mta.example.com"
        [smtp]
        max_message_size = "1MiB"
        [dns]
        nameservers = ["192.0.2.1", "127.0.0.1:5353", "2001:db8::1", "[2001:db8::1]:53"]
        [routes]
        "Example.NET" = "127.0.0.1:2526"
        "mx.example" = "mx"
        "*" = "[::1]:25"
        [retry]
        schedule = ["250ms", "1h"]
        delay_warning = "4h"
        [destinations."Bücher.Example"]
        max_window = 7
        route = "mx"
        [destinations."(A|b).example.org"]
        cap = 3
        [destinations."example.org".retry]
        max_age = "1h"
        [streams.news]
        priority = "bulk"
        weight = 0.5
        """,
    )
    assert settings.smtp.max_message_size == 2**20
    assert settings.dns.nameservers[3] == "[2001:db8::1]:53"
    assert settings.routes == {"example.net": "127.0.0.1:2526", "mx.example": "mx", "*": "[::1]:25"}
    policy = settings.retry.policy()
    assert (policy.schedule_s, policy.delay_warning_s) == ((0.25, 3600.0), 14400.0)
    assert settings.destination("xn--bcher-kva.example").max_window == 7
    assert settings.destination("(a|b).example.org").cap == 3
    assert settings.destination("other.example").max_window is None
    retry = settings.destination("example.org").retry
    assert retry is not None
    assert retry.policy().max_age_s == 3600
    assert settings.stream("news").weight == 0.5
    assert settings.stream("unknown") == settings.stream("default")


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    """The spool and other files are found beside the configuration, an absolute path where it says."""
    settings = _loaded(tmp_path, '[spool]\nurl = "sqlite:data/spool.db"\n')
    assert settings.spool_path == tmp_path / "data/spool.db"
    assert settings.path("users.toml") == tmp_path / "users.toml"
    assert settings.path("/etc/users.toml") == Path("/etc/users.toml")


def test_what_is_shown_can_be_loaded_again(tmp_path: Path) -> None:
    """The configuration in force, as it is shown, gives the same configuration."""
    settings = _loaded(
        tmp_path, 'hostname = "mta.example.com"\n[delivery]\nidle_timeout = "90s"\nsibling_wait = "1500ms"\n'
    )
    shown = json.loads(settings.model_dump_json(exclude_none=True))
    assert shown["delivery"]["idle_timeout"] == "90s"
    assert shown["retry"]["schedule"][:2] == ["2m", "5m"]
    assert from_tables(shown, tmp_path / "sender.toml") == settings


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        ("127.0.0.1:25", ("127.0.0.1", 25)),
        ("mx.example.org:2525", ("mx.example.org", 2525)),
        ("[::1]:25", ("::1", 25)),
        ("localhost:0", ("localhost", 0)),
    ],
)
def test_an_endpoint_is_a_host_and_a_port(text: str, endpoint: tuple[str, int]) -> None:
    """Addresses of IPv6 stand in brackets, which are taken off."""
    assert split_endpoint(text) == endpoint


def test_the_named_configuration_goes_before_the_environment_and_the_usual_places(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--config` decides, then `$SENDER_CONFIG`, then `./config/sender.toml`."""
    monkeypatch.chdir(tmp_path)
    usual = Path("config/sender.toml")
    usual.parent.mkdir()
    usual.touch()
    monkeypatch.setenv("SENDER_CONFIG", "of-the-environment.toml")
    assert find("named.toml") == Path("named.toml")
    assert find(None) == Path("of-the-environment.toml")
    monkeypatch.delenv("SENDER_CONFIG")
    assert find(None) == usual


def test_without_any_configuration_the_places_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no file is found, the refusal names every place that was looked at."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SENDER_CONFIG", raising=False)
    monkeypatch.setattr("sender.settings.SEARCHED", (Path("config/sender.toml"), Path("etc/sender.toml")))
    with pytest.raises(ConfigError, match=r"looked at config/sender\.toml, etc/sender\.toml"):
        find(None)
