"""The numbers of a report as tables of text: the terminal and the page show the same ones."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from labelloop.core.estimate import Estimate, Undefined
from labelloop.core.queue import Purpose
from labelloop.measuring.accuracy import Accuracy
from labelloop.views.plan import Plan
from labelloop.views.quality import Period, Quality
from labelloop.views.wording import models, percent, span, weeks, within

NONE = "-"
WIDEST_MATRIX = 16
"""Classes up to which a confusion matrix is shown whole; with more, the pairs mixed up most."""
WIDEST_HEADINGS = 76
"""Characters up to which the columns of a confusion matrix are headed by names, beyond by numbers."""
MOST_PAIRS = 20
MOST_LOOKS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table of text. The first `n_names` columns hold names; the others hold numbers."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    n_names: int = 1


def tables(q: Quality) -> Iterator[Table]:
    """Every table that has a row, in the order of the report."""
    for table in (
        periods("Accuracy by day", q.days),
        periods("Accuracy by round", q.rounds),
        looks(q),
        extra_rounds(q),
        classes(q),
        confusion(q),
        confidence(q),
        needs(q.plan),
        training(q),
        asked(q),
        agreement(q),
    ):
        if table.rows:
            yield table


_BESIDE = ("right", "95% interval", "labels", "open", "skipped", "set aside", "at worst")


def _accuracy(a: Accuracy) -> tuple[str, ...]:
    counts = tuple(f"{n:,}" for n in (a.n_labelled, a.n_waiting, a.n_skipped, a.n_set_aside))
    value, interval, worst = _numbers(a.estimate)
    return (value, interval, *counts, worst)


def _numbers(e: Estimate | Undefined) -> tuple[str, str, str]:
    if isinstance(e, Undefined):
        return NONE, NONE, NONE
    return percent(e.value), span(e.low, e.high), span(e.worst_low, e.worst_high)


def periods(title: str, found: tuple[Period, ...]) -> Table:
    """Rounds or days with their models."""
    rows = tuple(
        (p.accuracy.name, models(p.models), f"{p.accuracy.n_traffic:,}", *_accuracy(p.accuracy))
        for p in found
    )
    return Table(title=title, columns=("", "model", "traffic", *_BESIDE), rows=rows, n_names=2)


def looks(q: Quality) -> Table:
    """The newest weekly looks: has the accuracy fallen?"""
    found = q.measured.trend.looks
    zone = ZoneInfo(q.timezone)
    rows = tuple(
        (
            k.at.astimezone(zone).date().isoformat(),
            k.model,
            "week" if k.drop.n_windows == 1 else weeks(k.drop.n_windows),
            percent(k.drop.before),
            percent(k.drop.now),
            f"{100 * k.drop.value:+.1f}",
            f"{100 * k.drop.bound:+.1f}",
            f"{k.drop.n_now:,}",
            "fallen" if k.drop.alarm else "not sure",
        )
        for k in found[-MOST_LOOKS:]
    )
    of = f", the newest {MOST_LOOKS} of {len(found):,}" if len(found) > MOST_LOOKS else ""
    return Table(
        title=f"Has the accuracy fallen? Weekly looks{of}",
        columns=(
            "on",
            "model",
            "the last",
            "before",
            "now",
            "fall, points",
            "surely above",
            "labels now",
            "verdict",
        ),
        rows=rows,
        n_names=3,
    )


def extra_rounds(q: Quality) -> Table:
    """Rounds drawn apart from the others."""
    return Table(
        title="Extra rounds, never pooled with the others",
        columns=("", *_BESIDE),
        rows=tuple((a.name, *_accuracy(a)) for a in q.measured.extra_rounds),
    )


def classes(q: Quality) -> Table:
    """Accuracy by what the model said."""
    return Table(
        title="Accuracy by predicted class, last 7 days",
        columns=("the model said", *_BESIDE),
        rows=tuple((a.name, *_accuracy(a)) for a in q.measured.by_class),
    )


def confusion(q: Quality) -> Table:
    """The confusion matrix; where it has many classes, the pairs that were mixed up most."""
    counts = {(c.predicted_class, c.label): c.n for c in q.measured.confusion}
    names = sorted({name for pair in counts for name in pair})
    if len(names) > WIDEST_MATRIX:
        wrong = sorted(
            ((c.n, c.predicted_class, c.label) for c in q.measured.confusion if c.is_wrong),
            reverse=True,
        )
        return Table(
            title="Mixed up most, last 7 days",
            columns=("the model said", "people said", "labels"),
            rows=tuple((said, label, f"{n:,}") for n, said, label in wrong[:MOST_PAIRS]),
            n_names=2,
        )
    numbered = not fit_as_headings(names)
    headings = tuple(f"{i}" for i, _ in enumerate(names, 1)) if numbered else tuple(names)
    return Table(
        title="Confusion, last 7 days: the model said (rows), people said (columns)",
        columns=("", *headings),
        rows=tuple(
            (
                f"{i}  {said}" if numbered else said,
                *(f"{n:,}" if (n := counts.get((said, label))) else "·" for label in names),
            )
            for i, said in enumerate(names, 1)
            if numbered or any((said, label) in counts for label in names)
        ),
    )


def fit_as_headings(names: Sequence[str]) -> bool:
    """Whether a table that has these names on its left can have them above its columns too."""
    longest = max(map(len, names), default=0)
    return longest + sum(len(name) + 2 for name in names) <= WIDEST_HEADINGS


def needs(plan: Plan) -> Table:
    """Labels needed, by the way they are drawn."""
    return Table(
        title=f"Blind labels needed, for {plan.level:.0%} intervals",
        columns=(
            "at most",
            "random sample, endless traffic",
            "uniform, one round",
            "uncertainty, one round",
            "the same if the risk tells nothing",
        ),
        rows=tuple(
            (
                within(need.half_width),
                *(
                    NONE if isinstance(n, Undefined) else f"{n:,}"
                    for n in (need.random_sample, need.uniform, need.uncertainty, need.at_worst)
                ),
            )
            for need in plan.needs
        ),
    )


_FIT = {-1: "too high", 0: "fits", 1: "too low"}


def confidence(q: Quality) -> Table:
    """What the model claimed against what it kept."""
    rows: list[tuple[str, ...]] = []
    for b in q.calibration.bins:
        value, interval, worst = _numbers(b.estimate)
        n = "0" if isinstance(b.estimate, Undefined) else f"{b.estimate.n:,}"
        claimed = f"{b.low:.3f}–{b.high:.3f}" if b.low < b.high else f"{b.low:.3f}"
        rows.append((claimed, percent(b.mean_confidence), value, interval, n, worst, _FIT[b.off]))
    return Table(
        title="Confidence against accuracy, last 7 days",
        columns=(
            "confidence",
            "on average",
            "right",
            "95% interval",
            "labels",
            "at worst",
            "claim",
        ),
        rows=tuple(rows),
    )


def training(q: Quality) -> Table:
    """What each version of the training set consists of."""
    rows: list[tuple[str, ...]] = []
    for v in q.training:
        if v.human_by_queue is None:
            queues = "not known: its folder is gone"
        else:
            queues = ", ".join(f"{name} {n:,}" for name, n in v.human_by_queue.items()) or NONE
        total = v.n_human + v.n_model
        counts = (v.n_human, v.n_certified, v.n_model - v.n_certified, total)
        rows.append((f"v{v.version}", queues, *(f"{n:,}" for n in counts)))
    return Table(
        title="What the training set consists of",
        columns=(
            "version",
            "people's labels, by queue",
            "by people",
            "by the model, certified",
            "no guarantee",
            "in all",
        ),
        rows=tuple(rows),
        n_names=2,
    )


def agreement(q: Quality) -> Table:
    """How far people agree who answered the same samples."""
    rows: list[tuple[str, ...]] = []
    for a in q.measured.agreement:
        value, interval, _ = _numbers(a.estimate)
        rows.append((a.queue, value, interval, f"{a.n_samples:,}", f"{a.n_tied:,}"))
    return Table(
        title="How often two people agree on a sample",
        columns=("queue", "agree", "95% interval", "samples", "tied now"),
        rows=tuple(rows),
    )


def asked(q: Quality) -> Table:
    """What became of the draws of each round, queue by queue."""
    rows = tuple(
        (
            f"{r.round}{' (extra)' if r.extra else ''}",
            queue.queue,
            "evaluation, blind" if queue.purpose is Purpose.EVALUATION else "training",
            *(f"{n:,}" for n in (queue.n_asked, queue.n_answered, queue.n_skipped, queue.n_open)),
        )
        for r in q.labels
        for queue in r.queues
    )
    return Table(
        title="Labels asked for, and answered",
        columns=("round", "queue", "purpose", "asked", "answered", "skipped or lost", "open"),
        rows=rows,
        n_names=3,
    )
