"""The command line, run in forks of a process that has imported most of it already."""

import atexit
import gc
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import NoReturn

from tests.preloaded import preload
from tests.quick import collect_garbage_seldom


class Commands:
    """Runs commands one after the other, each in a process of its own."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-W", "error"),
                # nothing runs in the libraries' threads before the fork
                *("-W", "ignore:This process:DeprecationWarning"),
                *("-m", "tests.integration.commands"),
            ],
            cwd=Path(__file__).parents[2],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
        )

    def run(
        self,
        args: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str],
        timeout_s: int,
        interrupt_after_s: float | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """`labelloop ARGS`; what takes too long is ended by an alarm. `interrupt_after_s`: by Ctrl-C."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with tempfile.TemporaryDirectory() as folder:
            asked = Asked(
                ["labelloop", *args], str(cwd), dict(env), timeout_s, folder, interrupt_after_s
            )
            self._process.stdin.write(json.dumps(astuple(asked)) + "\n")
            self._process.stdin.flush()
            code = int(self._process.stdout.readline())
            stdout, stderr = (Path(folder, name).read_text("utf-8") for name in SAID)
        return subprocess.CompletedProcess(list(args), code, stdout, stderr)

    def close(self) -> None:
        """End the process that waits."""
        self._process.communicate()


SAID = ("stdout", "stderr")


@dataclass(frozen=True)
class Asked:
    """A command: its words, where it runs, how long it may, the folder for what it says, and Ctrl-C."""

    argv: list[str]
    cwd: str
    env: dict[str, str]
    timeout_s: int
    folder: str
    interrupt_after_s: float | None

    def become(self) -> None:
        """Turn this process into the command's."""
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        for number, name in enumerate(SAID, 1):
            os.dup2(os.open(Path(self.folder, name), os.O_WRONLY | os.O_CREAT), number)
        os.chdir(self.cwd)
        os.environ.clear()
        os.environ.update(self.env)
        time.tzset()
        sys.argv = self.argv
        signal.alarm(self.timeout_s)
        # a shell's background jobs ignore it, and so would this
        signal.signal(signal.SIGINT, signal.default_int_handler)

    def interrupt(self, pid: int) -> int | None:
        """Let a process of its own press Ctrl-C in that one, once it is time."""
        if self.interrupt_after_s is None:
            return None
        finger = os.fork()
        if finger == 0:
            time.sleep(self.interrupt_after_s)
            os.kill(pid, signal.SIGINT)
            os._exit(0)
        return finger


def run_and_leave() -> NoReturn:
    """Run the command and end as Python does, but don't take the imported modules apart.

    That takes a thousand times as long as the fork.
    """
    from labelloop.cli import main

    code: str | int | None = 0
    try:
        main()
    except SystemExit as end:
        code = end.code
    threading._shutdown()  # type: ignore[attr-defined]  # waits for the threads that are no daemons
    gc.collect()  # what was left open is warned of
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else int(code is not None))


def serve() -> None:
    """Fork for each command that standard input asks for, and print its exit code."""
    preload()
    collect_garbage_seldom()
    for line in sys.stdin:
        asked = Asked(*json.loads(line))
        child = os.fork()
        if child == 0:
            asked.become()
            run_and_leave()
        finger = asked.interrupt(child)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if finger is not None:
            os.kill(finger, signal.SIGKILL)
            os.waitpid(finger, 0)
        sys.stdout.write(f"{code}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    serve()
