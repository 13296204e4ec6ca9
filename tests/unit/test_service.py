"""Datagrams to the service manager."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from sender.service import Notifier


def _listening(address: str | bytes) -> socket.socket:
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listening.bind(address)
    listening.settimeout(5)
    return listening


def test_assignments_go_in_one_datagram(tmp_path: Path) -> None:
    """What belongs together arrives together, a line each."""
    path = str(tmp_path / "notify")
    with _listening(path) as listening:
        Notifier({"NOTIFY_SOCKET": path}).tell("READY=1", "STATUS=good")
        assert listening.recv(1000) == b"READY=1\nSTATUS=good"


def test_an_abstract_socket_is_reached() -> None:
    """A name that begins with @ is of no file."""
    name = f"sender-test-{os.getpid()}"
    with _listening(b"\0" + name.encode()) as listening:
        Notifier({"NOTIFY_SOCKET": f"@{name}"}).tell("WATCHDOG=1")
        assert listening.recv(1000) == b"WATCHDOG=1"


def test_nobody_listens_and_nothing_is_said() -> None:
    """Without $NOTIFY_SOCKET telling does nothing, and no ping is expected."""
    notifier = Notifier({"WATCHDOG_USEC": "1000000"})
    notifier.tell("READY=1")
    assert (notifier.wanted, notifier.watchdog_s) == (False, None)


def test_a_socket_that_is_gone_or_full_stops_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Telling neither raises nor waits; the log names what could not be told."""
    Notifier({"NOTIFY_SOCKET": str(tmp_path / "gone")}).tell("READY=1")
    path = str(tmp_path / "full")
    with _listening(path):
        notifier = Notifier({"NOTIFY_SOCKET": path})
        for _ in range(10_000):
            notifier.tell("STATUS=" + "x" * 1000)
            if len(caplog.records) > 1:
                break
    assert [record.getMessage().partition(":")[0] for record in caplog.records] == [
        "the service manager cannot be told READY",
        "the service manager cannot be told STATUS",
    ]


@pytest.mark.parametrize(
    ("variables", "expected_s"),
    [
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "{own}"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({}, None),
    ],
    ids=["for-all", "for-this-process", "for-another", "zero", "no-number", "none"],
)
def test_pings_are_expected_where_the_environment_says_so(variables: dict[str, str], expected_s: float | None) -> None:
    """WATCHDOG_USEC counts, and only for the process of WATCHDOG_PID."""
    own = {name: value.format(own=os.getpid()) for name, value in variables.items()}
    assert Notifier({"NOTIFY_SOCKET": "@nobody", **own}).watchdog_s == expected_s
