"""A report as one HTML file: pictures, numbers and words; nothing in it is fetched."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from labelloop.charts.picture import Picture
from labelloop.charts.report import pictures
from labelloop.core.estimate import Estimate
from labelloop.pages.rendering import render
from labelloop.views.headline import headline, worst_first
from labelloop.views.people import rests_on
from labelloop.views.quality import Quality
from labelloop.views.sentences import (
    fallen,
    harder_or_not,
    mean_cost,
    over_time,
    summary,
    worst_case,
)
from labelloop.views.table import Table
from labelloop.views.tables.accuracy import by_picture
from labelloop.views.wording import dated, percent, row_count, span


@dataclass(frozen=True, slots=True, kw_only=True)
class _Section:
    """A picture, more words, and its numbers.

    folded
        only its title shows until the reader asks for more
    timed
        the picture's newest end is its right one
    """

    picture: Picture
    says: str
    tables: list[Table]
    folded: bool
    timed: bool

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to show in it."""
        return self.picture.drawing is None and not self.tables


_FOLDED = {"worst-slices", "labels-and-width", "training-set", "labels"}
"""The pictures that answer what few readers ask."""
_TIMED = {"accuracy-by-day", "accuracy-by-round", "training-set", "labels"}


_PRIVATE = {"worst-slices"}
"""The pictures that hold what the application wrote beside its predictions: it may name people."""


def snapshot(q: Quality, *, expires_at: datetime) -> str:
    """The report for those who get a link: without people and slices, and with how long the link opens."""
    return page(replace(q, people=()), expires_at=expires_at)


def page(q: Quality, *, expires_at: datetime | None = None) -> str:
    """The report as HTML, for a browser in a light or a dark scheme; `expires_at`: it is a snapshot."""
    alarm = q.measured.trend.alarm
    said = "" if alarm is None else f"{fallen(alarm)} points."
    recent = q.measured.last_seven_days
    is_snapshot = expires_at is not None
    sections = [s for s in _sections(q) if not (is_snapshot and s.picture.name in _PRIVATE)]
    return render(
        "report.html",
        title=f"{q.project}: how good is the model?",
        quality=q,
        made=dated(q.made_at, q.timezone),
        expires="" if expires_at is None else dated(expires_at, q.timezone),
        number=_number(q),
        warning=headline(recent, q.measured.missing).warning,
        fallen=said[:1].upper() + said[1:],
        headline=" ".join(
            text
            for text in (summary(q), worst_case(q), rests_on(q.measured), mean_cost(q.measured))
            if text
        ),
        facts=(
            ("blind labels", f"{recent.n_labelled:,}"),
            ("still open", f"{recent.n_waiting:,}"),
            ("skipped or lost", f"{recent.n_skipped:,}"),
            ("rows rejected", row_count(recent.set_aside)),
            ("predictions they speak for", f"{recent.n_traffic:,}"),
        ),
        hint=" ".join(harder_or_not(q.measured.harder)),
        sections=[s for s in sections if not s.is_empty],
        empty={
            s.picture.title: s.picture.says.removeprefix("Nothing to show: ")
            for s in sections
            if s.is_empty
        },
    )


def _number(q: Quality) -> dict[str, str] | None:
    e = q.measured.last_seven_days.estimate
    if not isinstance(e, Estimate):
        return None
    wide = worst_first(e)
    return {
        "value": percent(e.value),
        "span": span(e.worst_low, e.worst_high) if wide else span(e.low, e.high),
        "of": "at worst" if wide else f"{e.level:.0%} interval",
        "method": e.method,
    }


def _sections(q: Quality) -> Iterator[_Section]:
    """A section a picture, with its numbers in tables."""
    beside = by_picture(q)
    for picture in pictures(q):
        by_round = picture.name == "accuracy-by-round"
        yield _Section(
            picture=picture,
            says=" ".join(over_time(q.measured.trend, q.timezone)) if by_round else "",
            tables=[table for table in beside[picture.name] if table.rows],
            folded=picture.name in _FOLDED,
            timed=picture.name in _TIMED,
        )
