"""`labelloop serve` on real servers: traffic comes, people answer, programs hear of it, all at once.

`LiveCourse` holds the world around the service; what the service made of it is read from the ledger,
from Label Studio and from the receiver, and compared with what was put in.
"""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx

from labelloop.demo.process import free_ports
from labelloop.loop import open_loop
from tests.chaos.trial import Course, Later, query, said_of

SITE = Path(__file__).parent / "site"
SERVICE = """
[rounds]
every = "{every_s} seconds"

[service]
port = {port}
run_every = "{run_every}"
log = "json"

[[notify]]
url = "{receiver}"
on = ["round.drawn", "dataset.built", "training.grown", "guarantee.reached", "backlog.old"]
secret = "a secret of a receiver"
"""
HIGHEST_POINT = 300
"""A worker kills itself at one of its first so many points."""


class Receiver:
    """A program that hears of events. Every other request fails, half of those after it was heard."""

    def __init__(self, *, fails: bool, seed: int = 0) -> None:
        self.heard: dict[str, set[bytes]] = {}
        self.n_asked = self.n_failed = 0
        rng, lock = random.Random(seed), threading.Lock()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(handler) -> None:  # noqa: N805  `self` is the receiver
                body = handler.rfile.read(int(handler.headers["content-length"]))
                with lock:
                    self.n_asked += 1
                    luck = rng.random() if fails else 1.0
                    self.n_failed += luck < 0.5
                    if luck >= 0.25:
                        self.heard.setdefault(handler.headers["webhook-id"], set()).add(body)
                if 0.25 <= luck < 0.5:
                    handler.close_connection = True  # it heard, and the answer is lost
                    return
                handler.send_response(503 if luck < 0.25 else 204)
                handler.send_header("Content-Length", "0")
                handler.end_headers()

            def log_message(handler, *_: Any) -> None:  # noqa: N805
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Instance:
    """One `labelloop serve`, which is started again after it was killed."""

    def __init__(self, folder: Path, port: int, *, name: str, aim: bool) -> None:
        """`aim`: its workers kill themselves somewhere."""
        self.port = port
        self._folder, self._name, self._aim = folder, name, aim
        self.process: subprocess.Popen[str] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def start(self) -> None:
        paths = [str(SITE), *sys.path] if self._aim else sys.path
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in paths if p)}
        if self._aim:
            env["LABELLOOP_CHAOS"] = f"{self._folder}:{HIGHEST_POINT}"
        command = [sys.executable, "-m", "labelloop", "serve"]
        with (self._folder / f"{self._name}.log").open("a") as log:
            self.process = subprocess.Popen(
                [*command, "--config", str(self._folder / "labelloop.toml"), f"--port={self.port}"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                text=True,
                env=env,
                start_new_session=True,
            )

    def workers(self) -> list[int]:
        """Its children, whichever of its threads started them."""
        if self.process is None:
            return []
        found = Path(f"/proc/{self.process.pid}/task").glob("*/children")
        with contextlib.suppress(OSError):
            return [int(child) for children in found for child in children.read_text().split()]
        return []

    def kill(self, what: str) -> None:
        """Kill the worker, its supervisor (which answers over HTTP too), or both at once."""
        assert self.process is not None
        with contextlib.suppress(ProcessLookupError):
            if what == "both":
                os.killpg(self.process.pid, signal.SIGKILL)
            elif what == "supervisor":
                self.process.kill()
            else:
                for pid in self.workers():
                    os.kill(pid, signal.SIGKILL)
        if what != "worker":
            self.process.wait()

    def end(self) -> int:
        """Tell it to end, as systemd does; returns its exit code."""
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(60)

    def lines(self) -> Iterator[dict[str, Any]]:
        """What it said."""
        for line in (self._folder / f"{self._name}.log").read_text().splitlines():
            if line.startswith("{"):
                with contextlib.suppress(ValueError):  # a kill cut it off
                    yield json.loads(line)


@dataclass
class Given:
    """What the world put in: the samples, and what people said of each task."""

    n_samples: int = 0
    answers: dict[str, tuple[str, str]] = field(default_factory=dict)
    """By task: the id that Label Studio gave the answer, and the class."""


class LiveCourse(Course):
    """A project under service, with traffic, people and a receiver around it."""

    def __init__(
        self, *servers: Any, every_s: float, run_every: str, fails: bool, images: str = "presign"
    ) -> None:
        """`servers`: as of a course; `fails`: whether the receiver does, half the time."""
        super().__init__(*servers)
        self.given = Given()
        self.receiver = Receiver(fails=fails)
        self.folder = self._template
        self.ports = free_ports(2)
        self.every = timedelta(seconds=every_s)
        self._bucket = "live"
        for name in (self._bucket, "live-blind"):
            self._s3.create_bucket(Bucket=name)
        self._write(self.folder, self._bucket, "live-blind")
        config = self.folder / "labelloop.toml"
        shown = config.read_text().replace("budget = ", f'images = "{images}"\nbudget = ')
        config.write_text(
            shown
            + SERVICE.format(
                every_s=every_s,
                port=self.ports[0],
                run_every=run_every,
                receiver=self.receiver.url,
            )
        )
        (self.folder / "kills").mkdir()

    def close(self) -> None:
        self.receiver.close()
        super().close()

    # --- the world ----------------------------------------------------------------------------

    def serve_traffic(self, n: int) -> None:
        """Some more inputs, with the model's answers."""
        self.predicted_at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        first = self.given.n_samples
        self._traffic(self._bucket, range(first, first + n))
        self.given.n_samples += n

    def people_answer(self, *, at_most: int | None = None) -> int:
        """Let people answer what is open, as `_answer` says; returns how many answers they gave."""
        n = 0
        asked = {
            str(key): (str(sample), int(str(look)))
            for key, sample, look in self.query("SELECT task_key, sample_id, look FROM tasks")
        }
        for task in self._tasks():
            key = task["data"]["labelloop"]
            if task["annotations"] or key not in asked or n == at_most:
                continue
            sample, look = asked[key]
            said = said_of(sample, look)
            answer = self._say(task["id"], said, look)
            if answer.status_code == httpx.codes.NOT_FOUND:
                continue  # a duplicate that was just removed
            self.given.answers[key] = (str(answer.raise_for_status().json()["id"]), said)
            n += 1
        return n

    def query(self, statement: str) -> tuple[tuple[object, ...], ...]:
        """Rows of the ledger; none while it isn't there."""
        if not (self.folder / ".labelloop" / "ledger.db").exists():
            return ()
        return query(self.folder, statement)

    # --- what came of it ----------------------------------------------------------------------

    def close_last_round(self) -> None:
        """Take in all that is there, and draw from what no round has seen."""
        with open_loop(self.folder / "labelloop.toml") as loop:
            for error in loop.run(now=True).failures.values():
                raise error

    def deliver_later(self) -> None:
        """Let hours pass, again and again, until every event is heard: what failed is tried again."""
        for hours in range(7, 92, 7):
            with open_loop(
                self.folder / "labelloop.toml", clock=Later(timedelta(hours=hours))
            ) as loop:
                loop.do("notify")
            if not self.query("SELECT 1 FROM deliveries WHERE state = 'waiting' LIMIT 1"):
                return

    def faults(self) -> dict[str, list[str]]:
        """What is lost, doubled, drawn twice, unheard: each thing that is wrong, in words."""
        tasks = self._tasks()
        remote = Counter(str(task["data"]["labelloop"]) for task in tasks)
        held = {
            str(key): str(state) for key, state in self.query("SELECT task_key, state FROM tasks")
        }
        lost = [f"task {key} isn't in Label Studio" for key in held.keys() - remote.keys()]
        doubled = [f"task {key} is there {n} times" for key, n in remote.items() if n > 1]
        doubled += [f"task {key} is nobody's" for key in remote.keys() - held.keys()]
        lost += self._lost_answers()
        answers = Counter(
            self.query("SELECT task_key, remote_id FROM annotations WHERE deleted_at IS NULL")
        )
        per_task = Counter(key for key, _ in answers)
        doubled += [f"task {key} has {n} answers" for key, n in per_task.items() if n > 1]
        n_framed = sum(int(str(n)) for (n,) in self.query("SELECT n_frame FROM rounds"))
        n_more = (
            n_framed - self.given.n_samples
        )  # each sample is in one frame, each frame has it once
        lost += [f"{-n_more} samples are in no frame"] if n_more < 0 else []
        doubled += [f"{n_more} samples are in a second frame"] if n_more > 0 else []
        return {
            "lost": lost,
            "doubled": doubled,
            "rounds twice": self._rounds_twice(),
            "events unheard, or under two ids": self._unheard(),
        }

    def _lost_answers(self) -> list[str]:
        held = {
            (str(key), str(number)): str(answer)
            for key, number, answer in self.query(
                "SELECT task_key, remote_id, answer FROM annotations WHERE deleted_at IS NULL"
            )
        }
        labels = {
            str(key): str(label) for key, label in self.query("SELECT task_key, label FROM labels")
        }
        return [
            f"answer {number} to {key}, {said}"
            for key, (number, said) in self.given.answers.items()
            if held.get((key, number)) != said or labels.get(key) != said
        ]

    def _rounds_twice(self) -> list[str]:
        rounds = self.query(
            "SELECT round, batch_from, batch_to, created_at FROM rounds ORDER BY round"
        )
        wrong = []
        for (_, _, to, at), (number, begin, _, next_at) in pairwise(rounds):
            apart = datetime.fromisoformat(str(next_at)) - datetime.fromisoformat(str(at))
            if apart < self.every:
                wrong.append(f"round {number} came {apart} after the one before")
            if begin != to:
                wrong.append(f"round {number} begins at batch {begin}, the one before ends at {to}")
        twice = self.query("SELECT sample_id, count(*) FROM draws GROUP BY 1 HAVING count(*) > 1")
        return wrong + [f"sample {key} was drawn {n} times" for key, n in twice]

    def _unheard(self) -> list[str]:
        told = self.query("SELECT notice_id, name, key FROM outbox")
        wrong = [f"{n} {key} was never heard" for i, n, key in told if i not in self.receiver.heard]
        wrong += [
            f"{i} was heard, and isn't in the outbox"
            for i in self.receiver.heard.keys() - {str(i) for i, _, _ in told}
        ]
        twice = Counter((name, key) for _, name, key in told)
        wrong += [f"{event} has {n} ids" for event, n in twice.items() if n > 1]
        return wrong + [
            f"{number} was told in {len(said)} ways"
            for number, said in self.receiver.heard.items()
            if len(said) > 1
        ]
