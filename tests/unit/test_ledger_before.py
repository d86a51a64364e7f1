"""A ledger that the version before wrote goes on: its tasks keep their keys, its numbers stay the same.

fixtures/ledger_0004.json holds that ledger, row by row, and ledger_0004_numbers.json what its own version
said of it: a project in memory of three days, 40 predictions each (`day_of_traffic`), with answers, edits,
skips, strays and deletions, two people to a sample of the queue "low", certificates and dataset versions.
"""

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

import labelloop.ledger.migrations
from labelloop.core.estimate import Estimate, Undefined
from labelloop.core.queue import Purpose
from labelloop.ledger import Ledger, cursors, rounds, tasks
from labelloop.ledger import tables as t
from labelloop.ledger.engine import database_url
from labelloop.ledger.move import move
from tests.world import HEAD, START, World

if TYPE_CHECKING:
    from labelloop.measuring.accuracy import Accuracy
    from tests.postgres import PostgreSQL

FIXTURES = Path(__file__).parent / "fixtures"
TERMS = HEAD.replace("confidence = 0.9", "max_error = 0.3\nfailure_probability = 0.3")
QUEUES = """
[[queue]]
name = "accuracy"
purpose = "evaluation"
budget = 24

[[queue]]
name = "low"
purpose = "training"
where = "confidence < 0.5"
budget = 5
annotators_per_sample = 2
"""


def held() -> dict[str, Any]:
    """The rows of the ledger: of each table its columns and their values."""
    found: dict[str, Any] = json.loads((FIXTURES / "ledger_0004.json").read_text())
    return found


def said() -> dict[str, Any]:
    """What the version that wrote it said."""
    text = (FIXTURES / "ledger_0004_numbers.json").read_text()
    found: dict[str, Any] = json.loads(text, parse_float=lambda number: digits(float(number)))
    return found


def digits(number: float) -> float:
    """A number to twelve digits: an order of summing that is another changes the last of its sixteen."""
    return float(f"{number:.12g}")


def fill(connection: sa.Connection, folder: Path) -> None:
    """Make a ledger of version 0004, and write the rows into it."""
    config = Config()
    place = Path(labelloop.ledger.migrations.__file__).parent
    config.set_main_option("script_location", str(place))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, "0004")
    there = sa.MetaData()
    there.reflect(connection)
    for name, rows in held().items():
        table = there.tables[name]
        moments = {c.name for c in table.columns if isinstance(c.type, sa.DateTime)}
        connection.execute(
            table.insert(),
            [
                {
                    column: datetime.fromisoformat(value)
                    if column in moments and value is not None
                    else value.replace("/FOLDER", str(folder))
                    if column == "uri"
                    else value
                    for column, value in zip(rows["columns"], row, strict=True)
                }
                for row in rows["rows"]
            ],
        )
    if connection.dialect.name == "postgresql":
        for name, column in (("draws", "draw"), ("events", "id")):
            highest = sa.select(sa.func.max(there.tables[name].c[column])).scalar_subquery()
            connection.execute(
                sa.select(sa.func.setval(sa.func.pg_get_serial_sequence(name, column), highest))
            )


@pytest.fixture
def before(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> str:
    """The URL of the ledger, as the version before left it."""
    if kind == "sqlite":
        url = f"sqlite:///{tmp_path}/before.db"
    else:
        server: PostgreSQL = request.getfixturevalue("postgresql")
        url = server.database()
    engine = sa.create_engine(database_url(url))
    with engine.begin() as connection:
        fill(connection, tmp_path / "project")
    engine.dispose()
    return url


def day_of_traffic(world: World) -> None:
    for i in range(40):
        world.n += 1
        sure = i % 4 != 0
        confidence = (0.9 if sure else 0.4) + world.rng.random() / 20
        world.put(
            f"class_{i % 2:02d}/{world.n:05d}.png",
            predicted_class=["cat", "dog"][i % 2],
            confidence=f"{confidence:.3f}",
        )


@pytest.fixture
def world(before: str, tmp_path: Path) -> Iterator[World]:
    """The project, its log filled as it was then, over the ledger, which is brought to this version."""
    folder = tmp_path / "project"
    (tmp_path / "then").mkdir()
    folder.mkdir()
    then = World(tmp_path / "then", QUEUES, head=TERMS)
    for batch in held()["batches"]["rows"]:
        assert batch[1] == "predictions"
        day_of_traffic(then)
        then.loop.index()
        then.clock.pass_(days=1)
    then.loop.close()
    Ledger.open(before).close()
    world = World(folder, QUEUES, head=TERMS + f'\n[state]\nledger = "{before}"\n')
    world.store, world.log = then.store, then.log
    world.clock.at = START.replace(day=5)
    world.restart()
    yield world
    world.loop.close()


def numbers_of(estimate: Estimate | Undefined) -> list[float] | None:
    if isinstance(estimate, Undefined):
        return None
    return [
        digits(number)
        for number in (
            estimate.value,
            estimate.low,
            estimate.high,
            estimate.n,
            estimate.n_effective,
            estimate.worst_low,
            estimate.worst_high,
        )
    ]


def accuracy_as_said(a: "Accuracy") -> dict[str, Any]:
    return {
        "name": a.name,
        "estimate": numbers_of(a.estimate),
        "counts": [a.n_drawn, a.n_labelled, a.n_skipped, a.n_waiting, a.n_traffic],
    }


def test_its_tasks_keep_their_keys_and_what_was_a_number_is_a_text(before: str) -> None:
    old = held()["tasks"]
    rows = [dict(zip(old["columns"], row, strict=True)) for row in old["rows"]]
    ledger = Ledger.open(before)
    with ledger.read() as tx:
        found = tasks.by_key(tx, [row["task_key"] for row in rows])
        looks = tx.execute(sa.select(t.tasks.c.look).distinct()).scalars().all()
        swept = [cursors.get(tx, f"swept:{project}") for project in tasks.projects(tx)]
        assert cursors.get(tx, "annotator") == "http://label-studio.invalid"
    ledger.close()
    assert looks == [0]
    assert swept == [None, None], "the next collect looks through each project once"
    assert len(found) == len(rows)
    for row in rows:
        task = found[row["task_key"]]
        number = row["ls_task_id"]
        assert (task.sample_id, task.purpose) == (row["sample_id"], row["purpose"])
        assert (task.state, task.queue) == (row["state"], row["queue"])
        assert task.remote_id == (None if number is None else str(number))
        assert task.project_ref == (None if number is None else str(row["project_id"]))


def test_it_says_the_same_numbers(world: World) -> None:
    told = said()
    measured = world.loop.measure()
    found = [measured.last_seven_days, *measured.rounds]
    n_classes = len(measured.by_class.rows)
    for row, before in zip(measured.by_class.rows, told["accuracies"][-n_classes:], strict=True):
        assert (row.name, row.n_predicted) == (before["name"], before["counts"][1])
        assert row.share_predicted == pytest.approx(before["counts"][4] / 120, abs=0.01)
        assert numbers_of(row.precision)[0] == pytest.approx(before["estimate"][0], abs=0.05)
    for a, before in zip(found, told["accuracies"][:-n_classes], strict=True):
        now = accuracy_as_said(a)
        assert (now["name"], now["counts"]) == (before["name"], before["counts"])
        if a.n_skipped == a.n_waiting == 0:
            assert now == before
        else:  # answers that are missing count by the response rate of their risk since then
            assert now["estimate"][0] == pytest.approx(before["estimate"][0], abs=0.05)
    agreement = [
        [a.queue, numbers_of(a.estimate), a.n_samples, a.n_tied] for a in measured.agreement
    ]
    assert agreement == told["agreement"]
    assert world.labels() == told["labels"]


def test_it_shows_what_it_guaranteed_and_releases_the_same_datasets(world: World) -> None:
    told = said()
    with world.loop.project.ledger.write_at_once() as tx:
        newest = [list(v) for v in sorted({n: v for n, v, _ in told["datasets"]}.items())]
        for name, version in newest:  # to be released again from what the ledger holds
            tx.execute(
                t.datasets.delete().where(
                    t.datasets.c.name == name, t.datasets.c.version == version
                )
            )
    built = world.loop.build()
    certificates = [
        [
            c.id,
            list(c.rounds),
            c.closed,
            c.n_audits,
            c.n_answered,
            c.n_wrong,
            c.human_labels,
            c.n_accepted,
        ]
        for c in built.certificates
    ]
    # the third was open: the test that it waited for is gone
    assert certificates == told["certificates"][:2]
    released = {(v.name, v.version): v for v in world.loop.datasets()}
    for name, version, content in told["datasets"]:
        if (name, version) != ("training", newest[-1][1]):
            assert released[name, version].content_hash == content
    # the label that the first kept stays in the versions that hold it, and is in no new one
    assert (released["training", 2].n_certified, built.training.n_certified) == (1, 0)
    assert built.training.n_human == released["training", 3].n_human


def test_a_new_draw_of_an_old_sample_names_its_old_task(world: World) -> None:
    world.clock.pass_(days=1)
    before = {f"{task.purpose}:{task.sample_id}": key for key, task in by_key(world).items()}
    world.loop.select(since=START.replace(day=1))
    drawn = [d for d in world.draws() if d.round == 4]
    shared = [d for d in drawn if f"{d.purpose}:{d.sample_id}" in before]
    assert len(shared) > 10
    assert all(d.task_key == before[f"{d.purpose}:{d.sample_id}"] for d in shared)


def by_key(world: World) -> dict[str, Any]:
    return {task.task_key: task for task in world.tasks().values()}


def test_it_moves_to_another_database(before: str, tmp_path: Path) -> None:
    ledger, target = Ledger.open(before), Ledger.open(f"sqlite:///{tmp_path}/target.db")
    moved = {m.table: m.n_rows for m in move(ledger, target, progress=lambda *_: None)}
    assert moved["tasks"] == len(held()["tasks"]["rows"])
    with target.read() as tx:
        assert len(list(rounds.draws_with_labels(tx, Purpose.EVALUATION))) == 72
    ledger.close()
    target.close()
