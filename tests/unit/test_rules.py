"""Rules of providers: the shipped file, an operator's own, and every way in which a file can be wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from sender.core.errors import ConfigError
from sender.core.outcome import Outcome, Reason, Scope
from sender.core.reply import Reply
from sender.core.stage import Stage
from sender.rules import classifier, load, shipped_classifier
from sender.shipped import shipped

_BAD = sorted(path.parent for path in (Path(__file__).parents[1] / "bad_config").glob("*/replies.toml"))
_OWN = """
[[rule]]
name = "our partner"
text = ['code 77']
provider = "gmail"
reason = "daily_limit"
scope = "lane"
examples = ["450 code 77"]
counterexamples = ["450 code 78", { reply = "450 code 77", mx = "mx.example.org" }]
"""


def test_the_shipped_rules_match_their_examples_and_nothing_that_they_must_not() -> None:
    """Loading tries every example: that the file loads says that each rule does what it states."""
    path = shipped("replies.toml")
    assert path is not None
    assert len(load(path)) > 20


@pytest.mark.parametrize("rule", shipped_classifier().rules, ids=lambda rule: rule.name)
def test_a_shipped_rule_names_something_particular(rule: object) -> None:
    """A rule has a code word, an enhanced code or a host: stage and first digit are the general table's business."""
    assert getattr(rule, "text", ()) or getattr(rule, "enhanced", ()) or getattr(rule, "mx", ())


def test_a_rule_of_the_operator_is_read_before_the_shipped_ones(tmp_path: Path) -> None:
    """What the operator writes decides, also about what a shipped rule knows."""
    path = tmp_path / "replies.toml"
    path.write_text(_OWN.replace("code 77", "#RL000001").replace("code 78", "#RL000002"), encoding="utf-8")
    reply = Reply.parse("421 4.1.0 see #RL000001")
    assert classifier().classify(Stage.MAIL, reply, "aspmx.l.google.com").rule == "comcast: rate"
    assert classifier(path).classify(Stage.MAIL, reply, "aspmx.l.google.com").rule == "our partner"
    assert classifier(path).classify(Stage.MAIL, reply).rule == "comcast: rate"


def test_a_rule_says_outcome_reason_and_scope(tmp_path: Path) -> None:
    """A verdict by a rule has the rule's reason and scope, its name, and the outcome that follows."""
    path = tmp_path / "replies.toml"
    path.write_text(_OWN, encoding="utf-8")
    verdict = classifier(path).classify(Stage.RCPT, Reply.parse("550 code 77"), "aspmx.l.google.com")
    assert (verdict.outcome, verdict.scope, verdict.reason) == (Outcome.DEFERRED, Scope.LANE, Reason.DAILY_LIMIT)
    assert (verdict.rule, verdict.provider) == ("our partner", "gmail")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    """A rules file that cannot be read is a problem of the configuration."""
    with pytest.raises(ConfigError, match=r"gone\.toml: cannot be read"):
        load(tmp_path / "gone.toml")


@pytest.mark.parametrize("folder", _BAD, ids=lambda folder: folder.name)
def test_a_bad_rule_is_refused_with_file_rule_value_and_what_is_wrong(folder: Path) -> None:
    """Each folder with a bad `replies.toml` is refused with exactly the lines that it expects."""
    path = folder / "replies.toml"
    with pytest.raises(ConfigError) as refusal:
        load(path)
    lines = str(refusal.value).replace(str(path), "replies.toml")
    assert lines == (folder / "expected").read_text(encoding="utf-8").rstrip("\n")


def test_the_folders_of_bad_rules_are_found() -> None:
    """The test above has something to refuse."""
    assert len(_BAD) >= 8
