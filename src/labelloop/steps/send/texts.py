"""The texts of tasks: from the log where a table brought them, else from their objects."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from labelloop.core.task import Task
from labelloop.errors import InputGone
from labelloop.ports.log import PredictionLog
from labelloop.ports.store import Store

_WORKERS = 16


@dataclass(frozen=True, slots=True)
class Unshowable:
    """Why a text can't be shown, in words."""

    why: str


class Texts:
    """Finds what people are to read."""

    def __init__(self, log: PredictionLog, store: Store, *, max_bytes: int) -> None:
        self._log = log
        self._store = store
        self._max_bytes = max_bytes

    def of(self, tasks: Sequence[Task]) -> Mapping[str, str | Unshowable]:
        """The text of each task, by its key, whole or not at all."""
        known = self._log.texts([task.sample_id for task in tasks])

        def find(task: Task) -> str | Unshowable:
            text = known.get(task.sample_id) or self._read(task.uri)
            # PostgreSQL, where an annotator may keep its tasks, takes no such character
            return text.replace("\0", "\ufffd") if isinstance(text, str) else text

        with ThreadPoolExecutor(_WORKERS) as pool:
            found = list(pool.map(find, tasks))
        return {task.task_key: text for task, text in zip(tasks, found, strict=True)}

    def _read(self, uri: str) -> str | Unshowable:
        try:
            data = self._store.read(uri)
        except InputGone:
            return Unshowable("the input is gone from the store")
        if len(data) > self._max_bytes:
            return Unshowable(f"the text has {len(data):,} bytes, of {self._max_bytes:,} allowed")
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError as exc:
            return Unshowable(f"the text isn't UTF-8: byte {exc.start:,} can't be read")
        return text if text.strip() else Unshowable("the text is empty")
