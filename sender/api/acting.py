"""What the console's forms do: the same as the calls of operators, checked by the same models."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sender.api.errors import ApiError
from sender.api.models import LaneBody, SelectionBody, SuspensionBody, checked
from sender.api.operations import duration_of, mail_of, selection_of
from sender.core.selection import Fault

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sender.engine.control import Control

_LONGEST = 500  # characters of a reason
_DIGITS = 9
_NEED_A_REASON = frozenset({"suspend", "bounce", "delete", "window", "forget"})


async def act(control: Control, action: str, form: Mapping[str, str], *, by: str) -> int:
    """Do what a form says: give how many recipients that touched, or the window that is set. Raises ApiError.

    `by` is the name of who does it; it stands with the reason.
    """
    reason = _reason(action, form, by)
    if action in {"window", "forget"}:
        return await _change_lane(control, action, form, reason)
    if action == "resume" and form.get("id"):
        return await _resume(control, form["id"], reason)
    return await _act_on(control, action, form, reason)


async def _act_on(control: Control, action: str, form: Mapping[str, str], reason: str) -> int:
    """Do something to a selection."""
    given = {form.get("kind", ""): form.get("value", "").strip(), "reason": reason}
    if action == "suspend":
        suspension = checked(SuspensionBody, given | ({"for": form["for"]} if form.get("for") else {}))
        for_s = duration_of(suspension.for_)
        return (await control.suspend(selection_of(suspension), for_s=for_s, reason=reason))[1]
    body = checked(SelectionBody, given)
    match action:
        case "resume":
            return await control.resume(selection_of(body), reason)
        case "retry":
            return await control.retry(selection_of(body))
        case "bounce":
            return await control.bounce(mail_of(body), reason)
        case _:
            return await control.delete(mail_of(body), reason)


def _reason(action: str, form: Mapping[str, str], by: str) -> str:
    reason = " ".join(form.get("reason", "").split())
    if not reason and action in _NEED_A_REASON:
        raise ApiError.of_fields([("reason", "must be given, for those who come after you")])
    if len(reason) > _LONGEST or not reason.isprintable():
        raise ApiError.of_fields([("reason", f"must be at most {_LONGEST} printable characters")])
    if Fault.of(reason) is not None:
        raise ApiError.of_fields([("reason", "must not look like a fault of a message")])
    return f"{reason} ({by})".strip() if by else reason


async def _change_lane(control: Control, action: str, form: Mapping[str, str], reason: str) -> int:
    name, window = form.get("lane", ""), form.get("window", "")
    if action == "forget":
        await control.forget(name, reason)
        return 0
    if not (window.isascii() and window.isdigit() and len(window) <= _DIGITS):
        raise ApiError.of_fields([("window", "must be a number of sessions")])
    body = checked(LaneBody, {"window": int(window)})
    await control.set_window(name, body.window or 0, reason)
    return int(window)


async def _resume(control: Control, given: str, reason: str) -> int:
    known = given.isascii() and given.isdigit() and len(given) <= _DIGITS
    touched = await control.resume_id(int(given), reason) if known else None
    if touched is None:
        raise ApiError(404, "it has ended already")
    return touched
