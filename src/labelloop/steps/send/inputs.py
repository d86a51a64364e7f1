"""What people see of a sample: a link to its image or to a blind copy, the image itself, or its text."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from secrets import token_hex
from typing import TypeVar

from labelloop.core.queue import Queue
from labelloop.core.task import Task, TaskState
from labelloop.errors import InputGone, InputTooLarge
from labelloop.ledger import Lease, Ledger, tasks
from labelloop.ledger.tasks import Shown
from labelloop.ports.annotator import InputKind
from labelloop.ports.clock import Clock
from labelloop.ports.store import Store
from labelloop.steps.send.texts import Texts, Unshowable

GONE = Unshowable("the input is gone from the store")
LINKED = ""
"""Of an input that is there and is shown by a link: nothing travels inside its task."""

_WORKERS = 16

Reached = str | Unshowable | InputTooLarge
"""What travels inside a task, `LINKED`, or why the input can't be shown."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Ready:
    """The tasks of a batch whose inputs can be shown. `inside`: what travels in them, by task key."""

    shown: Sequence[Shown]
    inside: Mapping[str, str]
    n_unavailable: int


class Inputs:
    """Brings the inputs of tasks where people see them."""

    def __init__(
        self,
        ledger: Ledger,
        store: Store,
        texts: Texts | None,
        *,
        blind_uri: str | None,
        presign_life: timedelta,
        clock: Clock,
    ) -> None:
        """`texts` finds the inputs where they are texts; then nothing is copied or signed."""
        self._ledger = ledger
        self._store = store
        self._texts = texts
        self._blind_uri = blind_uri
        self._life = presign_life
        self._clock = clock
        self.too_large: dict[str, InputTooLarge] = {}
        """By task key: images that can't travel inside their tasks, and wait until they are served."""

    @property
    def kind(self) -> InputKind:
        """What an input is."""
        return "image" if self._texts is None else "text"

    def of(self, queue: Queue, task: Task, inside: Mapping[str, str]) -> str:
        """What a task holds to show its input."""
        held = inside.get(task.task_key, LINKED)
        if held != LINKED:
            return held
        image = task.media_uri if self._shows_copies(queue) else task.uri
        assert image is not None  # noqa: S101  a blind task's copy was named before
        if queue.images == "label-studio":
            return self._store.place_of(image)
        return self._store.presign(image, self._life)

    def lapses_at(self, queue: Queue) -> datetime | None:
        """When links made now lapse; None where there are none, or Label Studio makes them afresh."""
        lasting = self._texts is not None or queue.images == "label-studio"
        return None if lasting else self._clock.now() + self._life

    # --- bringing them there: names are noted, the store is asked, what it said is noted ---------

    def bring(self, lease: Lease, queue: Queue, batch: Sequence[Shown]) -> Ready:
        """All three, one after the other."""
        named = self.named(lease, queue, batch)
        return self.noted(lease, named, self.reach(queue, named))

    def named(self, lease: Lease, queue: Queue, batch: Sequence[Shown]) -> Sequence[Shown]:
        """The tasks, with a random name for each one's copy, noted before any copy is made."""
        if not self._shows_copies(queue):
            return batch
        assert self._blind_uri is not None  # noqa: S101  checked before anything is sent
        place = self._blind_uri.rstrip("/")
        fresh = [
            (s.task.task_key, f"{place}/{token_hex(16)}") for s in batch if not s.task.media_uri
        ]
        with self._ledger.write(lease) as tx:
            tasks.name_copies(tx, fresh)
        with self._ledger.read() as tx:
            now = tasks.by_key(tx, [s.task.task_key for s in batch])
        return [replace(s, task=now[s.task.task_key]) for s in batch]

    def reach(self, queue: Queue, batch: Sequence[Shown]) -> Mapping[str, Reached]:
        """By task key, what became of each input. Asks the store and the log alone: any thread may."""
        if self._texts is not None:
            return self._texts.of([shown.task for shown in batch])
        if self._shows_copies(queue):
            found: Iterable[Reached] = _many(self._copy, batch)
        elif self._store.inline:
            found = _many(self._embed, batch)
        else:
            there = self._store.existing([shown.task.uri for shown in batch])
            found = [LINKED if ok else GONE for ok in there]
        return {s.task.task_key: reached for s, reached in zip(batch, found, strict=True)}

    def noted(self, lease: Lease, batch: Sequence[Shown], reached: Mapping[str, Reached]) -> Ready:
        """The tasks whose inputs can be shown; of the others it is noted why they can't."""
        why: dict[str, list[Task]] = {}
        for shown in batch:
            found = reached[shown.task.task_key]
            if isinstance(found, Unshowable):
                why.setdefault(found.why, []).append(shown.task)
            elif isinstance(found, InputTooLarge):
                self.too_large[shown.task.task_key] = found
        if why:
            now = self._clock.now()
            with self._ledger.write(lease) as tx:
                for said, unshowable in why.items():
                    tasks.move(
                        tx,
                        unshowable,
                        TaskState.UNAVAILABLE,
                        actor="send",
                        at=now,
                        detail=said,
                    )
        inside = {key: found for key, found in reached.items() if isinstance(found, str)}
        return Ready(
            shown=[s for s in batch if s.task.task_key in inside],
            inside=inside,
            n_unavailable=sum(map(len, why.values())),
        )

    def waiting_for_a_server(self) -> InputTooLarge | None:
        """Which images wait until they are served; the others were sent all the same."""
        if not self.too_large:
            return None
        first = next(iter(self.too_large.values()))
        n = len(self.too_large)
        said = "1 image waits" if n == 1 else f"{n:,} images wait"
        return InputTooLarge(f"{said}, the others are sent: {first.args[0]}", remedy=first.remedy)

    # --- one input ----------------------------------------------------------------------------

    def _shows_copies(self, queue: Queue) -> bool:
        return queue.blind and self._texts is None and not self._store.inline

    def _copy(self, shown: Shown) -> Reached:
        assert shown.task.media_uri is not None  # noqa: S101  named just before
        try:
            self._store.copy_blind(shown.task.uri, shown.task.media_uri)
        except InputGone:
            return LINKED if self._store.exists(shown.task.media_uri) else GONE
        return LINKED

    def _embed(self, shown: Shown) -> Reached:
        """An image that travels inside its task."""
        try:
            return self._store.presign(shown.task.uri, self._life)
        except InputGone:
            return GONE
        except InputTooLarge as exc:
            return exc


def _many(call: Callable[[Shown], T], items: Iterable[Shown]) -> list[T]:
    with ThreadPoolExecutor(_WORKERS) as pool:
        return list(pool.map(call, items))
