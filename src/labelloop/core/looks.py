"""Second looks: who is asked again about a draw, and which answer holds.

A sample's first answer is its task with look 0. The further looks are tasks of their own, one of each kind:

- SECOND, by a referee: wanted where the first answer differs from the prediction, for 10% of the draws
  where it agrees, chosen by the line, and of checks for guarantees whose first answer is no referee's.
  Without another referee anybody but the first person gives it.
- SETTLING, by another referee, or by anybody where there is none: wanted where the two contradict each
  other about the prediction. A referee's word against a first answer that differs needs no settling.
- RECAPTURE, by anybody: wanted of confirmed errors while too few agreeing draws have been looked at.

Nobody gives two looks at a sample. An answer by somebody who must not give it counts as none, and the look
is asked again; so does one by somebody who saw what the model said. All of it follows from the answers,
whatever the order in which they came.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum

from labelloop.core.annotation import Annotation, Standing, votes
from labelloop.core.line import chosen
from labelloop.core.outcome import is_wrong, outcome

CHECKED_SHARE = 0.1
"""The share of the agreeing draws that get a second look."""
ENOUGH_LOOKS = 150
"""So many looks at agreeing draws say how often people overlook an error; then no error is recaptured."""
LEAST_RECAPTURES = 5
"""Further answers to confirmed errors from which they tell how many errors people overlook."""
POOLED_ROUNDS = 10
"""Over how many rounds these looks are pooled."""


class Look(IntEnum):
    """A look at a sample, by the number that its task has."""

    FIRST = 0
    SECOND = 1
    SETTLING = 2
    RECAPTURE = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Referee:
    """A person whose second look decides; `left_at`: when the settings ceased to name them."""

    annotator: str
    named_at: datetime
    left_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Referees:
    """Everybody who is or was a referee."""

    every: tuple[Referee, ...] = ()

    @property
    def now(self) -> frozenset[str]:
        """Those that the settings name."""
        return frozenset(r.annotator for r in self.every if r.left_at is None)

    def at(self, moment: datetime) -> frozenset[str]:
        """Those whose answer of this moment is a referee's: who is one now always was."""
        return frozenset(r.annotator for r in self.every if r.left_at is None or moment < r.left_at)

    def decide_of(self, moment: datetime) -> bool:
        """Whether a check answered first at this moment needs a referee: one was named, and one is left."""
        return bool(self.now) and bool(self.named_by(moment))

    def named_by(self, moment: datetime) -> frozenset[str]:
        """Those that the settings named at this moment."""
        return frozenset(
            r.annotator
            for r in self.every
            if r.named_at <= moment and (r.left_at is None or moment < r.left_at)
        )


@dataclass(frozen=True, slots=True)
class Asked:
    """What a draw asks of its task: the prediction, the sample's place on the line, and whether a
    guarantee rests on the answer.
    """

    predicted_class: str | None
    place: int
    audit: bool = False

    @property
    def checked(self) -> bool:
        """Whether a second look is wanted although the first answer agrees."""
        return chosen(self.place, CHECKED_SHARE)


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer that counts of a look."""

    answer: str
    by: str
    by_referee: bool = False


Replies = Mapping[Look, Reply]


@dataclass(frozen=True, slots=True)
class Followed:
    """What the answers to a sample's looks come to.

    replies, counting
        of each look the answer that holds, and all annotations by people who may give it
    wanted, lacking
        the looks that are needed, given or not; and those of them that nobody is there to give
    wasted
        the answers that count as none
    """

    replies: Replies
    counting: Mapping[Look, Sequence[Annotation]]
    wanted: frozenset[Look]
    lacking: frozenset[Look]
    wasted: Sequence[Annotation]


def follow(
    given: Mapping[Look, Sequence[Annotation]],
    draws: Iterable[Asked],
    *,
    people: frozenset[str],
    referees: Referees,
    recapture: bool,
) -> Followed:
    """Which answers count, and which looks are wanted next, of one sample.

    given
        the latest revision of each annotation, by look
    draws
        the draws that name the sample's task
    people
        everybody who could answer
    recapture
        whether confirmed errors get a further answer
    """
    asked = tuple(draws)
    replies: dict[Look, Reply] = {}
    counting: dict[Look, Sequence[Annotation]] = {}
    wasted: list[Annotation] = []
    wanted: set[Look] = set()
    lacking: set[Look] = set()
    by_referees = False
    unfit = frozenset(
        a.annotator for own in given.values() for a in own if a.standing is Standing.VOID
    )
    for look in Look:
        before = frozenset(reply.by for reply in replies.values())
        own = [
            a
            for a in given.get(look, ())
            if a.annotator not in before and _counts(a, look, before | unfit, referees)
        ]
        counting[look] = own
        kept = {id(a) for a in own}
        wasted += [
            a
            for a in given.get(look, ())
            if id(a) not in kept and not a.deleted and a.answer is not None
        ]
        needed = any(
            _needed(look, replies, d, recapture=recapture, referees=by_referees) for d in asked
        )
        first = next(iter(votes(own)), None)
        if first is not None and first.answer is not None:
            by_referee = first.annotator in referees.at(first.updated_at)
            if look is Look.FIRST:
                by_referees = referees.decide_of(first.updated_at)
            replies[look] = Reply(first.answer, first.annotator, by_referee)
        elif needed and not _may(look, before | unfit, people, referees.now):
            lacking.add(look)
        if needed:
            wanted.add(look)
    return Followed(replies, counting, frozenset(wanted), frozenset(lacking), tuple(wasted))


def confirmed(replies: Replies, predicted_class: str | None) -> str | None:
    """The answer that holds of a draw; None where there is no first answer."""
    first, second = replies.get(Look.FIRST), replies.get(Look.SECOND)
    if first is None:
        return None
    if second is None:
        return first.answer
    if _contradicts(replies, predicted_class):
        settling = replies.get(Look.SETTLING)
        return settling.answer if settling is not None else first.answer
    return second.answer if second.by_referee else first.answer


def is_unconfirmed(replies: Replies, predicted_class: str | None) -> bool:
    """Whether the first answer differs from the prediction, and no other has confirmed or refuted it yet."""
    first = replies.get(Look.FIRST)
    if first is None or not _differs(first, predicted_class):
        return False
    if Look.SECOND not in replies:
        return True
    return _contradicts(replies, predicted_class) and Look.SETTLING not in replies


def awaits_referee(replies: Replies, predicted_class: str | None, *, referees: bool) -> bool:
    """Whether a check for a guarantee counts as not answered yet: no referee has, or nobody settled it.

    referees
        whether it needs one (`Referees.decide_of`)
    """
    first, second = replies.get(Look.FIRST), replies.get(Look.SECOND)
    if first is None:
        return True
    if referees and not first.by_referee and not (second is not None and second.by_referee):
        return True
    return _contradicts(replies, predicted_class) and Look.SETTLING not in replies


def agreed(replies: Replies, predicted_class: str | None) -> bool:
    """Whether the first answer is the prediction."""
    first = replies.get(Look.FIRST)
    return first is not None and not _differs(first, predicted_class)


def found_error(replies: Replies, asked: Asked) -> bool | None:
    """Whether the look at an agreeing draw found an error; None where it isn't one that was looked at.

    While a contradiction waits to be settled the error counts as found.
    """
    second = replies.get(Look.SECOND)
    if second is None or not asked.checked or not agreed(replies, asked.predicted_class):
        return None
    if not _contradicts(replies, asked.predicted_class):
        return False
    return _differs(replies.get(Look.SETTLING, second), asked.predicted_class)


def recaptured(replies: Replies, predicted_class: str | None) -> bool | None:
    """Whether the further answer to a confirmed error agreed with the model; None where none was given."""
    again = replies.get(Look.RECAPTURE)
    if again is None or not _confirmed_error(replies, predicted_class):
        return None
    return not _differs(again, predicted_class)


def _counts(a: Annotation, look: Look, others: frozenset[str], referees: Referees) -> bool:
    """Whether its author may give this look; skips and deletions pass, they are no answers.

    others
        those who can't give it: they gave another, or saw what the model said
    """
    if a.standing is Standing.VOID:
        return False
    if look in (Look.FIRST, Look.RECAPTURE) or a.annotator in referees.at(a.updated_at):
        return True
    # anybody will do where no other referee is left, or was there when they answered
    return not (referees.now - others) or not (referees.named_by(a.updated_at) - others)


def _may(
    look: Look, before: frozenset[str], people: frozenset[str], referees: frozenset[str]
) -> frozenset[str]:
    """Who may give a look, once those in `before` have given theirs."""
    if look in (Look.FIRST, Look.RECAPTURE):
        return people - before
    return (referees - before) or (people - before)


def _needed(look: Look, replies: Replies, asked: Asked, *, recapture: bool, referees: bool) -> bool:
    if look is Look.FIRST:
        return True
    if Look.FIRST not in replies:
        return False
    predicted = asked.predicted_class
    if look is Look.SECOND:
        first = replies[Look.FIRST]
        by_no_referee = asked.audit and referees and not first.by_referee
        return _differs(first, predicted) or asked.checked or by_no_referee
    if look is Look.SETTLING:
        return _contradicts(replies, predicted)
    return recapture and _confirmed_error(replies, predicted)


def _differs(reply: Reply, predicted_class: str | None) -> bool:
    return is_wrong(outcome(reply.answer, predicted_class))


def _contradicts(replies: Replies, predicted_class: str | None) -> bool:
    """Whether first and second answer tell differently of the prediction, and that must be settled."""
    first, second = replies.get(Look.FIRST), replies.get(Look.SECOND)
    if first is None or second is None:
        return False
    differs = _differs(first, predicted_class)
    if differs == _differs(second, predicted_class):
        return False
    return not (differs and second.by_referee)


def _confirmed_error(replies: Replies, predicted_class: str | None) -> bool:
    if agreed(replies, predicted_class) or is_unconfirmed(replies, predicted_class):
        return False
    held = confirmed(replies, predicted_class)
    return held is not None and is_wrong(outcome(held, predicted_class))
