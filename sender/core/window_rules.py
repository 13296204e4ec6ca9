"""The figures of the window's rules: each with its unit and why, none of them anywhere else."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowRules:
    """The figures of the rules. Each rule beyond the base can be switched off by a value."""

    # Beyond the limit
    probe_wait_s: float = 5.0  # from a refusal at the limit to the next try; doubles with each that is refused
    probe_wait_most_s: float = 180.0
    price: int = 1500  # deliveries that pay for a refused try: less than one throttle in a thousand
    way_back: float = 0.2  # share of the price that a try below the plateau costs
    doubtful: float = 0.2  # share of it where refusals inside the limit were not the limit lately
    unpaid_s: float = 1800.0  # a try that is not paid for may be made after this
    explorers: int = 8  # proven sessions for each one that is tried beyond the limit while it grows
    explorers_most: int = 2  # receivers that ban for some refusals in a row allow four or five
    fade: float = 0.7  # what is left of the distance to the plateau after a refusal below it
    # Inside the limit
    gate_s: float = 2.0  # from a refusal inside the limit to the next try; doubles while none is taken
    gate_most_s: float = 60.0
    drain: float = 0.7  # when no more than this share of the sessions is left, the next try need not wait
    drained_s: float = 1.0  # after it was lowered
    calm_s: float = 60.0  # after this a refusal inside the limit is the first again
    squeeze_wait_most_s: float = 40.0  # a limit that is lowered again within `calm_s` is probed less soon
    refill: int = 4  # proven sessions for each one that is opened at a time inside the limit
    refill_span_s: float = 5.0  # a session that was closed so lately may be replaced at once
    # Sessions that work are kept where new ones are refused
    keep_s: float = 30.0  # after a refusal inside the limit that was not the limit; doubles with each
    keep_most_s: float = 600.0
    drop: float = 0.85  # a limit below this share of its plateau has dropped: old sessions are given up
    # Sessions that died without a word
    died_s: float = 1800.0  # the receiver may count them for so long
    # A receiver that slows down instead of refusing
    knee: float = 1.5  # messages that take so many times as long as before: the window has gone too far
    knee_hesitate: float = 1.28  # and here it grows no more
    knee_least_s: float = 0.2  # less than that may be ourselves: many sessions share one process
    knee_messages: int = 60  # that tell what is usual, and what is clear
    knee_look: int = 20  # that tell enough to hesitate
    knee_follow_s: float = 600.0  # within which a held window takes the time that messages take for the usual one
    knee_met_s: float = 1800.0  # the same once a knee was met
    # Other answers
    overload_s: float = 30.0
    block_s: float = 600.0
    soft_span_s: float = 60.0
    soft_count: int = 3  # throttles on working sessions within the span are noise below this count
    soft_share: float = 0.05  # and below this share of the answers
    # Memory
    unclean: float = 0.8  # share of the limit that is trusted after an unclean stop
    fade_s: float = 86400.0  # what is remembered fades over this


USUAL = WindowRules()
