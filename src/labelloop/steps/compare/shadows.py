"""Shadow models are judged by themselves: their answers are in the log beside those that were served."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta

from labelloop.core.costs import Costs
from labelloop.core.queue import Purpose
from labelloop.core.sample import Role
from labelloop.core.task import TaskState
from labelloop.errors import ArgumentError
from labelloop.ledger import (
    Ledger,
    Transaction,
    cursors,
    draw_pages,
    rounds,
    task_counts,
    verdicts,
)
from labelloop.ledger.blindness import Hidden
from labelloop.ports.clock import Clock
from labelloop.ports.log import PredictionLog
from labelloop.steps.compare.candidate import from_log, in_log
from labelloop.steps.compare.compare import Compared, compare, drawn_for, judges

EVERY = timedelta(hours=1)
"""They are judged again after so long, where labels came."""
MOST = 3
"""So many shadow models: each that is judged makes the intervals of all candidates wider."""
_ROUNDS, _DRAWS = 2, 50
_JUDGED = "shadows judged"


def judge_shadows(
    ledger: Ledger, log: PredictionLog, *, clock: Clock, costs: Costs | None = None
) -> list[Compared]:
    """Compare the shadow models of the newest rounds with the one that serves, if that is due.

    Their verdicts hold at every look. One that a person asked about is left to them: they may know what
    it was trained on, and which gain they ask for.
    """
    now = clock.now()
    with ledger.read() as tx:
        n_labels = _n_labels(tx)
        if not _is_due(cursors.get(tx, _JUDGED), n_labels, now):
            return []
        asked = {v.candidate for v in verdicts.every(tx) if not v.by_itself}
        newest = _newest_draws(tx)
    found: list[Compared] = []
    shadows = [model for model in _shadows(log, newest) if model not in asked]
    regular = judges(ledger) if shadows else []
    for model in shadows:
        if len(found) == MOST:
            break
        try:
            candidate = from_log(log, model, [*regular, *drawn_for(ledger, in_log(model).digest)])
            found.append(
                compare(ledger, candidate, clock=clock, gate=True, costs=costs, by_itself=True)
            )
        except ArgumentError:  # it answered a part of the samples only, or serves by now
            continue
    with ledger.write_at_once() as tx:
        cursors.put(tx, _JUDGED, f"{n_labels} {now.isoformat()}")
    return found


def _is_due(judged: str | None, n_labels: int, now: datetime) -> bool:
    if not n_labels:
        return False
    if judged is None:
        return True
    n, _, at = judged.partition(" ")
    since = now - datetime.fromisoformat(at)
    return int(n) != n_labels and not timedelta() <= since < EVERY


def _n_labels(tx: Transaction) -> int:
    return sum(
        c.n
        for c in task_counts.every(tx)
        if c.purpose is Purpose.EVALUATION and c.state is TaskState.RESOLVED
    )


def _newest_draws(tx: Transaction) -> list[str]:
    """Some samples of the newest rounds that were drawn blind."""
    blind = [q for q, to in task_counts.purposes(tx).items() if Purpose.EVALUATION in to]
    made = [r.round for r in rounds.every(tx) if r.rival is None]
    none = Hidden(frozenset(), frozenset())
    return [
        draw.sample_id
        for number in sorted(made, reverse=True)[:_ROUNDS]
        for queue in sorted(blind)
        for draw in draw_pages.first_draws(tx, number, queue, most=_DRAWS, hidden=none)
    ]


def _shadows(log: PredictionLog, sample_ids: Sequence[str]) -> list[str]:
    """The shadow models that answered these samples, those with most answers first."""
    found = Counter(p.model for p in log.predictions(sample_ids) if p.role is Role.SHADOW)
    return [model for model, _ in sorted(found.items(), key=lambda each: (-each[1], each[0]))]
