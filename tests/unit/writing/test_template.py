"""Templates: what they may do, and what they cannot do to whoever renders them."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sender.writing.template import LOOP_LIMIT, SHOWN_LIMIT, SOURCE_LIMIT, TemplateFault, Templates

_VALUES = {
    "name": "<Ann>",
    "country": "DE",
    "items": ["a", 2, 1.5],
    "order": {"id": 17, "lines": [{"what": "book"}, {"what": "pen"}]},
    "none": None,
    "yes": True,
}


def _rendered(source: str, name: str = "text") -> str:
    templates = Templates()
    templates.add(name, source)
    return templates.render(name, _VALUES)


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("no tags { } % #", "no tags { } % #"),
        ("{{ name }}\n", "<Ann>\n"),
        ("{{name}}{{- name -}} {{ name }}", "<Ann><Ann><Ann>"),
        ("{{ order.id }} {{ order['id'] }} {{ items[0] }}", "17 17 a"),
        ("{% for line in order.lines %}{{ loop.index }}. {{ line.what }}\n{% endfor %}", "1. book\n2. pen\n"),
        ("{%- if country in ['DE', 'AT'] -%} Hallo {%- elif yes -%} Hello {%- else -%} x {%- endif -%}", "Hallo"),
        ("{{ items|join(', ') }} {{ name|replace('<', '(')|upper }}", "a, 2, 1.5 (ANN>"),
        ("{{ nobody|default('}} ~') }} {% if nobody is defined %}x{% endif %}", "}} ~ "),
        ("{{ 'x' if yes else 'y' }} {{ 7 / 2 }} {{ 7 % 2 }}", "x 3.5 1"),
        ("{# {{ nobody ~ name }} #}-", "-"),
        ("{% if yes is not false and (name or none) %}{{ items|length }}{% endif %}", "3"),
    ],
)
def test_a_template_shows_what_it_is_given(source: str, text: str) -> None:
    """Variables, conditions, loops and the filters that are allowed."""
    assert _rendered(source) == text


def test_values_are_escaped_in_html_only() -> None:
    """A value in HTML is text; a template that wants it to be HTML says so."""
    assert _rendered("{{ name }} {{ name|safe }}", "html") == "&lt;Ann&gt; <Ann>"
    assert _rendered("{{ name }}", "subject") == "<Ann>"


@pytest.mark.parametrize(
    ("source", "rule"),
    [
        ("a\n{{ nobody }}", "line 2: `nobody` is undefined"),
        ("{{ order.nothing }}", "line 1: `order.nothing` is undefined"),
        ("{{ none }}", "shows null"),
        ("{{ items }}", "shows a list"),
        ("{{ order }}", "shows an object"),
        ("{{ order.pop }}", "shows an object"),
        ("{{ name - 1 }}", "line 1: tried to use - operator"),
    ],
)
def test_what_cannot_be_shown_is_a_fault_that_names_it(source: str, rule: str) -> None:
    """A variable that is missing, null, a list or an object does not become an empty place or a surprise."""
    with pytest.raises(TemplateFault) as fault:
        _rendered(source)
    assert fault.value.rule.startswith(rule)


@pytest.mark.parametrize(
    "source",
    [
        "{{ order.pop('id') }}",
        "{{ items.append(1) }}",
        "{{ order.keys () }}",
        "{{ (order.pop)('id') }}",
        "{{ ''.__class__() }}",
        "{{ debug() }}",
        "{{ range(100000)|join }}",
        "{{ dict(a=1) }}",
        "{% for x in order.values() %}{% endfor %}",
        "{% if order.clear() %}{% endif %}",
        "{% if x is foo('a') %}{% endif %}",
        "{{ name ~ name }}",
        "{{ name * 1000000 }}",
        "{{ name + name }}",
        "{{ {'a': name} }}",
        "{{ [name, name]|join }}",
        "{{ [[name]] }}",
        "{{ name|tojson }}",
        "{{ name|attr('x') }}",
        "{{ name|indent(1000000000) }}",
        "{% set x = name %}",
        "{% macro m() %}{% endmacro %}",
        "{% include 'html' %}",
        "{% import 'html' as x %}",
        "{% extends 'html' %}",
        "{% raw %}{% endraw %}",
        "{%+ set x = 1 %}",
        "{%- with x = name %}{% endwith %}",
        "{{ '}}' ~ name }}",
        "{{ (}} ~ name) }}",
        "{{ name",
        "{# name",
        "{% if yes %}",
        "{% for x in items %}",
        "{{ name \\ }}",
    ],
)
def test_i12_a_template_calls_and_changes_nothing(source: str) -> None:
    """Calls, assignments, other files, and operators by which text grows are refused before anything is rendered."""
    with pytest.raises(TemplateFault):
        Templates().add("text", source)


@pytest.mark.parametrize(
    "source",
    [
        "{% for a in many %}{% for b in many %}{% for c in many %}x{% endfor %}{% endfor %}{% endfor %}",
        "{% for a in many %}{{ long }}{% endfor %}",
        "{{ many|join(long) }}",
        "{{ long|replace('x', long) }}",
    ],
)
def test_i12_a_template_takes_bounded_steps_and_shows_bounded_text(source: str) -> None:
    """Loops within loops, and long values many times over, end in a fault."""
    templates = Templates()
    templates.add("text", source)
    with pytest.raises(TemplateFault, match=r"steps|values of more than"):
        templates.render("text", {"many": list(range(5000)), "long": "x" * 60_000})


def test_i12_the_size_of_a_template_is_bounded() -> None:
    """A source that is too long, a loop that is too long and too many tags are refused."""
    Templates().add("text", "x" * SOURCE_LIMIT)
    for source in (
        "x" * (SOURCE_LIMIT + 1),
        "{% for a in b %}" + "x" * LOOP_LIMIT + "{% endfor %}",
        "{{ a }}" * 10_001,
    ):
        with pytest.raises(TemplateFault, match="at most"):
            Templates().add("text", source)


def test_steps_and_text_are_counted_for_each_text() -> None:
    """What one text has used up is there again for the next."""
    templates = Templates()
    templates.add("text", "{{ long }}")
    values = {"long": "x" * (SHOWN_LIMIT - 1)}
    assert len(templates.render("text", values)) == len(templates.render("text", values)) == SHOWN_LIMIT - 1


_PIECES = (
    *("{{ ", " }}", "{% ", " %}", "{#", "#}", "{% if a %}", "{% endif %}", "{% for y in x.a %}", "{% endfor %}", "\n"),
    *("{{ a }}", "{{ x.a[0] }}", "a", "x", "x.a", "y", "nobody", "1", "'s'", " - ", "/", "~", "*", "(", ")", "[", "]"),
    *("|", "|upper", "|join", "|first", ".", ",", " is ", " not ", " in ", " if ", " else ", "defined", "-", "{", "}"),
)


@given(st.lists(st.sampled_from(_PIECES), max_size=12).map("".join))
@example("{{ a - 1 }}")
@example("{{ x.a|first|first|first }}")
def test_i12_whatever_a_template_is_it_is_rendered_or_refused(source: str) -> None:
    """No source leads to anything but text or a fault."""
    templates = Templates()
    rendered = "refused"
    with contextlib.suppress(TemplateFault):
        templates.add("html", source)
        rendered = templates.render("html", {"a": "x", "x": {"a": [1]}})
    assert len(rendered) < SHOWN_LIMIT
