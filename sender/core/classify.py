"""What a reply means: stage, reply and the host that said it in, verdict out.

Read in this order: the first digit; rules for one provider or one server program (data, see `sender/rules.py`); the
table of meanings, by words (`core/meanings/`); the enhanced status code; the code and the stage alone. `classify` is
total: every stage and every code from 200 to 599 has a verdict. Only this module turns replies into outcomes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING

from sender.core.meanings import MEANINGS
from sender.core.outcome import Outcome, Reason, Scope, Trouble, Verdict
from sender.core.plain import plain
from sender.core.stage import Stage
from sender.core.status import STATUS
from sender.core.wait import wait_named_in
from sender.core.wording import Text, wording

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sender.core.provider import Providers
    from sender.core.reply import Reply

# What is refused because there was too much of it is welcome later, whatever the first digit says.
PACE = frozenset(
    {
        Reason.CONNECTION_LIMIT,
        Reason.CONNECTION_RATE,
        Reason.SESSION_MESSAGE_LIMIT,
        Reason.MESSAGE_RATE,
        Reason.IDENTITY_RATE,
        Reason.MAILBOX_RATE,
        Reason.DAILY_LIMIT,
    }
)
_CLOSING, _PERMANENT, _TOO_MUCH_STORAGE = 421, 500, 552
_OUT_OF_STEP = (500, 502, 503)
# What a code alone says at a stage, or at every stage; scope None is what the stage speaks of.
_BY_CODE: dict[tuple[int, Stage | None], tuple[Reason, Scope | None]] = {
    # RFC 5321 section 4.5.3.1.10: they limit the envelope, unless a status says more.
    (452, Stage.RCPT): (Reason.RECIPIENT_LIMIT, Scope.MESSAGE),
    (552, Stage.RCPT): (Reason.RECIPIENT_LIMIT, Scope.MESSAGE),
    (550, Stage.RCPT): (Reason.MAILBOX_UNKNOWN, Scope.RECIPIENT),
    (551, Stage.RCPT): (Reason.MAILBOX_UNKNOWN, Scope.RECIPIENT),
    (553, Stage.RCPT): (Reason.MAILBOX_UNKNOWN, Scope.RECIPIENT),
    (500, None): (Reason.MALFORMED, Scope.SESSION),
    (501, None): (Reason.MALFORMED, None),
    (502, None): (Reason.MALFORMED, Scope.SESSION),
    (503, None): (Reason.MALFORMED, Scope.SESSION),
    (504, None): (Reason.MALFORMED, None),
}
_STATUS_ANYWHERE = re.compile(r"(?<![\d.])#?([245])\.(\d{1,3}\.\d{1,3})(?![\d.]*\d)")
_SAYS_SOMETHING = wording("{temporary}, {blocked}, error, policy, service")
_REFUSES = wording("{blocked}, {spam}")
_SAYS_WHOSE = wording("{our_address}, server, {connection}")  # all that comes from us
_STAGE_SCOPE = {
    Stage.MAIL: Scope.MESSAGE,
    Stage.RCPT: Scope.RECIPIENT,
    Stage.DATA: Scope.MESSAGE,
    Stage.END_OF_DATA: Scope.MESSAGE,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What one provider or server program means; every condition that is given must hold."""

    name: str
    reason: Reason
    scope: Scope
    text: tuple[re.Pattern[str], ...] = ()  # any of them is found in the reply's lines, joined by spaces
    unless: tuple[re.Pattern[str], ...] = ()  # none of them is
    codes: tuple[str, ...] = ("4", "5")  # how the code begins
    enhanced: tuple[str, ...] = ()
    stages: frozenset[Stage] = frozenset(Stage)
    mx: tuple[str, ...] = ()  # domains under which the host must lie
    outcome: Outcome | None = None  # None: as the code and the reason have it

    def matches(self, stage: Stage, reply: Reply, words: str, mx: str) -> bool:
        """Tell whether a reply meets every condition."""
        return (
            stage in self.stages
            and str(reply.code).startswith(self.codes)
            and (not self.enhanced or (reply.enhanced or "") in self.enhanced)
            and (not self.mx or any(under(mx, domain) for domain in self.mx))
            and (not self.text or any(pattern.search(words) for pattern in self.text))
            and not any(pattern.search(words) for pattern in self.unless)
        )


def under(host: str, domain: str) -> bool:
    """Tell whether a host is a domain or lies in it."""
    host, domain = host.lower().rstrip("."), domain.lower().strip(".")
    return host == domain or host.endswith("." + domain)


@dataclass(frozen=True, slots=True)
class Classifier:
    """Rules, in their order, and the providers whose names verdicts bear."""

    rules: Sequence[Rule] = ()
    providers: Providers | None = field(default=None)
    _remembered: Callable[[Stage, Reply, str], _Meant] = field(init=False, repr=False, compare=False)
    _taken: Callable[[Stage, str], Verdict] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Remember what replies mean: receivers repeat themselves."""
        object.__setattr__(self, "_remembered", lru_cache(maxsize=4096)(self._meaning))
        object.__setattr__(self, "_taken", lru_cache(maxsize=4096)(self._positive))

    def classify(self, stage: Stage, reply: Reply, mx: str = "", now_s: float | None = None) -> Verdict:
        """Tell what a reply of a host at a stage means for the recipients that it answers for.

        RFC 5321 section 4.2.1: a code that is not known is taken by its first digit. `now_s` (since the
        epoch) is what a time of day in the reply is counted from; without it such a time is not honoured.
        """
        if reply.positive:
            return self._taken(stage, mx)
        provider = self._provider(mx)
        if not (reply.transient or reply.permanent):
            return Verdict(
                outcome=Outcome.DEFERRED,
                scope=Scope.SESSION,
                reason=Reason.PROTOCOL_ERROR,
                rule="out of place",
                provider=provider,
            )
        # The host is no part of what is remembered where no rule asks for it: a provider has many.
        meant = self._remembered(stage, reply, mx if any(rule.mx for rule in self.rules) else "")
        outcome = meant.outcome or _outcome(reply, meant.reason)
        return Verdict(
            outcome=Outcome.DEFERRED if reply.transient else outcome,
            scope=meant.scope,
            reason=meant.reason,
            retry_after_s=wait_named_in(reply.words, now_s) if outcome is Outcome.DEFERRED else None,
            rule=meant.rule,
            provider=provider,
            vague=meant.vague,
        )

    def _positive(self, stage: Stage, mx: str) -> Verdict:
        return Verdict(
            outcome=Outcome.DELIVERED,
            scope=_STAGE_SCOPE.get(stage, Scope.SESSION),
            rule="positive",
            provider=self._provider(mx),
        )

    def _meaning(self, stage: Stage, reply: Reply, mx: str) -> _Meant:
        words = reply.words
        rule = next((rule for rule in self.rules if rule.matches(stage, reply, words, mx)), None)
        if rule is not None:
            return _Meant(rule.reason, rule.scope, rule.name, rule.outcome)
        return _meant(stage, reply.code, _status(reply), plain(words))

    def _provider(self, mx: str) -> str | None:
        provider = self.providers.of(mx) if self.providers is not None and mx else None
        return provider.name if provider is not None else None


def _outcome(reply: Reply, reason: Reason) -> Outcome:
    if reply.transient or reason in PACE:
        return Outcome.DEFERRED
    # 552 to too many recipients is what 452 should be (RFC 5321 section 4.5.3.1.10).
    if reason is Reason.RECIPIENT_LIMIT and reply.code == _TOO_MUCH_STORAGE:
        return Outcome.DEFERRED
    return Outcome.BOUNCED


@dataclass(frozen=True, slots=True)
class _Meant:
    reason: Reason
    scope: Scope
    rule: str
    outcome: Outcome | None = None  # where a rule decides it
    vague: bool = False  # see Verdict


def _status(reply: Reply) -> str:
    """Give subject and detail of the enhanced code: of the line's beginning, or, as qmail has it, from within."""
    if reply.enhanced is not None:
        return reply.enhanced[2:]
    for match in _STATUS_ANYWHERE.finditer(reply.text):
        if match[1] == str(reply.code)[0]:
            return match[2]
    return ""


@lru_cache(maxsize=4096)
def _meant(stage: Stage, code: int, status: str, words: str) -> _Meant:
    """Find the meaning of words that are plain: receivers repeat themselves, so it is remembered."""
    text = Text(f"{words} . status{status}")
    for meaning in MEANINGS:
        if meaning.holds(stage, code, text):
            scope = meaning.scope or _STAGE_SCOPE.get(stage, Scope.SESSION)
            vague = meaning.reason is Reason.MESSAGE_RATE and not _SAYS_WHOSE.said_in(text)
            return _Meant(meaning.reason, _reaching(stage, scope), meaning.name, vague=vague)
    meant = _without_words(stage, code, status, text)
    vague = meant.reason is Reason.UNCLASSIFIED and not stage.opens_session and code < _PERMANENT
    return replace(meant, vague=True) if vague else meant


def _reaching(stage: Stage, scope: Scope) -> Scope:
    """Widen a scope to what there is: before the envelope there is no recipient and no message."""
    if stage.opens_session and scope in {Scope.RECIPIENT, Scope.MESSAGE}:
        return Scope.LANE
    return scope


def _without_words(stage: Stage, code: int, status: str, text: Text) -> _Meant:
    """Judge by codes and stage alone."""
    here = Scope.LANE if stage.opens_session else _STAGE_SCOPE.get(stage, Scope.SESSION)
    reason, scope = STATUS.get(status, (Reason.UNCLASSIFIED, None))
    if reason is Reason.MALFORMED and code in _OUT_OF_STEP:
        scope = Scope.SESSION
    # "4.1.1" says that a mailbox is not known yet, which is no answer.
    if reason is not Reason.UNCLASSIFIED and not (reason is Reason.MAILBOX_UNKNOWN and code < _PERMANENT):
        return _Meant(reason, _reaching(stage, scope or here), f"status {status}")
    if stage.opens_session:
        # 421 to a new connection, with a text that nobody knows, is a limit more often than anything else.
        if code == _CLOSING and not _SAYS_SOMETHING.said_in(text):
            return _Meant(Reason.CONNECTION_LIMIT, Scope.LANE, "421 to a connection")
        return _Meant(Reason.UNCLASSIFIED, Scope.LANE, "refused session")
    reason, scope = _BY_CODE.get((code, stage)) or _BY_CODE.get((code, None)) or (Reason.UNCLASSIFIED, here)
    if reason is Reason.RECIPIENT_LIMIT and status:
        reason, scope = Reason.MAILBOX_FULL, Scope.RECIPIENT
    if code == _CLOSING and not _SAYS_SOMETHING.said_in(text):
        scope = Scope.SESSION
    if reason is Reason.MAILBOX_UNKNOWN and (status not in {"", "5.0", "0.0"} or _REFUSES.said_in(text)):
        reason = Reason.UNCLASSIFIED
    if reason is Reason.UNCLASSIFIED and status.startswith("7.") and code >= _PERMANENT:
        return _Meant(Reason.POLICY, here, f"status {status}")
    rule = "first digit" if reason is Reason.UNCLASSIFIED else f"{code} alone"
    return _Meant(reason, scope or here, rule)


_GENERAL = Classifier()


def classify(stage: Stage, reply: Reply, mx: str = "", now_s: float | None = None) -> Verdict:
    """Tell what a reply means by the general table alone; `sender.rules.classify` knows the shipped rules too."""
    return _GENERAL.classify(stage, reply, mx, now_s)


_TROUBLES = {
    Trouble.REFUSED: (Scope.LANE, Reason.CONNECT_FAILED),
    Trouble.TIMEOUT: (Scope.SESSION, Reason.TIMEOUT),
    Trouble.LOST: (Scope.SESSION, Reason.CONNECTION_LOST),
    Trouble.LOST_AFTER_CONTENT: (Scope.SESSION, Reason.CONNECTION_LOST),
    Trouble.UNTRIED: (Scope.SESSION, Reason.CONNECTION_LOST),
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
