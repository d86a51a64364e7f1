"""How often the interval of the demonstration holds the truth: its days over many seeds, without servers.

Same digits, models, people and settings, in the same loop; bucket, log and Label Studio are the public
in-memory ones. All answers are counted, those of training and of second looks too.

Run as: python -m bench.demo_days [SEEDS] [FIRST SEED]
"""

import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np

from labelloop.adapters.s3.access import S3Access
from labelloop.core.estimate import Estimate
from labelloop.core.queue import Purpose
from labelloop.demo import digits, project
from labelloop.demo.annotators import PEOPLE, Annotators
from labelloop.demo.clock import MovedClock
from labelloop.demo.digits import CLASSES, Digits
from labelloop.demo.model import train
from labelloop.demo.scenario import CLOSES, LABELLED_BY
from labelloop.demo.stage import DRIFTS_FROM, N_FIRST, N_PER_DAY
from labelloop.demo.traffic import Served, serve
from labelloop.exports import manifest
from labelloop.ledger import looks, rounds, tasks
from labelloop.loop import Loop
from labelloop.measuring.answers import RestsOn
from labelloop.measuring.blind_frame import blind_frames
from labelloop.project import Project
from labelloop.settings.file import load
from labelloop.testing import MemoryAnnotator, MemoryLog, MemoryStore

FIRST_DAY = date(2026, 3, 2)


@dataclass(frozen=True, slots=True)
class Played:
    """A day: its estimate, the truth, what it rests on, its answers, and the labels under a guarantee."""

    estimate: Estimate
    truth: float
    rests: RestsOn
    n_answers: int
    n_guaranteed: int
    n_wrong: int

    @property
    def inside(self) -> bool:
        return self.estimate.low <= self.truth <= self.estimate.high


def played(seed: int, folder: Path) -> Iterator[Played]:
    """The days, one after the other."""
    clock = MovedClock(datetime.combine(FIRST_DAY, CLOSES, UTC))
    store = MemoryStore("s3://production", buckets=[project.BLIND_BUCKET], now=clock.now)
    annotator = MemoryAnnotator(now=clock.now)
    annotator.members = [person.email.partition("@")[0] for person in PEOPLE]
    log = MemoryLog()
    every: dict[str, Served] = {}
    split = digits.split(digits.load(), n_first=N_FIRST, n_per_day=N_PER_DAY, seed=seed)
    taught = split.first
    truth: dict[bytes, str] = {}
    people = Annotators("http://127.0.0.1:9", "none", truth=truth, seed=seed)
    for number, plain in enumerate(split.days):
        project.write(
            folder / "labelloop.toml",
            store=S3Access(
                endpoint_url="http://127.0.0.1:9",
                access_key="a",
                secret_key="b",  # noqa: S106  nobody's
            ),
            label_studio=("http://127.0.0.1:9", "k"),
            referees=[f"{name}@labelloop.invalid" for name in annotator.members],
            budget=project.LATER_BUDGET if number else project.FIRST_BUDGET,
        )
        settings = load(folder / "labelloop.toml")
        loop = Loop(Project(settings, clock=clock, store=store, log=log, annotator=annotator))
        model = train(f"forest-{number + 1}", taught)
        day = FIRST_DAY + timedelta(days=number)
        taken = digits.drifted(plain) if number >= DRIFTS_FROM else plain
        served = serve(taken, model, day=day, seed=seed)
        every |= {one.key: one for one in served}
        for one in served:
            store.put(one.key, one.png, tags=one.tags(with_feedback=True))
            truth[digest(one.png)] = one.truth
        clock.move_to(datetime.combine(day, CLOSES, UTC))
        ran = loop.run(now=True)
        clock.move_to(datetime.combine(day, LABELLED_BY, UTC))
        n_answers = 0
        for _ in range(4):
            n_answers += answer(loop, annotator, people, every)
            ran = loop.run()
            if ran.sent is None or not ran.sent.n_sent:
                break
        for failure in ran.failures.values():
            raise failure
        with loop.project.ledger.read() as tx:
            frame = blind_frames(tx)[-1]
        assert ran.measured is not None
        estimate = ran.measured.rounds[-1].estimate
        assert isinstance(estimate, Estimate)
        rows = [
            row for v in loop.datasets()[-1:] for row in manifest.rows(loop.dataset("training"))
        ]
        kept = [
            row for row in rows if row.certificate is not None and every[row.sample_id] in served
        ]
        yield Played(
            estimate,
            sum(one.right for one in served) / len(served),
            RestsOn.of(frame.reached, frame.checks.of(frame.reached)),
            n_answers,
            len(kept),
            sum(row.label != every[row.sample_id].truth for row in kept),
        )
        loop.close()
        if rows:
            built = Digits(
                images=np.stack([digits.from_png(every[row.sample_id].png) for row in rows]),
                labels=np.array([CLASSES.index(row.label) for row in rows], np.int64),
            )
            taught = split.first.joined(built)


def digest(png: bytes) -> bytes:
    """How people's knowledge of pictures is keyed."""
    from hashlib import sha256

    return sha256(png).digest()


def answer(
    loop: Loop, annotator: MemoryAnnotator, people: Annotators, served: Mapping[str, Served]
) -> int:
    """People answer every task that nobody has answered; returns how many answers."""
    with loop.project.ledger.read() as tx:
        drawn = [d for p in Purpose for d in rounds.draws_with_labels(tx, p)]
        firsts = tasks.by_key(tx, [d.task_key for d in drawn])
        further = looks.tasks_of(tx, [t.sample_id for t in firsts.values()])
    sample_of = {t.task_key: t.sample_id for t in firsts.values()}
    sample_of |= {t.task_key: t.sample_id for own in further.values() for t in own.values()}
    n = 0
    for place in annotator.projects():
        for page in list(annotator.tasks(place.project_ref)):
            for task in page:
                one = served.get(sample_of.get(task.task_key or "", ""))
                if task.annotations or one is None:
                    continue
                person = people._taker(one.png, int(task.remote_id[1:]))
                if person is None:
                    continue
                said = people.judge(one.png, CLASSES, person)
                annotator.answer(task.remote_id, said, by=person.email.partition("@")[0])
                n += 1
    return n


def main() -> None:
    """A line a day, and the counts."""
    first = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    seeds: list[list[Played]] = []
    for seed in range(first, first + n):
        with tempfile.TemporaryDirectory() as folder:
            seeds.append([])
            for number, day in enumerate(played(seed, Path(folder)), 1):
                seeds[-1].append(day)
                e, rests = day.estimate, day.rests
                print(
                    f"seed {seed} day {number}: {e.value:.3f} ({e.low:.3f} .. {e.high:.3f}), true "
                    f"{day.truth:.3f} {'inside' if day.inside else 'OUTSIDE'}; {rests.n_confirmed} of "
                    f"{rests.n_differing} confirmed, {rests.n_recaptured} recaptured, {day.n_answers} "
                    f"answers for {e.n} draws; {day.n_guaranteed} guaranteed, {day.n_wrong} wrong",
                    flush=True,
                )
    days = [day for one in seeds for day in one]
    early = sum(any(day.n_guaranteed for day in one[:2]) for one in seeds)
    kept = [day for day in days if day.n_guaranteed]
    held = sum(day.n_wrong <= 0.05 * day.n_guaranteed for day in kept)
    answers = [sum(day.n_answers for day in one) for one in seeds]
    print(
        f"inside on {sum(day.inside for day in days)} of {len(days)} days; a guarantee by day 2 in "
        f"{early} of {n} runs; of {len(kept)} days with one it held on {held}; "
        f"{sum(answers) / n:.0f} answers on average, at most {max(answers)}"
    )


if __name__ == "__main__":
    main()
