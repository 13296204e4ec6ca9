"""What clients get, as models: `/openapi.json` is made of them. Answers may have further keys."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

State = Literal["queued", "delivered", "deferred", "bounced", "expired", "removed", "suspended"]
Objects = dict[str, Any]


class Answer(BaseModel):
    """What a call answers with."""

    model_config = ConfigDict(extra="allow")


class ProblemAnswer(Answer):
    """One field that is at fault."""

    field: str
    rule: str


class ErrorAnswer(Answer):
    """Why a call was refused."""

    error: str
    detail: str
    field: str = Field(default="", description="the one that is at fault, or the first of them")
    problems: list[ProblemAnswer] = Field(default=[], description="where several are at fault: the first 20")


class HealthAnswer(Answer):
    """That the process lives."""

    status: Literal["alive"]
    version: str


class ReadyAnswer(Answer):
    """Whether mail can be taken."""

    status: Literal["ready", "not ready"]
    detail: str = ""


class MessageAccepted(Answer):
    """That a message is durable."""

    id: str
    ids: list[str]
    recipients: int = Field(ge=1)


class BatchAccepted(Answer):
    """That all messages of a batch are durable."""

    accepted: int = Field(ge=1)
    recipients: int = Field(ge=1)
    campaign: str
    first_id: str | None = Field(description="null where the batch goes on from an earlier request")
    last_id: str | None


class DomainAnswer(Answer):
    """What is queued for one domain."""

    domain: str
    site: str | None
    queued: int
    scheduled: int
    deferred: int
    suspended: int
    in_flight: int
    oldest_age_s: float
    last_reply: str | None


class WaitingStreamAnswer(Answer):
    """Whose mail waits: one stream, in whatever state."""

    stream: str
    waiting: int
    oldest_age_s: float


class QueueAnswer(Answer):
    """Recipients by state."""

    queued: int
    due: int
    scheduled: int
    deferred: int
    suspended: int
    in_flight: int
    oldest_age_s: float
    streams: list[WaitingStreamAnswer]
    domains: list[DomainAnswer]


class AgeAnswer(Answer):
    """Recipients by the age of their message since it was accepted: a count for each column."""

    due: list[int] = Field(description="in line, or being tried again now")
    deferred: list[int] = Field(description="for a later attempt")


class DomainAgeAnswer(AgeAnswer):
    """Those of one domain."""

    domain: str
    site: str | None


class AgesAnswer(AgeAnswer):
    """All that are queued, and those of the largest domains. What is to be sent later has no age."""

    minutes: list[int] = Field(description="where columns end: the first is younger than minutes[0]")
    domains: list[DomainAgeAnswer]
    took_s: float


class FoundRecipientAnswer(Answer):
    """One recipient that was found; `id` is that of its message."""

    rcpt_to: str
    id: str
    state: State
    attempts: int
    next_attempt_at: str | None
    domain: str
    site: str | None
    stream: str
    mail_from: str
    accepted_at: str | None
    ended_at: str | None = Field(description="of the message: when its last recipient ended")


class FoundAnswer(Answer):
    """What was found."""

    recipients: list[FoundRecipientAnswer]
    complete: bool = Field(description="there are no others")


class TrendAnswer(Answer):
    """The window at even distances of the last quarter of an hour, or since the lane began."""

    since: str
    until: str
    windows: list[int]


class LaneAnswer(Answer):
    """One source to one site. Without `history` and `explanation` where the list is brief."""

    name: str
    source: str
    site: str
    window: int
    max_window: int
    sessions: int
    queued: int
    deferred: int
    oldest_age_s: float
    delivered_per_minute: float
    present_per_minute: float
    deferrals_per_minute: float
    state: Literal["open", "throttled", "suspended"]
    blocked_by: str
    next_change_at: str | None
    next_try_at: str | None
    messages_per_second: float | None
    messages_per_session: int | None
    max_recipients: int | None
    suspension: Objects | None
    share: str
    shared_with: list[str]
    trend: TrendAnswer
    why: str = Field(description="what holds it back and when that ends, in a few words")
    history: list[Objects] = []
    explanation: list[str] = []


class LanesAnswer(Answer):
    """The lanes that were asked for, and recipients since the spool was made."""

    lanes: list[LaneAnswer]
    matching: int = Field(description="lanes that were asked for, also beyond the limit")
    all: int
    totals: dict[str, int]


class MemoryAnswer(Answer):
    """What lanes have learned, for another daemon."""

    version: int
    at: float
    lanes: dict[str, Objects]


class BroughtAnswer(Answer):
    """How many lanes were taken in."""

    lanes: int


class RecipientAnswer(Answer):
    """Where one recipient is, why, and what happens next."""

    rcpt_to: str
    state: State
    in_flight: bool
    attempts: int
    next_attempt_at: str | None
    ahead: int | None
    expected_at: str | None
    expires_at: str | None
    waiting_for: str
    site: str | None
    lane: str | None
    history: list[Objects]


class MessageAnswer(Answer):
    """One message."""

    id: str
    mail_from: str
    stream: str
    accepted_at: str
    expires_at: str | None
    size: int
    recipients: list[RecipientAnswer]


class SuspensionAnswer(Answer):
    """What is held, since when, until when and why."""

    id: int
    kind: Literal["domain", "site", "source", "stream", "message", "all"]
    value: str
    since: str
    until: str | None
    reason: str


class SuspensionsAnswer(Answer):
    """Everything that is held."""

    suspensions: list[SuspensionAnswer]


class SuspendedAnswer(Answer):
    """The suspension that was made, and how many recipients it touches."""

    id: int
    recipients: int


class TouchedAnswer(Answer):
    """How many recipients a call touched."""

    recipients: int
