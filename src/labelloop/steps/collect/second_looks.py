"""After the answers are in: who is asked again, and which answers to second looks count.

Looks are written into the ledger here, and sent as every task is. All of it follows from the answers that the
ledger holds, so a run that was killed leaves nothing undone.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from labelloop.core.annotation import Annotation
from labelloop.core.looks import (
    ENOUGH_LOOKS,
    POOLED_ROUNDS,
    Asked,
    Followed,
    Look,
    Referees,
    follow,
    found_error,
)
from labelloop.core.queue import Purpose
from labelloop.core.task import OPEN, Task, TaskState
from labelloop.core.token import task_key
from labelloop.errors import ConfigError
from labelloop.ledger import Lease, Ledger, Transaction, annotations, looks, rounds, tasks
from labelloop.ledger.database import Identity
from labelloop.ledger.rounds import DrawWithLabel
from labelloop.ports.annotator import Annotator
from labelloop.ports.clock import Clock
from labelloop.steps.collect.moving import Moves
from labelloop.steps.collect.tally import Tally

FOLLOWED_ROUNDS = 30
"""Older rounds are followed while a look in them waits for somebody; later edits there ask nobody again."""
_ANSWERABLE = OPEN | {TaskState.RESOLVED, TaskState.UNAVAILABLE, TaskState.ABANDONED}


@dataclass(frozen=True, slots=True)
class _Sample:
    """A sample under second looks: its first task, its looks by now, and what their answers come to."""

    first: Task
    looks: Mapping[Look, Task]
    found: Followed


class SecondLooks:
    """Follows the second looks of the newest rounds, and of older ones where looks are open."""

    def __init__(
        self,
        ledger: Ledger,
        lease: Lease,
        annotator: Annotator,
        *,
        identity: Identity,
        referees: Sequence[str],
        clock: Clock,
        tally: Tally,
    ) -> None:
        """`referees`: the e-mail addresses of those who are referees now."""
        self._ledger = ledger
        self._lease = lease
        self._annotator = annotator
        self._identity = identity
        self._emails = referees
        self._clock = clock
        self._tally = tally

    def follow(self) -> None:
        """Count the answers, and write the looks that are wanted next.

        Raises:
            ConfigError: a referee is nobody whom the annotator knows, or is the only person there; the
                looks that need nobody else were followed.
        """
        with self._ledger.read() as tx:
            every = sorted(looks.rounds_with(tx))
            waiting = looks.rounds_with_open(tx) if len(every) > FOLLOWED_ROUNDS else frozenset()
            with_looks = [n for n in every if n in waiting or n in every[-FOLLOWED_ROUNDS:]]
            known = looks.referees(tx)
        if not with_looks and not self._emails:
            return
        accounts = self._annotator.accounts()
        named, trouble = self._named(accounts)
        now = self._clock.now()
        if named != known.now:
            with self._ledger.write(self._lease) as tx:
                looks.name_referees(tx, named, now)
        if with_looks:
            with self._ledger.write(self._lease) as tx:
                self._write(tx, list(self._samples(tx, with_looks, accounts)))
        if trouble is not None:
            raise trouble

    def _named(self, accounts: Mapping[str, str]) -> tuple[frozenset[str], ConfigError | None]:
        """The ids of the referees, and what is wrong with them."""
        by_email = {email.lower(): annotator for annotator, email in accounts.items()}
        named = frozenset(by_email[e.lower()] for e in self._emails if e.lower() in by_email)
        unknown = [e for e in self._emails if e.lower() not in by_email]
        if unknown:
            return named, ConfigError(
                f"referee {unknown[0]!r} is no member of {self._annotator.name} at {self._annotator.url}",
                remedy="add them there (the labelling page: `labelloop people add`; Label Studio: "
                "Organization, Add People), or correct [people] referees; the "
                f"members are {', '.join(sorted(accounts.values())) or 'nobody'}",
            )
        if named and len(accounts) == 1:
            return named, ConfigError(
                f"referee {self._emails[0]!r} is the only person in {self._annotator.name}: there is "
                "nobody else whose answers a referee could look at again",
                remedy="invite a second person, or set second_look = false: accuracies then hold if "
                "the labels are right",
            )
        return named, None

    def _samples(
        self, tx: Transaction, numbers: Sequence[int], accounts: Mapping[str, str]
    ) -> Iterator[_Sample]:
        """Every sample that these rounds drew and that people can be asked about."""
        referees = looks.referees(tx)
        draws: dict[str, list[DrawWithLabel]] = {}
        for number in numbers:
            for d in rounds.draws_with_labels(tx, Purpose.EVALUATION, number):
                draws.setdefault(d.task_key, []).append(d)
        firsts = [f for f in tasks.by_key(tx, list(draws)).values() if not f.forgotten]
        further = looks.tasks_of(tx, [f.sample_id for f in firsts])
        keys = [f.task_key for f in firsts]
        keys += [task.task_key for own in further.values() for task in own.values()]
        held = annotations.latest(tx, keys)
        people = frozenset(accounts) | {
            a.annotator for own in held.values() for a in own if a.answer is not None
        }
        enough = _enough_looks(draws.values(), numbers, people)
        for first in firsts:
            own = further.get(first.sample_id, {})
            yield _Sample(
                first,
                own,
                _followed(first, own, draws[first.task_key], held, people, referees, enough),
            )

    def _write(self, tx: Transaction, samples: Sequence[_Sample]) -> None:
        now = self._clock.now()
        before = annotations.labels(tx, [k.task_key for s in samples for k in s.looks.values()])
        made: list[tuple[Task, Look, str]] = []
        moves = Moves(now)
        for s in samples:
            due = s.found.wanted - s.found.lacking - {Look.FIRST}
            for look in sorted(due - s.looks.keys()):
                key = task_key(
                    self._identity.ledger_id,
                    s.first.purpose.value,
                    s.first.sample_id,
                    salt=self._identity.salt,
                    look=look.value,
                )
                made.append((s.first, look, key))
            for look, task in s.looks.items():
                reply = s.found.replies.get(look)
                if task.state is TaskState.DRAWN and look not in s.found.wanted:
                    tasks.move(
                        tx,
                        [task],
                        TaskState.ABANDONED,
                        actor="collect",
                        at=now,
                        detail="no longer needed",
                    )
                elif task.state is TaskState.ABANDONED and reply is None and look in due:
                    tasks.move(
                        tx,
                        [task],
                        TaskState.DRAWN,
                        actor="collect",
                        at=now,
                        detail="needed again",
                    )
                elif task.state in _ANSWERABLE:
                    by_referee = reply is not None and reply.by_referee
                    self._tally.n_looks += moves.add(
                        task,
                        s.found.counting[look],
                        before.get(task.task_key),
                        method=looks.BY_REFEREE if by_referee else looks.BY_ANOTHER,
                    )
        moves.write(tx)
        looks.make(tx, made, actor="collect", at=now)
        self._tally.n_asked_again += len(made)


def _followed(
    first: Task,
    own: Mapping[Look, Task],
    draws: Sequence[DrawWithLabel],
    held: Mapping[str, Sequence[Annotation]],
    people: frozenset[str],
    referees: Referees,
    enough: frozenset[str],
) -> Followed:
    given = {Look.FIRST: held.get(first.task_key, ())}
    given |= {look: held.get(task.task_key, ()) for look, task in own.items()}
    return follow(
        given,
        [Asked(d.predicted_class, d.line, d.within is not None) for d in draws],
        people=people,
        referees=referees,
        recapture=any(d.model not in enough for d in draws),
    )


def _enough_looks(
    draws: Iterable[Sequence[DrawWithLabel]],
    numbers: Sequence[int],
    people: frozenset[str],
) -> frozenset[str]:
    """The models of which so many agreeing draws were looked at that no error is recaptured any more."""
    pooled = frozenset(numbers[-POOLED_ROUNDS:])
    n = Counter(
        d.model
        for own in draws
        for d in own
        if d.round in pooled
        and d.replies is not None
        and found_error(d.replies, Asked(d.predicted_class, d.line)) is not None
        and d.replies[Look.FIRST].by in people
    )
    return frozenset(model for model, k in n.items() if k >= ENOUGH_LOOKS)
