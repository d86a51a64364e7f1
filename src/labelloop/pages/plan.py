"""A plan as one HTML file."""

from collections.abc import Iterable

from labelloop.charts.plan import labels_and_width
from labelloop.pages.rendering import render
from labelloop.views.plan import Plan
from labelloop.views.sentences import assumptions, starting_point
from labelloop.views.tables.plan import needs


def plan_page(plan: Plan, project: str) -> str:
    """The picture of labels against precision, its numbers, and what they assume."""
    return render(
        "plan.html",
        title=f"{project}: how many labels?",
        start=_sentences(starting_point(plan)),
        picture=labels_and_width(plan),
        needs=needs(plan),
        rest=_sentences(assumptions(plan)),
    )


def _sentences(texts: Iterable[str]) -> list[str]:
    return [f"{text[0].upper()}{text[1:]}." for text in texts]
