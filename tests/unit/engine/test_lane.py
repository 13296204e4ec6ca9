"""What a lane does about faults of our own: in simulated time, before a receiver that would take everything."""

from __future__ import annotations

import asyncio
import logging

import pytest

from sender.engine.contact import NoSession
from sender.smtp.session import Session
from tests.unit.simulation import daemon
from tests.unit.simulation.values import scenario

_SPAN_S, _WINDOW = 20, 5
_FAR_TOO_MANY = 1000


class _Broken(daemon.ModelLane):
    """A lane whose sessions cannot even be set up."""

    async def contact(self) -> Session | NoSession:
        """Fail for a fault of ours; end the test where that happens at once and without end."""
        self.seen.refused += 1
        if self.seen.refused > _FAR_TOO_MANY:
            asyncio.get_running_loop().stop()
        raise ZeroDivisionError


def test_a_session_that_cannot_be_set_up_is_not_tried_at_once_without_end(caplog: pytest.LogCaptureFixture) -> None:
    """Our own code that raises before a session is open is called again after a pause; each time the log tells."""
    seen = daemon.run(scenario(duration=f"{_SPAN_S}s", sender={"start_window": _WINDOW}), kind=_Broken)
    assert _SPAN_S / 2 < seen.refused <= _WINDOW * (_SPAN_S + 2)
    assert len(caplog.records) == seen.refused
    assert {(record.levelno, record.getMessage()) for record in caplog.records} == {
        (logging.ERROR, "default/mx.b.test: ZeroDivisionError()")
    }
