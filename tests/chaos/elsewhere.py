"""Tests outside of this folder that show rows of the plan, or a part of them: `path::name`, without parameters.

Those that are named for a row (`test_x11_...`) are found; the tables have the others.
"""

from __future__ import annotations

import re
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from tests.chaos.plan import PLAN

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_CHECKOUT = Path(__file__).parents[2]
_TEST = re.compile(r"^(?:async )?def (test_\w+)", re.MULTILINE)
_IDENTIFIER = re.compile(r"[a-z]\d+")

_SESSION = "tests/dialogs/session"
_SCENES = "tests/scenes"

# Beside the scenes of this folder: single dialogues, each with every detail of its answers.
_PEERS = {
    "P1": [
        f"{_SESSION}/test_opening.py::test_p1_a_connection_that_is_never_made_times_out",
        f"{_SESSION}/test_opening.py::test_p1_a_port_where_nobody_listens_refuses",
        f"{_SCENES}/test_hostile.py::test_a_dead_site_does_not_slow_down_the_others",
    ],
    "P2": [
        f"{_SESSION}/test_answers.py::test_l9_a_reset_that_hangs_changes_no_answer_given_before",
        f"{_SESSION}/test_losses.py::test_l5_a_peer_that_does_not_read_keeps_neither_connection_nor_memory",
        f"{_SESSION}/test_opening.py::test_p2_a_receiver_that_hangs_under_tls_is_left",
    ],
    "P4": [f"{_SESSION}/test_content.py::test_l3_p4_a_slow_reader_that_goes_on_is_waited_for"],
    "P5": [
        f"{_SESSION}/test_chunks.py::test_p5_both_messages_are_unknown_when_the_connection_ends",
        f"{_SESSION}/test_losses.py::test_p5_a_connection_that_ends_after_the_dot_leaves_the_outcome_unknown",
        f"{_SESSION}/test_overlap.py::test_p5_what_had_not_its_turn_when_the_connection_ended_was_not_tried",
    ],
    "P6": [f"{_SESSION}/test_losses.py::test_p6_a_refusal_within_the_content_is_read_before_the_loss"],
    "P7": [f"{_SESSION}/test_losses.py::test_p7_the_time_for_the_answer_begins_when_the_last_byte_has_arrived"],
    "P11": [
        f"{_SESSION}/test_answers.py::test_p11_each_recipient_gets_its_own_answer",
        f"{_SESSION}/test_answers.py::test_p11_the_next_message_is_clean_of_the_one_before",
    ],
    "P15": [f"{_SCENES}/test_hostile.py::test_the_words_of_a_receiver_are_shown_without_their_controls"],
    "P16": [f"{_SESSION}/test_overlap.py::test_p16_with_one_reply_too_many_none_is_a_verdict"],
    "P18": [f"{_SESSION}/test_opening.py::test_p18_who_closes_behind_an_ehlo_that_it_does_not_know_gets_helo_anew"],
    "P19": [
        f"{_SESSION}/test_answers.py::test_p19_a_354_for_nobody_gets_no_content",
        f"{_SESSION}/test_model.py::test_p19_p20_a_receiver_in_step_is_believed_in_each_word",
    ],
    "P20": [
        f"{_SESSION}/test_chunks.py::test_p20_a_failed_bdat_is_cleared_before_the_next_envelope",
        f"{_SESSION}/test_losses.py::test_p20_a_connection_that_ends_behind_a_bdat_leaves_the_outcome_unknown",
    ],
    "P22": [
        f"{_SESSION}/test_losses.py::test_p22_a_half_close_behind_the_answer_leaves_it_valid",
        f"{_SESSION}/test_losses.py::test_p22_what_the_kernel_holds_is_not_sent_any_more_when_a_session_is_given_up",
    ],
    "P23": [
        f"{_SESSION}/test_answers.py::test_p23_a_refused_reset_bounces_nobody",
        f"{_SCENES}/test_limits.py::test_sessions_that_die_between_messages_cost_nothing",
    ],
}

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
    "FUZZ spool": ["tests/unit/spool/test_model.py::TestSpool::runTest"],
    "X11": [
        f"{_DAMAGE}::test_x11_what_is_damaged_is_held_while_its_neighbours_are_delivered",
        f"{_DAMAGE}::test_x11_what_is_damaged_can_be_bounced",
        "tests/unit/spool/test_damage.py::test_what_is_damaged_is_held_while_its_neighbours_go",
    ],
    "X12": [f"{_DAMAGE}::test_x12_a_message_under_which_our_code_fails_is_held_after_three_times"],
}

_OPENING = f"{_SESSION}/test_opening.py"
_OTHERS = {
    "B1": [
        "tests/unit/core/test_golden_notices.py::test_a_notice_says_what_it_was_written_from",
        "tests/unit/core/test_golden_notices.py::test_both_parsers_read_the_same",
    ],
    "B3": ["tests/chaos/test_points.py::test_c3_at_no_point_is_anything_lost"],
    "I10": [
        "tests/dialogs/listener/test_patience.py::test_i10_a_flood_of_connections_leaves_room_for_others",
        "tests/dialogs/listener/test_patience.py::test_i10_an_idle_handshake_is_counted_and_ends",
    ],
    "Q1": ["tests/unit/core/test_schedule.py::test_the_next_attempt_follows_the_schedule_within_its_jitter"],
    "Q4": [f"{_SCENES}/test_hostile.py::test_a_dead_site_does_not_slow_down_the_others"],
    "T1": [f"{_OPENING}::test_tls_that_is_required_and_not_offered_is_a_trouble_before_mail"],
    "T2": [f"{_OPENING}::test_l17_broken_tls_is_clear_text_on_a_new_connection_where_tls_is_a_wish"],
    "T3": [f"{_OPENING}::test_l17_broken_tls_is_no_session_where_tls_is_required"],
    "T4": [f"{_OPENING}::test_l14_tls_by_policy_with_a_certificate_that_nobody_signed"],
    "T5": [f"{_OPENING}::test_l17_broken_tls_is_no_session_where_tls_is_required"],
    "T6": [f"{_OPENING}::test_what_was_offered_in_clear_text_is_forgotten_under_tls"],
    "T10": [f"{_SCENES}/test_sharing.py::test_two_ways_to_one_site_count_together"],
    "T14": [f"{_OPENING}::test_l17_broken_tls_is_clear_text_on_a_new_connection_where_tls_is_a_wish"],
}

_TABLES = {**_CRASHES, **_PEERS, **_NAMES, **_OTHERS}


def _named() -> Iterator[tuple[str, str]]:
    """Give each test that is named for rows, with each of them."""
    tests = _CHECKOUT / "tests"
    for path in sorted(tests.rglob("test_*.py")):
        if path.is_relative_to(tests / "chaos"):
            continue
        for test in _TEST.findall(path.read_text(encoding="utf-8")):
            for part in test.split("_"):
                if _IDENTIFIER.fullmatch(part) and part.upper() in PLAN:
                    yield part.upper(), f"{path.relative_to(_CHECKOUT)}::{test}"


def _all() -> dict[str, list[str]]:
    found = {identifier: set(tests) for identifier, tests in _TABLES.items()}
    for identifier, test in _named():
        found.setdefault(identifier, set()).add(test)
    return {identifier: sorted(tests) for identifier, tests in found.items()}


ELSEWHERE: Mapping[str, list[str]] = MappingProxyType(_all())
