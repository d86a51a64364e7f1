"""The moments at which a process may be killed: before and after whatever changes something outside.

They are found by instrumentation of the libraries through which everything outside is changed, so no
list of them is kept: a write that is added to labelloop is a point without further ado.
"""

import functools
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

WRITES = ("Put", "Copy", "Delete", "Create", "Complete", "Upload")
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


class Points:
    """Counts the points of this process, and kills it at one of them (0: at none)."""

    def __init__(self, folder: Path, kill_at: int, note: Path) -> None:
        """`note`: where the last point is written down before the process is killed there."""
        self.seen: list[str] = []
        self._note = note
        self._folder = str(folder)
        self._kill_at = kill_at
        self._lock = threading.Lock()

    def reach(self, what: str) -> None:
        """One more point."""
        with self._lock:
            self.seen.append(what)
            if len(self.seen) == self._kill_at:
                self._note.write_text(what)
                os.kill(os.getpid(), signal.SIGKILL)

    def install(self) -> None:
        """Watch databases, Label Studio, the bucket, Parquet files and the project's folder."""
        import botocore.client
        import httpx
        import pyarrow.parquet as pq
        from pyiceberg.io.pyarrow import PyArrowFile
        from sqlalchemy.engine.default import DefaultDialect

        self._around(DefaultDialect, "do_commit", lambda *_, **__: "database commit")
        self._around(httpx.Client, "send", _request)
        self._around(botocore.client.BaseClient, "_make_api_call", _operation)
        self._around(pq.ParquetWriter, "close", lambda *_, **__: "parquet written")
        self._around(PyArrowFile, "create", lambda *_, **__: "iceberg metadata file")
        sys.addaudithook(self._audit)

    def _around(self, owner: Any, name: str, says: Callable[..., str | None]) -> None:
        own = getattr(owner, name)

        @functools.wraps(own)
        def watched(*args: Any, **kwargs: Any) -> Any:
            what = says(*args, **kwargs)
            if what is None:
                return own(*args, **kwargs)
            self.reach(f"before {what}")
            result = own(*args, **kwargs)
            self.reach(f"after {what}")
            return result

        setattr(owner, name, watched)

    def _audit(self, event: str, args: tuple[Any, ...]) -> None:
        if event not in {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "open"}:
            return
        path = args[0]
        if not isinstance(path, (str, os.PathLike)) or not str(path).startswith(self._folder):
            return
        if event != "open":
            self.reach(f"before {event} of {Path(path).name}")
        elif isinstance(args[2], int) and args[2] & WRITING:
            self.reach(f"before opening {Path(path).name} to write")


def _request(_client: Any, request: Any, **_: Any) -> str | None:
    if request.method == "GET" or request.url.path.endswith("/token/refresh/"):
        return None
    return f"{request.method} {_numberless(request.url.path)}"


def _numberless(path: str) -> str:
    return "/".join("N" if part.isdigit() else part for part in path.split("/"))


def _operation(_client: Any, name: str, *_: Any) -> str | None:
    return f"S3 {name}" if name.startswith(WRITES) else None
