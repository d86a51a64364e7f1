"""`python -m tests.faults`: every kind of fault before each server, at requests of every sort; a table.

A course lets one kind of fault befall each of its runs: a single request here and there, which tries
again may mend, and as many in a row as no retry outlasts.
"""

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from labelloop.demo.servers import LabelStudio, SeaweedFS, template_home
from tests.chaos.__main__ import USER, difference, summary
from tests.chaos.trial import STAGES, Course
from tests.faults.course import LABEL_STUDIO, S3, Passed, Proxies, outcome, play
from tests.faults.proxy import KINDS, ONLY, Fault, Seen

SERVERS = {LABEL_STUDIO: "Label Studio", S3: "S3"}
IN_A_ROW = 5
"""One more than the most attempts of a request."""
ENDLESS = "token expired"
"""A row of these is no passing failure: the token was revoked."""


@dataclass
class Row:
    """What one kind of fault before one server came to."""

    n_injected: int = 0
    sorts: set[str] = field(default_factory=set)
    n_differ: int = 0
    n_errors: int = 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--passes", type=int, default=1, help="how often each kind is tried")
    parser.add_argument("--kind", choices=KINDS, action="append", help="only this one")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--verbose", action="store_true", help="what befell, and what was said")
    asked = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="labelloop-faults-") as home,
        SeaweedFS(Path(home, "s3")) as store,
        LabelStudio(Path(home, "ls"), template=template_home(), **USER) as studio,
    ):
        studio.wait_ready()
        with Proxies(studio.url, store.endpoint_url) as proxies:
            through = (proxies.urls[0], proxies.urls[1])
            course = Course(Path(home, "trials"), store, studio, through=through)
            try:
                return report(course, proxies, asked)
            finally:
                course.close()


def report(course: Course, proxies: Proxies, asked: argparse.Namespace) -> int:
    """Play the courses and print the table; 1 where an end differs, or a run ended unexplained."""
    began = time.monotonic()
    calm = play(course, proxies, [[]] * len(STAGES))
    n_requests = sum(map(len, calm.seen))
    print(f"{n_requests} requests in {len(calm.seen)} runs; undisturbed: {summary(calm.end)}")
    rng = random.Random(asked.seed)
    rows: dict[tuple[str, int], Row] = {}
    bad: list[str] = []
    for n in range(asked.passes):
        for kind in asked.kind or KINDS:
            for server in SERVERS:
                if ONLY.get(kind, server) != server:
                    continue
                row = rows.setdefault((kind, server), Row())
                plan = [
                    planned(stage, kind, server, rng, row=n == i % 2)
                    for i, stage in enumerate(calm.seen)
                ]
                try:
                    passed = play(course, proxies, plan)
                except AssertionError as exc:
                    row.n_differ += 1
                    bad.append(f"{kind}, {SERVERS[server]}: {exc}")
                    print(f"UNEXPLAINED  {bad[-1]}", flush=True)
                    continue
                n_requests += sum(map(len, passed.seen))
                note(row, passed)
                if outcome(passed.end) != outcome(calm.end):
                    row.n_differ += 1
                    bad.append(f"{kind}, {SERVERS[server]}: {difference(calm.end, passed.end)}")
                    print(f"DIFFERS  {bad[-1]}", flush=True)
                if asked.verbose:
                    tell(kind, server, passed, time.monotonic() - began)
    print_table(rows)
    print(f"\n{n_requests} requests, {(time.monotonic() - began) / 60:.1f} minutes")
    return 1 if bad else 0


def planned(
    calm: Sequence[Seen], kind: str, server: int, rng: random.Random, *, row: bool
) -> list[Fault]:
    """Faults for one stage: three single ones at requests of different sorts, and perhaps a row of them."""
    names = [seen.name for seen in calm if seen.server == server]
    if not names:
        return []
    sorts = sorted(set(names))
    chosen = rng.sample(sorts, min(3, len(sorts)))
    places = sorted(rng.choice([i for i, n in enumerate(names, 1) if n == sort]) for sort in chosen)
    faults = [Fault(server, at, kind) for at in places]
    if row and kind != ENDLESS:
        faults.append(Fault(server, rng.randint(1, len(names)), kind, times=IN_A_ROW))
    return faults


def note(row: Row, passed: Passed) -> None:
    row.n_injected += len(passed.faults)
    row.sorts |= {seen.name for seen in passed.faults}
    row.n_errors += len(passed.errors)


def tell(kind: str, server: int, passed: Passed, after_s: float) -> None:
    where = "; ".join(sorted({seen.name for seen in passed.faults}))
    print(f"{after_s:6.0f} s  {kind}, {SERVERS[server]}: {where}", flush=True)
    for error in passed.errors:
        print(f"          {error}")


def print_table(rows: dict[tuple[str, int], Row]) -> None:
    head = (
        "kind of fault",
        "server",
        "injected",
        "sorts of request",
        "ends that differ",
        "explained errors",
    )
    print(f"\n{head[0]:<24}{head[1]:<14}{head[2]:>10}{head[3]:>18}{head[4]:>18}{head[5]:>18}")
    for (kind, server), row in rows.items():
        print(
            f"{kind:<24}{SERVERS[server]:<14}{row.n_injected:>10}{len(row.sorts):>18}"
            f"{row.n_differ:>18}{row.n_errors:>18}"
        )


if __name__ == "__main__":
    sys.exit(main())
