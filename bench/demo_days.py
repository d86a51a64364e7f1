"""How often the interval of the demonstration holds the truth: its days over many seeds, without servers.

Same digits, models and people, in the same loop; bucket, log and Label Studio are the public in-memory
ones, and the model is retrained on some of each day's digits.

Run as: python bench/demo_days.py [SEEDS]
"""

import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from labelloop.adapters.s3.access import S3Access
from labelloop.core.estimate import Estimate
from labelloop.core.queue import Purpose
from labelloop.demo import digits, project
from labelloop.demo.annotators import PEOPLE, Annotators
from labelloop.demo.clock import MovedClock
from labelloop.demo.digits import CLASSES
from labelloop.demo.model import train
from labelloop.demo.scenario import CLOSES, LABELLED_BY
from labelloop.demo.stage import DRIFTS_FROM, N_FIRST, N_PER_DAY
from labelloop.demo.traffic import serve
from labelloop.ledger import looks, rounds, tasks
from labelloop.loop import Loop
from labelloop.measuring.answers import RestsOn
from labelloop.measuring.blind_frame import blind_frames
from labelloop.project import Project
from labelloop.settings.file import load
from labelloop.testing import MemoryAnnotator, MemoryLog, MemoryStore

RETRAINED_ON = 300
"""With their true labels, in place of the training set that the demonstration builds."""
FIRST_DAY = date(2026, 3, 2)


def played(seed: int, folder: Path) -> Iterator[tuple[Estimate, float, RestsOn, int]]:
    """Each day's estimate, the truth, what it rests on, and the answers that it took."""
    clock = MovedClock(datetime.combine(FIRST_DAY, CLOSES, UTC))
    store = MemoryStore("s3://production", buckets=[project.BLIND_BUCKET], now=clock.now)
    annotator = MemoryAnnotator(now=clock.now)
    annotator.members = [person.email.partition("@")[0] for person in PEOPLE]
    project.write(
        folder / "labelloop.toml",
        store=S3Access(
            endpoint_url="http://127.0.0.1:9",
            access_key="a",
            secret_key="b",  # noqa: S106  nobody's
        ),
        label_studio_url="http://127.0.0.1:9",
        api_key="k",
        referees=[f"{name}@labelloop.invalid" for name in annotator.members],
    )
    loop = Loop(
        Project(
            load(folder / "labelloop.toml"),
            clock=clock,
            store=store,
            log=MemoryLog(),
            annotator=annotator,
        )
    )
    split = digits.split(digits.load(), n_first=N_FIRST, n_per_day=N_PER_DAY, seed=seed)
    taught = split.first
    truth: dict[bytes, str] = {}
    people = Annotators("http://127.0.0.1:9", "none", truth=truth, seed=seed)
    for number, plain in enumerate(split.days):
        model = train(f"mlp-{number + 1}", taught)
        day = FIRST_DAY + timedelta(days=number)
        taken = digits.drifted(plain) if number >= DRIFTS_FROM else plain
        taught = taught.joined(taken[slice(RETRAINED_ON)])
        served = serve(taken, model, day=day, seed=seed)
        by_key = {one.key: one for one in served}
        for one in served:
            store.put(one.key, one.png, tags=one.tags(with_feedback=False))
            truth[digest(one.png)] = one.truth
        clock.move_to(datetime.combine(day, CLOSES, UTC))
        ran = loop.run(now=True)
        clock.move_to(datetime.combine(day, LABELLED_BY, UTC))
        n_answers = 0
        for _ in range(4):
            n_answers += answer(loop, annotator, people, by_key)
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
        right = sum(one.right for one in served) / len(served)
        yield estimate, right, RestsOn.of(frame.reached, frame.checks.of(frame.reached)), n_answers
    loop.close()


def digest(png: bytes) -> bytes:
    """How people's knowledge of pictures is keyed."""
    from hashlib import sha256

    return sha256(png).digest()


def answer(loop: Loop, annotator: MemoryAnnotator, people: Annotators, served: object) -> int:
    """People answer every blind task that nobody has answered; returns how many answers."""
    with loop.project.ledger.read() as tx:
        drawn = list(rounds.draws_with_labels(tx, Purpose.EVALUATION))
        firsts = tasks.by_key(tx, [d.task_key for d in drawn])
        further = looks.tasks_of(tx, [t.sample_id for t in firsts.values()])
    sample_of = {t.task_key: t.sample_id for t in firsts.values()}
    sample_of |= {t.task_key: t.sample_id for own in further.values() for t in own.values()}
    n = 0
    for place in annotator.projects():
        for page in list(annotator.tasks(place.project_ref)):
            for task in page:
                one = served.get(sample_of.get(task.task_key or ""))  # type: ignore[attr-defined]
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
    """A line a day, and the count."""
    inside = n = 0
    for seed in range(int(sys.argv[1]) if len(sys.argv) > 1 else 20):
        with tempfile.TemporaryDirectory() as folder:
            for number, (e, right, rests, n_answers) in enumerate(played(seed, Path(folder)), 1):
                held = e.low <= right <= e.high
                inside += held
                n += 1
                print(
                    f"seed {seed} day {number}: {e.value:.3f} ({e.low:.3f} .. {e.high:.3f}), true "
                    f"{right:.3f} {'inside' if held else 'OUTSIDE'}; {rests.n_confirmed} of "
                    f"{rests.n_differing} confirmed, {rests.n_recaptured} recaptured, {n_answers} "
                    f"answers for {e.n} draws",
                    flush=True,
                )
    print(f"inside on {inside} of {n} days")


if __name__ == "__main__":
    main()
