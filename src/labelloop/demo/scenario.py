"""Three days in production, on real servers: traffic, labels, a number, a better model."""

from collections.abc import Iterable, Sequence
from contextlib import ExitStack, closing
from datetime import UTC, date, datetime, time
from hashlib import sha256

from labelloop.core.dataset import Origin, Row
from labelloop.core.estimate import Undefined
from labelloop.core.looks import Look
from labelloop.core.queue import Purpose
from labelloop.demo import digits, folder, report, waiting
from labelloop.demo.annotators import PEOPLE, Annotators, Eyes
from labelloop.demo.dashboard import Dashboard
from labelloop.demo.digits import CLASSES, Digits
from labelloop.demo.model import Model, train
from labelloop.demo.page_people import PagePeople
from labelloop.demo.project import BUCKET, FIRST_BUDGET, LATER_BUDGET
from labelloop.demo.screen import Screen
from labelloop.demo.stage import (
    CONFIG,
    DRIFTS_FROM,
    Options,
    Stage,
    days_of,
    set_up,
    write_config,
)
from labelloop.demo.traffic import Served, serve
from labelloop.exports import manifest
from labelloop.loop import Ran, open_loop
from labelloop.measuring.answers import RestsOn
from labelloop.measuring.blind_frame import blind_frames
from labelloop.settings.file import load

CLOSES, LABELLED_BY = time(20), time(23)


def play(options: Options, screen: Screen) -> list[report.Day]:
    """The whole demonstration; returns what its days came to, once everything is stopped."""
    with ExitStack() as stack:
        started_over = stack.enter_context(folder.fresh(options.folder))
        if started_over:
            screen.say(f"starting over: deleted what an earlier run left in {options.folder}")
        stage = stack.enter_context(set_up(options, screen))
        stack.callback(screen.say, "stopping the servers")
        stack.callback(_part_from_people, stage)
        played = _days(stage)
        screen.say()
        screen.say(report.table(played))
        screen.say()
        screen.say(report.conclusion(played))
        dashboard = stack.enter_context(Dashboard(options.folder / CONFIG))
        with screen.step("the dashboard of these three days") as progress:
            dashboard.wait_ready(progress)
        if options.stay:
            waiting.stay(screen, stage.studio, options.folder / CONFIG, dashboard.url)
        else:
            screen.say(f"the dashboard answered at {dashboard.url}; without --exit it stays")
    return played


def _days(stage: Stage) -> list[report.Day]:
    played: list[report.Day] = []
    model = stage.first_model
    for number, day in enumerate(days_of(stage.options)):
        stage.screen.say()
        stage.screen.say(_headline(number, day, model))
        model, done = _day(stage, number, day, model)
        played.append(done)
    return played


def _headline(number: int, day: date, model: Model) -> str:
    weather = ": the camera is tilted, blurred and badly lit" if number == DRIFTS_FROM else ""
    return f"[bold]Day {number + 1}, {day:%d %b %Y}[/bold], served by {model.version}{weather}"


def _day(stage: Stage, number: int, day: date, model: Model) -> tuple[Model, report.Day]:
    """Serve, label, measure and retrain for a day; returns the model of the next one."""
    served = _serve(stage, number, day, model)
    if number == 0:
        _invite(stage)
    elif number == 1:
        write_config(stage, LATER_BUDGET)
        stage.screen.say(
            f"labelloop.toml: budget = {LATER_BUDGET} from now on; the first day's {FIRST_BUDGET} labels "
            "were for a guarantee"
        )
    stage.clock.move_to(datetime.combine(day, CLOSES, UTC))
    closed = _run(stage, now=True)
    stage.clock.move_to(datetime.combine(day, LABELLED_BY, UTC))
    answered, n_given = _answered(stage)
    # _run has raised where a verb failed; the type checker can't follow.
    assert closed.selected is not None  # noqa: S101
    assert answered.measured is not None  # noqa: S101
    rows, evaluated = (_rows(stage, name) for name in ("training", "evaluation"))
    learned = _learned(stage, rows)
    with stage.screen.step(f"forest-{number + 2}: trained on {len(learned):,} images"):
        retrained = train(f"forest-{number + 2}", learned)
    rounds = answered.measured.rounds
    answers = [row for row in (*rows, *evaluated) if row.round == closed.selected.round]
    return retrained, report.Day(
        day=day,
        drifted=number >= DRIFTS_FROM,
        model=model.version,
        n_traffic=len(served),
        asked=tuple(
            report.Asked(
                queue=plan.queue,
                blind=plan.purpose is Purpose.EVALUATION,
                n=plan.n_drawn,
                n_matching=plan.n_matching,
            )
            for plan in closed.selected.plans
        ),
        answers=_part(stage, answers, Origin.HUMAN),
        estimate=rounds[-1].estimate if rounds else Undefined("no round was drawn"),
        rests_on=_rests_on(stage, closed.selected.round),
        true_accuracy=sum(one.right for one in served) / len(served),
        guaranteed=_guaranteed(stage, rows, served),
        n_given=n_given,
        by_model=_part(stage, rows, Origin.MODEL),
        by_people=_part(stage, rows, Origin.HUMAN),
        next_day=_next_day(stage, number, retrained),
    )


def _serve(stage: Stage, number: int, day: date, model: Model) -> tuple[Served, ...]:
    """A day's traffic, in the bucket; and what users say of it, and of the day before."""
    served = serve(stage.split.days[number], model, day=day, seed=stage.options.seed)
    for one in served:
        stage.served[one.key] = one
        stage.truth[sha256(one.png).digest()] = one.truth
    with stage.screen.step(f"{len(served):,} images into s3://{BUCKET}, tagged") as progress:
        stage.bucket.store(served, lambda done: progress("", done, len(served)))
        stage.bucket.hear([*stage.late, *(one for one in served if not one.late)])
    stage.late = [one for one in served if one.late]
    return served


def _run(stage: Stage, *, now: bool) -> Ran:
    """One `labelloop run`, as a user would have it on the command line.

    Raises:
        LabelloopError: a verb failed.
    """
    command = "labelloop run --now" if now else "labelloop run"
    said: list[tuple[str, object]] = []
    with stage.screen.step(command) as progress:
        config = stage.options.folder / CONFIG
        with open_loop(config, clock=stage.clock, progress=progress) as loop:
            ran = loop.run(now=now, report=lambda verb, result: said.append((verb, result)))
    for verb, result in said:
        stage.options.verb_said(verb, result)
    for failure in ran.failures.values():
        raise failure
    return ran


def _invite(stage: Stage) -> None:
    """Write labelloop.toml, and let people sign up, unless the person at the browser labels."""
    own, studio = stage.options, stage.studio
    if studio is None:
        config = own.folder / CONFIG
        people = PagePeople(config, stage.clock, Eyes(stage.truth, seed=own.seed))
        stage.people = people
        write_config(stage, FIRST_BUDGET)
        people.join()
        return
    assert stage.booted is not None  # noqa: S101  it boots where there is one
    stage.booted.result()
    if not own.annotate_yourself:
        stage.people = Annotators(studio.url, studio.legacy_token, truth=stage.truth, seed=own.seed)
        with stage.screen.step(f"{len(PEOPLE)} people sign up in Label Studio"):
            stage.people.join()
    write_config(stage, FIRST_BUDGET)


def _part_from_people(stage: Stage) -> None:
    if stage.people is not None:
        stage.people.close()


def _answered(stage: Stage) -> tuple[Ran, int | None]:
    """Label and collect until nobody is asked again; returns the last run and the answers given."""
    n_given = None if stage.people is None else 0
    for _ in Look:
        given = _label(stage)
        n_given = None if n_given is None else n_given + given
        ran = _run(stage, now=False)
        if stage.people is None or ran.sent is None or not ran.sent.n_sent:
            break
    return ran, n_given


def _label(stage: Stage) -> int:
    """Wait for the person at the browser, or let people work; returns how many answers they gave."""
    studio = stage.studio
    if stage.people is None:
        assert studio is not None  # noqa: S101  the labelling page has people of its own
        with closing(Annotators(studio.url, studio.legacy_token, truth=stage.truth)) as watched:
            waiting.for_person(stage.screen, watched.n_waiting, studio)
        return 0
    where = "on the labelling page" if studio is None else "in Label Studio"
    with stage.screen.step(f"people answer {where}") as progress:
        return stage.people.work(lambda done, total: progress("", done, total))


def _rests_on(stage: Stage, number: int | None) -> RestsOn | None:
    """The answers behind the accuracy of a round."""
    path = stage.options.folder / CONFIG
    with open_loop(path, clock=stage.clock) as loop, loop.project.ledger.read() as tx:
        frames = [f for f in blind_frames(tx) if f.round.round == number]
    return RestsOn.of(frames[0].reached, frames[0].checks.of(frames[0].reached)) if frames else None


def _rows(stage: Stage, name: str) -> list[Row]:
    """The newest version of a dataset; empty where there is none."""
    with open_loop(stage.options.folder / CONFIG, clock=stage.clock) as loop:
        released = [version for version in loop.datasets() if version.name == name]
        return list(manifest.rows(released[-1])) if released else []


def _learned(stage: Stage, rows: Sequence[Row]) -> Digits:
    """What the next model learns from: the first digits, and the training set."""
    import numpy as np

    if not rows:
        return stage.split.first
    with stage.screen.step("training set: images from the bucket") as progress:
        keys = [row.sample_id for row in rows]
        content = stage.bucket.read(keys, lambda done: progress("", done, len(keys)))
    built = Digits(
        images=np.stack([digits.from_png(content[key]) for key in keys]),
        labels=np.array([CLASSES.index(row.label) for row in rows], np.int64),
    )
    return stage.split.first.joined(built)


def _part(stage: Stage, rows: Iterable[Row], origin: Origin) -> report.Part:
    of_origin = [row for row in rows if row.origin is origin]
    n_wrong = sum(row.label != stage.served[row.sample_id].truth for row in of_origin)
    return report.Part(n=len(of_origin), n_wrong=n_wrong)


def _guaranteed(stage: Stage, rows: Iterable[Row], served: Iterable[Served]) -> report.Guaranteed:
    """The model labels of a day's traffic in the training set that a guarantee stands behind."""
    keys = {one.key for one in served}
    kept = [row for row in rows if row.certificate is not None and row.sample_id in keys]
    return report.Guaranteed(
        n=len(kept),
        n_wrong=sum(row.label != stage.served[row.sample_id].truth for row in kept),
        max_error=load(stage.options.folder / CONFIG).training.max_error,
    )


def _next_day(stage: Stage, number: int, retrained: Model) -> report.NextDay:
    after = stage.split.days[number + 1]
    return report.NextDay(
        n=len(after),
        retrained=retrained.answer(after.images).accuracy(after.labels),
        first=stage.first_model.answer(after.images).accuracy(after.labels),
    )
