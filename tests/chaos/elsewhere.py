"""Rows of the plan that tests elsewhere show fully: `path::name`, without parameters."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_CRASHES = {
    "C7": [
        "tests/dialogs/listener/test_chunks.py::test_c7_a_client_that_leaves_between_chunks_leaves_nothing",
        "tests/dialogs/listener/test_faults.py::test_c7_a_client_that_goes_away_leaves_a_whole_message_or_none",
    ],
    "C9": ["tests/unit/spool/test_sqlite.py::test_c9_mail_of_each_earlier_version_is_delivered"],
    "R4": [
        "tests/scenes/test_full_disk.py::test_a_full_disk_refuses_submissions_for_now",
        "tests/scenes/test_full_disk.py::test_outcomes_that_cannot_be_recorded_wait",
        "tests/scenes/test_full_disk.py::test_r4_what_was_delivered_on_a_full_disk_is_not_sent_again_after_a_kill",
    ],
}

ELSEWHERE: Mapping[str, list[str]] = MappingProxyType({**_CRASHES})
