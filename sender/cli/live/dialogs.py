"""What is asked before something is done, and the page of keys."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Static

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from textual.app import ComposeResult
    from textual.binding import BindingType

_HELP = """\
up down j k   move; PgUp PgDn Home End g G, the wheel
s             next order; or click the head of a column
/             filter by name      f  filter by state
Esc           no filter
Enter e       explain the lane
p             suspend its site, for a time or until resumed
r             resume what holds it
t             retry: make its deferred mail due now
w             set its window
space         pause
q             quit, or back

State: as the terminal writes   throttled: yellow
       suspended: blue          dimmed: seen earlier,
                                or no daemon runs
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """Something that may be said beside yes; `check` gives what is wrong with it, or nothing."""

    name: str
    label: str
    value: str = ""
    check: Callable[[str], str] = lambda _: ""


class _Box(ModalScreen[dict[str, str] | None]):
    DEFAULT_CSS = """
    _Box { align: center middle; }
    _Box > Vertical { width: 64; max-width: 100%; height: auto; max-height: 100%; border: ascii $foreground;
                      padding: 0 1; background: $background; }
    _Box Input { border: none; height: 1; padding: 0; }
    _Box Static { height: auto; }
    """


class Question(_Box):
    """Ask whether something is to be done; gives the fields by their names, or None."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", show=False),
        Binding("enter", "agree", show=False),
    ]

    def __init__(self, sentences: Sequence[str], fields: Sequence[Field] = ()) -> None:
        super().__init__()
        self._sentences = sentences
        self._fields = fields

    def compose(self) -> ComposeResult:
        """Put the question into a box."""
        with Vertical():
            yield Static("\n".join(self._sentences), markup=False)
            for field in self._fields:
                yield Static(f"\n{field.label}", markup=False)
                yield Input(value=field.value, id=field.name, compact=True)
            yield Static("", id="wrong", markup=False)
            yield Static(
                "Enter: do it   Esc: leave it   Tab: next field" if self._fields else "Enter: do it   Esc: leave it"
            )

    def on_input_submitted(self) -> None:
        """Take Enter in a field for yes."""
        self.action_agree()

    def action_agree(self) -> None:
        """Do it, unless a field is wrong."""
        given: Mapping[str, str] = {
            field.name: self.query_one(f"#{field.name}", Input).value.strip() for field in self._fields
        }
        wrong = "\n".join(filter(None, (field.check(given[field.name]) for field in self._fields)))
        if wrong:
            self.query_one("#wrong", Static).update(f"\n{wrong}\n")
        else:
            self.dismiss(dict(given))

    def action_leave(self) -> None:
        """Do nothing."""
        self.dismiss(None)


class Keys(_Box):
    """The page of keys; any key leaves it."""

    def compose(self) -> ComposeResult:
        """Put the page into a box."""
        with Vertical():
            yield Static(_HELP, markup=False)

    def on_key(self) -> None:
        """Go back."""
        self.dismiss(None)
