"""`labelloop serve` for the project of the demonstration, in a process of its own."""

import os
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from labelloop.demo.process import ServerProcess, free_port
from labelloop.ports.clock import Progress

_READY_S = 60.0
_PATIENCE_S = 30.0


class Dashboard:
    """The service; it listens once it is entered, and ends where the block ends."""

    def __init__(self, config: Path) -> None:
        self._config = config
        self._port = free_port()
        self.url = f"http://127.0.0.1:{self._port}/"

    def __enter__(self) -> Self:
        command = [
            *(sys.executable, "-m", "labelloop", "serve"),
            *("--config", str(self._config), "--port", str(self._port)),
        ]
        self._process = ServerProcess(
            "labelloop serve",
            command,
            env=os.environ,
            log_file=self._config.parent / "serve.log",
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._process.stop()

    def wait_ready(self, progress: Progress) -> None:
        """Return once the first page has been read.

        Raises:
            ServerError: the service ended, or the page can't be read; its log's end is shown.
        """

        def on_wait(taken_s: float) -> None:
            progress("labelloop serve", round(taken_s), None)

        self._process.wait_until(self._is_ready, limit_s=_READY_S, on_wait=on_wait)
        try:
            page = httpx.get(self.url, headers={"Accept": "text/html"}, timeout=_PATIENCE_S)
            page.raise_for_status()
        except httpx.HTTPError as exc:
            raise self._process.failure(f"{self.url} can't be read: {exc}") from exc

    def _is_ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}readyz", timeout=5.0).is_success
        except httpx.HTTPError:
            return False
