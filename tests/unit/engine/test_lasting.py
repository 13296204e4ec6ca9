"""What must not end begins again."""

from __future__ import annotations

import pytest

from sender.engine import lasting as module
from sender.engine.lasting import lasting


async def test_what_a_fault_has_ended_begins_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a fault of ours it is done again; where it ends by itself, that is its end."""
    monkeypatch.setattr(module, "_AGAIN_S", 0.001)
    faults = [ZeroDivisionError(), KeyError()]

    async def work() -> None:
        if faults:
            raise faults.pop()

    await lasting(work)
    assert not faults
