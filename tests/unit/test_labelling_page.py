"""The labelling page as a project's annotator, alone and beside another: from a draw to a number."""

import re
import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner

from labelloop.adapters.desk.annotator import DeskAnnotator
from labelloop.cli.ledger import command as ledger_command
from labelloop.cli.people import command
from labelloop.core.remote_id import is_of_page
from labelloop.core.verdict import Outcome
from labelloop.errors import ArgumentError, ConfigError
from labelloop.ledger import tasks
from labelloop.loop import Loop
from labelloop.ports.desk import Answer, Desk
from labelloop.project import Project
from labelloop.project.both import BothAnnotators
from labelloop.settings.file import load
from tests.lasting import LastingWorld
from tests.postgres import PostgreSQL
from tests.world import ACCURACY, HEAD, LOW, World

PAGE = HEAD.replace('url = "http://127.0.0.1:9"\napi_key = "k"\n', "").replace(
    "[label_studio]", "[labelling_page]"
)
LOOKS = ACCURACY.replace("5", "20") + "second_look = true\n"
REFEREES = '\n[people]\nreferees = ["Rea@labelloop.example"]\n'


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path, ACCURACY + LOW, head=PAGE)
    yield world
    world.loop.close()


def opened(world: World, **parts: object) -> Loop:
    """The project with the annotators that its settings name."""
    given = {"clock": world.clock, "store": world.store, "log": world.log, **parts}
    return Loop(Project(world.settings, **given))  # type: ignore[arg-type]


def desk_of(loop: Loop) -> Desk:
    assert loop.project.desk is not None
    return loop.project.desk


def label(desk: Desk, queue: str, person: str, choice: str = "cat", n: int = 1000) -> int:
    """Answer what waits in a queue for a person; returns how much."""
    done = 0
    while done < n and (items := desk.next_items(queue, person)):
        for item in items[: n - done]:
            given = Answer(answer_id=uuid.uuid4().hex, item_id=item.item_id, choice=choice)
            assert desk.give(person, given).outcome is Outcome.SAVED
            done += 1
    desk.release(person)
    return done


def test_people_label_without_label_studio_from_draw_to_number(world: World) -> None:
    world.traffic(30)
    with opened(world) as loop:
        loop.run(now=True)
        desk = desk_of(loop)
        assert [q.name for q in desk.queues("ana")] == ["accuracy", "low"]
        assert label(desk, "accuracy", "ana") == 5
        assert label(desk, "low", "ana") == 4
        loop.run()
        value = loop.measure().last_seven_days
        assert value.n_labelled == 5
        assert loop.status().queues[0].n_open == 0
    assert (world.state / "answers.db").exists()


def test_a_blind_item_shows_its_image_through_the_gateway_and_nothing_else(world: World) -> None:
    world.traffic(30)
    with opened(world) as loop:
        loop.run(now=True)
        items = [*desk_of(loop).next_items("accuracy", "ana")]
        [helped, *_] = desk_of(loop).next_items("low", "ana")
    assert all(item.image is not None and len(item.image) == len("/media/") + 32 for item in items)
    assert all(not item.shown for item in items)
    assert set(helped.shown) == {"confidence", "predicted_class"}
    assert not [u for u in world.store.objects_by_uri if u.startswith("s3://blind")], "no copies"


def test_second_looks_go_to_a_referee_and_never_to_the_first_person(tmp_path: Path) -> None:
    world = World(tmp_path, LOOKS + REFEREES, head=PAGE)
    world.traffic(20)
    rea = "rea@labelloop.example"
    with opened(world) as loop:
        desk = desk_of(loop)
        for person in ("ana", "ben", rea):
            desk.assign(person, None)
        loop.run(now=True)
        assert label(desk, "accuracy", "ana") == 20
        loop.run()
        assert (label(desk, "accuracy", "ana"), label(desk, "accuracy", "ben")) == (0, 0)
        assert all(item.second_look for item in desk.next_items("accuracy", rea))
        n_looks = label(desk, "accuracy", rea)
        assert n_looks > 0
        loop.run()
        with loop.project.ledger.read() as tx:
            assert not [t for t in tasks.projects(tx) if not is_of_page(t)]
        assert loop.measure().n_referees == 1
    world.loop.close()


def test_an_excluded_persons_answers_are_asked_again_and_the_number_forgets_them(
    world: World,
) -> None:
    world.traffic(30)
    with opened(world) as loop:
        loop.run(now=True)
        desk = desk_of(loop)
        label(desk, "accuracy", "ana", n=3)
        label(desk, "accuracy", "ben")
        loop.run()
        assert desk.exclude("ana") == 3
        loop.collect()
        value = loop.measure().last_seven_days
        assert value.n_labelled == 2
        assert label(desk, "accuracy", "ben") == 3
        loop.run()
        again = loop.measure().last_seven_days
        assert again.n_labelled == 5


def test_a_queue_moves_to_the_page_and_keeps_its_numbers(tmp_path: Path) -> None:
    world = World(tmp_path, ACCURACY)
    world.traffic(30)
    world.loop.run(now=True)
    open_there = world.annotator.task_ids("p1")
    for remote_id in open_there[:3]:
        world.annotator.answer(remote_id, "cat", by="7")
    world.loop.run()
    world.loop.close()
    world.settings = load(tmp_path / "labelloop.toml", {})
    both = BothAnnotators(
        world.annotator,
        DeskAnnotator(f"sqlite:///{tmp_path / 'answers.db'}", now=world.clock.now),
        on_page=frozenset({"accuracy"}),
    )
    with opened(world, annotator=both) as loop:
        world.annotator.answer(open_there[3], "cat", by="7")
        world.clock.pass_(days=1)
        world.traffic(30)
        loop.run(now=True)
        assert {p.takes_tasks for p in both.projects()} == {True, False}
        value = loop.measure().last_seven_days
        assert value.n_labelled == 4, "what is open there is still collected"
        with loop.project.ledger.read() as tx:
            assert len([ref for ref in tasks.projects(tx) if is_of_page(ref)]) == 1


def test_settings_name_where_people_label(tmp_path: Path) -> None:
    path = tmp_path / "labelloop.toml"

    def read(text: str) -> frozenset[str]:
        path.write_text(text)
        return load(path, {}).on_page()

    low = LOW + 'annotator = "labelling-page"\nguidelines = "guide.md"\n'
    assert read(PAGE + ACCURACY + LOW) == {"accuracy", "low"}
    assert read(HEAD + ACCURACY + LOW) == frozenset()
    assert read(HEAD + "[labelling_page]\n" + ACCURACY + low) == {"low"}
    assert load(path, {}).queue[1].guidelines == tmp_path / "guide.md"
    with pytest.raises(ConfigError, match=r"guide\.md"):
        Project(load(path, {})).desk  # noqa: B018  it is opened
    guide = tmp_path / "guide.md"
    for named in ("gone.png", "../outside.png", "guide.md"):
        guide.write_text(f"![ripe]({named})")
        with pytest.raises(ConfigError, match=re.escape(named)):
            Project(load(path, {})).desk  # noqa: B018  it is opened
    (tmp_path / "ripe fig.jpg").write_bytes(b"\xff\xd8\xff\xe0")
    guide.write_text("![ripe](ripe%20fig.jpg) ![far](https://example.com/x.png)")
    assert Project(load(path, {})).desk is not None
    for text, said in {
        PAGE.replace("[labelling_page]", "") + ACCURACY: "label_studio is missing",
        HEAD + ACCURACY + low: "labelling_page.* is missing",
        PAGE + ACCURACY + 'annotator = "label-studio"\n': "label_studio.* is missing",
        PAGE + ACCURACY + 'images = "gateway"\n': "leave it out",
    }.items():
        with pytest.raises(ConfigError, match=said):
            read(text)


def test_people_are_added_approved_excluded_and_invited(tmp_path: Path) -> None:
    world = World(tmp_path, ACCURACY + LOW, head=PAGE)
    world.loop.close()
    config = ["--config", str(tmp_path / "labelloop.toml")]

    def people(*said: str) -> str:
        result = CliRunner().invoke(command, [*said, *config])
        assert result.exit_code == 0, result.output
        return result.output

    people("add", "ana", "--scopes", "label", "--queues", "low")
    people("add", "ben", "--scopes", "label,read")
    link = people("join-link", "low", "--people", "1").strip()
    with opened(world) as loop:
        assert loop.project.desk is not None
        reply, token = loop.join(link.rpartition("/join/")[2], "new")
        assert reply.accepted
        assert token is not None
        assert loop.join(link.rpartition("/join/")[2], "newer")[0].outcome is Outcome.LINK_OVER
        assert loop.join(link.rpartition("/join/")[2], "ana")[0].outcome is Outcome.NAME_TAKEN
    listed = people("list")
    assert re.search(r"ana +low +0 +count", listed)
    assert re.search(r"new +low +0 +wait for an approval", listed)
    assert "0 answers of new count" in people("approve", "new")
    assert "ben is excluded" in people("exclude", "ben")
    assert re.search(r"ben +all +0 +excluded", people("list"))
    again = ["add", "ben", "--scopes", "label,read"]
    assert "labelloop_" in people(*again), "a new token, and what ben answered counts again"
    assert re.search(r"ben +all +0 +count", people("list"))
    with pytest.raises(ArgumentError, match="there is an account 'ben' already") as refused:
        CliRunner().invoke(command, [*again, *config], catch_exceptions=False)
    assert "`labelloop people exclude ben` and then this command again" in refused.value.remedy
    with pytest.raises(ArgumentError, match=r"isn't one of the labelling page's"):
        CliRunner().invoke(command, ["join-link", "nope", *config], catch_exceptions=False)


def test_a_backup_holds_the_answers(world: World) -> None:
    world.traffic(30)
    with opened(world) as loop:
        loop.run(now=True)
        label(desk_of(loop), "accuracy", "ana")
        made = loop.back_up(world.folder / "backups")
    assert "answers.db" in made.sizes_bytes
    for file in world.state.glob("*.db*"):
        file.unlink()
    with opened(world) as loop:
        restored = loop.restore(made.folder)
        assert "answers.db" in restored.sizes_bytes
    with opened(world) as loop:
        loop.collect()
        assert loop.measure().last_seven_days.n_labelled == 5


def test_answers_in_postgresql_stay_where_they_are_and_a_backup_says_so(
    postgresql: PostgreSQL, tmp_path: Path
) -> None:
    url = postgresql.database()
    head = PAGE.replace("[labelling_page]", f'[labelling_page]\nanswers = "{url}"')
    world = World(tmp_path, ACCURACY, head=head)
    world.traffic(30)
    with opened(world) as loop:
        loop.run(now=True)
        label(desk_of(loop), "accuracy", "ana")
    config = ["--config", str(tmp_path / "labelloop.toml")]
    said = CliRunner().invoke(ledger_command, ["backup", str(tmp_path / "kept"), *config])
    assert "pg_dump --schema=labelloop_answers" in said.output
    for file in world.state.glob("ledger.db*"):
        file.unlink()
    [kept] = (tmp_path / "kept").iterdir()
    said = CliRunner().invoke(ledger_command, ["restore", str(kept), *config])
    assert "answers in PostgreSQL are as they were" in said.output
    with opened(world) as loop:
        loop.collect()
        assert loop.measure().last_seven_days.n_labelled == 5
    world.loop.close()


def test_nothing_is_left_of_a_forgotten_sample(tmp_path: Path) -> None:
    world = World(tmp_path, ACCURACY + LOW.replace("4", "50"), head=PAGE)
    world.put("zoe/portrait.png", confidence="0.2")
    world.traffic(30)
    with opened(world) as loop:
        loop.run(now=True)
        desk = desk_of(loop)
        for queue in ("accuracy", "low"):
            label(desk, queue, "ana")
        loop.run()
        before = loop.measure().last_seven_days
        [task] = [t for t in world.tasks().values() if t.sample_id == "zoe/portrait.png"]
        with closing(sqlite3.connect(world.state / "answers.db")) as held:
            of = "SELECT item_id FROM tasks WHERE task_key = ?"
            [[item_id]] = held.execute(of, [task.task_key]).fetchall()
        traces = (task.task_key.encode(), item_id.encode())
        assert all(any(trace in read for read in answers_files(world)) for trace in traces)
        assert loop.forget(["zoe/portrait.png"]).n_tasks == 1
        assert not any(trace in read for read in answers_files(world) for trace in traces)
        assert desk.item(item_id, "ana") is None
        assert loop.measure().last_seven_days == before
    world.loop.close()


def answers_files(world: World) -> list[bytes]:
    return [path.read_bytes() for path in sorted(world.state.glob("answers.db*"))]


def test_a_lost_ledger_is_rebuilt_with_the_pages_answers(tmp_path: Path) -> None:
    world, out = LastingWorld(tmp_path, ACCURACY + LOW, head=PAGE), tmp_path / "out"
    world.traffic(30)

    def again() -> Loop:
        return Loop(Project(world.settings, clock=world.clock, store=world.store))

    with again() as loop:
        loop.run(now=True)
        label(desk_of(loop), "accuracy", "ana")
        label(desk_of(loop), "low", "ben")
        loop.run()
        world.clock.pass_(days=1, minutes=1)
        loop.run()
        labels, versions = world.labels(), loop.datasets()
        of = [version for version in versions if version.name == "training"]
        assert loop.export(of[-1:], "csv", out).n_written == of[-1].n_human + of[-1].n_model
    for path in world.state.glob("ledger.db*"):
        path.unlink()
    world.restart()
    with again() as loop:
        found = loop.rebuild_ledger()
        assert (found.n_answers, found.n_unknown) == (len(labels), 0)
        loop.collect()
        assert world.labels() == labels
        assert loop.datasets() == versions
    world.loop.close()
