"""What became of the labels that each round asked for, queue by queue."""

from dataclasses import dataclass

from labelloop.core.queue import Purpose


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueLabels:
    """What became of one queue's draws in one round. A draw is answered once its task has a label."""

    queue: str
    purpose: Purpose
    n_asked: int
    n_answered: int
    n_skipped: int
    n_open: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundLabels:
    """The labels that one round asked for, queue by queue."""

    round: int
    extra: bool
    queues: tuple[QueueLabels, ...]
