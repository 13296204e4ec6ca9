"""What a reply means: stage and reply in, verdict out, by one table that is read from the top.

Each rule states the wordings and enhanced codes of one meaning, and the codes and stages at which it holds. `classify`
is total: every stage and every code from 200 to 599 has a verdict.
Only this module turns replies into outcomes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sender.core.outcome import Outcome, Reason, Scope, Trouble, Verdict
from sender.core.stage import Stage
from sender.core.wait import wait_named_in

if TYPE_CHECKING:
    from sender.core.reply import Reply


@dataclass(frozen=True, slots=True)
class _Rule:
    """One meaning. `words` is searched in the text, `codes` are first digits, `enhanced` is a prefix of the code."""

    name: str
    reason: Reason
    scope: Scope
    words: re.Pattern[str] | None = None
    codes: str = "45"
    enhanced: tuple[str, ...] = ()
    stages: frozenset[Stage] = frozenset(Stage)
    deferred: bool = False  # a throttle that comes as 5yz is deferred all the same

    def matches(self, stage: Stage, reply: Reply, enhanced: str, words: str) -> bool:
        if str(reply.code)[0] not in self.codes or stage not in self.stages:
            return False
        if self.enhanced and enhanced.startswith(self.enhanced):
            return True
        return self.words is not None and self.words.search(words) is not None


def _words(*alternatives: str) -> re.Pattern[str]:
    return re.compile("|".join(alternatives), re.IGNORECASE)


_CLOSING = 421

_RULES = (
    _Rule(
        "tls required",
        Reason.TLS_REQUIRED,
        Scope.LANE,
        _words(r"must issue a STARTTLS", r"(?:requires?|must use|without) (?:TLS|STARTTLS|encryption)"),
        enhanced=("5.7.10", "4.7.10"),
    ),
    _Rule(
        "sender authentication",
        Reason.AUTHENTICATION,
        Scope.IDENTITY,
        _words(r"\b(?:SPF|DKIM|DMARC)\b", r"unauthenticated (?:e-?mail|sender|message)"),
        enhanced=(*(f"{c}.7.{n}" for c in "45" for n in (20, 21, 22, 23, 24, 26, 27, 30, 32)), "5.7.515"),
    ),
    _Rule(
        "name of our address",
        Reason.AUTHENTICATION,
        Scope.LANE,
        _words(r"\b(?:PTR|rDNS|reverse (?:DNS|lookup|hostname|mapping))\b", r"cannot find your (?:reverse )?hostname"),
        enhanced=("4.7.25", "5.7.25"),
    ),
    _Rule(
        "too many recipients",
        Reason.RECIPIENT_LIMIT,
        Scope.MESSAGE,
        _words(r"too many recipients", r"recipients? (?:limit|count) (?:exceeded|reached)"),
        enhanced=("4.5.3", "5.5.3"),
        deferred=True,
    ),
    _Rule(
        "too many messages in this session",
        Reason.SESSION_MESSAGE_LIMIT,
        Scope.SESSION,
        _words(
            r"(?:too many|max(?:imum)?|limit).{0,30}(?:messages?|mails?|transactions?).{0,30}"
            r"(?:session|connection|same connection)",
            r"messages? (?:limit|per (?:session|connection))",
        ),
        deferred=True,
    ),
    _Rule(
        "connections too often",
        Reason.CONNECTION_RATE,
        Scope.LANE,
        _words(
            r"connection rate",
            r"connect(?:ing|ions?).{0,20}too (?:often|fast|frequent)",
            r"too (?:often|fast|frequent).{0,20}connect",
        ),
        deferred=True,
    ),
    _Rule(
        "too many connections",
        Reason.CONNECTION_LIMIT,
        Scope.LANE,
        _words(
            r"too many.{0,40}(?:connections?|sessions?)",
            r"(?:connections?|sessions?).{0,40}(?:limit|exceeded|too many|maximum)",
            r"(?:limit|exceed|max(?:imum)?).{0,80}(?:connections?|sessions?)",
        ),
        enhanced=("4.7.652",),
        deferred=True,
    ),
    _Rule(
        "mailbox receives too much",
        Reason.MAILBOX_RATE,
        Scope.RECIPIENT,
        _words(r"(?:user|mailbox|recipient).{0,40}(?:receiving|received).{0,20}(?:too (?:quickly|much|many)|rate)"),
        deferred=True,
    ),
    _Rule(
        "daily limit",
        Reason.DAILY_LIMIT,
        Scope.LANE,
        _words(
            r"\b(?:daily|per day|24.hours?)\b.{0,40}(?:limit|quota|exceed)",
            r"(?:limit|quota).{0,40}\b(?:daily|per day)",
        ),
        deferred=True,
    ),
    _Rule(
        "message rate",
        Reason.MESSAGE_RATE,
        Scope.LANE,
        _words(
            r"rate.?limit",
            r"(?:too (?:much|many)) (?:e?-?mails?|messages?)\b",
            r"(?:message|sending|mail) rate",
            r"\b(?:throttl|slow(?:ing)? down|too fast|too quickly)",
            r"frequency limit",
        ),
        enhanced=("4.7.28",),
        deferred=True,
    ),
    _Rule(
        "too many errors",
        Reason.TOO_MANY_ERRORS,
        Scope.SESSION,
        _words(r"too many (?:errors|bad commands|invalid|unknown|failed)"),
    ),
    _Rule(
        "greylisting",
        Reason.GREYLISTED,
        Scope.RECIPIENT,
        _words(r"gr[ea]y.?list", r"come back later"),
        codes="4",
    ),
    _Rule(
        "reputation of our address",
        Reason.REPUTATION,
        Scope.LANE,
        _words(
            r"block ?list|black ?list|deny ?list|\b(?:RBL|DNSBL|spamhaus|barracuda ?central|spamcop)\b",
            r"(?:poor|bad|low|temporarily deferred due to).{0,20}(?:reputation|user complaints|unexpected volume)",
            r"reputation",
            r"\b(?:ip|address|host|server|network)\b.{0,40}\b(?:block|ban|listed)",
        ),
    ),
    _Rule(
        "spam or virus",
        Reason.CONTENT,
        Scope.MESSAGE,
        _words(r"\b(?:spam|virus|malware|phish|suspicious|content|attachment|unsolicited|bulk mail)"),
        enhanced=("5.6.0", "5.7.12"),
    ),
    _Rule(
        "relaying",
        Reason.RELAY_DENIED,
        Scope.RECIPIENT,
        _words(r"\brelay", r"not (?:a )?local (?:domain|host)", r"we do not (?:handle|accept) mail for"),
    ),
    _Rule(
        "mailbox full",
        Reason.MAILBOX_FULL,
        Scope.RECIPIENT,
        _words(
            r"(?:over|exceed\w*|out of|insufficient|not enough).{0,25}(?:quota|storage|mailbox|disk)",
            r"mailbox.{0,20}full",
            r"quota",
        ),
        enhanced=("4.2.2", "5.2.2"),
        stages=frozenset({Stage.RCPT, Stage.END_OF_DATA}),
    ),
    _Rule(
        "mailbox disabled",
        Reason.MAILBOX_DISABLED,
        Scope.RECIPIENT,
        _words(
            r"(?:account|mailbox|user|recipient).{0,40}(?:disabled|inactive|suspended|deactivated|locked|not active)"
        ),
        enhanced=("5.2.1", "4.2.1"),
        stages=frozenset({Stage.RCPT, Stage.END_OF_DATA}),
    ),
    _Rule(
        "unknown sender",
        Reason.SENDER_REJECTED,
        Scope.MESSAGE,
        _words(
            r"sender (?:address|domain|verify|denied|rejected)",
            r"(?:return|from).{0,10}address.{0,20}(?:invalid|reject)",
        ),
        enhanced=("5.1.7", "5.1.8", "4.1.8", "4.1.7"),
    ),
    _Rule(
        "unknown domain",
        Reason.DOMAIN_UNKNOWN,
        Scope.RECIPIENT,
        _words(
            r"domain.{0,20}(?:not found|unknown|does not exist|no such)", r"unrouteable|host or domain name not found"
        ),
        enhanced=("5.1.2", "5.1.10", "5.4.4"),
        codes="5",
    ),
    _Rule(
        "unknown mailbox",
        Reason.MAILBOX_UNKNOWN,
        Scope.RECIPIENT,
        _words(
            r"(?:user|mailbox|recipient|account|address|alias).{0,40}"
            r"(?:unknown|not found|does ?n.t exist|does not exist|invalid|not exist|unavailable|no longer|rejected)",
            r"(?:unknown|no such|invalid|nonexistent).{0,20}(?:user|mailbox|recipient|address|account|person)",
        ),
        enhanced=("5.1.1", "5.1.0", "5.1.3", "5.1.6"),
        codes="5",
        stages=frozenset({Stage.RCPT, Stage.DATA, Stage.END_OF_DATA}),
    ),
    _Rule(
        "too large",
        Reason.TOO_LARGE,
        Scope.MESSAGE,
        _words(r"(?:message|mail|size).{0,30}(?:too (?:large|big)|exceed)", r"too large"),
        enhanced=("5.3.4", "4.3.4", "5.2.3"),
    ),
    _Rule(
        "overload",
        Reason.OVERLOADED,
        Scope.LANE,
        _words(
            r"(?:system|server|service|host).{0,30}(?:busy|overload|unavailable|not available|shutting down|load)",
            r"(?:insufficient|out of).{0,20}(?:system|disk|resources|storage|memory)",
            r"too busy|load too high|overload",
        ),
        codes="4",
        enhanced=("4.3.1", "4.3.2"),
    ),
    _Rule(
        "malformed",
        Reason.MALFORMED,
        Scope.MESSAGE,
        _words(r"(?:malformed|bare (?:LF|CR|line ?feed)|RFC ?5?[28]?[28]2\b|missing.{0,20}header|line too long)"),
        enhanced=("5.6.",),
        codes="5",
    ),
    _Rule(
        "policy",
        Reason.POLICY,
        Scope.MESSAGE,
        _words(r"\bpolicy\b", r"access denied|not (?:permitted|authori[sz]ed|allowed)|administrative"),
        enhanced=("5.7.", "4.7."),
    ),
    _Rule(
        "local error",
        Reason.RECEIVER_ERROR,
        Scope.LANE,
        _words(r"(?:local|internal|server|configuration|temporary).{0,20}(?:error|problem|failure|fault)"),
        enhanced=("4.3.", "5.3.", "4.4.", "5.4."),
    ),
)

_STAGE_SCOPE = {
    Stage.RCPT: Scope.RECIPIENT,
    Stage.MAIL: Scope.MESSAGE,
    Stage.DATA: Scope.MESSAGE,
    Stage.END_OF_DATA: Scope.MESSAGE,
}


def classify(stage: Stage, reply: Reply) -> Verdict:
    """Tell what a reply at a stage means for the recipients that it answers for.

    RFC 5321 section 4.2.1: a code that is not known is taken by its first digit.
    """
    if reply.positive:
        return Verdict(outcome=Outcome.DELIVERED, scope=_STAGE_SCOPE.get(stage, Scope.SESSION), rule="positive")
    if not (reply.transient or reply.permanent):
        return Verdict(outcome=Outcome.DEFERRED, scope=Scope.SESSION, reason=Reason.PROTOCOL_ERROR, rule="out of place")
    words, enhanced = reply.words, reply.enhanced or ""
    for rule in _RULES:
        if rule.matches(stage, reply, enhanced, words):
            return _verdict(stage, reply, rule, words)
    return _without_rule(stage, reply, words)


def _verdict(stage: Stage, reply: Reply, rule: _Rule, words: str) -> Verdict:
    # A session that is refused as a whole has refused no message: what looks final at the banner is tried again later.
    deferred = reply.transient or rule.deferred or stage.opens_session
    return Verdict(
        outcome=Outcome.DEFERRED if deferred else Outcome.BOUNCED,
        scope=rule.scope,
        reason=rule.reason,
        retry_after_s=wait_named_in(words) if deferred else None,
        rule=rule.name,
    )


def _without_rule(stage: Stage, reply: Reply, words: str) -> Verdict:
    """Judge by stage and first digit alone."""
    retry_after_s = wait_named_in(words)
    if stage.opens_session:
        # 421 to a new connection, with a text that nobody knows, is a limit more often than anything else.
        reason = (
            Reason.CONNECTION_LIMIT
            if reply.code == _CLOSING
            else Reason.OVERLOADED
            if reply.transient
            else Reason.POLICY
        )
        return Verdict(
            outcome=Outcome.DEFERRED,
            scope=Scope.LANE,
            reason=reason,
            retry_after_s=retry_after_s,
            rule="refused session",
        )
    if reply.code == _CLOSING:
        return Verdict(
            outcome=Outcome.DEFERRED,
            scope=Scope.SESSION,
            reason=Reason.OVERLOADED,
            retry_after_s=retry_after_s,
            rule="421 closes the session",
        )
    if reply.code in {552, 452} and stage is Stage.RCPT:
        reason = Reason.RECIPIENT_LIMIT if reply.enhanced is None else Reason.MAILBOX_FULL
        scope = Scope.MESSAGE if reason is Reason.RECIPIENT_LIMIT else Scope.RECIPIENT
        return Verdict(
            outcome=Outcome.DEFERRED, scope=scope, reason=reason, retry_after_s=retry_after_s, rule="452 to RCPT"
        )
    scope = _STAGE_SCOPE.get(stage, Scope.SESSION)
    if reply.code in {503, 500, 501, 502, 504}:
        # Out of step or not understood: this says something about the dialogue and nothing about the mailbox.
        return Verdict(
            outcome=Outcome.DEFERRED, scope=Scope.SESSION, reason=Reason.PROTOCOL_ERROR, rule="not understood"
        )
    if reply.permanent and stage is Stage.RCPT and reply.code in {550, 551, 553}:
        return Verdict(outcome=Outcome.BOUNCED, scope=scope, reason=Reason.MAILBOX_UNKNOWN, rule="550 to RCPT")
    return Verdict(
        outcome=Outcome.BOUNCED if reply.permanent else Outcome.DEFERRED,
        scope=scope,
        reason=Reason.UNCLASSIFIED,
        retry_after_s=None if reply.permanent else retry_after_s,
        rule="first digit",
    )


_TROUBLES = {
    Trouble.REFUSED: (Scope.LANE, Reason.CONNECT_FAILED),
    Trouble.TIMEOUT: (Scope.SESSION, Reason.TIMEOUT),
    Trouble.LOST: (Scope.SESSION, Reason.CONNECTION_LOST),
    Trouble.LOST_AFTER_CONTENT: (Scope.SESSION, Reason.CONNECTION_LOST),
    Trouble.TLS: (Scope.LANE, Reason.TLS_FAILURE),
    Trouble.PROTOCOL: (Scope.SESSION, Reason.PROTOCOL_ERROR),
    Trouble.LOCAL: (Scope.SESSION, Reason.CONNECT_FAILED),
}


def classify_trouble(stage: Stage, trouble: Trouble) -> Verdict:
    """Tell what a session that ended without a reply means: always deferred (RFC 5321 section 3.8)."""
    scope, reason = _TROUBLES[trouble]
    if stage is Stage.CONNECT and trouble is Trouble.TIMEOUT:
        scope = Scope.LANE
    return Verdict(outcome=Outcome.DEFERRED, scope=scope, reason=reason, rule=f"{trouble} at {stage}")
