"""What a gate says: a sentence, and the JUnit XML that systems for continuous integration read."""

from typing import TYPE_CHECKING
from xml.etree import ElementTree

from labelloop.core.estimate import Undefined
from labelloop.statistics.compare import Verdict
from labelloop.views.wording import (
    counted,
    interval,
    percent,
    plain,
    points,
    span,
    top_up_command,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from labelloop.measuring.gate import Gated
    from labelloop.steps.compare.compare import Compared


def question(g: "Gated") -> str:
    """What the gate of `measure` asks."""
    return f"is the accuracy of {plain(g.model or 'the model')} above {percent(g.required)}?"


def answer(g: "Gated") -> str:
    """Why the verdict is what it is."""
    if isinstance(g.estimate, Undefined):
        return g.reason
    text = (
        f"{interval(g.estimate)}, {counted(g.estimate.n, 'blind label')} of the last {g.days} days; "
        f"{span(g.low, g.high)} holds at every look"
    )
    return text + _more(g.verdict, g.more_labels, g.top_up, g.reason)


def question_of(r: "Compared") -> str:
    """What the gate of `compare` asks."""
    return f"does {plain(r.candidate_name)} gain more than {points(r.min_gain)}?"


def answer_of(r: "Compared") -> str:
    """Why the verdict is what it is."""
    held = r.gate
    if held is None or isinstance(held, Undefined):
        return held.reason if held else ""
    text = (
        f"{100 * held.value:+.1f} points, {counted(held.n, 'blind label')}; "
        f"{100 * held.low:+.1f} to {100 * held.high:+.1f} holds at every look"
    )
    return text + _more(r.verdict or Verdict.NOT_YET, r.more_labels, r.top_up, "")


def _more(verdict: Verdict, more_labels: int | None, top_up: tuple[int, ...], reason: str) -> str:
    if verdict is not Verdict.NOT_YET:
        return ""
    if reason:
        return f"; {reason}"
    return f"; {to_settle(more_labels, top_up)}"


def to_settle(more_labels: int | None, top_up: "Sequence[int]") -> str:
    """How many labels settle a NOT YET, and the command that draws them."""
    if more_labels is None:
        return "too close to tell with any sensible number of labels"
    text = f"about {counted(more_labels, 'more blind label')} would settle it in 4 of 5 cases"
    if top_up:
        return f"{text}: `{top_up_command(top_up, more_labels)}`"
    return f"{text}. They come with the next rounds: these have too few left"


def junit(name: str, verdict: Verdict, says: str) -> str:
    """One test case as JUnit XML: a FAIL is a failure, a NOT YET is skipped."""
    failed, skipped = verdict is Verdict.FAIL, verdict is Verdict.NOT_YET
    counts = {"tests": "1", "failures": f"{failed:d}", "errors": "0", "skipped": f"{skipped:d}"}
    suite = ElementTree.Element("testsuite", {"name": "labelloop", **counts})
    case = ElementTree.SubElement(suite, "testcase", {"classname": "labelloop.gate", "name": name})
    if failed or skipped:
        ElementTree.SubElement(case, "failure" if failed else "skipped", {"message": says})
    else:
        ElementTree.SubElement(case, "system-out").text = says
    ElementTree.indent(suite)
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(suite, "unicode") + "\n"
    )
