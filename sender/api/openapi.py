"""`/openapi.json`: made of the table of calls that are served, and of the models that check them (OpenAPI 3.1)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from pydantic.json_schema import JsonSchemaMode, models_json_schema

from sender import __version__
from sender.api.answers import Answer, ErrorAnswer
from sender.api.errors import WORDS
from sender.api.idempotency import HEADER
from sender.intake.tokens import Scope

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pydantic import BaseModel

    from sender.api.calls import Call

_PARAMETER = re.compile(r"\{([a-z]+)(?::([a-z]+))?\}")
_KEY = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"}
_TYPES = {"int": {"type": "integer", "minimum": 0}}
_DESCRIPTION = """Mail is sent with `POST /v1/messages` and `POST /v1/batches`; the others are what the commands do.

A call that sends answers 202 when the mail is durable. With the header `Idempotency-Key` it may be repeated: what was
taken is not taken again, and told the same. A call that fails with 5xx or without an answer should be repeated so."""

Json = dict[str, Any]


def describe(calls: Sequence[Call]) -> Json:
    """Describe every call."""
    schemas = _schemas(calls)
    paths: dict[str, Json] = {}
    for call in calls:
        path = _PARAMETER.sub(lambda match: f"{{{match[1]}}}", call.path)
        paths.setdefault(path, {})[call.method.lower()] = _operation(call)
    return {
        "openapi": "3.1.0",
        "info": {"title": "sender", "version": __version__, "description": _DESCRIPTION},
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": f"a token with the scope that a call names, of {', '.join(Scope)}; without a file "
                    "of tokens, calls from the machine itself need none",
                }
            },
        },
    }


def _schemas(calls: Iterable[Call]) -> Json:
    models: list[tuple[type[BaseModel], JsonSchemaMode]] = [(ErrorAnswer, "serialization")]
    for call in calls:
        if call.body is not None:
            models.append((call.body, "validation"))
        if not isinstance(call.answer, str):
            models.append((call.answer, "serialization"))
    _, described = models_json_schema(list(dict.fromkeys(models)), ref_template="#/components/schemas/{model}")
    schemas: Json = described["$defs"]
    return schemas


def _operation(call: Call) -> Json:
    operation: Json = {
        "summary": call.summary,
        "operationId": _name(call),
        "parameters": list(_parameters(call)),
        "responses": _responses(call),
        # Without a file of tokens, none is needed.
        "security": [] if call.scope is None else [{"token": []}, {}],
    }
    if call.scope is not None:
        operation["description"] = f"Scope: {call.scope}."
    if call.body is not None:
        operation["requestBody"] = {"required": True, "content": _json(_reference(call.body))}
    return operation


def _name(call: Call) -> str:
    words = [word for word in re.split(r"[^a-z]+", _PARAMETER.sub(r"\1", call.path)) if word and word != "v"]
    return "_".join([call.method.lower(), *words])


def _parameters(call: Call) -> Iterator[Json]:
    for match in _PARAMETER.finditer(call.path):
        schema = _TYPES.get(match[2], {"type": "string", "minLength": 1})
        yield {"name": match[1], "in": "path", "required": True, "schema": schema}
    for name, text in call.query.items():
        yield {"name": name, "in": "query", "description": text, "schema": {"type": "string"}}
    if call.keyed:
        text = "under one key one thing is done once, and told the same each time"
        yield {"name": HEADER, "in": "header", "description": text, "schema": _KEY}


def _responses(call: Call) -> Json:
    answer: Json = {"description": "done"}
    if not isinstance(call.answer, str):
        answer["content"] = _json(_reference(call.answer))
    elif call.answer:
        answer["content"] = {call.answer: {}}
    responses = {str(call.status): answer}
    for status in sorted(_refusals(call)):
        responses[str(status)] = {
            "description": WORDS[status].replace("_", " "),
            "content": _json(_reference(ErrorAnswer)),
        }
    if call.path == "/readyz":
        responses["503"] = {"description": "not ready", "content": answer["content"]}
    return responses


def _refusals(call: Call) -> set[int]:
    """Give every status with which a call may be refused."""
    found = set(call.refusals) | {500}
    if call.scope is not None:
        found |= {401, 403, 503}
    if call.body is not None:
        found |= {400, 408, 413, 415, 422, 503}
    return found


def _reference(model: type[Answer | BaseModel]) -> Json:
    return {"$ref": f"#/components/schemas/{model.__name__}"}


def _json(schema: Json) -> Json:
    return {"application/json": {"schema": schema}}
