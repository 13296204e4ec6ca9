"""Rows of the plan that tests elsewhere show fully, or show a part of: `path::name`, without parameters."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_ROUTING = "tests/scenes/test_routing.py"
_ADDRESS = "tests/unit/core/test_address.py"
_DAMAGE = "tests/scenes/test_damage.py"

# Name servers, damaged spools, and what is fuzzed.
_NAMES = {
    "D1": [f"{_ROUTING}::test_a_failing_name_server_defers"],
    "D2": [f"{_ROUTING}::test_a_domain_that_takes_no_mail_bounces_at_once"],
    "D3": [f"{_ROUTING}::test_a_domain_without_mx_is_its_own_host"],
    "D4": [f"{_ROUTING}::test_the_address_of_a_domain_with_mx_is_never_used"],
    "D5": [f"{_ROUTING}::test_a_domain_that_takes_no_mail_bounces_at_once"],
    "D6": [f"{_ROUTING}::test_a_loop_of_aliases_defers"],
    "D7": [f"{_ROUTING}::test_loopback_is_not_a_place_for_mail"],
    "D9": [f"{_ROUTING}::test_hosts_of_equal_preference_share_the_sessions"],
    "D10": [f"{_ROUTING}::test_a_new_mx_is_used_for_what_is_queued"],
    "D11": [f"{_ROUTING}::test_the_second_host_takes_over"],
    "D12": [
        f"{_ROUTING}::test_the_case_and_the_dot_of_a_domain_do_not_matter",
        "tests/scenes/test_sites.py::test_domains_with_the_same_mx_set_share_one_lane",
        f"{_ADDRESS}::test_lengths_are_limited_in_octets",
    ],
    "FUZZ HTTP": ["tests/scenes/test_openapi.py::test_clients_made_of_the_description_are_answered_as_it_says"],
    "FUZZ addresses": [
        f"{_ADDRESS}::test_every_mailbox_that_rfc_5321_allows_is_split_at_its_last_at_and_not_changed",
    ],
    "FUZZ dots": [
        "tests/unit/intake/test_dots.py::test_content_ends_with_its_first_dot_alone_wherever_it_is_cut",
        "tests/unit/smtp/test_content.py::test_content_arrives_as_it_is_whatever_the_blocks_are",
    ],
    "FUZZ journal": ["tests/unit/spool/test_journal.py::test_a_torn_record_is_not_read_and_those_before_it_are"],
    "FUZZ listener": [
        "tests/dialogs/listener/test_injection.py::test_i3_i11_after_any_bytes_the_session_is_in_step_or_over",
        "tests/dialogs/listener/test_states.py::test_i11_every_answer_is_the_models",
    ],
    "FUZZ notices": [
        "tests/unit/core/test_bounce.py::test_a_hostile_diagnostic_neither_breaks_lines_nor_adds_fields",
        "tests/unit/core/test_bounce.py::test_no_message_ends_the_part_in_which_it_comes_back",
    ],
    "FUZZ pipelining": [
        "tests/dialogs/session/test_model.py::test_p19_p20_a_receiver_in_step_is_believed_in_each_word",
        "tests/dialogs/session/test_model.py::test_p19_a_receiver_out_of_step_is_never_believed_for_long",
        "tests/dialogs/session/test_model.py::test_p19_refusals_end_no_session",
    ],
    "FUZZ replies": ["tests/unit/smtp/test_replies.py::test_no_bytes_make_the_parser_fail_in_another_way"],
    "FUZZ spool": ["tests/unit/spool/test_model.py::the_same"],
    "X11": [
        f"{_DAMAGE}::test_x11_what_is_damaged_is_held_while_its_neighbours_are_delivered",
        f"{_DAMAGE}::test_x11_what_is_damaged_can_be_bounced",
        "tests/unit/spool/test_damage.py::test_what_is_damaged_is_held_while_its_neighbours_go",
    ],
    "X12": [f"{_DAMAGE}::test_x12_a_message_under_which_our_code_fails_is_held_after_three_times"],
}

ELSEWHERE: Mapping[str, list[str]] = MappingProxyType({**_NAMES})
"""Rows of the plan that tests elsewhere show: `path::name`, without parameters."""
