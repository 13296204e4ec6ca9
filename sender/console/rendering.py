"""Templates to HTML, and the files that go with it.

Every value is escaped where a template shows it: replies, addresses and names come from others. What `drawing.py` and
the filters here give as markup has escaped its own values. A page has neither styles nor scripts in it, so that the
browser can be told to take none (`api/console.py`: the content security policy).
"""

from __future__ import annotations

import hashlib
import re
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from minijinja import Environment, safe

from sender.console import words

if TYPE_CHECKING:
    from collections.abc import Mapping

_HERE = Path(__file__).parent
_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


class Rendering:
    """The templates and static files of a process, read once."""

    def __init__(self) -> None:
        self.files = {
            path.name: (path.read_bytes(), _TYPES[path.suffix]) for path in sorted((_HERE / "static").iterdir())
        }
        self._versions = {name: hashlib.sha256(data).hexdigest()[:12] for name, (data, _) in self.files.items()}
        self._environment = Environment(
            templates={path.name: path.read_text(encoding="utf-8") for path in sorted((_HERE / "templates").iterdir())},
            undefined_behavior="strict",
            auto_escape_callback=lambda _name: True,
            filters={
                "count": words.count,
                "age": words.age,
                "when": _when,
                "lane_url": _lane_url,
                "breakable": _breakable,
                "quoted": lambda text: safe(quote(text, safe="")),
                "static": lambda name: safe(f"/static/{name}?v={self._versions[name]}"),
                "drawn": safe,
            },
            pycompat=False,
            trim_blocks=True,
            lstrip_blocks=True,
        )

    def page(self, template: str, values: Mapping[str, Any]) -> str:
        """Make a page."""
        return self._environment.render_template(template, **values)


def _when(at: str | None, now: str = "") -> str:
    """Show an instant: the time of day, with the date where it is not that of `now`."""
    if not at:
        return "–"  # noqa: RUF001 - nothing stands here
    shown = words.moment(at, now)
    return safe(f'<time datetime="{escape(at)}" title="{escape(at)}">{escape(shown)}</time>')


def _breakable(name: str) -> str:
    """Show a long name that may go on in the next line after a dot or a slash."""
    return safe(re.sub(r"([./])", r"\1<wbr>", escape(name)))


def _lane_url(name: str) -> str:
    return safe(f"/lanes/{quote(name)}")
