"""A plan as one HTML file."""

from html import escape

from labelloop.charts.plan import labels_and_width
from labelloop.charts.theme import DARK, LIGHT
from labelloop.pages.sheet import folded, pictured, sheet
from labelloop.views.plan import Plan
from labelloop.views.tables import needs
from labelloop.views.wording import assumptions, starting_point


def plan_page(plan: Plan, project: str) -> str:
    """The picture of labels against precision, its numbers, and what they assume."""
    start, rest = (
        "".join(f"<p>{escape(text[0].upper() + text[1:])}.</p>\n" for text in found)
        for found in (starting_point(plan), assumptions(plan))
    )
    pictures = [labels_and_width(plan, theme) for theme in (LIGHT, DARK)]
    body = f"<section>{start}</section>" + pictured(
        pictures[0], pictures[1], folded(needs(plan), "The numbers") + rest
    )
    return sheet(f"{project}: how many labels?", body)
