"""Why fewer tasks went to people than a queue drew."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from labelloop.core.task import TaskState
from labelloop.ledger.rounds import Whereabouts

_WAITING = frozenset({TaskState.DRAWN, TaskState.SENDING})
_LOST = frozenset({TaskState.UNAVAILABLE, TaskState.ABANDONED})


@dataclass(frozen=True, slots=True, kw_only=True)
class NotSent:
    """The draws of a queue in the newest round, and how many of them made no task for people, and why."""

    queue: str
    n_drawn: int
    n_sent: int
    why: Mapping[str, int]

    @property
    def says(self) -> str:
        """The same in a sentence.

        >>> NotSent(queue="low", n_drawn=9, n_sent=6, why={"waiting to be sent": 3}).says
        'low drew 9 and sent 6: 3 waiting to be sent'
        """
        why = ", ".join(f"{n:,} {reason}" for reason, n in self.why.items())
        return f"{self.queue} drew {self.n_drawn:,} and sent {self.n_sent:,}: {why}"


def not_sent(found: Sequence[Whereabouts]) -> tuple[NotSent, ...]:
    """The queues of a round that drew more than they sent."""
    told: list[NotSent] = []
    for queue in dict.fromkeys(each.queue for each in found):
        why: dict[str, int] = {}
        own = [each for each in found if each.queue == queue]
        for each in own:
            reason = _reason(each)
            if reason is not None:
                why[reason] = why.get(reason, 0) + each.n
        n_drawn = sum(each.n for each in own)
        if why:
            n_sent = n_drawn - sum(why.values())
            told.append(NotSent(queue=queue, n_drawn=n_drawn, n_sent=n_sent, why=why))
    return tuple(told)


def _reason(each: Whereabouts) -> str | None:
    """Why draws made no task of their own; None: they did."""
    if each.of_copy:
        return "share the task of a byte-identical copy"
    if each.asked_before:
        return "have a task that was made before"
    if each.state in _LOST:
        return "lost: the input is gone, overwritten, or can't be shown"
    return "waiting to be sent" if each.state in _WAITING else None
