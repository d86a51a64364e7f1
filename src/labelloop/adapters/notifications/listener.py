"""Takes a bucket's notifications as webhooks send them, and appends each to a file of the day."""

import json
import os
import threading
from collections.abc import Callable
from datetime import datetime
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

LARGEST = 2**20
"""Bytes of a notification; S3's have some hundreds a record."""


class NotificationFolder:
    """Appends notifications to a file of the day below `folder`."""

    def __init__(self, folder: Path, now: Callable[[], datetime]) -> None:
        """Make the folder.

        Raises:
            OSError: it can't be made.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self.n_taken = 0
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
            self.n_taken += 1


class NotificationListener(ThreadingHTTPServer):
    """Answers POST with 200 once what came is on the disk below `folder`, so that the sender may forget it.

    Nothing that comes is believed: a notification names objects, and those are looked up in the bucket.
    """

    daemon_threads = True

    def __init__(self, folder: Path, *, host: str, port: int, now: Callable[[], datetime]) -> None:
        """Listen at once; `serve_forever` answers.

        Raises:
            OSError: the folder can't be made, or the port is taken.
        """
        self._taken = NotificationFolder(folder, now)
        super().__init__((host, port), _Handler)

    @property
    def n_taken(self) -> int:
        """How many notifications came."""
        return self._taken.n_taken

    def take(self, notification: object) -> None:
        """Append it, in a line of its own."""
        self._taken.take(notification)


class _Handler(BaseHTTPRequestHandler):
    server: NotificationListener
    protocol_version = "HTTP/1.1"
    timeout = 30

    def do_POST(self) -> None:
        size = self.headers.get("Content-Length", "")
        if not size.isascii() or not size.isdigit() or int(size) > LARGEST:
            self.close_connection = True
            self._answer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
            return
        try:
            said = json.loads(self.rfile.read(int(size)))
        except (ValueError, RecursionError):
            self._answer(HTTPStatus.BAD_REQUEST)
            return
        try:
            self.server.take(said)
        except OSError:
            self._answer(HTTPStatus.INSUFFICIENT_STORAGE)  # the sender tries again
            return
        self._answer(HTTPStatus.OK)

    def do_HEAD(self) -> None:
        """MinIO looks so whether its target is there."""
        self._answer(HTTPStatus.OK)

    do_GET = do_HEAD  # noqa: N815  as http.server calls it

    def _answer(self, status: HTTPStatus) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing: keys are no business of a log."""
