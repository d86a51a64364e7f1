"""People who label on labelloop's own page: they see what the page gives them, and answer it."""

import uuid
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from labelloop.demo.annotators import PEOPLE, AnnotatorsError, Eyes, Person
from labelloop.ledger import media_links
from labelloop.loop import open_loop

if TYPE_CHECKING:
    from labelloop.loop import Loop
    from labelloop.ports.clock import Clock
    from labelloop.ports.desk import Desk, Item


class PagePeople:
    """People at work on the labelling page of the project that `config` describes."""

    def __init__(self, config: Path, clock: "Clock", eyes: Eyes) -> None:
        self._config = config
        self._clock = clock
        self._eyes = eyes

    def join(self) -> None:
        """Let each of them label every queue."""
        with open_loop(self._config, clock=self._clock) as loop:
            for person in PEOPLE:
                _desk(loop).assign(person.email, None)

    def close(self) -> None:
        """Return: they hold nothing open."""

    def work(self, on_progress: Callable[[int, int], None]) -> int:
        """Answer all that waits, in turns; how many answers that took."""
        n_answered = 0
        with open_loop(self._config, clock=self._clock) as loop:
            desk = _desk(loop)
            queues = [queue.name for queue in desk.queues(PEOPLE[0].email)]
            total = sum(queue.n_open for queue in desk.queues(PEOPLE[0].email))
            for queue in queues:
                before = -1
                while before < n_answered:
                    before = n_answered
                    for person in PEOPLE:
                        for item in desk.next_items(queue, person.email):
                            n_answered += self._answer(loop, desk, person, item)
                            on_progress(n_answered, total)
        return n_answered

    def _answer(self, loop: "Loop", desk: "Desk", person: Person, item: "Item") -> bool:
        from labelloop.ports.desk import Answer

        choice = self._eyes.judge(_picture(loop, item), item.choices, person)
        answer = Answer(answer_id=uuid.uuid4().hex, item_id=item.item_id, choice=choice)
        reply = desk.give(person.email, answer)
        if not reply.accepted:
            raise AnnotatorsError(f"an answer was refused: {reply.words}")
        return True


def _picture(loop: "Loop", item: "Item") -> bytes:
    """The image of an item, as the service would send it."""
    token = (item.image or "").rpartition("/")[2]
    with loop.project.ledger_to_read.read() as tx:
        linked = media_links.find(tx, token)
    if linked is None:
        raise AnnotatorsError("an item of the labelling page leads to no image")
    return loop.project.store.read(linked.uri)


def _desk(loop: "Loop") -> "Desk":
    desk = loop.project.desk
    assert desk is not None  # noqa: S101  the demonstration's settings name a labelling page
    return desk
