"""Mistakes of the model at one class, the newest: the samples to look at."""

from collections.abc import Iterable, Iterator
from itertools import islice

from labelloop.core.outcome import is_wrong, outcome
from labelloop.core.queue import Purpose
from labelloop.ledger import Transaction, draw_pages, rounds, task_counts
from labelloop.ledger.blindness import Hidden
from labelloop.ledger.draw_pages import ShownDraw

_ROUNDS, _DRAWS = 5, 2_000
"""How far it is looked for: so many of the newest rounds, and so many blind draws of each."""


def mistakes(
    tx: Transaction, class_name: str, *, most: int, hidden: Hidden
) -> tuple[ShownDraw, ...]:
    """Blind draws of the newest rounds that the model called so and people didn't, or the reverse."""
    return tuple(islice((d for d in _newest(tx, hidden) if _is_mistake(d, class_name)), most))


def _newest(tx: Transaction, hidden: Hidden) -> Iterator[ShownDraw]:
    blind = [q for q, to in task_counts.purposes(tx).items() if Purpose.EVALUATION in to]
    made: Iterable[int] = [r.round for r in rounds.every(tx) if r.rival is None]
    for number in sorted(made, reverse=True)[:_ROUNDS]:
        for queue in sorted(blind):
            yield from draw_pages.first_draws(tx, number, queue, most=_DRAWS, hidden=hidden)


def _is_mistake(d: ShownDraw, class_name: str) -> bool:
    return (
        d.answer is not None
        and class_name in (d.answer, d.predicted_class)
        and is_wrong(outcome(d.answer, d.predicted_class))
    )
