"""The pages: what others have said stays text, and what is wrong is said first."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sender.console.pages import RECIPIENTS, ROWS, Pages, Visit

from .values import NOW, ages, found, lane, message, overview, suspension

PAGES = Pages("mta.example.com")
VISIT = Visit(now=NOW, path="/", may_act=True, logged_in=True, name="anna")
ASKED = {"match": "", "state": "", "order": "queued", "start": ""}


class _Read(HTMLParser):
    """What a browser makes of a page: its elements with their attributes, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.shape: list[tuple[str, tuple[str, ...]]] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag != "wbr":  # where a line may end
            self.shape.append((tag, tuple(name for name, _ in attrs)))
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.text += data


def _lanes(seen: dict[str, Any], visit: Visit = VISIT, *, closed: str = "", **asked: str) -> str:
    return PAGES.lanes(visit, seen, ASKED | asked, closed=closed)


def _all(text: str) -> dict[str, str]:
    """Make every page, with a text of somebody else's wherever there may be one."""
    trouble = {"trouble": "hold", "count": 1, "lanes": [lane(text)]}
    visit = Visit(now=NOW, path=text, may_act=True, logged_in=True, name=text)
    return {
        "lanes": _lanes(overview(lane(text), troubles=[trouble]), visit, closed=text, match=text, order="queued"),
        "lane": PAGES.lane(visit, lane(text), "all"),
        "queue": PAGES.queue(visit, ages(text), {"domain": text, "site": text, "stream": text}),
        "message": PAGES.message(visit, message(text), 0),
        "search": PAGES.search(visit, text.replace("@", ""), found(text)),
        "nothing": PAGES.search(visit, text, {"recipients": [], "complete": True}),
        "suspensions": PAGES.suspensions(visit, [suspension(text)], "domain", text),
        "login": PAGES.login(visit, after=text, wrong=text),
        "refusal": PAGES.refusal(visit, text, text),
    }


_PLAIN = {name: _Read(page) for name, page in _all("x").items()}
_NASTY = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1) | st.sampled_from(
    [
        "</td><script>alert(1)</script>",
        '" onmouseover=alert(1) x="',
        "' autofocus onfocus=alert(1) '",
        "</title><svg onload=alert(1)>",
        "--><img src=x onerror=alert(1)>",
        "{{ 7 * 7 }}{% raw %}",
        "&lt;b&gt;&#x3c;",
        "javascript:alert(1)",
        "//evil.example/",
        "\u202eevil",
    ]
)


@given(_NASTY)
@settings(max_examples=30, deadline=None)
def test_what_others_say_is_text(text: str) -> None:
    """Whatever stands in a reply, a name, an address or a reason, a page has the same elements and attributes."""
    for name, page in _all(text).items():
        read = _Read(page)
        assert read.shape == _PLAIN[name].shape, name
        links = [
            value for _, attribute, value in read.attributes if attribute in {"href", "src", "action", "formaction"}
        ]
        assert all(link.startswith(("/", "?", "#")) and not link.startswith("//") for link in links), name
    told = _Read(_all(text)["lane"])
    if text.strip() and "\r" not in text and "\x00" not in text:
        assert text in told.text


def test_a_template_in_a_reply_is_not_run() -> None:
    """What looks like a template of ours is shown as it is."""
    assert "{{ 7 * 7 }}" in _Read(_all("{{ 7 * 7 }}")["lane"]).text


@pytest.mark.parametrize(
    ("seen", "closed", "words"),
    [
        ({"failing": True}, "", "Outcomes cannot be recorded"),
        ({}, "the disk is nearly full", "No mail is taken: the disk is nearly full."),
        ({"held": 1}, "", "1 message is held for a fault"),
        ({"suspensions": 2}, "", "2 suspensions hold mail back."),
        (
            {"troubles": [{"trouble": "hold", "count": 1, "lanes": [lane("a")]}]},
            "",
            "1 receiver blocks us, or asked for a rest.",
        ),
        (
            {"troubles": [{"trouble": "connect_failed", "count": 9, "lanes": [lane("a")]}]},
            "",
            "9 receivers cannot be reached",
        ),
        ({"troubles": [{"trouble": "narrow", "count": 1, "lanes": [lane("a")]}]}, "", "come down to one session"),
        ({"troubles": [{"trouble": "old", "count": 1, "lanes": [lane("a")]}]}, "", "waits for more than an hour"),
        ({"troubles": [{"trouble": "daily_limit", "count": 1, "lanes": [lane("a")]}]}, "", "takes no more for now"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_wrong_is_said_above_the_lanes(seen: dict[str, Any], closed: str, words: str) -> None:
    """Each trouble has its sentence, and where there is none, that is said."""
    well = "Nothing. Mail goes as receivers take it."
    assert well in _Read(_lanes(overview())).text
    text = _Read(_lanes(overview(**seen), closed=closed)).text
    assert words in text
    assert well not in text


def test_totals_count_everything_once() -> None:
    """Queued is what waits in any state; bounced is what was returned."""
    figures = re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", _lanes(overview()))
    assert figures == [
        *[("Accepted", "1,234,567"), ("Delivered", "1,200,000"), ("Bounced", "1"), ("Queued", "15"), ("Deferred", "4")],
        ("Oldest", "1m 15s"),
    ]


def test_who_only_reads_sees_no_form_that_acts() -> None:
    """No page of theirs has a form that is posted, but for logging out."""
    reader = Visit(now=NOW, path="/", logged_in=True, name="anna")
    for page in (
        PAGES.lane(reader, lane(), "all"),
        PAGES.message(reader, message(), 0),
        PAGES.suspensions(reader, [suspension()], "", ""),
    ):
        actions = [value for tag, name, value in _Read(page).attributes if name in {"action", "formaction"}]
        assert actions == ["/search", "/logout"]


def test_what_has_ended_has_no_buttons() -> None:
    """Nothing can be done about a message whose recipients have all ended."""
    assert "/act/" not in PAGES.message(VISIT, message(state="delivered"), 0)
    assert "/act/" in PAGES.message(VISIT, message(), 0)


def test_many_recipients_come_in_pages() -> None:
    """A thousand recipients are shown fifty at a time."""
    page = PAGES.message(VISIT, message(recipients=1000), RECIPIENTS)
    assert page.count('class="card recipient"') == RECIPIENTS
    assert "recipients 51" in page
    links = [value for tag, name, value in _Read(page).attributes if (tag, name) == ("a", "href")]
    assert {"/messages/06chyk9v4k000", "/messages/06chyk9v4k000?start=100"} <= set(links)


def test_many_lanes_come_in_pages() -> None:
    """Between pages the filter and the order stay."""
    seen = overview(*(lane(f"mx{number}") for number in range(ROWS)), matching=350, all=999)
    links = [value for tag, name, value in _Read(_lanes(seen, match="mx", start="100")).attributes if name == "href"]
    assert {"/?match=mx&order=queued", "/?match=mx&order=queued&start=200"} <= set(links)
    assert "/?match=mx&order=oldest" in links


@pytest.mark.parametrize(("took_s", "refresh"), [(0.001, 2000), (0.5, 5000), (3.0, 30000)])
def test_a_page_that_costs_more_is_asked_for_less(took_s: float, refresh: int) -> None:
    """At most a tenth of the time is spent on one who looks."""
    assert f'data-refresh="{refresh}"' in _lanes(overview(), Visit(now=NOW, path="/", took_s=took_s))


def test_a_fragment_has_the_parts_that_change() -> None:
    """The script finds by its id each part that it is to take over, and nothing around."""
    fragment = _Read(_lanes(overview(lane()), Visit(now=NOW, path="/", fragment=True)))
    whole = _Read(_lanes(overview(lane())))
    parts = [tag for tag, names in whole.shape if "data-live" in names]
    assert [tag for tag, names in fragment.shape if "data-live" in names] == parts
    assert not {"script", "nav", "link"} & {tag for tag, _ in fragment.shape}
