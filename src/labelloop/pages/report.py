"""A report as one HTML file: pictures, numbers and words; nothing in it is fetched."""

from collections.abc import Iterator
from dataclasses import dataclass

from labelloop.charts import drawing
from labelloop.charts.theme import DARK, FONT, LIGHT
from labelloop.core.estimate import Estimate
from labelloop.pages.pictures import Drawn, drawn
from labelloop.pages.rendering import render
from labelloop.ports.clock import Progress
from labelloop.views.quality import Quality
from labelloop.views.sentences import fallen, headline, over_time, worst_case
from labelloop.views.table import Table
from labelloop.views.tables.accuracy import by_picture
from labelloop.views.wording import dated, percent, span


def _unwatched(what: str, done: int, total: int | None) -> None:
    """A Progress that nobody watches."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Section:
    """A picture, more words, and its numbers."""

    picture: Drawn
    says: str
    tables: list[Table]


def page(q: Quality, *, progress: Progress = _unwatched) -> str:
    """The report as HTML, for a browser in a light or a dark scheme."""
    alarm = q.measured.trend.alarm
    said = "" if alarm is None else f"{fallen(alarm)} points."
    recent = q.measured.last_seven_days
    return render(
        "report.html",
        title=f"{q.project}: how good is the model?",
        font=FONT,
        light=LIGHT,
        dark=DARK,
        quality=q,
        made=dated(q.made_at, q.timezone),
        number=_number(q),
        fallen=said[:1].upper() + said[1:],
        headline=f"{headline(q)} {worst_case(q)}",
        facts=(
            ("blind labels", recent.n_labelled),
            ("still open", recent.n_waiting),
            ("skipped or lost", recent.n_skipped),
            ("rows rejected", recent.n_set_aside),
            ("predictions they speak for", recent.n_traffic),
        ),
        sections=list(_sections(q, progress)),
    )


def _number(q: Quality) -> dict[str, str] | None:
    e = q.measured.last_seven_days.estimate
    if not isinstance(e, Estimate):
        return None
    return {
        "value": percent(e.value),
        "span": span(e.low, e.high),
        "level": f"{e.level:.0%}",
        "method": e.method,
    }


def _sections(q: Quality, progress: Progress) -> Iterator[_Section]:
    """A section a picture, with its numbers in tables."""
    beside = by_picture(q)
    n = len(drawing.PICTURES)
    both = zip(drawing.pictures(q, LIGHT), drawing.pictures(q, DARK), strict=True)
    for done, (light, dark) in enumerate(both):
        progress("pictures", done, n)
        timed = light.name == "accuracy-by-round"
        yield _Section(
            picture=drawn(light, dark),
            says=" ".join(over_time(q.measured.trend, q.timezone)) if timed else "",
            tables=[table for table in beside[light.name] if table.rows],
        )
