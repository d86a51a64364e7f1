"""A server as a process of its own: started, watched, its log kept, stopped for certain."""

import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from labelloop.demo import guard
from labelloop.errors import LabelloopError

STOP_S = 10.0
TAIL_LINES = 30


class ServerError(LabelloopError):
    """A server of the demonstration did not start."""


class ServerProcess:
    """One running server in a process group of its own; its output goes to `log_file`.

    It never outlives this process, however this process ends.
    """

    def __init__(
        self, name: str, command: Sequence[str], *, env: Mapping[str, str], log_file: Path
    ) -> None:
        self.name = name
        self.log_file = log_file
        log_file.parent.mkdir(parents=True, exist_ok=True)
        with log_file.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 - a list of ours, no shell
                [sys.executable, "-I", "-S", guard.__file__, *command],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=dict(env),
                cwd=log_file.parent,
                # Ctrl-C in the terminal is for labelloop, which then stops its servers in order.
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """The process id, and the id of its group."""
        return self._process.pid

    def wait_until(
        self, ready: Callable[[], bool], *, limit_s: float, on_wait: Callable[[float], None]
    ) -> None:
        """Return once `ready()`; `on_wait` hears every half second how long it has taken.

        Raises:
            ServerError: it ended, or was not ready within `limit_s`; the log's tail is shown.
        """
        started = time.monotonic()
        next_word_s = 0.5
        while not ready():
            taken_s = time.monotonic() - started
            if self._process.poll() is not None:
                raise self.failure(f"{self.name} ended with code {self._process.returncode}")
            if taken_s > limit_s:
                raise self.failure(f"{self.name} was not ready within {limit_s:.0f} s")
            if taken_s >= next_word_s:
                on_wait(taken_s)
                next_word_s = taken_s + 0.5
            time.sleep(0.1)

    def log_tail(self, lines: int = TAIL_LINES) -> str:
        """The last lines of the log."""
        text = self.log_file.read_text("utf-8", errors="replace")
        return "\n".join(text.splitlines()[-lines:])

    def failure(self, message: str) -> ServerError:
        """An error that says `message` and shows the end of the log."""
        return ServerError(
            f"{message}; the end of its log:\n{self.log_tail()}",
            remedy=f"read the whole log in {self.log_file}, then try again",
        )

    def stop(self) -> None:
        """Stop the whole group: asked first, then forced. Stopping twice is fine."""
        if self._process.poll() is None:
            self._signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_S)
        self._signal(signal.SIGKILL)
        self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)


def free_port() -> int:
    """A loopback port that nothing listens on now."""
    return free_ports(1)[0]


def free_ports(count: int, *, also_offset: int = 0) -> tuple[int, ...]:
    """Loopback ports that nothing listens on now; each `port + also_offset` is free as well.

    They lie below the range from which systems give ports to outgoing connections.
    """
    found: list[int] = []
    with contextlib.ExitStack() as held:
        for port in random.SystemRandom().sample(range(10_000, 20_000), 10_000):
            try:
                for candidate in {port, port + also_offset}:
                    held.enter_context(_bound(candidate))
            except OSError:
                continue
            found.append(port)
            if len(found) == count:
                return tuple(found)
    raise ServerError(f"no {count} free ports on 127.0.0.1", remedy="end what listens there")


def _bound(port: int) -> socket.socket:
    listener = socket.socket()
    try:
        listener.bind(("127.0.0.1", port))
    except OSError:
        listener.close()
        raise
    return listener
