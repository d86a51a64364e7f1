"""Second looks from end to end, in memory: asked again, blind, by somebody else, each exactly once."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from labelloop.core.costs import Costs
from labelloop.core.estimate import Estimate
from labelloop.core.looks import Asked, Look, is_unconfirmed
from labelloop.core.task import TaskState
from labelloop.errors import ConfigError
from labelloop.ledger import rounds, tasks
from labelloop.ledger.rounds import DrawWithLabel
from labelloop.ledger.tables import leases
from labelloop.settings.file import load
from labelloop.statistics import MeanCost
from labelloop.steps.collect.second_looks import FOLLOWED_ROUNDS
from labelloop.steps.measure import measure
from tests.lasting import LastingWorld
from tests.world import ACCURACY, HEAD, LOW, Killed, World, kill_at_write

LOOKS = ACCURACY.replace("5", "40") + "second_look = true\n"
REFEREES = '\n[people]\nreferees = ["ref@labelloop.invalid", "Rob@labelloop.invalid"]\n'
PEOPLE = ["ana", "ben", "cem", "ref", "rob"]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path, LOOKS + REFEREES)
    world.annotator.members = list(PEOPLE)
    world.traffic(40)  # all of it is drawn, so none is a check for a guarantee
    world.loop.run(now=True)
    yield world
    world.loop.close()


def by_sample(world: World) -> dict[str, DrawWithLabel]:
    return {d.sample_id: d for d in world.draws("accuracy")}


def first_task(world: World, sample_id: str) -> str:
    (key,) = (d.task_key for d in world.draws("accuracy") if d.sample_id == sample_id)
    with world.loop.project.ledger.read() as tx:
        remote_id = tasks.by_key(tx, [key])[key].remote_id
    assert remote_id is not None
    return remote_id


def look_task(world: World, sample_id: str, look: Look) -> str:
    remote_id = world.looks()[sample_id, look].remote_id
    assert remote_id is not None
    return remote_id


def other(name: str | None) -> str:
    return "dog" if name == "cat" else "cat"


def checked(d: DrawWithLabel) -> bool:
    return Asked(d.predicted_class, d.line).checked


def answer_firsts(world: World, *, differing: int = 0, by: str = "ana") -> list[DrawWithLabel]:
    """Answer every first look; the first `differing` of those that chance doesn't check, differently."""
    draws = sorted(by_sample(world).values(), key=checked)
    for i, d in enumerate(draws):
        said = other(d.predicted_class) if i < differing else str(d.predicted_class)
        world.annotator.answer(first_task(world, d.sample_id), said, by=by)
    return draws


def turn(world: World) -> None:
    world.loop.collect()
    world.loop.send()


def test_what_differs_and_a_tenth_of_the_rest_are_asked_again_once(world: World) -> None:
    draws = answer_firsts(world, differing=5)
    turn(world)
    wanted = {(d.sample_id, Look.SECOND) for d in draws[:5]}
    wanted |= {(d.sample_id, Look.SECOND) for d in draws[5:] if checked(d)}
    assert 5 < len(wanted) < 15
    assert world.looks().keys() == wanted
    turn(world)
    assert world.looks().keys() == wanted
    keys = world.remote_keys()
    assert len(keys) == len(set(keys)) == 40 + len(wanted)
    world.assert_counts()


def test_a_referee_confirms_or_refutes_and_nobody_else_does(world: World) -> None:
    draw = answer_firsts(world, differing=1)[0]
    turn(world)
    assert by_sample(world)[draw.sample_id].label == other(draw.predicted_class)
    for who in ("ana", "ben"):
        look = look_task(world, draw.sample_id, Look.SECOND)
        assert look in world.annotator.offered(world.project_ref("accuracy"), by="ref")
        world.annotator.answer(look, str(draw.predicted_class), by=who)
        turn(world)
        held = by_sample(world)[draw.sample_id]
        assert held.label == other(draw.predicted_class)
        assert held.replies is not None
        assert is_unconfirmed(held.replies, held.predicted_class)
        assert look in world.annotator.offered(world.project_ref("accuracy"), by="ref")
    world.annotator.answer(look, str(draw.predicted_class), by="ref")
    turn(world)
    assert by_sample(world)[draw.sample_id].label == draw.predicted_class
    assert look not in world.annotator.offered(world.project_ref("accuracy"), by="rob")
    assert world.looks()[draw.sample_id, Look.SECOND].state is TaskState.RESOLVED


def test_the_numbers_of_each_class_go_by_the_answers_that_hold(world: World) -> None:
    refuted, confirmed = answer_firsts(world, differing=2)[:2]
    turn(world)
    for draw, said in (
        (refuted, str(refuted.predicted_class)),
        (confirmed, other(confirmed.predicted_class)),
    ):
        world.annotator.answer(look_task(world, draw.sample_id, Look.SECOND), said, by="ref")
    turn(world)
    n_wrong = 0.0
    for row in world.loop.measure().by_class.rows:
        assert isinstance(row.precision, Estimate)
        n_wrong += row.n_predicted * (1 - row.precision.value)
    assert n_wrong == pytest.approx(1)


def test_confirmed_errors_are_recaptured_while_few_looks_are_there(world: World) -> None:
    draw = answer_firsts(world, differing=1)[0]
    turn(world)
    second = look_task(world, draw.sample_id, Look.SECOND)
    world.annotator.answer(second, other(draw.predicted_class), by="ref")
    turn(world)
    again = look_task(world, draw.sample_id, Look.RECAPTURE)
    world.annotator.answer(again, str(draw.predicted_class), by="ben")
    turn(world)
    held = by_sample(world)[draw.sample_id]
    assert held.replies is not None
    assert held.replies[Look.RECAPTURE].by == "ben"
    assert held.label == other(draw.predicted_class)


def test_overlooked_errors_cost_as_they_count_in_the_accuracy(world: World) -> None:
    wrong = answer_firsts(world, differing=6)[:6]
    turn(world)
    for d in wrong:
        second = look_task(world, d.sample_id, Look.SECOND)
        world.annotator.answer(second, other(d.predicted_class), by="ref")
    turn(world)
    for i, d in enumerate(wrong):
        said = str(d.predicted_class) if i < 2 else other(d.predicted_class)
        world.annotator.answer(look_task(world, d.sample_id, Look.RECAPTURE), said, by="ben")
    turn(world)
    ledger = world.loop.project.ledger_to_read
    found = measure(ledger, clock=world.clock, timezone="UTC", costs=Costs())
    accuracy = found.last_seven_days.estimate
    assert isinstance(accuracy, Estimate)
    assert isinstance(found.cost, MeanCost)
    assert "further answers" in found.cost.method
    assert found.cost.value == pytest.approx(1 - accuracy.value, abs=0.01)
    assert found.cost.value == pytest.approx(6 / 40 / (1 - 2 / 6), abs=0.02)


def test_an_edit_of_the_first_answer_changes_what_is_asked_and_what_holds(world: World) -> None:
    draw = sorted(by_sample(world).values(), key=checked)[0]
    first = first_task(world, draw.sample_id)
    answer = world.annotator.answer(first, other(draw.predicted_class), by="ana")
    world.loop.collect()
    world.annotator.edit(answer, str(draw.predicted_class))
    turn(world)
    look = world.looks()[draw.sample_id, Look.SECOND]
    assert (look.state, look.remote_id) == (TaskState.ABANDONED, None)
    world.clock.pass_(minutes=5)
    world.annotator.edit(answer, other(draw.predicted_class))
    turn(world)
    assert world.looks()[draw.sample_id, Look.SECOND].state is TaskState.SENT
    world.annotator.answer(look_task(world, draw.sample_id, Look.SECOND), "cat", by="ref")
    turn(world)
    assert by_sample(world)[draw.sample_id].label == "cat"
    world.assert_counts()


def test_an_answer_that_turns_out_to_be_the_first_persons_is_asked_again(world: World) -> None:
    draw = sorted(by_sample(world).values(), key=checked)[0]
    first = first_task(world, draw.sample_id)
    answer = world.annotator.answer(first, other(draw.predicted_class), by="ana")
    turn(world)
    second = look_task(world, draw.sample_id, Look.SECOND)
    world.annotator.answer(second, str(draw.predicted_class), by="ref")
    turn(world)
    assert by_sample(world)[draw.sample_id].label == draw.predicted_class
    world.annotator.delete_annotation(answer)
    world.annotator.answer(first, other(draw.predicted_class), by="ref")
    turn(world)
    assert by_sample(world)[draw.sample_id].label == other(draw.predicted_class)
    assert world.looks()[draw.sample_id, Look.SECOND].state is TaskState.SENT
    assert second in world.annotator.offered(world.project_ref("accuracy"), by="rob")


def test_a_look_holds_nothing_of_its_kind_nor_of_another_answer(world: World) -> None:
    draws = answer_firsts(world, differing=5)
    turn(world)
    again = look_task(world, draws[0].sample_id, Look.SECOND)
    first, look = (
        world.annotator.data_of(i) for i in (first_task(world, draws[0].sample_id), again)
    )
    assert first.keys() == look.keys() == {"image", "labelloop"}
    assert first["image"] != look["image"]
    assert first["labelloop"] != look["labelloop"]
    project = world.project_ref("accuracy")
    assert {p.project_ref for p in world.annotator.projects()} == {project}
    (held,) = world.annotator.find(project, [str(look["labelloop"])])
    assert held.annotations == ()
    assert held.people == 1


def test_a_referee_who_leaves_keeps_what_they_said_and_another_takes_over(world: World) -> None:
    draws = answer_firsts(world, differing=2)
    turn(world)
    said = look_task(world, draws[0].sample_id, Look.SECOND)
    world.annotator.answer(said, str(draws[0].predicted_class), by="ref")
    turn(world)
    world.configure(LOOKS + REFEREES.replace('"ref@labelloop.invalid", ', ""))
    world.clock.pass_(hours=1)
    turn(world)
    assert by_sample(world)[draws[0].sample_id].label == draws[0].predicted_class
    waiting = look_task(world, draws[1].sample_id, Look.SECOND)
    world.clock.pass_(hours=1)
    world.annotator.answer(waiting, str(draws[1].predicted_class), by="ref")
    turn(world)
    assert by_sample(world)[draws[1].sample_id].label == other(draws[1].predicted_class)
    world.annotator.answer(waiting, str(draws[1].predicted_class), by="rob")
    turn(world)
    assert by_sample(world)[draws[1].sample_id].label == draws[1].predicted_class


def test_a_round_keeps_the_rule_it_began_with(world: World) -> None:
    world.configure(ACCURACY)
    draws = answer_firsts(world, differing=3)
    turn(world)
    assert len(world.looks()) >= 3
    n = len(world.looks())
    world.clock.pass_(days=1)
    world.traffic(50)
    world.loop.run()
    with world.loop.project.ledger.read() as tx:
        assert [r.second_look for r in rounds.every(tx)] == [True, False]
    for d in world.draws("accuracy"):
        if d.round == 2:
            assert d.replies is None
            world.annotator.answer(
                first_task(world, d.sample_id), other(d.predicted_class), by="ana"
            )
    turn(world)
    assert len(world.looks()) == n
    assert draws


def test_one_person_alone_is_asked_nothing_twice(tmp_path: Path) -> None:
    world = World(tmp_path, LOOKS)
    world.traffic(60)
    world.loop.run(now=True)
    answer_firsts(world, differing=4)
    turn(world)
    assert not world.looks()
    world.annotator.members = ["ana", "ben"]
    turn(world)
    assert len(world.looks()) >= 4
    world.loop.close()


def test_a_referee_nobody_knows_is_an_error_that_names_the_members(tmp_path: Path) -> None:
    world = World(tmp_path, LOOKS + REFEREES)
    world.annotator.members = ["ana", "ref"]
    world.traffic(60)
    with pytest.raises(ConfigError, match=r"referee 'Rob@labelloop.invalid' is no member") as info:
        world.loop.collect()
    assert "ana@labelloop.invalid, ref@labelloop.invalid" in info.value.remedy
    world.loop.close()


def test_a_referee_who_is_alone_is_an_error(tmp_path: Path) -> None:
    world = World(tmp_path, LOOKS + REFEREES.replace(', "Rob@labelloop.invalid"', ""))
    world.annotator.members = ["ref"]
    with pytest.raises(ConfigError, match="is the only person in"):
        world.loop.collect()
    world.loop.close()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (LOOKS + "annotators_per_sample = 2\n", "annotators_per_sample asks them anyway"),
        (LOOKS + "overlap = 0.1\n", "overlap asks them anyway"),
        (ACCURACY + LOW + "second_look = true\n", "second_look is for evaluation queues"),
        (LOOKS + '[people]\nreferees = ["ann"]\n', "expected an e-mail address"),
        (LOOKS + '[people]\nreferees = ["a@b.c", "A@b.c"]\n', "is listed twice"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(
    tmp_path: Path, text: str, says: str
) -> None:
    path = tmp_path / "labelloop.toml"
    path.write_text(HEAD + text)
    with pytest.raises(ConfigError, match=says):
        load(path, {})


def play(world: World, luck: random.Random, steps: int) -> None:
    """People take what they are offered and answer, wrongly now and then."""
    project = world.project_ref("accuracy")
    for _ in range(steps):
        who = luck.choice(PEOPLE)
        offered = list(world.annotator.offered(project, by=who))
        if offered:
            task = luck.choice(offered)
            if luck.random() < 0.05:
                world.annotator.skip(task, by=who)
            else:
                world.annotator.answer(task, luck.choice(["cat", "dog"]), by=who)


def bury(world: World) -> None:
    """What a new process finds after one that was killed: the holder of its leases is dead."""
    world.restart()
    with world.loop.project.ledger.write_at_once() as tx:
        tx.execute(leases.delete())


@pytest.mark.parametrize("seed", range(3))
def test_killed_anywhere_it_ends_as_if_it_had_never_been(tmp_path: Path, seed: int) -> None:
    """The same people and the same answers: a process that is killed at each of its writes in turn
    leaves the ledger as one that wasn't.
    """
    outcomes = []
    for killed in (False, True):
        folder = tmp_path / f"{seed} {killed}"
        folder.mkdir()
        world = World(folder, LOOKS.replace("40", "12") + REFEREES)
        world.annotator.members = list(PEOPLE)
        world.traffic(30)
        world.loop.run(now=True)
        luck = random.Random(seed)
        for day in range(5):
            play(world, luck, 12)
            for at in range(1, 12 if killed else 1):
                kill_at_write(world, at)
                try:
                    world.loop.collect()
                    world.loop.send()
                except Killed:
                    bury(world)
                else:
                    world.restart()
                    break
            turn(world)
            world.clock.pass_(hours=1 + day)
        keys = world.remote_keys()
        assert len(keys) == len(set(keys))
        world.assert_counts()
        outcomes.append(
            {
                d.sample_id: (d.label, None if d.replies is None else dict(d.replies))
                for d in world.draws("accuracy")
            }
        )
        outcomes.append({k: t.state for k, t in world.looks().items()})
        world.loop.close()
    assert outcomes[:2] == outcomes[2:]


def test_a_look_that_waits_in_an_old_round_is_still_followed(tmp_path: Path) -> None:
    world = World(tmp_path, LOOKS.replace("40", "2") + REFEREES)
    world.annotator.members = list(PEOPLE)
    world.traffic(2)
    world.loop.run(now=True)
    draw = answer_firsts(world, differing=1)[0]
    turn(world)
    for _ in range(FOLLOWED_ROUNDS + 1):
        world.clock.pass_(minutes=5)
        world.traffic(1)
        world.loop.index()
        world.loop.select(now=True)
    look = look_task(world, draw.sample_id, Look.SECOND)
    world.annotator.answer(look, "cat", by="ana")  # who looked first
    turn(world)
    assert look in world.annotator.offered(world.project_ref("accuracy"), by="ref")
    world.annotator.answer(look, str(draw.predicted_class), by="ref")
    turn(world)
    assert by_sample(world)[draw.sample_id].label == draw.predicted_class
    assert world.looks()[draw.sample_id, Look.SECOND].state is TaskState.RESOLVED
    world.loop.close()


def test_status_tells_by_account_which_answers_count_as_none(world: World) -> None:
    draw = answer_firsts(world, differing=1)[0]
    turn(world)
    look = look_task(world, draw.sample_id, Look.SECOND)
    for who in ("ana", "ben"):
        world.annotator.answer(look, "cat", by=who)
    turn(world)
    assert world.loop.status().n_wasted == {"ana": 1, "ben": 1}
    world.annotator.answer(look, "cat", by="ref")
    turn(world)
    assert world.loop.status().n_wasted == {"ana": 1, "ben": 1}


def test_a_lost_ledger_gets_its_second_looks_back(tmp_path: Path) -> None:
    world = LastingWorld(tmp_path, LOOKS + REFEREES)
    world.annotator.members = list(PEOPLE)
    world.traffic(40)
    world.loop.run(now=True)
    draws = answer_firsts(world, differing=3)
    turn(world)
    for d, said in zip(draws[:2], (True, False), strict=True):
        name = str(d.predicted_class) if said else other(d.predicted_class)
        world.annotator.answer(look_task(world, d.sample_id, Look.SECOND), name, by="ref")
    turn(world)
    recapture = look_task(world, draws[1].sample_id, Look.RECAPTURE)
    world.annotator.answer(recapture, str(draws[1].predicted_class), by="ben")
    turn(world)

    def held() -> tuple[object, object]:
        labels = {s: (d.label, d.replies) for s, d in by_sample(world).items()}
        return labels, {k: (t.task_key, t.remote_id, t.state) for k, t in world.looks().items()}

    before, keys = held(), world.remote_keys()
    world.loop.close()
    for path in world.files("ledger.db*"):
        path.unlink()
    world.restart()
    found = world.loop.rebuild_ledger()
    assert found.n_unknown == 0
    assert found.n_tasks == {"accuracy": len(keys)}
    assert found.n_answers == 40 + 3
    turn(world)
    assert held() == before
    assert world.remote_keys() == keys
    world.loop.close()
