"""A selection on a small Spark cluster, whose executors are killed in the middle of its queries.

python -m tests.spark_killed LABELLOOP.TOML

It prints how many tasks failed in each query that an executor was killed in, and whether an option of
Spark, or a secret one, stood on a command line.
"""

import json
import os
import signal
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from labelloop.loop import open_loop

SECRET = "made-up-key-of-s3"
N_LEFT = 3
"""A query is in its middle with a task done and this many to do."""


class Killer(threading.Thread):
    """Kills an executor in each of the first queries, while it has work to do."""

    def __init__(self, n_queries: int) -> None:
        super().__init__(daemon=True)
        self._n_queries = n_queries
        self._over = threading.Event()
        self.hit: dict[int, int] = {}
        """How many tasks failed, by stage."""
        self.commands = b""

    def run(self) -> None:
        from pyspark import SparkContext

        while not self._over.is_set():
            context = SparkContext._active_spark_context
            begun = getattr(context, "_jsc", None) is not None
            if begun and len(self.hit) < self._n_queries:
                tracker = context.statusTracker()
                for stage in tracker.getActiveStageIds():
                    if stage not in self.hit and self._kill(tracker, stage):
                        self.hit[stage] = 0
            time.sleep(0.005)

    def _kill(self, tracker: Any, stage: int) -> bool:
        running = executors()
        if len(running) < 2 or not in_the_middle(tracker.getStageInfo(stage)):
            return False
        # once it stands still it can't finish what it was given
        os.kill(running[0], signal.SIGSTOP)
        if not in_the_middle(tracker.getStageInfo(stage)):
            os.kill(running[0], signal.SIGCONT)
            return False
        os.kill(running[0], signal.SIGKILL)
        return True

    def finish(self) -> None:
        """Read what failed and what can be seen of the cluster, before the session ends."""
        from pyspark import SparkContext

        self._over.set()
        self.join()
        context = SparkContext._active_spark_context
        assert context is not None
        for stage in self.hit:
            info = context.statusTracker().getStageInfo(stage)
            self.hit[stage] = info.numFailedTasks if info else 0
        self.commands = b"\n".join(commands().values())


def in_the_middle(info: Any) -> bool:
    return (
        info is not None
        and info.numCompletedTasks >= 1
        and info.numTasks - info.numCompletedTasks >= N_LEFT
        and info.numActiveTasks >= 2
    )


def executors() -> list[int]:
    """The processes that compute for this one."""
    return sorted(
        pid for pid, command in commands().items() if b"CoarseGrainedExecutorBackend" in command
    )


def commands() -> dict[int, bytes]:
    """The command lines of the processes that descend from this one."""
    parents: dict[int, int] = {}
    found: dict[int, bytes] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                stat = (entry / "stat").read_text()
                parents[int(entry.name)] = int(stat.rpartition(")")[2].split()[1])
                found[int(entry.name)] = (entry / "cmdline").read_bytes()

    def ours(pid: int) -> bool:
        while pid and pid != os.getpid():
            pid = parents.get(pid, 0)
        return pid == os.getpid()

    return {pid: command for pid, command in found.items() if ours(pid)}


def main(path: Path) -> None:
    killer = Killer(n_queries=3)
    killer.start()
    with open_loop(path) as loop:
        loop.select(now=True)
        killer.finish()
    said = {
        "n_failed": list(killer.hit.values()),
        "options_shown": b"spark.sql.files.openCostInBytes" in killer.commands,
        "secret_shown": SECRET.encode() in killer.commands,
    }
    print(json.dumps(said))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
