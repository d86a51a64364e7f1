"""compare: the same blind labels judge a candidate and the model that serves."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from labelloop.cli.main import group
from labelloop.core.estimate import Estimate, Undefined
from labelloop.core.queue import Purpose
from labelloop.errors import ArgumentError, DatasetError
from labelloop.ledger import outbox, rounds, verdicts
from labelloop.statistics.compare import Difference, Verdict
from labelloop.steps.compare.compare import LeftOut
from labelloop.views.json_form import document
from tests.json_documents import result_of
from tests.lasting import Kept
from tests.unit.conftest import Keep, MakeWorld
from tests.world import ACCURACY, LOW, START, World

N = 120


def judged(world: World) -> None:
    world.traffic(300, predicted_class="cat", confidence="0.95")
    world.loop.index()
    world.loop.select()
    world.loop.send()
    for i, remote in enumerate(world.annotator.task_ids(world.project_ref("accuracy"))):
        world.annotator.answer(remote, "dog" if i % 3 == 0 else "cat", by="ana")
    world.loop.collect()


@pytest.fixture(scope="module")
def kept(keep: Keep) -> Kept[World]:
    """120 labelled blind samples; the serving model says cat and is right on two of three."""
    return keep(judged, ACCURACY.replace("5", str(N)) + LOW)


@pytest.fixture
def world(kept: Kept[World]) -> Iterator[World]:
    with kept.again() as world:
        yield world


def labels(world: World) -> dict[str, str]:
    with world.loop.project.ledger.read() as tx:
        return {
            d.sample_id: d.label or "" for d in rounds.draws_with_labels(tx, Purpose.EVALUATION)
        }


def candidate(path: Path, answers: dict[str, str]) -> Path:
    table = pa.table(
        {
            "sample_id": list(answers),
            "predicted_class": list(answers.values()),
            "confidence": [0.9] * len(answers),
        }
    )
    pq.write_table(table, path)
    return path


def test_a_better_candidate_passes(world: World, tmp_path: Path) -> None:
    compared = world.loop.compare(candidate(tmp_path / "c.parquet", labels(world)), min_gain=0.1)
    result_of(document("compare", compared), "compare")
    assert isinstance(compared.serving, Estimate)
    assert isinstance(compared.candidate, Estimate)
    assert isinstance(compared.difference, Difference)
    assert compared.candidate.value == pytest.approx(1)
    assert compared.difference.value == pytest.approx(1 / 3, abs=0.01)
    assert compared.difference.low < compared.difference.value < compared.difference.high
    assert (compared.verdict, compared.more_labels) == (Verdict.PASS, 0)
    parts = [c.difference.value for c in compared.by_class if isinstance(c.difference, Difference)]
    assert sum(parts) == pytest.approx(compared.difference.value)
    assert "fresh traffic" in compared.serving.method


def test_the_same_answers_differ_by_nothing_and_settle_nothing(
    world: World, tmp_path: Path
) -> None:
    compared = world.loop.compare(
        candidate(tmp_path / "c.parquet", dict.fromkeys(labels(world), "cat"))
    )
    assert isinstance(compared.difference, Difference)
    assert compared.difference.value == pytest.approx(0)
    assert compared.verdict is Verdict.NOT_YET


def test_a_worse_candidate_fails(world: World, tmp_path: Path) -> None:
    wrong = {s: "cat" if said == "dog" else "dog" for s, said in labels(world).items()}
    compared = world.loop.compare(candidate(tmp_path / "c.parquet", wrong))
    assert compared.verdict is Verdict.FAIL


def test_without_labels_the_reason_is_given(make_world: MakeWorld, tmp_path: Path) -> None:
    world = make_world(ACCURACY)
    compared = world.loop.compare(candidate(tmp_path / "c.parquet", {"a": "cat"}))
    assert isinstance(compared.difference, Undefined)
    assert compared.verdict is None


def test_a_candidate_that_learned_from_the_judges_is_refused(
    make_world: MakeWorld, tmp_path: Path
) -> None:
    world = make_world(LOW)
    world.traffic(40, predicted_class="cat", confidence="0.95")
    world.loop.index()
    world.loop.select()
    assert world.loop.build().training.version == 1
    # evaluation comes later, in a round of its own over the same traffic: the judges were trained on
    world.configure(ACCURACY.replace("5", "40") + LOW)
    world.traffic(40, predicted_class="cat", confidence="0.95")
    world.loop.index()
    world.loop.select(now=True)
    world.loop.send()
    for remote in world.annotator.task_ids(world.project_ref("accuracy")):
        world.annotator.answer(remote, "cat", by="ana")
    world.loop.collect()
    world.configure(LOW)
    file = candidate(tmp_path / "c.parquet", labels(world))
    clean = world.loop.compare(file, trained_on=[("training", 1)])
    assert isinstance(clean.difference, Difference)
    with pytest.raises(DatasetError, match="training@9"):
        world.loop.compare(file, trained_on=[("training", 9)])


def test_byte_identical_twins_of_training_samples_are_no_judges(
    make_world: MakeWorld, tmp_path: Path
) -> None:
    world = make_world(LOW)
    world.put("a.png", body=b"same", predicted_class="cat", confidence="0.95")
    world.loop.index()
    world.loop.select()
    world.loop.build()
    world.configure(ACCURACY + LOW)
    world.put("b.png", body=b"same", predicted_class="cat", confidence="0.95")
    world.loop.index()
    world.loop.select(now=True)
    world.loop.send()
    for remote in world.annotator.task_ids(world.project_ref("accuracy")):
        world.annotator.answer(remote, "cat", by="ana")
    world.loop.collect()
    file = candidate(tmp_path / "c.parquet", {"b.png": "cat"})
    assert world.loop.compare(file).unchecked == (("training@1", 1),)
    refused = world.loop.compare(file, trained_on=[("training", 1)])
    assert refused.difference == Undefined("the candidate was trained on 1 of these 1 samples")


def test_many_candidates_share_the_level_and_are_warned_of(world: World, tmp_path: Path) -> None:
    truth = labels(world)
    widths = []
    for i, sample in enumerate(list(truth)[:7]):
        answers = {**truth, sample: "cat" if truth[sample] == "dog" else "dog"}
        compared = world.loop.compare(candidate(tmp_path / f"{i}.parquet", answers))
        assert compared.n_candidates == i + 1
        assert isinstance(compared.difference, Difference)
        widths.append(compared.difference.high - compared.difference.low)
    assert compared.many_candidates
    assert widths[-1] > widths[0]
    again = world.loop.compare(tmp_path / "0.parquet")
    assert again.n_candidates == 7


def test_a_file_that_cannot_be_used_says_why(world: World, tmp_path: Path) -> None:
    truth = labels(world)
    some = next(iter(truth))

    def refused(path: Path) -> str:
        with pytest.raises(ArgumentError) as caught:
            world.loop.compare(path)
        return str(caught.value)

    assert "there is no file" in refused(tmp_path / "absent.parquet")
    (tmp_path / "text.parquet").write_text("no parquet")
    assert "can't be read" in refused(tmp_path / "text.parquet")
    pq.write_table(pa.table({"sample_id": ["a"]}), tmp_path / "bare.parquet")
    assert "has no column 'predicted_class'" in refused(tmp_path / "bare.parquet")
    assert "isn't a class of the project" in refused(
        candidate(tmp_path / "class.parquet", {**truth, some: "wolf"})
    )
    few = {s: said for s, said in truth.items() if s != some}
    said = refused(candidate(tmp_path / "few.parquet", few))
    assert f"no answer for 1 of the {N} labelled samples, '{some}' among them" in said
    table = pa.table(
        {"sample_id": [some] * 2, "predicted_class": ["cat"] * 2, "confidence": [1.0, 1.0]}
    )
    pq.write_table(table, tmp_path / "twice.parquet")
    assert "two rows" in refused(tmp_path / "twice.parquet")


def test_the_judges_are_written_for_the_candidate(world: World, tmp_path: Path) -> None:
    assert world.loop.write_judges(tmp_path / "judges.csv") == N
    lines = (tmp_path / "judges.csv").read_text().splitlines()
    assert lines[0] == "sample_id"
    assert set(lines[1:]) == set(labels(world))


@pytest.mark.parametrize(("end", "separator"), [("\n", ","), ("\r\n", ","), ("\r\n", ";")])
def test_the_file_of_judges_with_answers_is_a_candidate(
    world: World, tmp_path: Path, end: str, separator: str
) -> None:
    truth, path = labels(world), tmp_path / "judges.csv"
    world.loop.write_judges(path)
    assert b"\r" not in path.read_bytes()
    ids = path.read_text().split("\n")[1:-1]
    lines = [separator.join(("sample_id", "predicted_class"))]
    lines += [separator.join((one, truth[one])) for one in ids]
    path.write_bytes(b"\xef\xbb\xbf" + (end.join(lines) + end).encode())
    compared = world.loop.compare(path, min_gain=0.1)
    assert (compared.verdict, compared.n_candidates) == (Verdict.PASS, 1)
    with_confidence = [lines[0] + separator + "confidence"]
    with_confidence += [line + separator + ("0.5" if i else "") for i, line in enumerate(lines[1:])]
    path.write_text(end.join(with_confidence), newline="")
    assert world.loop.compare(path, min_gain=0.1).verdict is Verdict.PASS


def test_line_ends_of_windows_in_a_candidates_names_are_no_part_of_them(
    world: World, tmp_path: Path
) -> None:
    ends = {f"{sample}\r": f"{said}\r" for sample, said in labels(world).items()}
    assert world.loop.compare(candidate(tmp_path / "c.parquet", ends)).verdict is Verdict.PASS


def test_a_candidate_needs_no_confidence(world: World, tmp_path: Path) -> None:
    truth = labels(world)
    columns = {"sample_id": list(truth), "predicted_class": list(truth.values())}
    pq.write_table(pa.table(columns), tmp_path / "c.parquet")
    assert world.loop.compare(tmp_path / "c.parquet").verdict is Verdict.PASS


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("sample_id\na\n", "has no column 'predicted_class'"),
        ("sample_id,predicted_class\na\n", "line 2 has 1 cells, the first line 2"),
        ('sample_id,predicted_class\n\'a","b\n', "can't be read"),
        ("sample_id,sample_id,predicted_class\na,a,cat\n", "two columns 'sample_id'"),
        ("sample_id,predicted_class,confidence\na,cat,high\n", "can't be read"),
        ("sample_id,predicted_class\na,\n", "isn't a class of the project"),
        ("sample_id,predicted_class\n,cat\n", "a row without a sample_id"),
    ],
)
def test_a_list_that_cannot_be_used_says_why(
    world: World, tmp_path: Path, text: str, says: str
) -> None:
    (tmp_path / "c.csv").write_text(text)
    with pytest.raises(ArgumentError, match=says):
        world.loop.compare(tmp_path / "c.csv")


def test_another_round_does_not_undo_that_candidates_were_judged(
    world: World, tmp_path: Path
) -> None:
    truth = labels(world)
    for i, sample in enumerate(list(truth)[:3]):
        answers = {**truth, sample: "cat" if truth[sample] == "dog" else "dog"}
        world.loop.compare(candidate(tmp_path / f"{i}.parquet", answers))
    world.traffic(200, predicted_class="cat", confidence="0.95")
    world.loop.index()
    world.loop.select(now=True)
    world.loop.send()
    world.answer_all("cat")
    world.loop.collect()
    compared = world.loop.compare(candidate(tmp_path / "last.parquet", labels(world)))
    assert compared.rounds == (1, 2)
    assert compared.n_candidates == 4


def test_columns_of_another_type_and_lost_manifests_are_refused(
    world: World, tmp_path: Path
) -> None:
    truth = labels(world)
    good = {
        "sample_id": list(truth),
        "predicted_class": list(truth.values()),
        "confidence": [0.9] * N,
    }
    for name, values in (
        ("confidence", ["0.9"] * N),
        ("sample_id", list(range(N))),
        ("predicted_class", [["cat"]] * N),
    ):
        pq.write_table(pa.table({**good, name: values}), tmp_path / "typed.parquet")
        with pytest.raises(ArgumentError, match=f"column '{name}' holds"):
            world.loop.compare(tmp_path / "typed.parquet")
    pq.write_table(pa.table({**good, "confidence": [float("nan")] * N}), tmp_path / "nan.parquet")
    with pytest.raises(ArgumentError, match="confidence nan"):
        world.loop.compare(tmp_path / "nan.parquet")
    file = candidate(tmp_path / "c.parquet", truth)
    with pytest.raises(ArgumentError, match="min_gain"):
        world.loop.compare(file, min_gain=float("nan"))
    built = world.loop.build().training
    assert built.version == 1
    manifest = Path(world.loop.dataset("training", 1).uri) / "manifest.parquet"
    manifest.unlink()
    with pytest.raises(DatasetError, match=r"v0001/manifest\.parquet can't be read"):
        world.loop.compare(file, trained_on=[("training", 1)])


# --- a model in the log ---------------------------------------------------------------------------


def shadowed(make_world: MakeWorld, *, says: str = "dog") -> World:
    """60 samples that v1 calls cat and the shadow v2 `says`; people say dog to one of three."""
    world = make_world(ACCURACY.replace("5", "60"))
    world.traffic(60, predicted_class="cat", model="v1", **{"shadow:v2": says})
    play(world, lambda i: "dog" if i % 3 == 0 else "cat")
    return world


def play(world: World, says: Callable[[int], str]) -> None:
    world.loop.index()
    world.loop.select(now=True)
    world.loop.send()
    numbers = iter(range(1_000))
    world.answer_all(lambda: says(next(numbers)))
    world.loop.collect()


def test_a_shadow_model_is_judged_by_its_answers_in_the_log(make_world: MakeWorld) -> None:
    world = shadowed(make_world)
    compared = world.loop.compare_shadow("v2")
    assert isinstance(compared.serving, Estimate)
    assert isinstance(compared.candidate, Estimate)
    assert isinstance(compared.difference, Difference)
    assert (compared.serving_model, compared.candidate_name) == ("v1", "v2")
    assert compared.serving.value == pytest.approx(2 / 3, abs=0.01)
    assert compared.candidate.value == pytest.approx(1 / 3, abs=0.01)
    assert "fresh traffic" in compared.difference.method
    assert compared.verdict is Verdict.FAIL
    assert (compared.n_candidates, world.loop.compare_shadow("v2").n_candidates) == (1, 1)


def test_a_shadow_model_and_files_share_the_level(make_world: MakeWorld, tmp_path: Path) -> None:
    world = shadowed(make_world)
    world.loop.compare(candidate(tmp_path / "c.parquet", labels(world)))
    assert world.loop.compare_shadow("v2").n_candidates == 2


def test_shadow_answers_that_came_after_the_prediction_count_once(make_world: MakeWorld) -> None:
    world = make_world(ACCURACY.replace("5", "30"))
    keys = world.traffic(30, predicted_class="cat", model="v1")
    play(world, lambda _i: "cat")
    with pytest.raises(ArgumentError, match="no answer of model 'v2' to any of the 30") as caught:
        world.loop.compare_shadow("v2")
    assert "No other model answered any" in caught.value.remedy
    for key in keys:
        world.retag(key, **{"shadow:v2": "cat"})
    assert world.loop.index().n_shadow == 30
    assert world.loop.index().n_shadow == 0
    assert isinstance(world.loop.compare_shadow("v2").difference, Difference)
    world.retag(keys[0], **{"shadow:v2": "dog"})
    assert world.loop.index().n_set_aside == 1
    (aside,) = world.loop.rejected()
    assert (aside.reason, aside.value) == ("changed", "predicted_class dog of v2, was cat")


def test_a_round_judges_a_shadow_model_that_answered_all_of_it(make_world: MakeWorld) -> None:
    world = make_world(ACCURACY.replace("5", "30"))
    world.traffic(20, predicted_class="cat", model="v1")
    world.traffic(10, predicted_class="cat", model="v1", **{"shadow:v2": "cat"})
    play(world, lambda _i: "cat")
    with pytest.raises(ArgumentError, match="v2 has no answer for 20 of the 30"):
        world.loop.compare_shadow("v2")
    world.traffic(30, predicted_class="cat", model="v1", **{"shadow:v2": "cat"})
    play(world, lambda _i: "cat")
    compared = world.loop.compare_shadow("v2")
    assert compared.rounds == (2,)
    assert compared.left_out == (LeftOut(round=1, n_answered=10, n_labelled=30),)


def test_what_a_shadow_model_learned_from_is_checked_too(make_world: MakeWorld) -> None:
    world = shadowed(make_world)
    world.loop.build()
    with pytest.raises(DatasetError, match="training@9"):
        world.loop.compare_shadow("v2", trained_on=[("training", 9)])
    refused = world.loop.compare_shadow("v2", trained_on=[("evaluation", 1)])
    assert refused.difference == Undefined("the candidate was trained on 60 of these 60 samples")


def test_a_model_that_serves_or_is_unknown_is_no_candidate(make_world: MakeWorld) -> None:
    world = shadowed(make_world)
    with pytest.raises(ArgumentError, match="'v1' is the serving model"):
        world.loop.compare_shadow("v1")
    with pytest.raises(ArgumentError, match="no answer of model 'v2b'") as caught:
        world.loop.compare_shadow("v2b")
    assert "do you mean 'v2'? Models that answered some: 'v2' (60)" in caught.value.remedy


def test_a_file_or_a_shadow_model_is_named_and_not_both(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = shadowed(make_world)
    monkeypatch.chdir(world.folder)
    both = CliRunner().invoke(group, ["compare", "c.parquet", "--shadow", "v2"])
    assert both.exit_code == 2
    assert "give one of these" in both.output


def test_a_forgotten_sample_judges_nobody(world: World, tmp_path: Path) -> None:
    said = labels(world)
    gone = sorted(said)[0]
    world.loop.forget([gone])
    del said[gone]
    compared = world.loop.compare(candidate(tmp_path / "c.parquet", said))
    assert isinstance(compared.candidate, Estimate)
    assert compared.candidate.n == N - 1
    assert compared.candidate.value == pytest.approx(1)
    assert world.loop.write_judges(tmp_path / "judges.csv") == N - 1


# --- a round drawn where the two differ -----------------------------------------------------------


def differing(make_world: MakeWorld, *, says: dict[int, str] | None = None) -> World:
    """400 samples that v1 calls cat; the shadow v2 says dog to every 20th of the first 300."""
    world = make_world(ACCURACY)
    for i in range(300):
        said = "dog" if i % 20 == 0 else "cat"
        world.traffic(1, predicted_class="cat", model="v1", **{"shadow:v2": said})
    world.traffic(100, predicted_class="cat", model="v1")
    world.loop.index()
    return world


def answer(world: World, says: Callable[[int], str]) -> None:
    world.loop.send()
    numbers = iter(range(1_000))
    world.answer_all(lambda: says(next(numbers)))
    world.loop.collect()


def test_labels_go_where_a_shadow_model_differs(make_world: MakeWorld) -> None:
    world = differing(make_world)
    drawn = world.loop.select_where_they_differ(shadow="v2", labels=12)
    assert (drawn.round, drawn.extra, drawn.n_frame) == (1, True, 15)
    (plan,) = drawn.plans
    assert (plan.n_matching, plan.n_drawn, plan.inclusion) == (15, 12, 12 / 15)
    keys = sorted(d.sample_id for d in world.draws("accuracy"))
    assert all((int(key[-9:-4]) - 1) % 20 == 0 for key in keys)
    answer(world, lambda i: "dog" if i < 9 else "cat")

    compared = world.loop.compare_shadow("v2", min_gain=0.005)
    assert compared.drawn_for_it
    assert isinstance(compared.difference, Difference)
    # 15 of 300 differ; of these v2 is right in 9 of 12 and v1 in 3
    assert compared.difference.value == pytest.approx(15 / 300 * (9 - 3) / 12, abs=0.001)
    assert compared.difference.gained == pytest.approx(15 / 300 * 9 / 12, abs=0.001)
    assert compared.difference.low < compared.difference.value < compared.difference.high
    parts = [c.difference.value for c in compared.by_class if isinstance(c.difference, Difference)]
    assert sum(parts) == pytest.approx(compared.difference.value)
    assert isinstance(compared.serving, Undefined)  # such a round says nothing of an accuracy


def test_such_a_round_is_in_no_accuracy_and_another_candidate_is_judged_by_others(
    make_world: MakeWorld, tmp_path: Path
) -> None:
    world = differing(make_world)
    world.loop.select_where_they_differ(shadow="v2", labels=15)
    answer(world, lambda _: "dog")
    measured = world.loop.measure()
    assert (measured.rounds, measured.extra_rounds) == ((), ())
    assert isinstance(measured.last_seven_days.estimate, Undefined)
    assert world.loop.plan().accuracy is None or isinstance(
        world.loop.plan().accuracy.estimate, Undefined
    )
    play(world, lambda _: "cat")
    assert [r.name for r in world.loop.measure().rounds] == ["round 2"]
    other = world.loop.compare(candidate(tmp_path / "c.parquet", labels(world)))
    assert (other.rounds, other.drawn_for_it) == ((2,), False)
    own = world.loop.compare_shadow("v2")
    assert (own.rounds, own.drawn_for_it) == ((1,), True)
    assert isinstance(own.serving, Estimate)


def test_a_second_round_for_a_candidate_counts_no_label_twice(make_world: MakeWorld) -> None:
    world = differing(make_world)
    world.loop.select_where_they_differ(shadow="v2", labels=6)
    answer(world, lambda _: "dog")
    first = world.loop.compare_shadow("v2").difference
    more = world.loop.select_where_they_differ(shadow="v2", labels=10)
    assert (more.plans[0].rule, more.plans[0].n_drawn) == ("where v2 differs", 10)
    again = world.loop.compare_shadow("v2")
    assert (again.rounds, again.difference) == ((2,), first)
    assert world.loop.send().n_sent == 4
    answer(world, lambda _: "dog")
    both = world.loop.compare_shadow("v2").difference
    assert isinstance(both, Difference)
    assert both.n == 10


def test_labels_go_where_a_file_differs(make_world: MakeWorld, tmp_path: Path) -> None:
    world = differing(make_world)
    keys = [f"class_01/{i:05d}.png" for i in range(1, 401)]
    said = {key: "dog" if i % 4 == 0 else "cat" for i, key in enumerate(keys)}
    file = candidate(tmp_path / "c.parquet", said)
    drawn = world.loop.select_where_they_differ(candidate=file, labels=40)
    assert (drawn.n_frame, drawn.plans[0].n_drawn) == (100, 40)
    answer(world, lambda i: "dog" if i % 2 else "cat")
    compared = world.loop.compare(file)
    assert isinstance(compared.difference, Difference)
    assert compared.difference.value == pytest.approx(0, abs=0.01)
    assert compared.verdict is Verdict.NOT_YET


def test_where_nothing_differs_no_round_is_drawn_and_no_answer_is_an_error(
    make_world: MakeWorld, tmp_path: Path
) -> None:
    world = differing(make_world)
    with pytest.raises(ArgumentError, match="no prediction of v9") as caught:
        world.loop.select_where_they_differ(shadow="v9", labels=10)
    assert "--since" in caught.value.remedy
    same = candidate(tmp_path / "c.parquet", {"class_01/00001.png": "cat"})
    drawn = world.loop.select_where_they_differ(candidate=same, labels=10)
    assert (drawn.round, drawn.n_frame) == (None, 0)
    told = world.loop.select_where_they_differ(shadow="v2", labels=10, dry_run=True)
    assert (told.round, told.plans[0].n_drawn) == (None, 10)
    assert world.draws("accuracy") == []
    with pytest.raises(ArgumentError, match="labels = 0"):
        world.loop.select_where_they_differ(shadow="v2", labels=0)
    with pytest.raises(ArgumentError, match="isn't before --until"):
        world.loop.select_where_they_differ(
            shadow="v2", labels=10, until=START - timedelta(days=30)
        )


def test_without_a_blind_queue_no_candidate_is_judged(make_world: MakeWorld) -> None:
    training = make_world(LOW)
    with pytest.raises(ArgumentError, match="no queue has purpose 'evaluation'"):
        training.loop.select_where_they_differ(shadow="v2", labels=10)


def verdicts_of(world: World) -> list[tuple[str, str | None, bool]]:
    with world.loop.project.ledger_to_read.read() as tx:
        return [(v.candidate, v.verdict, v.by_itself) for v in verdicts.every(tx)]


def test_a_shadow_model_is_judged_by_itself_once_labels_came(make_world: MakeWorld) -> None:
    world = shadowed(make_world)
    world.loop.run()
    assert verdicts_of(world) == [("v2", "NOT YET", True)]
    with world.loop.project.ledger_to_read.read() as tx:
        (first,) = verdicts.every(tx)
    assert first.every_look
    world.clock.pass_(hours=2)
    world.loop.run()
    with world.loop.project.ledger_to_read.read() as tx:
        assert verdicts.every(tx) == [first], "no label came since"
    world.clock.pass_(days=1)
    world.traffic(60, predicted_class="cat", model="v1", **{"shadow:v2": "dog"})
    play(world, lambda _i: "cat")
    world.loop.run()
    with world.loop.project.ledger_to_read.read() as tx:
        (second,) = verdicts.every(tx)
        assert second.at > first.at
        assert second.verdict == "FAIL"
        assert not [n for n in outbox.newest(tx, 100) if n.name == "gate.failed"]


def test_a_shadow_model_that_a_person_compared_is_theirs(make_world: MakeWorld) -> None:
    world = shadowed(make_world)
    world.loop.compare_shadow("v2", min_gain=0.01)
    before = verdicts_of(world)
    world.loop.run()
    assert verdicts_of(world) == before == [("v2", "FAIL", False)]


def test_without_a_shadow_model_nothing_is_judged(world: World) -> None:
    world.loop.run()
    assert verdicts_of(world) == []
