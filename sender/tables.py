"""TOML files as frozen values: what the configuration and the scenarios of the simulation have in common.

Unknown keys, wrong types and impossible values are problems that name file, key, value and rule, all told at once.
"""

from __future__ import annotations

import datetime as dt
import re
import tomllib
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, ValidationError

from sender.core.errors import AddressError, ConfigError, Problem
from sender.core.quantity import exact_duration, parse_duration, parse_rate, parse_size

if TYPE_CHECKING:
    from pathlib import Path


def _duration(value: object) -> object:
    if isinstance(value, str):
        return parse_duration(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise ValueError('must be a duration with its unit, such as "90s"')  # noqa: TRY004 - pydantic wants ValueError
    return value


def _optional_duration(value: object) -> object:
    return None if value == "" else _duration(value)


def _size(value: object) -> object:
    return parse_size(value) if isinstance(value, str) else value


def _optional_size(value: object) -> object:
    return None if value == "" else _size(value)


def _rate(value: object) -> object:
    if isinstance(value, str):
        return parse_rate(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise ValueError('must be a rate with its unit, such as "10/s"')  # noqa: TRY004 - pydantic wants ValueError
    return value


def _moment(value: object) -> object:
    """Give an instant; a day is its first one, and what names no offset is in UTC."""
    if isinstance(value, dt.date) and not isinstance(value, dt.datetime):
        value = dt.datetime.combine(value, dt.time())
    if not isinstance(value, dt.datetime):
        raise ValueError("must be a date or an instant, such as 2027-01-01 without quotes")  # noqa: TRY004 - as above
    return value if value.tzinfo is not None else value.replace(tzinfo=dt.UTC)


_shown_duration = PlainSerializer(lambda seconds: "" if seconds is None else exact_duration(seconds))
Duration = Annotated[float, BeforeValidator(_duration), Field(gt=0), _shown_duration]
MaybeZeroDuration = Annotated[float, BeforeValidator(_duration), Field(ge=0), _shown_duration]
OptionalDuration = Annotated[Annotated[float, Field(gt=0)] | None, BeforeValidator(_optional_duration), _shown_duration]
Size = Annotated[int, BeforeValidator(_size), Field(gt=0)]
MaybeZeroSize = Annotated[int, BeforeValidator(_size), Field(ge=0)]
OptionalSize = Annotated[
    Annotated[int, Field(gt=0)] | None,
    BeforeValidator(_optional_size),
    PlainSerializer(lambda size: "" if size is None else size),
]
Count = Annotated[int, Field(ge=1)]
Number = Annotated[int, Field(ge=0)]
PerSecond = Annotated[float, BeforeValidator(_rate), Field(gt=0)]
Moment = Annotated[dt.datetime, BeforeValidator(_moment)]
Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]


class Table(BaseModel):
    """A table of a file: its keys are its fields, and no others."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


AnyTable = TypeVar("AnyTable", bound=Table)


def read(path: Path) -> dict[str, Any]:
    """Read the tables of a file. Raises ConfigError."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError([Problem(str(path), "", None, f"cannot be read: {error.strerror}")]) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError([Problem(str(path), "", None, f"is not TOML: {error}")]) from error


def checked(model: type[AnyTable], tables: dict[str, Any], place: str) -> AnyTable:
    """Make a value of tables that stand at a place, such as a file. Raises ConfigError with every problem in them."""
    try:
        return model.model_validate(_tuples(tables))
    except ValidationError as error:
        raise ConfigError(_problems(model, place, error)) from None


def problems_in(model: type[Table], tables: dict[str, Any], place: str) -> list[Problem]:
    """Find every problem in tables that stand at a place."""
    try:
        model.model_validate(_tuples(tables))
    except ValidationError as error:
        return _problems(model, place, error)
    return []


def _problems(model: type[Table], place: str, error: ValidationError) -> list[Problem]:
    return [_problem(model, place, dict(detail)) for detail in error.errors()]


def _tuples(value: Any) -> Any:  # noqa: ANN401 - any TOML value
    """Turn arrays into tuples: tables are frozen, and strict about it."""
    if isinstance(value, list):
        return tuple(map(_tuples, value))
    if isinstance(value, dict):
        return {key: _tuples(item) for key, item in value.items()}
    return value


_BARE = re.compile(r"[A-Za-z0-9_-]+")
_RULES = {
    "bool_type": "must be true or false",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "string_type": "must be a string",
    "tuple_type": "must be an array",
    "dict_type": "must be a table",
    "model_type": "must be a table",
    "model_attributes_type": "must be a table",
    "greater_than_equal": "must be {ge:g} or more",
    "greater_than": "must be more than {gt:g}",
    "less_than_equal": "must be {le:g} or less",
    "less_than": "must be less than {lt:g}",
    "too_short": "must have at least one entry",
    "literal_error": "must be {expected}",
    "missing": "must be set",
    "value_error": "{error}",
}


def _problem(root: type[Table], place: str, detail: dict[str, Any]) -> Problem:
    location = [part for part in detail["loc"] if part != "[key]"]
    key = ".".join(str(part) if _BARE.fullmatch(str(part)) else f'"{part}"' for part in location)
    if detail["type"] == "extra_forbidden":
        return Problem(
            place, key, detail["input"], f"unknown key; known here: {', '.join(_known(root, location[:-1]))}"
        )
    rule = _RULES.get(detail["type"], detail["msg"]).format(**detail.get("ctx", {}))
    error = detail.get("ctx", {}).get("error")
    if isinstance(error, AddressError):
        rule = error.rule
    value = "" if detail["type"] == "missing" else detail["input"]
    if key.endswith("_secret"):
        value = "(not shown)"
    return Problem(place, key, value, rule.replace("'", '"'))


def _known(root: type[BaseModel], location: list[Any]) -> list[str]:
    """List the keys that the table at a location may have."""
    model = root
    for part in location:
        annotation = model.model_fields[part].annotation if part in model.model_fields else None
        inner = getattr(annotation, "__args__", ())
        for candidate in (annotation, *inner):
            if isinstance(candidate, type) and issubclass(candidate, BaseModel):
                model = candidate
    return sorted(name for name, field in model.model_fields.items() if not field.exclude)
