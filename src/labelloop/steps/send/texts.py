"""The texts of tasks: from the log where a table brought them, else from their objects."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from labelloop.errors import InputChanged, InputGone
from labelloop.ledger.tasks import SendableTask
from labelloop.ports.log import PredictionLog
from labelloop.ports.store import Store

_WORKERS = 16


@dataclass(frozen=True, slots=True)
class Unshowable:
    """Why an input can't be shown, in words."""

    why: str


def lost(exc: InputGone) -> Unshowable:
    """That an input is no longer what was predicted."""
    if isinstance(exc, InputChanged):
        return Unshowable("the input was overwritten in the store since it was predicted")
    return Unshowable("the input is gone from the store")


class Texts:
    """Finds what people are to read."""

    def __init__(self, log: PredictionLog, store: Store, *, max_bytes: int) -> None:
        self._log = log
        self._store = store
        self._max_bytes = max_bytes

    def of(self, batch: Sequence[SendableTask]) -> Mapping[str, str | Unshowable]:
        """The text of each task, by its key, whole or not at all."""
        known = self._log.texts([each.task.sample_id for each in batch])

        def find(each: SendableTask) -> str | Unshowable:
            text = known.get(each.task.sample_id) or self._read(each.task.uri, each.content_hash)
            # PostgreSQL, where an annotator may keep its tasks, takes no such character
            return text.replace("\0", "\ufffd") if isinstance(text, str) else text

        with ThreadPoolExecutor(_WORKERS) as pool:
            found = list(pool.map(find, batch))
        return {each.task.task_key: text for each, text in zip(batch, found, strict=True)}

    def _read(self, uri: str, content_hash: str) -> str | Unshowable:
        try:
            data = self._store.read(uri, content_hash=content_hash)
        except InputGone as exc:
            return lost(exc)
        if len(data) > self._max_bytes:
            return Unshowable(f"the text has {len(data):,} bytes, of {self._max_bytes:,} allowed")
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError as exc:
            return Unshowable(f"the text isn't UTF-8: byte {exc.start:,} can't be read")
        return text if text.strip() else Unshowable("the text is empty")
