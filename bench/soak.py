"""An hour of `labelloop serve` at a hundred times the speed of time: memory and open files over it.

python -m bench.soak [--minutes 60] [--every-s 30]

A day takes 864 seconds: a round is due so often, and the verbs each nine seconds (15 minutes). Traffic
comes as in the demonstration, 3,000 inputs of 20 kB a day; people answer all that is open, and open the
image first, through the gateway; a program hears of events; a browser and a monitor ask all the while.
Label Studio and the S3 server are real.
"""

import argparse
import contextlib
import os
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import httpx
from tests.chaos.__main__ import HEARS_US, USER
from tests.chaos.served import Instance, LiveCourse

from labelloop.demo.servers import LabelStudio, SeaweedFS, template_home

DAY_S = 864
A_DAY = 3_000
ASKED = ("/", "/metrics", "/api/v1/status", "/api/v1/report", "/readyz")


@dataclass(frozen=True, slots=True)
class Sample:
    """What the two processes hold at one moment."""

    minutes: float
    web_mb: float
    worker_mb: float
    web_files: int
    worker_files: int


class Soaked(LiveCourse):
    """Its images are PNG of 20 kB."""

    def _image(self, n: int) -> bytes:
        return b"\x89PNG\r\n\x1a\n" + f"image {n}".encode() + os.urandom(20_000)

    def people_look(self) -> int:
        """Open the image of each open task; returns how many could be seen."""
        n = 0
        with httpx.Client(trust_env=False, timeout=30) as browser:
            for task in self._tasks():
                if not task["annotations"]:
                    shown = browser.get(task["data"]["image"])
                    n += shown.headers.get("content-type") == "image/png"
        return n


def held(pid: int) -> tuple[float, int]:
    """Resident memory in MB and open files of a process."""
    status = Path(f"/proc/{pid}/status").read_text()
    [line] = [line for line in status.splitlines() if line.startswith("VmRSS:")]
    return int(line.split()[1]) / 1024, len(list(Path(f"/proc/{pid}/fd").iterdir()))


def sample(service: Instance, began: float) -> Sample:
    """Look at both processes; the worker is the first child of the one that answers."""
    assert service.process is not None
    web, worker = held(service.process.pid), held(service.workers()[0])
    minutes = (time.monotonic() - began) / 60
    return Sample(minutes, web[0], worker[0], web[1], worker[1])


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--every-s", type=float, default=30)
    asked = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="labelloop-soak-") as home,
        SeaweedFS(Path(home, "s3")) as store,
        LabelStudio(
            Path(home, "ls"), template=template_home(), settings=HEARS_US, **USER
        ) as studio,
    ):
        studio.wait_ready()
        course = Soaked(
            *(Path(home, "trials"), store, studio),
            every_s=DAY_S,
            run_every="9 seconds",
            fails=False,
            images="gateway",
        )
        try:
            return soak(course, asked.minutes, asked.every_s)
        finally:
            course.close()


def soak(course: Soaked, minutes: float, every_s: float) -> int:
    """Serve so long; print a line a sample, and what came of it."""
    service = Instance(course.folder, course.ports[0], name="serve", aim=False)
    service.start()
    began, ending = time.monotonic(), threading.Event()
    counts = {"samples": 0, "images": 0, "answers": 0, "pages": 0, "pages that failed": 0}
    lives = [
        threading.Thread(target=live, args=(course, counts, ending)),
        threading.Thread(target=watch, args=(service, counts, ending)),
    ]
    for each in lives:
        each.start()
    samples: list[Sample] = []
    try:
        while time.monotonic() - began < 60 * minutes:
            time.sleep(every_s)
            with contextlib.suppress(OSError, IndexError):
                samples.append(sample(service, began))
                tell(samples[-1])
    finally:
        ending.set()
        for each in lives:
            each.join()
        code = service.end()
    failed = [line for line in service.lines() if line["level"] == "error"]
    [(n_rounds,)] = course.query("SELECT count(*) FROM rounds")
    print(f"ended with {code}; {n_rounds} rounds; {counts}; {len(failed)} errors")
    for line in failed[:10]:
        print(line)
    for line in table(samples):
        print(line)
    return code


def live(course: Soaked, counts: dict[str, int], ending: threading.Event) -> None:
    """Traffic, and people who look at images and answer."""
    began, n_due = time.monotonic(), 0
    while not ending.wait(3):
        n_due = int((time.monotonic() - began) / DAY_S * A_DAY) - course.given.n_samples
        course.serve_traffic(min(n_due, 50))
        with contextlib.suppress(httpx.HTTPError):
            counts["images"] += course.people_look()
            counts["answers"] += course.people_answer()
        counts["samples"] = course.given.n_samples


def watch(service: Instance, counts: dict[str, int], ending: threading.Event) -> None:
    """A browser and a monitor that ask for everything, every two seconds."""
    with httpx.Client(base_url=service.url, trust_env=False, timeout=30) as browser:
        while not ending.wait(2):
            for path in ASKED:
                counts["pages"] += 1
                with contextlib.suppress(httpx.HTTPError):
                    if browser.get(path).is_success:
                        continue
                counts["pages that failed"] += 1


def tell(one: Sample) -> None:
    print(
        f"{one.minutes:6.1f} min  web {one.web_mb:6.1f} MB {one.web_files:4} files  "
        f"worker {one.worker_mb:6.1f} MB {one.worker_files:4} files",
        flush=True,
    )


def table(samples: list[Sample]) -> list[str]:
    """The mean of each sixth of the time, in Markdown."""
    size = max(1, len(samples) // 6)
    parts = [samples[i : i + size] for i in range(0, size * 6, size) if samples[i : i + size]]
    rows = [
        "| until | web | worker | open files of web | of the worker |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for part in parts:
        n = len(part)
        rows.append(
            f"| {part[-1].minutes:.0f} min | {sum(s.web_mb for s in part) / n:.0f} MB "
            f"| {sum(s.worker_mb for s in part) / n:.0f} MB | {max(s.web_files for s in part)} "
            f"| {max(s.worker_files for s in part)} |"
        )
    return rows


if __name__ == "__main__":
    sys.exit(main())
