"""`python -m tests.chaos`: kill at every point, or at random for a while, and print what came of it.

A course kills each of its runs once: the k-th course at the k-th point of every run. With `--serve` two
services of one project are killed instead, anywhere and by themselves at such points, for some minutes.
With `--desk` people answer on the labelling page, and are killed too.
"""

import argparse
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from labelloop.demo.servers import LabelStudio, SeaweedFS, template_home
from tests.chaos import killing
from tests.chaos.desk_trial import DeskCourse
from tests.chaos.served import LiveCourse
from tests.chaos.trial import Course, End

USER = {"username": "demo@labelloop.example", "password": "labelloop-demo"}

HEARS_US = {"SSRF_PROTECTION_ENABLED": "false"}
"""Lets Label Studio call a service of this machine."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--every", type=int, default=1, help="only each so many-th course")
    parser.add_argument("--minutes", type=float, help="kill at random, several times a course")
    parser.add_argument("--serve", action="store_true", help="kill services, for 10 minutes")
    parser.add_argument("--desk", action="store_true", help="on the labelling page")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--verbose", action="store_true", help="a line a course")
    asked = parser.parse_args()
    if asked.desk:
        with (
            tempfile.TemporaryDirectory(prefix="labelloop-chaos-") as home,
            SeaweedFS(Path(home, "s3")) as store,
            closing(DeskCourse(Path(home, "trials"), store)) as on_page,
        ):
            return play(on_page, asked)
    with (
        tempfile.TemporaryDirectory(prefix="labelloop-chaos-") as home,
        SeaweedFS(Path(home, "s3")) as store,
        LabelStudio(
            Path(home, "ls"), template=template_home(), settings=HEARS_US, **USER
        ) as studio,
    ):
        studio.wait_ready()
        if asked.serve:
            return serve(Path(home, "trials"), store, studio, asked)
        with closing(Course(Path(home, "trials"), store, studio)) as course:
            return play(course, asked)


def serve(home: Path, store: SeaweedFS, studio: LabelStudio, asked: argparse.Namespace) -> int:
    """Kill services of a project whose rounds are due every 8 seconds."""
    course = LiveCourse(home, store, studio, every_s=8, run_every="1 second", fails=True)
    try:
        return killing.play(
            course, minutes=asked.minutes or 10, seed=asked.seed, verbose=asked.verbose
        )
    finally:
        course.close()


def play(course: Course, asked: argparse.Namespace) -> int:
    """Run the trials; 1 where an end differs from the undisturbed one."""
    began = time.monotonic()
    expected, points, _ = course.run({})
    total = sum(len(p) for p in points.values())
    kinds = Counter(name.split(" of ")[0] for p in points.values() for name in p)
    print(f"{total} points in {len(points)} processes; undisturbed: {summary(expected)}")
    bad: list[str] = []
    n_killed = n_courses = n_draws = n_tasks = n_answers = n_lost = n_duplicated = 0
    for kills in planned(points, asked, began):
        n_courses += 1
        found, _, killed = course.run(kills)
        n_killed += len(killed)
        n_draws += len(found.draws)
        n_tasks += found.n_remote
        n_lost += found.lost(expected)
        n_duplicated += found.n_duplicated
        n_answers += found.n_remote_annotations
        where = "; ".join(killed) or "nowhere"
        if asked.verbose:
            print(f"{time.monotonic() - began:6.0f} s  killed {where}", flush=True)
        if found != expected:
            bad.append(f"killed {where}: {difference(expected, found)}")
            print(f"DIFFERS  {bad[-1]}", flush=True)
            for alone in ({i: at} for i, at in kills.items()):
                found, _, killed = course.run(alone)
                if found != expected:
                    what = difference(expected, found)
                    print(f"  also killed only {'; '.join(killed)}: {what}", flush=True)
        elif n_courses % 10 == 0:
            print(f"{n_courses} courses, {n_killed} kills, last {where}", flush=True)
    print()
    for what, n in {
        "points reached": total,
        "kills": n_killed,
        "courses": n_courses,
        "processes": n_courses * len(points) + n_killed,
        "draws": n_draws,
        "tasks of people": n_tasks,
        "annotations": n_answers,
        "lost": n_lost,
        "duplicated": n_duplicated,
        "ends that differ": len(bad),
        "minutes": round((time.monotonic() - began) / 60, 1),
    }.items():
        print(f"{what:<28}{n:>8}")
    for kind, n in kinds.most_common():
        print(f"  {n:>5}  {kind}")
    return 1 if bad else 0


def planned(
    points: dict[int, list[str]], asked: argparse.Namespace, began: float
) -> Iterator[dict[int, int]]:
    """Which runs are killed at which point, course by course."""
    if asked.minutes is None:
        for at in range(1, max(map(len, points.values())) + 1, asked.every):
            yield {i: at for i, reached in points.items() if at <= len(reached)}
        return
    rng = random.Random(asked.seed)
    while time.monotonic() - began < 60 * asked.minutes:
        yield {i: rng.randint(0, len(p)) for i, p in points.items()}


def summary(end: End) -> str:
    """What a course comes to."""
    return (
        f"{len(end.draws)} draws, {len(end.tasks)} tasks, {end.n_annotations} annotations, "
        f"{len(end.datasets)} dataset versions, {end.n_copies} blind copies left"
    )


def difference(expected: End, found: End) -> str:
    """What is not as it should be."""
    names = [n for n in End.__dataclass_fields__ if getattr(expected, n) != getattr(found, n)]
    return "; ".join(f"{n}: {getattr(expected, n)!r} != {getattr(found, n)!r}" for n in names)[
        :2000
    ]


if __name__ == "__main__":
    sys.exit(main())
