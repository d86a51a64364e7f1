"""Training queues choose what teaches most, and never what an accuracy is measured from."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from math import log

import pytest
import sqlalchemy as sa

from labelloop.core.line import line
from labelloop.core.sample import Prediction, Role
from labelloop.errors import ConfigError, WhereError
from labelloop.ledger import tables as t
from labelloop.ports.annotator import Suggestion
from labelloop.settings.file import load
from labelloop.steps.index.batch_writer import write_batches
from tests.unit.conftest import MakeWorld
from tests.world import ACCURACY, HEAD, World

AT = datetime(2026, 3, 2, 11, tzinfo=UTC)
TEACH = '[[queue]]\nname = "teach"\npurpose = "training"\nbudget = {budget}\npick = "{pick}"\n'


def teach(pick: str, budget: int = 4, more: str = "") -> str:
    return TEACH.format(pick=pick, budget=budget) + more


def said(world: World, sample_id: str, p: Sequence[float] | None, **changes: object) -> Prediction:
    """A prediction; its class is the likelier one."""
    row = Prediction(
        sample_id=sample_id,
        uri=f"s3://production/{sample_id}",
        predicted_at=AT,
        model="m1",
        predicted_class="cat" if p is None or p[0] >= p[1] else "dog",
        confidence=None if p is None else max(p),
        line=line(sample_id, world.log.salt),
        content_hash=f"hash of {sample_id}",
        size_bytes=10,
        probabilities=p,
    )
    return replace(row, **changes)  # type: ignore[arg-type]


def log_rows(world: World, rows: Sequence[Prediction]) -> None:
    """Write one batch of predictions, as index does."""
    project = world.loop.project
    with project.ledger.lease("index") as lease:
        write_batches(
            *(project.ledger, project.log, lease),
            predictions=rows,
            feedback=[],
            set_aside=[],
            mended=[],
            now=AT,
        )


def chosen(world: World, queue: str = "teach") -> list[sa.Row[tuple[object, ...]]]:
    """The draws of a queue in the order of sending."""
    d = t.draws.c
    wanted = sa.select(d.sample_id, d.pick, d.score, d.rank, d.reason, d.inclusion)
    with world.loop.project.ledger.read() as tx:
        return list(tx.execute(wanted.where(d.queue == queue).order_by(d.position)))


def ids(world: World, queue: str = "teach") -> list[str]:
    return [row.sample_id for row in chosen(world, queue)]


POOL: dict[str, list[float] | None] = {
    "a": [0.5, 0.5, 0.0],
    "b": [0.4, 0.3, 0.3],
    "c": [0.9, 0.1, 0.0],
    "d": [0.6, 0.2, 0.2],
    "e": [0.6, 0.4, 0.0],
    "f": [0.5, 0.5, 0.0],
    "none": None,
    "g": [1.0, 0.0, 0.0],
}


def by_hand(pick: str, p: list[float]) -> float:
    """The score as a textbook has it."""
    first, second = sorted(p, reverse=True)[:2]
    if pick == "margin":
        return first - second
    if pick == "entropy":
        return sum(x * log(x) for x in p if x)
    return first


@pytest.mark.parametrize("pick", ["least-confident", "margin", "entropy"])
@pytest.mark.parametrize("budget", [1, 3, 7, 50])
def test_each_rule_picks_what_a_plain_reference_picks(
    make_world: MakeWorld, pick: str, budget: int
) -> None:
    world = make_world(teach(pick, budget))
    log_rows(world, [said(world, sample_id, p) for sample_id, p in POOL.items()])
    (plan,) = world.loop.select().plans
    held = {sample_id: p for sample_id, p in POOL.items() if p is not None}
    place = {sample_id: line(sample_id, world.log.salt) for sample_id in held}
    expected = sorted(held, key=lambda i: (round(by_hand(pick, held[i]), 6), place[i]))[:budget]
    assert ids(world) == expected
    assert (plan.n_matching, plan.n_drawn, plan.inclusion, plan.chosen) == (
        *(len(POOL), len(expected), None),
        True,
    )
    rows = chosen(world)
    assert [row.rank for row in rows] == list(range(1, len(expected) + 1))
    assert {(row.pick, row.inclusion) for row in rows} == {(pick, None)}
    assert all(row.reason.startswith(f"{pick} {budget} of all traffic: rank ") for row in rows)
    scores = [row.score for row in rows]
    assert scores == sorted(scores, reverse=True)


def test_models_that_differ_are_picked_first(make_world: MakeWorld) -> None:
    world = make_world(teach("disagreement", 2))
    served = [said(world, i, [0.9, 0.1]) for i in "abcd"]
    shadows = [
        replace(row, role=Role.SHADOW, model=model, predicted_class=of)
        for row, model, of in [
            *((served[0], "v2", "cat"), (served[0], "v3", "cat")),
            *((served[1], "v2", "dog"), (served[1], "v3", "cat")),
            (served[2], "v2", "dog"),
        ]
    ]
    log_rows(world, [*served, *shadows])
    world.loop.select()
    assert [(row.sample_id, row.score) for row in chosen(world)] == [
        ("c", 0.5),
        ("b", pytest.approx(1 / 3)),
    ]


def test_diverse_takes_one_of_each_kind_before_a_second_of_any(make_world: MakeWorld) -> None:
    world = make_world(teach("diverse", 3))
    kinds = {"a": [1.0, 0.0, 0.0], "b": [0.0, 1.0, 0.0], "c": [0.0, 0.0, 1.0]}
    rows = [
        said(
            world,
            f"{kind}{i}",
            [0.5 + i / 100, 0.5 - i / 100],
            embedding=[*at[:2], at[2] + i / 1000],
        )
        for kind, at in kinds.items()
        for i in range(9)
    ]
    odd = [
        said(world, "other model", [0.5, 0.5], embedding=[1.0]),
        said(world, "no embedding", [0.5, 0.5]),
        said(world, "no number", [0.5, 0.5], embedding=[float("nan"), 0.0, 0.0]),
    ]
    log_rows(world, [*rows, *odd])
    world.loop.select()
    assert sorted(ids(world)) == ["a0", "b0", "c0"]
    assert [row.score for row in chosen(world)] == [1.0, 1.0, 1.0]


def test_diverse_of_nothing_but_copies_goes_by_margin_and_place(make_world: MakeWorld) -> None:
    world = make_world(teach("diverse", 3))
    rows = [said(world, f"{i}", [0.5, 0.5], embedding=[0.5, 0.5]) for i in range(9)]
    log_rows(world, rows)
    world.loop.select()
    assert ids(world) == [r.sample_id for r in sorted(rows, key=lambda r: r.line)[:3]]


def test_diverse_without_embeddings_is_refused(make_world: MakeWorld) -> None:
    world = make_world(teach("diverse"))
    log_rows(world, [said(world, "a", [0.5, 0.5])])
    with pytest.raises(ConfigError, match="queue 'teach': pick = 'diverse' needs an `embedding`"):
        world.loop.select()


def test_until_a_risk_is_learned_the_likely_wrong_are_the_least_confident(
    make_world: MakeWorld,
) -> None:
    world = make_world(teach("likely-wrong", 3))
    log_rows(
        world,
        [
            said(world, i, None if c is None else [c, 1 - c])
            for i, c in [("a", 0.9), ("b", 0.6), ("c", None), ("d", 0.99)]
        ],
    )
    world.loop.select()
    assert ids(world) == ["c", "b", "a"]  # a missing confidence is a risk of a half


def test_the_learned_risk_ranks_the_likely_wrong(make_world: MakeWorld) -> None:
    world = make_world(ACCURACY.replace("5", "150") + teach("likely-wrong", 20))
    world.traffic(300, predicted_class="cat", confidence="0.95")
    world.traffic(300, predicted_class="dog", confidence="0.6")
    world.loop.index()
    world.loop.select()
    world.loop.send()
    for project in world.annotator.projects():
        for page in world.annotator.tasks(project.project_ref):
            for task in page:
                world.annotator.answer(task.remote_id, "dog", by="ana")  # so all cats are wrong
    world.loop.collect()
    world.clock.pass_(days=1, hours=1)
    world.traffic(100, predicted_class="cat", confidence="0.95")
    world.traffic(100, predicted_class="dog", confidence="0.6")
    world.loop.index()
    world.loop.select()
    drawn = [d for d in world.draws("teach") if d.round == 2]
    assert {d.predicted_class for d in drawn} == {"cat"}
    assert len(drawn) == 20


def test_one_class_and_copies_of_one_score_go_by_the_line(make_world: MakeWorld) -> None:
    world = make_world(teach("margin", 3))
    rows = [said(world, f"{i}", [0.7, 0.3]) for i in range(9)]
    log_rows(world, rows)
    world.loop.select()
    first = sorted(rows, key=lambda r: r.line)[:3]
    assert ids(world) == [r.sample_id for r in first]


def test_the_same_log_gives_the_same_picks(make_world: MakeWorld) -> None:
    drawn = []
    for order in (1, -1):
        world = make_world(ACCURACY + teach("entropy", 3) + LATER)
        log_rows(world, [said(world, i, p) for i, p in list(POOL.items())[::order]])
        world.loop.select()
        drawn.append(ids(world) + ids(world, "later"))
    assert drawn[0] == drawn[1]


LATER = '[[queue]]\nname = "later"\npurpose = "training"\nbudget = 2\n'


def test_queues_share_a_frame_and_none_takes_what_another_did(make_world: MakeWorld) -> None:
    world = make_world(
        ACCURACY + teach("margin", 6) + LATER + teach("margin", 6).replace("teach", "b")
    )
    world.traffic(0)
    rows = [said(world, f"{i:02}", [0.5 + i / 100, 0.5 - i / 100]) for i in range(30)]
    log_rows(world, rows)
    accuracy, taught, later, last = world.loop.select().plans
    evaluated = set(ids(world, "accuracy"))
    left = [r.sample_id for r in rows if r.sample_id not in evaluated]
    assert ids(world) == left[:6]
    assert (accuracy.n_drawn, taught.n_matching, later.n_matching) == (5, 25, 19)
    assert later.inclusion == pytest.approx(2 / 19)
    random = ids(world, "later")
    assert not set(random) & set(left[:6])
    assert ids(world, "b") == [i for i in left[6:] if i not in random][:6]
    assert last.n_drawn == 6


def test_a_pick_passes_by_what_was_evaluated_and_its_copies(make_world: MakeWorld) -> None:
    world = make_world(ACCURACY.replace("5", "2"))
    log_rows(world, [said(world, i, [0.9, 0.1]) for i in "abcd"])
    world.loop.select()
    twins = [
        said(world, f"copy of {i}", [0.5, 0.5], content_hash=f"hash of {i}")
        for i in ids(world, "accuracy")
    ]
    world.configure(teach("margin", 2))
    world.clock.pass_(days=1, hours=1)
    log_rows(world, [*twins, said(world, "x", [0.6, 0.4]), said(world, "y", [0.8, 0.2])])
    world.loop.select()
    assert ids(world) == ["x", "y"]


def test_what_is_chosen_for_training_never_changes_an_accuracy(make_world: MakeWorld) -> None:
    measured = []
    for pick in ("random", "least-confident"):
        world = make_world(ACCURACY.replace("5", "40") + teach(pick, 30))
        world.traffic(200)
        world.loop.index()
        world.loop.select()
        world.loop.send()
        world.answer_all("cat")
        world.loop.collect()
        measured.append(world.loop.measure().rounds)
    assert measured[0] == measured[1]


@pytest.mark.parametrize(
    ("pick", "needs", "remedy"),
    [
        ("margin", "`probabilities`", "source.columns"),
        ("entropy", "`probabilities`", "source.columns"),
        ("least-confident", "`confidence`", "source.columns"),
        ("disagreement", "a second model", "role = 'shadow'"),
    ],
)
def test_a_rule_whose_column_no_prediction_has_is_refused(
    make_world: MakeWorld, pick: str, needs: str, remedy: str
) -> None:
    world = make_world(teach(pick))
    log_rows(world, [said(world, "a", None)])
    with pytest.raises(
        ConfigError, match=f"queue 'teach': pick = '{pick}' needs .*{needs}"
    ) as caught:
        world.loop.select()
    assert remedy in caught.value.remedy


def test_a_frame_that_happens_to_have_no_probabilities_is_no_error(make_world: MakeWorld) -> None:
    world = make_world(ACCURACY + teach("margin"))
    log_rows(world, [said(world, i, [0.5, 0.5]) for i in "abcdefgh"])
    world.loop.select()
    world.clock.pass_(days=1, hours=1)
    log_rows(world, [said(world, f"{i}", None) for i in range(9)])
    plan = world.loop.select().plans[1]
    assert (plan.n_matching, plan.n_drawn) == (4, 0)


@pytest.mark.parametrize(
    ("queue", "message"),
    [
        (ACCURACY + 'pick = "margin"', "pick = 'margin' isn't allowed in an evaluation queue"),
        (ACCURACY + "prefill = true", "prefill isn't allowed in an evaluation queue"),
        (ACCURACY + 'balance = "site"', "balance isn't allowed in an evaluation queue"),
        (teach("margin").replace("budget = 4", ""), "pick = 'margin' needs a budget"),
        (teach("random", more='where = "flagged"\nmax_per = { site = 3 }'), "names feedback"),
        (teach("margin", more='where = "flagged"'), "names feedback"),
        (teach("surest"), "surest"),
        (teach("margin", more="max_per = { site = 0 }"), "max_per"),
    ],
)
def test_a_pick_that_cannot_be_is_refused_in_the_settings(
    make_world: MakeWorld, queue: str, message: str
) -> None:
    world = make_world()
    path = world.folder / "labelloop.toml"
    path.write_text(HEAD + queue)
    with pytest.raises(ConfigError, match=message):
        load(path, {})


def test_quotas_hold_for_any_rule(make_world: MakeWorld) -> None:
    quotas = 'balance = "predicted_class"\nmax_per = { site = 2 }\n'
    for pick in ("random", "margin", "likely-wrong"):
        world = make_world(teach(pick, 6, quotas))
        log_rows(
            world,
            [
                said(
                    world,
                    f"{i:02}",
                    [0.9, 0.1] if i % 5 else [0.2, 0.8],
                    attributes={"site": f"{i % 4}"},
                )
                for i in range(40)
            ],
        )
        world.loop.select()
        rows = {d.sample_id: d for d in world.draws("teach")}
        assert Counter(d.predicted_class for d in rows.values()) == {"cat": 3, "dog": 3}
        assert max(Counter(int(i) % 4 for i in rows).values()) <= 2
        if pick == "random":
            assert {(row.pick, row.score) for row in chosen(world)} == {("random", None)}


def test_a_quota_on_a_tag_that_no_prediction_carries_is_refused(make_world: MakeWorld) -> None:
    world = make_world(teach("margin", more="max_per = { camera = 2 }"))
    log_rows(world, [said(world, "a", [0.5, 0.5], attributes={"site": "x"})])
    with pytest.raises(WhereError, match="queue 'teach': a quota uses 'camera'"):
        world.loop.select()


def test_a_training_queue_may_fill_in_what_the_model_said(make_world: MakeWorld) -> None:
    world = make_world(ACCURACY + teach("least-confident", 3, "prefill = true\n"))
    world.traffic(20, predicted_class="dog", confidence="0.75", model="m7")
    world.loop.index()
    world.loop.select()
    world.loop.send()
    filled = world.annotator.suggested
    assert set(filled) == {world.task(sample_id).task_key for sample_id in ids(world)}
    assert set(filled.values()) == {Suggestion(answer="dog", model="m7", score=0.75)}


def test_nothing_is_filled_in_where_the_settings_do_not_say_so(make_world: MakeWorld) -> None:
    world = make_world(ACCURACY + teach("least-confident", 3))
    world.traffic(20)
    world.loop.index()
    world.loop.select()
    world.loop.send()
    assert not world.annotator.suggested


def represented(world: World) -> list[tuple[str, int | None]]:
    d = t.draws.c
    wanted = sa.select(d.sample_id, d.represents).order_by(d.position)
    with world.loop.project.ledger.read() as tx:
        return [(row.sample_id, row.represents) for row in tx.execute(wanted)]


@pytest.mark.parametrize("pick", ["margin", "diverse"])
def test_a_burst_of_one_scene_costs_one_label(make_world: MakeWorld, pick: str) -> None:
    world = make_world(teach(pick, 3, 'near_duplicates = "embedding"\n'))
    burst = [
        said(world, f"burst{i}", [0.5 + i / 100, 0.5 - i / 100], embedding=[1.0, i / 50])
        for i in range(8)
    ]
    others = [
        said(world, "x", [0.7, 0.3], embedding=[0.0, 1.0]),
        said(world, "y", [0.8, 0.2], embedding=[-1.0, 0.0]),
        said(world, "z", [0.9, 0.1]),
    ]
    log_rows(world, [*burst, *others])
    world.loop.select()
    last = ("y", 1)
    assert represented(world) == [("burst0", 8), ("x", 1), last]


def test_nothing_but_near_duplicates_is_one_label(make_world: MakeWorld) -> None:
    world = make_world(teach("margin", 3, 'near_duplicates = "embedding"\n'))
    log_rows(world, [said(world, f"{i}", [0.5, 0.5], embedding=[1.0, 0.0]) for i in range(50)])
    (plan,) = world.loop.select().plans
    assert (plan.n_matching, plan.n_drawn) == (50, 1)
    assert [n for _, n in represented(world)] == [50]


def test_texts_that_are_almost_the_same_cost_one_label(make_world: MakeWorld) -> None:
    world = make_world(teach("random", 5, 'near_duplicates = "text"\n'))
    complaint = "the parcel was promised for Monday and it never came, what shall I do now"
    rows = [
        *(said(world, f"a{i}", [0.5, 0.5], text=f"{complaint} ({i})") for i in range(6)),
        said(world, "b", [0.5, 0.5], text="how do I change the address of my account?"),
    ]
    log_rows(world, rows)
    world.loop.select()
    assert sorted(n or 0 for _, n in represented(world)) == [1, 6]


def test_near_duplicates_without_what_they_are_told_by_are_refused(make_world: MakeWorld) -> None:
    for how, needs in (("text", "a text"), ("embedding", "an `embedding`")):
        world = make_world(teach("margin", 2, f'near_duplicates = "{how}"\n'))
        log_rows(world, [said(world, "a", [0.5, 0.5])])
        with pytest.raises(ConfigError, match=f"near_duplicates = '{how}' needs {needs}"):
            world.loop.select()
