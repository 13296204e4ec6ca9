"""What clients send, as models: they check it, and `/openapi.json` is made of them. Unknown keys are refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, WithJsonSchema, model_validator

from sender.api.errors import ApiError
from sender.core.selection import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable


class Body(BaseModel):
    """The body of a call."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


_STRINGS = {"type": "array", "items": {"type": "string"}}
Mailboxes = Annotated[
    list[str],
    BeforeValidator(_listed),
    WithJsonSchema({"anyOf": [{"type": "string"}, _STRINGS], "examples": ["Ann Lee <ann@example.net>"]}),
]
Instant = Annotated[str, Field(examples=["2026-12-01T08:00:00Z"], description="an instant (RFC 3339)")]
Objects = dict[str, Any]
Priority = Literal["urgent", "normal", "bulk"]
Name = Annotated[str, Field(examples=["newsletter"])]


class AttachmentBody(Body):
    """A file; with `content_id`, an image that the HTML shows as `cid:...`."""

    filename: str = Field(examples=["invoice.pdf"])
    content: str = Field(description="base64", examples=["aGVsbG8="])
    content_type: str = Field(default="application/octet-stream", examples=["application/pdf"])
    content_id: str = ""


class UnsubscribeBody(Body):
    """How to leave a list: RFC 2369, and RFC 8058 with `one_click`."""

    url: str = Field(default="", description="an https: URL")
    mailto: str = Field(default="", description="an address, or a mailto: URL")
    one_click: bool = False


class _Options(Body):
    """What says how mail is sent."""

    stream: Name | None = None
    priority: Priority | None = Field(default=None, description="default: that of the stream")
    campaign: Name | None = None
    send_at: Instant | None = Field(default=None, description="not before this instant")
    expires_at: Instant | None = Field(default=None, description="returned, if it is not delivered by then")
    metadata: Objects = Field(default={}, description="comes back in events; at most 4096 bytes as JSON")


class MessageBody(_Options):
    """One message: `content`, or parts."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "from": "Shop <shop@example.com>",
                    "to": ["Ann Lee <ann@example.net>"],
                    "subject": "Your order",
                    "text": "It is on its way.",
                    "metadata": {"order": 17},
                },
                {
                    "mail_from": "shop@example.com",
                    "rcpt_tos": ["ann@example.net"],
                    "content": "From: shop@example.com\r\nTo: ann@example.net\r\nSubject: Order\r\n\r\nIt comes.\r\n",
                },
            ]
        }
    )
    mail_from: str | None = Field(
        default=None, description='envelope sender; "" is the null sender; default: the address of `from`'
    )
    rcpt_tos: list[str] | None = Field(default=None, description="default: all of `to`, `cc` and `bcc`")
    content: str | None = Field(default=None, description="a message of RFC 5322, as text or in base64")
    from_: str | None = Field(default=None, alias="from", examples=["Shop <shop@example.com>"])
    to: Mailboxes = []
    cc: Mailboxes = []
    bcc: Mailboxes = []
    reply_to: Mailboxes = []
    subject: str = ""
    text: str | None = None
    html: str | None = None
    headers: dict[str, str] = {}
    attachments: list[AttachmentBody] = []
    list_unsubscribe: UnsubscribeBody | None = None
    notify: list[Literal["SUCCESS", "FAILURE", "DELAY", "NEVER"]] = Field(
        default=[], description="when the sender hears of a recipient (RFC 3461)"
    )
    envelope_id: str = Field(default="", max_length=100, description="comes back in notices (RFC 3461)")

    @property
    def parts_given(self) -> list[str]:
        """Name the keys of parts that were given."""
        return [key for key in _PART_KEYS if ("from_" if key == "from" else key) in self.model_fields_set]


_PART_KEYS = (
    *("from", "to", "cc", "bcc", "reply_to", "subject", "text", "html"),
    *("headers", "attachments", "list_unsubscribe"),
)


class TemplateBody(Body):
    """What the messages of a batch have in common. Strings are MiniJinja, but for `from` and `reply_to`."""

    from_: str = Field(alias="from", examples=["Shop <shop@example.com>"])
    reply_to: Mailboxes = []
    to: str = Field(default="", description="default: the address of the recipient")
    subject: str = Field(default="", examples=["Hello {{ name }}"])
    text: str | None = Field(default=None, examples=["Hello {{ name }}, here is our news."])
    html: str | None = None
    headers: dict[str, str] = {}
    attachments: list[AttachmentBody] = []
    list_unsubscribe: UnsubscribeBody | None = None


class BatchHead(_Options):
    """A batch without its recipients."""

    template: TemplateBody
    mail_from: str | None = Field(
        default=None, description="MiniJinja, with `rcpt_to` among the variables; default: the address of `from`"
    )
    substitutions: Objects = Field(default={}, description="for those recipients that have none of their own")


class RecipientBody(Body):
    """One recipient of a batch."""

    rcpt_to: str = Field(examples=["ann@example.net"])
    to: str | None = Field(default=None, examples=["Ann Lee <ann@example.net>"])
    substitutions: Objects = {}
    metadata: Objects = Field(default={}, description="is laid over that of the batch")


class BatchBody(BatchHead):
    """One template and many recipients."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "template": {
                        "from": "Shop <shop@example.com>",
                        "subject": "Hello {{ name }}",
                        "text": "Hello {{ name }}, here is our news.",
                    },
                    "campaign": "spring",
                    "recipients": [
                        {"rcpt_to": "ann@example.net", "substitutions": {"name": "Ann"}},
                        {"rcpt_to": "bert@example.org", "substitutions": {"name": "Bert"}},
                    ],
                }
            ]
        }
    )
    recipients: list[str | RecipientBody] = Field(min_length=1)


class SelectionBody(Body):
    """What a call is about: one of the keys but `reason`."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"domain": "example.org", "reason": "asked by phone"}]})
    domain: str | None = Field(default=None, min_length=1)
    site: str | None = Field(default=None, min_length=1)
    source: str | None = Field(default=None, min_length=1)
    stream: str | None = Field(default=None, min_length=1)
    message: str | None = Field(default=None, min_length=1)
    all: Literal[True] | None = None
    reason: str = ""

    @model_validator(mode="after")
    def _one(self) -> SelectionBody:
        if sum(getattr(self, kind) is not None for kind in Kind) != 1:
            raise ValueError(f"give one of {', '.join(Kind)}")
        return self


class SuspensionBody(SelectionBody):
    """What is held."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"domain": "example.org", "for": "1h"}]})
    for_: str | None = Field(default=None, alias="for", description='such as "1h"; default: until it is resumed')


class LaneBody(Body):
    """What a lane is told: one of `window` and `forget`."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"window": 8, "reason": "they raised it"}]})
    window: int | None = Field(default=None, description="sessions from now on, until a try or a refusal")
    forget: Literal[True] | None = Field(default=None, description="begin as if nothing had been learned")
    reason: str = ""

    @model_validator(mode="after")
    def _one(self) -> LaneBody:
        if (self.window is None) == (self.forget is None):
            raise ValueError("give one of window, forget")
        return self


class MemoryBody(Body):
    """What `GET /v1/memory` gave."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"version": 1, "lanes": {}}]})
    version: Annotated[Any, WithJsonSchema({"const": 1})]
    lanes: Annotated[Any, WithJsonSchema({"type": "object"})]
    at: float | None = None
    reason: str = ""


AnyBody = TypeVar("AnyBody", bound=Body)
_RULES = {
    "bool_type": "must be true or false",
    "int_type": "must be a whole number",
    "string_type": "must be a string",
    "list_type": "must be an array",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "string_too_short": "must not be empty",
    "string_too_long": "must be at most {max_length} characters",
    "too_short": "must not be empty",
    "literal_error": "must be {expected}",
    "missing": "must be set",
    "value_error": "{error}",
}


def checked(model: type[AnyBody], data: object) -> AnyBody:
    """Make a model of JSON. Raises ApiError, with every problem in it."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise ApiError.of_fields(_problem(model, dict(detail)) for detail in error.errors(include_url=False)) from None


def _problem(model: type[Body], detail: dict[str, Any]) -> tuple[str, str]:
    field = _path(part for part in detail["loc"] if part != "[key]")
    if detail["type"] == "extra_forbidden":
        known = f"; known: {', '.join(_keys(model))}" if len(detail["loc"]) == 1 else ""
        return field, f"unknown key{known}"
    return field, _RULES.get(detail["type"], detail["msg"]).format(**detail.get("ctx", {})).replace("'", '"')


def _path(location: Iterable[str | int]) -> str:
    """Write where something stands: `attachments[0].content`."""
    path = ""
    for part in location:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else part
    return path


def _keys(model: type[Body]) -> list[str]:
    return sorted(field.alias or name for name, field in model.model_fields.items())
