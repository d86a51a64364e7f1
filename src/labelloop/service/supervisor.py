"""Keeps the worker running, and tells it what people and webhooks ask for."""

import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

from labelloop.service.journal import Journal

GRACE_S = 20.0
"""How long a worker may take to end its present transaction; what is killed then is done again later."""
AGAIN_S = (1.0, 60.0)
"""The first and the longest wait before a worker that ended by itself is started again."""


class Supervisor:
    """One worker process, started again where it ends by itself."""

    def __init__(self, config: Path, journal: Journal, *, own_url: str | None = None) -> None:
        """`own_url`: where an annotator reaches the service; None: it can't."""
        self._config = config
        self._own_url = own_url
        self._journal = journal
        self._process: subprocess.Popen[str] | None = None
        self._ending = threading.Event()
        self._telling = threading.Lock()
        self._watch = threading.Thread(target=self._keep, daemon=True)

    def start(self) -> None:
        """Start the worker."""
        self._process = self._spawn()
        self._watch.start()

    @property
    def is_alive(self) -> bool:
        """Whether the worker runs."""
        return self._process is not None and self._process.poll() is None

    def tell(self, command: str) -> None:
        """Ask the worker for one of `worker.COMMANDS`; one that is down does what is due when it starts."""
        with self._telling:
            process = self._process
            if process is None or process.stdin is None:
                return
            with suppress(OSError, ValueError):
                process.stdin.write(command + "\n")
                process.stdin.flush()

    def stop(self) -> None:
        """Let the worker end after its present transaction; returns when it has ended."""
        self._ending.set()
        self.tell("stop")
        process = self._process
        if process is None:
            return
        try:
            process.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            self._journal.line("worker killed", level="warning", because=f"it took {GRACE_S:g} s")
            process.kill()
            process.wait()

    def _spawn(self) -> "subprocess.Popen[str]":
        return subprocess.Popen(  # noqa: S603  this program
            [
                *(sys.executable, "-m", "labelloop.service.worker", str(self._config)),
                *([self._own_url] if self._own_url else []),
            ],
            stdin=subprocess.PIPE,
            text=True,
        )

    def _keep(self) -> None:
        wait_s = AGAIN_S[0]
        while not self._ending.is_set():
            assert self._process is not None  # noqa: S101  started before
            try:
                code = self._process.wait(60.0)
            except subprocess.TimeoutExpired:
                wait_s = AGAIN_S[0]
                continue
            if self._ending.is_set():
                return
            self._journal.line("worker ended", level="error", code=code, again_in_s=wait_s)
            if self._ending.wait(wait_s):
                return
            wait_s = min(2 * wait_s, AGAIN_S[1])
            with self._telling:
                self._process = self._spawn()
