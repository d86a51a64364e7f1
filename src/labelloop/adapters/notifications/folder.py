"""Appends a bucket's notifications, as webhooks bring them, to a file of the day."""

import json
import os
import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path


class NotificationFolder:
    """Appends notifications to a file of the day below `folder`.

    Nothing that comes is believed: a notification names objects, and those are looked up in the bucket.
    """

    def __init__(self, folder: Path, now: Callable[[], datetime]) -> None:
        """Make the folder.

        Raises:
            OSError: it can't be made.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._now = now
        self._writing = threading.Lock()

    def take(self, notification: object) -> None:
        """Append it, in a line of its own; it is on the disk afterwards.

        Raises:
            OSError: it can't be written.
        """
        line = json.dumps(notification, separators=(",", ":")).encode() + b"\n"
        path = self._folder / f"{self._now():%Y-%m-%d}.jsonl"
        with self._writing, path.open("ab") as file:
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
