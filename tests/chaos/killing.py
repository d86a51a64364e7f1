"""Two services of one project, killed anywhere for some minutes, while all the world goes on."""

import contextlib
import random
import time
from collections import Counter
from datetime import UTC, datetime

import httpx

from tests.chaos.served import Instance, LiveCourse

VICTIMS = ("worker", "supervisor", "both")
PAUSE_S = 4.0, 16.0
"""Between two kills from outside; workers kill themselves besides."""
SETTLED_S = 240.0
"""How long an undisturbed service may take to finish what was begun."""


def play(course: LiveCourse, *, minutes: float, seed: int, verbose: bool) -> int:
    """Kill, then let it end in peace, and print what came of it; 1 where anything is wrong."""
    rng = random.Random(seed)
    began = time.monotonic()
    instances = [
        Instance(course.folder, port, name=f"serve-{port}", aim=True) for port in course.ports
    ]
    kills: Counter[str] = Counter()
    try:
        while time.monotonic() - began < 60 * minutes:
            for instance in instances:
                if not instance.is_running:
                    instance.start()
            _world(course, rng, for_s=rng.uniform(*PAUSE_S))
            victim, what = rng.choice(instances), rng.choice(VICTIMS)
            kills[f"{what}, from outside"] += 1
            victim.kill(what)
            if verbose:
                print(f"{time.monotonic() - began:6.0f} s  killed {what}", flush=True)
    finally:
        for instance in instances:
            if instance.is_running:
                instance.kill("both")
    notes = [note.read_text() for note in (course.folder / "kills").iterdir()]
    kills["a worker, by itself at a point"] = len(notes)
    calm = Instance(course.folder, course.ports[0], name="calm", aim=False)
    calm.start()
    try:
        _settle(course)
    finally:
        code = calm.end()
    course.close_last_round()
    course.deliver_later()
    faults = course.faults()
    faults["exit code at the end"] = [str(code)] if code else []
    _tell(course, kills, notes, faults, minutes=(time.monotonic() - began) / 60)
    return 1 if any(faults.values()) else 0


def _world(course: LiveCourse, rng: random.Random, *, for_s: float) -> None:
    """Traffic and answers for a while."""
    until = time.monotonic() + for_s
    while time.monotonic() < until:
        course.serve_traffic(rng.randint(1, 4))
        with contextlib.suppress(httpx.TransportError):
            course.people_answer(at_most=4)
        time.sleep(0.5)


def _settle(course: LiveCourse) -> None:
    """Return once every task is sent and answered, and every answer is in the ledger."""
    until = time.monotonic() + SETTLED_S
    calm = 0
    while calm < 3 and time.monotonic() < until:
        n = course.people_answer()
        [(open_ones,)] = course.query(
            "SELECT count(*) FROM tasks WHERE state IN ('drawn', 'sending', 'sent', 'annotated')"
        )
        calm = calm + 1 if n == 0 and not open_ones else 0
        time.sleep(1)


def _tell(
    course: LiveCourse,
    kills: Counter[str],
    notes: list[str],
    faults: dict[str, list[str]],
    *,
    minutes: float,
) -> None:
    def n(statement: str) -> int:
        [(found,)] = course.query(statement)
        return int(str(found))

    rows = {
        "kills": kills.total(),
        **{f"  {what}": n for what, n in kills.most_common()},
        "samples": course.given.n_samples,
        "rounds": n("SELECT count(*) FROM rounds"),
        "draws": n("SELECT count(*) FROM draws"),
        "tasks": n("SELECT count(*) FROM tasks"),
        "answers that people gave": len(course.given.answers),
        "dataset versions": n("SELECT count(*) FROM datasets"),
        "events": n("SELECT count(*) FROM outbox"),
        "requests to the receiver": course.receiver.n_asked,
        "  of these failed": course.receiver.n_failed,
        **{what: len(found) for what, found in faults.items()},
        "minutes": round(minutes),
    }
    print(f"served, and killed, until {datetime.now(UTC):%H:%M}")
    for what, value in rows.items():
        print(f"{what:<36}{value:>8,}")
    for point, times in Counter(note.split(" of ")[0] for note in notes).most_common(15):
        print(f"  {times:>5}  {point}")
    for what, found in faults.items():
        for one in found[:20]:
            print(f"WRONG  {what}: {one}")
