"""Daemons that begin at once: a process that has loaded the program forks one for each order that it reads.

It is started with `python -m tests.chaos.foundry`, and ends with its input. What it forks runs `sender serve` as it is.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import traceback
from typing import Any

import sender.daemon  # noqa: F401 - loaded before the first fork
from sender.cli import main
from sender.cli import serve as _serve  # noqa: F401 - likewise
from sender.engine import steps
from sender.intake import listener  # noqa: F401 - likewise
from tests.chaos.faults import Trap, install

_LOOK_S = 0.005


def _child(order: dict[str, Any]) -> None:
    log = os.open(order["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    for number in (1, 2):
        os.dup2(log, number)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    code = 1
    steps.CALM_S = 0.0  # what is old expires without waiting for an hour of a trusted clock
    try:
        if order["trap"] is not None:
            install(Trap(**order["trap"]))
        code = main(order["words"])
    except BaseException:  # noqa: BLE001 - what it was stands in the log; the parent's code is not to be run
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _tell(**facts: int) -> None:
    print(json.dumps(facts), flush=True)


def run() -> None:
    """Do what is asked for, and tell who has ended."""
    children: set[int] = set()
    waiting = b""
    while True:
        ready, _, _ = select.select([0], [], [], _LOOK_S)
        if ready:
            read = os.read(0, 65536)
            if not read:
                break
            *orders, waiting = (waiting + read).split(b"\n")
            for order in orders:
                pid = os.fork()
                if pid == 0:
                    _child(json.loads(order))
                children.add(pid)
                _tell(begun=pid)
        while children:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                break
            children.discard(pid)
            _tell(ended=pid, code=os.waitstatus_to_exitcode(status))
    for pid in children:
        os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    run()
