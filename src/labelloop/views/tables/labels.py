"""What labels were asked for, and what became of them, as tables."""

from typing import TYPE_CHECKING

from labelloop.core.estimate import Undefined
from labelloop.core.queue import Purpose
from labelloop.views.table import NONE, Row, Table, names, numbers
from labelloop.views.wording import bounds, percent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from labelloop.measuring.agreement import Agreement
    from labelloop.measuring.round_labels import RoundLabels
    from labelloop.views.training import TrainingVersion


def asked(found: "Sequence[RoundLabels]") -> Table:
    """What became of the draws of each round, queue by queue."""
    rows = tuple(
        (
            f"{r.round}{' (extra)' if r.extra else ''}",
            queue.queue,
            "evaluation, blind" if queue.purpose is Purpose.EVALUATION else "training",
            *(f"{n:,}" for n in (queue.n_asked, queue.n_answered, queue.n_skipped, queue.n_open)),
        )
        for r in found
        for queue in r.queues
    )
    return Table(
        title="Labels asked for, and answered",
        columns=(
            *names("round", "queue", "purpose"),
            *numbers("asked", "answered", "skipped or lost", "open"),
        ),
        rows=rows,
    )


def agreement(found: "Sequence[Agreement]") -> Table:
    """How far people agree who answered the same samples."""
    rows: list[Row] = []
    for a in found:
        e = a.estimate
        shown = (NONE, NONE)
        if not isinstance(e, Undefined):
            shown = (percent(e.value), bounds(e.low, e.high))
        rows.append((a.queue, *shown, f"{a.n_samples:,}", f"{a.n_tied:,}"))
    return Table(
        title="How often two people agree on a sample, all rounds",
        columns=(*names("queue"), *numbers("agree", "95% interval", "samples", "tied now")),
        rows=tuple(rows),
    )


def training(found: "Sequence[TrainingVersion]") -> Table:
    """What each version of the training set consists of."""
    rows: list[Row] = []
    for v in found:
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
            *names("version", "people's labels, by queue"),
            *numbers("by people", "by the model, guaranteed", "no guarantee", "in all"),
        ),
        rows=tuple(rows),
    )
