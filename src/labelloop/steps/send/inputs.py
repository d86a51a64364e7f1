"""What people see of a sample: a link to its image or to a blind copy, the image itself, or its text."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from secrets import token_hex
from typing import TypeVar

from labelloop.core.image_kind import no_image
from labelloop.core.looks import Look
from labelloop.core.queue import Queue
from labelloop.core.sample import NO_CLASS
from labelloop.core.task import Task, TaskState
from labelloop.core.token import task_key
from labelloop.errors import InputGone, InputTooLarge
from labelloop.ledger import media_links, tasks
from labelloop.ledger.tasks import SendableTask
from labelloop.ports.annotator import InputKind, Suggestion, TaskData
from labelloop.ports.store import Start, Store
from labelloop.steps.send.context import SendContext
from labelloop.steps.send.texts import Texts, Unshowable, lost

LINKED = ""
"""Of an input that is there and is shown by a link: nothing travels inside its task."""

_WORKERS = 16

InputResult = str | Unshowable | InputTooLarge
"""What travels inside a task, `LINKED`, or why the input can't be shown."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class SendableBatch:
    """The tasks of a batch whose inputs can be shown. `inside`: what travels in them, by task key."""

    tasks: Sequence[SendableTask]
    inside: Mapping[str, str]
    n_unavailable: int


class Inputs:
    """Brings the inputs of tasks where people see them."""

    def __init__(
        self,
        context: SendContext,
        store: Store,
        texts: Texts | None,
        *,
        listed: bool,
        blind_uri: str | None,
        presign_life: timedelta,
        gateway_url: str | None = None,
    ) -> None:
        """How inputs are found:

        texts
            finds them where they are texts; then nothing is copied or signed
        listed
            whether the content hashes are those of the store's listing: then no other content is shown
        """
        self._context = context
        self._store = store
        self._texts = texts
        self._listed = listed
        self._blind_uri = blind_uri
        self._life = presign_life
        self._gateway_url = gateway_url
        self._tokens: dict[str, str] = {}  # by task key: of a link that the gateway knows
        self.too_large: dict[str, InputTooLarge] = {}
        """By task key: images that can't travel inside their tasks, and wait until they are served."""

    @property
    def kind(self) -> InputKind:
        """What an input is."""
        return "image" if self._texts is None else "text"

    def lapses_at(self, queue: Queue) -> datetime | None:
        """When links made now lapse; None where there are none, or the annotator signs them itself."""
        lasting = self._texts is not None or queue.images in {"annotator", "gateway"}
        return None if lasting else self._context.clock.now() + self._life

    def task_data(
        self, queue: Queue, sendable: SendableTask, inside: Mapping[str, str]
    ) -> TaskData:
        """What the annotator is given: the input, the task key, and what the queue shows."""
        task = sendable.task
        data: dict[str, object] = {
            self.kind: self._shown(queue, task, inside),
            "labelloop": task.task_key,
        }
        if not queue.blind:
            known: Mapping[str, object] = {
                "predicted_class": sendable.predicted_class,
                "confidence": sendable.confidence,
                "corrected_class": sendable.corrected_class,
                "flagged": sendable.flagged,
            }
            data |= {name: known[name] for name in queue.show}
        return TaskData(
            task_key=task.task_key,
            data=data,
            look_of=self._first_key(task) if task.is_second_look else None,
            by_referee=task.look in {Look.SECOND, Look.SETTLING},
            suggestion=_suggestion(queue, sendable),
        )

    def _first_key(self, task: Task) -> str:
        identity = self._context.ledger.identity()
        assert identity is not None  # noqa: S101  it is prepared
        purpose, sample_id = task.purpose.value, task.sample_id
        return task_key(identity.ledger_id, purpose, sample_id, salt=identity.salt)

    # --- preparing: names are noted, the store is asked, what it said is noted -------------------

    def prepare(self, queue: Queue, batch: Sequence[SendableTask]) -> SendableBatch:
        """Name the copies of a batch, fetch its inputs, and note which can't be shown."""
        named = self.name_copies(queue, batch)
        return self.note(queue, named, self.fetch(queue, named))

    def name_copies(self, queue: Queue, batch: Sequence[SendableTask]) -> Sequence[SendableTask]:
        """The tasks, with a random name for each one's copy, noted before any copy is made."""
        if not self._shows_copies(queue):
            return batch
        assert self._blind_uri is not None  # noqa: S101  checked before anything is sent
        place = self._blind_uri.rstrip("/")
        fresh = [
            (each.task.task_key, f"{place}/{token_hex(16)}")
            for each in batch
            if not each.task.media_uri
        ]
        with self._context.write() as tx:
            tasks.set_copies(tx, fresh)
        with self._context.read() as tx:
            now = tasks.by_key(tx, [each.task.task_key for each in batch])
        return [replace(each, task=now[each.task.task_key]) for each in batch]

    def fetch(self, queue: Queue, batch: Sequence[SendableTask]) -> Mapping[str, InputResult]:
        """By task key, what became of each input. Asks the store and the log alone: any thread may."""
        if not self._listed:
            batch = [replace(each, content_hash="") for each in batch]
        if self._texts is not None:
            return self._texts.of(batch)
        starts = self._starts(batch)
        odd = {
            key: Unshowable(f"the input is no image: {what}")
            for key, start in starts.items()
            if (what := no_image(start.data))
        }
        batch = [each for each in batch if each.task.task_key not in odd]
        if self._shows_copies(queue):
            found: Iterable[InputResult] = _many(self._copy, batch)
        elif self._store.inline and queue.images != "gateway":
            found = _many(self._embed, batch)
        else:
            found = self._linked(batch, starts)
        shown = {each.task.task_key: result for each, result in zip(batch, found, strict=True)}
        return {**odd, **shown}

    def _starts(self, batch: Sequence[SendableTask]) -> dict[str, Start]:
        """How the inputs begin, by task key, of those of which that can be told."""
        found = self._store.starts([(each.task.uri, each.content_hash) for each in batch])
        both = zip(batch, found, strict=True)
        return {each.task.task_key: start for each, start in both if start is not None}

    def _linked(
        self, batch: Sequence[SendableTask], starts: Mapping[str, Start]
    ) -> list[InputResult]:
        """That inputs are there as they were predicted, or lost; asked of those alone that didn't say."""

        def says(each: SendableTask) -> bool:
            start = starts.get(each.task.task_key)
            return start is not None and start.same

        silent = [each for each in batch if not says(each)]
        losses = self._store.losses([(each.task.uri, each.content_hash) for each in silent])
        why = {each.task.task_key: loss for each, loss in zip(silent, losses, strict=True)}
        of_batch = (why.get(each.task.task_key) for each in batch)
        return [LINKED if loss is None else lost(loss) for loss in of_batch]

    def note(
        self, queue: Queue, batch: Sequence[SendableTask], results: Mapping[str, InputResult]
    ) -> SendableBatch:
        """The tasks whose inputs can be shown; of the others it is noted why they can't."""
        why: dict[str, list[Task]] = {}
        for each in batch:
            found = results[each.task.task_key]
            if isinstance(found, Unshowable):
                why.setdefault(found.why, []).append(each.task)
            elif isinstance(found, InputTooLarge):
                self.too_large[each.task.task_key] = found
        if why:
            now = self._context.clock.now()
            with self._context.write() as tx:
                for said, unshowable in why.items():
                    tasks.move(
                        tx,
                        unshowable,
                        TaskState.UNAVAILABLE,
                        actor="send",
                        at=now,
                        detail=said,
                    )
        inside = {key: found for key, found in results.items() if isinstance(found, str)}
        if queue.images == "gateway":
            tokens = {key: media_links.new_token() for key in inside}
            with self._context.write() as tx:
                media_links.add(tx, tokens, at=self._context.clock.now())
            self._tokens |= tokens
        return SendableBatch(
            tasks=[each for each in batch if each.task.task_key in inside],
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

    def _shown(self, queue: Queue, task: Task, inside: Mapping[str, str]) -> str:
        """What a task holds to show its input."""
        held = inside.get(task.task_key, LINKED)
        if held != LINKED:
            return held
        if queue.images == "gateway":
            return f"{self._gateway_url}/media/{self._tokens.pop(task.task_key)}"
        image = task.media_uri if self._shows_copies(queue) else task.uri
        assert image is not None  # noqa: S101  a blind task's copy was named before
        if queue.images == "annotator":
            return self._store.place_of(image)
        return self._store.presign(image, self._life)

    def _shows_copies(self, queue: Queue) -> bool:
        needed = queue.blind and queue.images != "gateway"
        return needed and self._texts is None and not self._store.inline

    def _copy(self, each: SendableTask) -> InputResult:
        assert each.task.media_uri is not None  # noqa: S101  named just before
        try:
            self._store.copy_blind(
                each.task.uri, each.task.media_uri, content_hash=each.content_hash
            )
        except InputGone as exc:
            return LINKED if self._store.exists(each.task.media_uri) else lost(exc)
        return LINKED

    def _embed(self, each: SendableTask) -> InputResult:
        """An image that travels inside its task."""
        try:
            return self._store.presign(each.task.uri, self._life, content_hash=each.content_hash)
        except InputGone as exc:
            return lost(exc)
        except InputTooLarge as exc:
            return exc


def _suggestion(queue: Queue, sendable: SendableTask) -> Suggestion | None:
    """The model's answer, where the queue fills it in; None where the model named no class."""
    if queue.blind or not queue.prefill or sendable.predicted_class in {None, NO_CLASS}:
        return None
    return Suggestion(
        answer=str(sendable.predicted_class), model=sendable.model, score=sendable.confidence
    )


def _many(call: Callable[[SendableTask], T], items: Iterable[SendableTask]) -> list[T]:
    with ThreadPoolExecutor(_WORKERS) as pool:
        return list(pool.map(call, items))
