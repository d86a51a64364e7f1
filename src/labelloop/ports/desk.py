"""The labelling page's state: what a person is given to label, and what became of each answer.

A desk is the other side of an annotator: steps import tasks and read answers through `ports.annotator`, and
the web gives these tasks to people and takes their answers through this port. It promises:

- A person is named by the text that the web knows them by: an account, or the user that a proxy names.
- An item is given to a person for `LEASE` (a lease); meanwhile nobody else gets it, unless it asks several
  people. A person holds items of a queue until they answer them, release them, or the time is over.
- An answer has an id that the browser made. The same id again changes nothing and gets the same reply, also
  where the answer was refused. What was refused is kept, and stands in the person's history.
- `item_id` is random. Neither it nor anything else of an item of a blind queue tells of the sample, of a
  prediction or of others' answers; whether an item is a second look is told to referees only.
- No call waits for a step: each is one short transaction in a database of the desk's own.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal, Protocol

from labelloop.core.verdict import ACCEPTED, WORDS, Outcome
from labelloop.errors import ArgumentError
from labelloop.ports.annotator import InputKind

LEASE = timedelta(minutes=15)
"""How long a person keeps an item that they were given; `next_items` begins the time anew."""
AHEAD = 5
"""How many items a person is given at a time."""
MENDABLE = timedelta(days=7)
"""How long a person may change an answer: as long as its image is shown."""
Reveal = Literal["before", "after"]
"""When a training queue shows what it shows: with the input, or once the answer is given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What became of an answer, a change or a request to join; `replayed`: it was said before."""

    outcome: Outcome
    replayed: bool = False

    @property
    def words(self) -> str:
        """What became of it, for the person to read, in English."""
        return WORDS[self.outcome]

    @property
    def accepted(self) -> bool:
        """Whether things stand as the person wanted."""
        return self.outcome in ACCEPTED


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A person's answer to an item: a class, or a skip with its reason.

    answer_id
        made by the browser, at random: 16 to 64 letters, digits or hyphens
    choice
        one of the queue's classes; None: skipped
    reason, note
        why it was skipped; what the person wants to be known
    took_ms
        how long the person looked at the input, where the page knows
    """

    answer_id: str
    item_id: str
    choice: str | None
    reason: str = ""
    note: str = ""
    took_ms: int | None = None


def checked(answer: Answer) -> Answer:
    """The answer, if its id is one.

    Raises:
        ArgumentError: it isn't.
    """
    if re.fullmatch(r"[A-Za-z0-9-]{16,64}", answer.answer_id) is None:
        raise ArgumentError(
            f"the answer id {answer.answer_id[:80]!r} is none",
            remedy="make 16 to 64 letters, digits or hyphens at random, one id an answer",
        )
    return answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One input that a person is given to label, and until when.

    image, text
        where the browser finds the image, or the text: one of the two
    shown
        what the queue's `show` names, of the prediction; empty in a blind queue
    second_look
        whether it is one; False for whoever is no referee
    choices
        the classes to choose from
    answer
        what the person answered before, where they look at it again
    """

    item_id: str
    queue: str
    kind: InputKind
    choices: tuple[str, ...]
    image: str | None = None
    text: str | None = None
    shown: Mapping[str, object] = field(default_factory=dict)
    second_look: bool = False
    leased_until: datetime | None = None
    answer: Answer | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Guide:
    """What a queue tells the people who label it; the settings say it.

    guidelines, images
        Markdown, with examples a class; the images that it names, as addresses that hold them
    reveal
        when it shows what it shows
    """

    title: str = ""
    description: str = ""
    guidelines: str = ""
    images: Mapping[str, str] = field(default_factory=dict)
    reveal: Reveal = "before"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeskQueue:
    """A queue as a person sees it. `n_open`: how many items wait for somebody."""

    name: str
    guide: Guide
    kind: InputKind
    classes: tuple[str, ...]
    show: tuple[str, ...]
    blind: bool
    n_open: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """A person's work in a queue.

    n_waiting
        their answers that wait until somebody approves them
    n_left
        how many items wait for somebody
    per_hour
        answers and skips an hour of work, of the last fifty; None before the fifth
    """

    n_answered: int
    n_skipped: int
    n_today: int
    n_waiting: int
    n_left: int
    per_hour: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """An answer that a person gave, newest first.

    outcome
        whether it was saved, or why not
    mendable
        whether it can still be changed
    """

    answer: Answer
    queue: str
    at: datetime
    outcome: Outcome
    mendable: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A person whom the desk knows.

    queues
        the queues that they may label; None: all
    approved_at
        since when their answers count; None: somebody has yet to approve them
    excluded_at
        since when their answers count as none
    """

    name: str
    queues: tuple[str, ...] | None
    added_at: datetime
    approved_at: datetime | None
    excluded_at: datetime | None
    n_answers: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinLink:
    """A link by which newcomers join one queue."""

    queue: str
    places_left: int
    expires_at: datetime


class Desk(Protocol):
    """The state of the labelling page. Every call may raise AnnotatorUnavailable; any thread may call."""

    def queues(self, person: str) -> Sequence[DeskQueue]:
        """The queues that a person may label, by name; those that hold tasks."""

    def queue(self, name: str, person: str) -> DeskQueue | None:
        """One queue; None where it isn't there or the person may not label it."""

    def next_items(self, queue: str, person: str, *, n: int = AHEAD) -> Sequence[Item]:
        """The items that a person holds, oldest first, and further ones until they are `n`.

        Empty where nothing waits for this person, or they may not label the queue. A person who isn't
        known yet becomes a member. Asking again gives the same items, and keeps them for another `LEASE`.
        """

    def item(self, item_id: str, person: str) -> Item | None:
        """An item that the person holds or answered; None: neither."""

    def give(self, person: str, answer: Answer) -> Reply:
        """Take an answer. A further answer of the same person to the item changes the first.

        Raises:
            ArgumentError: the id of the answer isn't one.
        """

    def undo(self, person: str, item_id: str) -> Reply:
        """Take the person's answer to an item back; they hold the item again. Idempotent."""

    def release(self, person: str, item_ids: Collection[str] | None = None) -> None:
        """Give items back, or all that the person holds, for others to label. Idempotent."""

    def progress(self, queue: str, person: str, *, since: datetime) -> Progress:
        """The person's work in a queue; `n_today` counts from `since` on."""

    def history(self, queue: str, person: str, *, skip: int = 0, n: int = 50) -> Sequence[Past]:
        """What the person answered in a queue, newest first, refused answers included."""

    def members(self) -> Sequence[Member]:
        """Everybody whom the desk knows, by name."""

    def assign(self, person: str, queues: Sequence[str] | None) -> None:
        """Let a person label these queues, or all (None); a person who isn't known becomes a member."""

    def approve(self, person: str) -> int:
        """Let a person's answers count, also those of one who was excluded; returns how many do.

        Raises:
            ArgumentError: nobody is called so.
        """

    def exclude(self, person: str) -> int:
        """Let a person's answers count as none: they are asked of others. Returns how many.

        Raises:
            ArgumentError: nobody is called so.
        """

    def make_link(self, queue: str, *, people: int, expires_at: datetime) -> str:
        """A new join link for so many people; returns its token, of which only a hash is kept."""

    def link(self, token: str) -> JoinLink | None:
        """What a join link offers; None where it has expired, is used up or never was."""

    def join(self, token: str, person: str) -> Reply:
        """Let a newcomer label the link's queue; their answers wait until somebody approves them."""
