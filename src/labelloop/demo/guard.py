"""Runs a command as long as the process that started it lives: `python guard.py COMMAND...`.

Standard input is a pipe whose other end only the starter holds. However the starter ends, by
kill -9 too, the pipe closes; then the command and all that it started are stopped. Run as the
leader of a process group of its own, with nothing of labelloop imported.
"""

import os
import signal
import subprocess
import sys
import threading

GRACE_S = 8.0


def main(command: list[str]) -> int:
    """The exit code of `command`, once it has ended."""
    # The group's SIGTERM reaches the guard too; it stays to reap the command.
    signal.signal(signal.SIGTERM, lambda *_: None)
    signal.signal(signal.SIGINT, lambda *_: None)
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL)  # noqa: S603 - ours, no shell
    threading.Thread(target=stop_when_orphaned, daemon=True).start()
    return child.wait()


def stop_when_orphaned() -> None:
    """Stop the whole process group once standard input is closed."""
    while os.read(0, 1):
        pass
    os.killpg(0, signal.SIGTERM)
    threading.Event().wait(GRACE_S)
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
