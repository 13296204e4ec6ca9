"""The table of calls: what is served, and what `/openapi.json` tells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sender.api import answers, models
from sender.api.calls import Call
from sender.api.operations import NDJSON
from sender.engine.listing import Order
from sender.intake.tokens import Scope

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from starlette.responses import Response

    from sender.api.batches import Batches
    from sender.api.calls import Asked
    from sender.api.operations import Operations
    from sender.api.submission import Submission
    from sender.settings import Settings

    Run = Callable[[Asked], Awaitable[Response]]

_MEMORY_LIMIT = 256 * 2**20  # bytes of what lanes have learned
_BESIDE_CONTENT = 2**20  # bytes of a message's body, beside its content in base64


@dataclass(frozen=True, slots=True)
class OpenCalls:
    """Those that everybody may make."""

    healthz: Run
    readyz: Run
    metrics: Run
    openapi: Run
    events_schema: Run


def table(
    settings: Settings, submission: Submission, batches: Batches, operations: Operations, open_calls: OpenCalls
) -> Sequence[Call]:
    """Give every call."""
    return (
        *_sending(settings, submission, batches),
        *_reading(operations),
        *_operating(operations),
        *_open(open_calls),
    )


def _sending(settings: Settings, submission: Submission, batches: Batches) -> Sequence[Call]:
    """Mail comes in."""
    return (
        Call(
            method="POST",
            path="/v1/messages",
            summary="Send one message",
            run=submission.message,
            before=submission.check_open,
            scope=Scope.SEND,
            body=models.MessageBody,
            limit=settings.smtp.max_message_size * 4 // 3 + _BESIDE_CONTENT,
            status=202,
            answer=answers.MessageAccepted,
            keyed=True,
            refusals=(409, 429),
        ),
        Call(
            method="POST",
            path="/v1/batches",
            summary="Send one template to many recipients",
            run=batches.batch,
            before=submission.check_open,
            scope=Scope.SEND,
            body=models.BatchBody,
            limit=settings.http.max_batch_size,
            streamed=True,
            status=202,
            answer=answers.BatchAccepted,
            keyed=True,
            refusals=(409, 429),
        ),
    )


def _reading(operations: Operations) -> Sequence[Call]:
    """Who may read may look."""
    return (
        Call(
            method="GET",
            path="/v1/messages/{id}",
            summary="Show one message",
            run=operations.message,
            scope=Scope.READ,
            answer=answers.MessageAnswer,
            refusals=(404, 409, 422),
        ),
        Call(
            method="GET",
            path="/v1/messages",
            summary="Find recipients by their address or domain, the newest first, also ended ones while they are kept",
            run=operations.find,
            scope=Scope.READ,
            query={
                "rcpt_to": "the address, in any case",
                "domain": "or the whole domain",
                "limit": "recipients that are shown; default: 100",
            },
            answer=answers.FoundAnswer,
            refusals=(409, 422),
        ),
        Call(
            method="GET",
            path="/v1/queue/ages",
            summary="Show recipients by domain and by age, as qshape does",
            run=operations.ages,
            scope=Scope.READ,
            query={
                "domain": "only domains with this in their name",
                **{name: f"only this {name}" for name in ("site", "stream")},
                "limit": "domains that are shown, the largest; default: 20",
            },
            answer=answers.AgesAnswer,
            refusals=(409, 422),
        ),
        Call(
            method="GET",
            path="/v1/queue",
            summary="Show recipients by state and domain",
            run=operations.queue,
            scope=Scope.READ,
            query={name: f"only this {name}" for name in ("domain", "site", "stream")},
            answer=answers.QueueAnswer,
            refusals=(409,),
        ),
        Call(
            method="GET",
            path="/v1/lanes",
            summary="Show every lane",
            run=operations.lanes,
            scope=Scope.READ,
            query={
                "brief": "1: without histories and explanations",
                "match": "only lanes with this in their name",
                "state": "only those that are open, throttled or suspended",
                "order": f"one of {', '.join(Order)}; default: name",
                "start": "lanes that are left out before the first",
                "limit": "lanes that are shown; default: all",
            },
            answer=answers.LanesAnswer,
            refusals=(409, 422),
        ),
        Call(
            method="GET",
            path="/v1/lanes/{name:path}",
            summary="Explain one lane",
            run=operations.lane,
            scope=Scope.READ,
            answer=answers.LaneAnswer,
            refusals=(404, 409),
        ),
        Call(
            method="GET",
            path="/v1/memory",
            summary="Show what lanes have learned",
            run=operations.memory,
            scope=Scope.READ,
            query={"lane": "only this lane"},
            answer=answers.MemoryAnswer,
            refusals=(404, 409),
        ),
        Call(
            method="GET",
            path="/v1/suspensions",
            summary="Show what is held",
            run=operations.suspensions,
            scope=Scope.READ,
            answer=answers.SuspensionsAnswer,
            refusals=(409,),
        ),
    )


def _operating(operations: Operations) -> Sequence[Call]:
    """Operators act, and see whom mail goes to."""
    return (
        Call(
            method="GET",
            path="/v1/traces",
            summary="Follow the SMTP dialogues of a lane, a line of JSON for each of theirs",
            run=operations.traces,
            scope=Scope.OPERATE,
            query={
                "lane": "only this lane",
                "site": "only lanes to this site",
                "domain": "only the lane that carries this domain",
                "for": "how long, such as 5m; without it, until the client goes away",
            },
            answer=NDJSON,
            refusals=(409, 422),
        ),
        Call(
            method="POST",
            path="/v1/lanes/{name:path}",
            summary="Set the window of a lane, or forget what it has learned",
            run=operations.change_lane,
            scope=Scope.OPERATE,
            body=models.LaneBody,
            answer=answers.LaneAnswer,
            refusals=(404, 409),
        ),
        Call(
            method="POST",
            path="/v1/memory",
            summary="Take in what lanes of another daemon have learned",
            run=operations.bring_memory,
            scope=Scope.OPERATE,
            body=models.MemoryBody,
            limit=_MEMORY_LIMIT,
            structure_limit=_MEMORY_LIMIT,
            answer=answers.BroughtAnswer,
            refusals=(409,),
        ),
        Call(
            method="POST",
            path="/v1/suspensions",
            summary="Hold mail until it is resumed, or for a time",
            run=operations.suspend,
            scope=Scope.OPERATE,
            body=models.SuspensionBody,
            status=201,
            answer=answers.SuspendedAnswer,
            refusals=(409,),
        ),
        Call(
            method="DELETE",
            path="/v1/suspensions",
            summary="Let mail go again",
            run=operations.resume,
            refusals=(409,),
            scope=Scope.OPERATE,
            body=models.SelectionBody,
            answer=answers.TouchedAnswer,
        ),
        Call(
            method="DELETE",
            path="/v1/suspensions/{id:int}",
            summary="End one suspension",
            run=operations.resume_id,
            scope=Scope.OPERATE,
            answer=answers.TouchedAnswer,
            refusals=(404, 409),
        ),
        Call(
            method="POST",
            path="/v1/retries",
            summary="Make deferred mail due now",
            run=operations.retry,
            refusals=(409,),
            scope=Scope.OPERATE,
            body=models.SelectionBody,
            answer=answers.TouchedAnswer,
        ),
        Call(
            method="POST",
            path="/v1/bounces",
            summary="Return mail to its senders",
            run=operations.bounce,
            refusals=(409,),
            scope=Scope.OPERATE,
            body=models.SelectionBody,
            answer=answers.TouchedAnswer,
        ),
        Call(
            method="POST",
            path="/v1/deletions",
            summary="Remove mail without a notice",
            run=operations.delete,
            refusals=(409,),
            scope=Scope.OPERATE,
            body=models.SelectionBody,
            answer=answers.TouchedAnswer,
        ),
    )


def _open(open_calls: OpenCalls) -> Sequence[Call]:
    """Nobody need say who they are."""
    return (
        Call(
            method="GET",
            path="/healthz",
            summary="Tell that the process lives and its spool answers",
            run=open_calls.healthz,
            answer=answers.HealthAnswer,
            refusals=(503,),
        ),
        Call(
            method="GET",
            path="/readyz",
            summary="Tell whether mail can be taken",
            run=open_calls.readyz,
            answer=answers.ReadyAnswer,
        ),
        Call(method="GET", path="/metrics", summary="Prometheus", run=open_calls.metrics, answer="text/plain"),
        Call(
            method="GET",
            path="/openapi.json",
            summary="This description",
            run=open_calls.openapi,
            answer="application/json",
        ),
        Call(
            method="GET",
            path="/events.schema.json",
            summary="The JSON Schema of events",
            run=open_calls.events_schema,
            answer="application/schema+json",
        ),
    )
