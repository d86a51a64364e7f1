"""How often people agree who answered the same samples independently."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from labelloop.core.estimate import Estimate, Undefined
from labelloop.ledger import Transaction, annotations
from labelloop.statistics.interval import Interval
from labelloop.statistics.wilson import score_interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """How often two people agree on a sample of a queue.

    n_samples
        samples that as many people answered as were wanted from the start
    n_tied
        those where no answer has most of the votes at present
    """

    queue: str
    estimate: Estimate | Undefined
    n_samples: int
    n_tied: int


def agreements(tx: Transaction, *, level: float = 0.95) -> tuple[Agreement, ...]:
    """The agreement of each queue that asks several people, by name.

    Compared is what each person answered first, before anybody could ask them to think again, and only
    of the people wanted from the start: one more is asked where those disagree, so counting that answer
    would lean to disagreement.
    """
    answered = annotations.first_answers(tx)
    tied = annotations.tied_by_queue(tx)
    shares: dict[str, list[float]] = {queue: [] for queue in tied}
    for queue, wanted, answers in answered:
        own = shares.setdefault(queue, [])
        if len(answers) >= wanted:
            own.append(agreeing_pairs(answers[:wanted]))
    return tuple(
        Agreement(
            queue=queue,
            estimate=_estimate(own, level),
            n_samples=len(own),
            n_tied=tied.get(queue, 0),
        )
        for queue, own in sorted(shares.items())
    )


def agreeing_pairs(answers: Sequence[str]) -> float:
    """The share of all pairs of answers that are equal; of at least two.

    >>> round(agreeing_pairs(["cat", "cat", "dog"]), 3)
    0.333
    """
    n = len(answers)
    return sum(k * (k - 1) for k in Counter(answers).values()) / (n * (n - 1))


def _estimate(shares: Sequence[float], level: float) -> Estimate | Undefined:
    if not shares:
        return Undefined("no sample has the answers of several people yet")
    value = sum(shares) / len(shares)
    # a mean of shares varies at most as much as one of yes and no, so the interval covers
    low, high = score_interval(value, len(shares), level)
    return Interval(value, low, high, len(shares)).estimate(
        level=level, n=len(shares), method="Wilson, samples that several people answered"
    )
