"""A lost ledger is rebuilt from log, Label Studio and manifests as far as they hold it, and says the rest."""

from collections import Counter
from pathlib import Path

import pytest

from labelloop.core.estimate import Undefined
from labelloop.core.task import TaskState
from labelloop.errors import AnnotatorUnavailable, LedgerError
from labelloop.ledger import rounds
from labelloop.ports.annotator import TaskData
from labelloop.views.json_form import document
from tests.json_documents import result_of
from tests.lasting import LastingWorld, cut


def lose_ledger(world: LastingWorld) -> None:
    world.loop.close()
    for path in world.files("ledger.db*"):
        path.unlink()
    world.restart()


def test_the_answers_come_back_and_the_datasets_stay_as_they_are(lasting: LastingWorld) -> None:
    identity = lasting.loop.project.ledger.identity()
    labels, versions = lasting.labels(), lasting.loop.datasets()
    tasks = {key: (t.uri, t.queue, t.project_ref) for key, t in lasting.tasks().items()}
    lose_ledger(lasting)
    with pytest.raises(LedgerError) as caught:
        lasting.loop.run()
    assert "labelloop ledger rebuild" in caught.value.remedy
    lose_ledger(lasting)

    found = lasting.loop.rebuild_ledger()
    result_of(document("rebuild", found), "rebuild")
    assert lasting.loop.project.ledger.identity() == identity
    assert found.n_batches == 2
    assert sum(found.n_tasks.values()) == len(tasks)
    assert found.n_answers == len(labels)
    assert found.n_unknown == found.n_from_manifests == 0
    assert {key: (t.uri, t.queue, t.project_ref) for key, t in lasting.tasks().items()} == tasks
    assert lasting.loop.datasets() == versions

    lasting.loop.collect()
    assert lasting.labels() == labels
    built = lasting.loop.build()
    assert not built.evaluation.is_new
    assert not built.training.is_new


def test_the_accuracy_begins_anew_with_answers_that_are_there(lasting: LastingWorld) -> None:
    lose_ledger(lasting)
    lasting.loop.rebuild_ledger()
    lasting.loop.collect()
    before = lasting.loop.measure()
    assert isinstance(before.last_seven_days.estimate, Undefined)
    assert all(a.n_drawn == 0 for a in before.extra_rounds)

    keys = lasting.remote_keys()
    assert not lasting.loop.run().failures
    assert max(Counter(lasting.remote_keys()).values()) == 1
    assert len(lasting.remote_keys()) >= len(keys)
    measured = lasting.loop.measure().last_seven_days
    assert measured.n_drawn == measured.n_labelled == 5
    assert measured.n_traffic == 24
    with lasting.loop.project.ledger.read() as tx:
        assert [r.extra for r in rounds.every(tx)] == [True, True, False]
        assert {d.inclusion for d in rounds.draws_with_labels(tx) if d.round < 3} == {None}
        assert {
            d.inclusion
            for d in rounds.draws_with_labels(tx)
            if d.queue == "accuracy" and d.round == 3
        } == {5 / 24}


def test_a_label_that_only_a_manifest_holds_stands(lasting: LastingWorld) -> None:
    training = {d.task_key: d.label for d in lasting.draws("low")}
    lasting.annotator.delete_project(lasting.project_ref("low"))
    lose_ledger(lasting)
    found = lasting.loop.rebuild_ledger()
    assert 0 < found.n_from_manifests <= len(training)
    held = {d.task_key: d.label for d in lasting.draws("low")}
    assert held
    assert held.items() <= training.items()
    assert {d.state for d in lasting.draws("low")} == {TaskState.RESOLVED}
    assert not lasting.loop.run().failures
    assert {k: v for k, v in lasting.labels().items() if k in held} == held


def test_tasks_of_others_and_of_unknown_samples_are_left_alone(lasting: LastingWorld) -> None:
    project = lasting.project_ref("low")
    ledger_id = lasting.loop.project.log.ledger_id
    foreign = {"labelloop": "f" * 32, "image": "http://x"}
    lasting.annotator.import_tasks(project, [TaskData(task_key="f" * 32, data=foreign)])
    lose_ledger(lasting)
    found = lasting.loop.rebuild_ledger()
    assert found.n_unknown == 1
    assert found.ledger_id == ledger_id


def test_what_cannot_be_read_is_named(lasting: LastingWorld) -> None:
    first, second, *_ = lasting.files("datasets/*/v*")
    cut(first / "manifest.parquet")
    held = (second / "dataset.json").read_text().replace('"version": 2', '"version": 1e999')
    (second / "dataset.json").write_text(held)
    lose_ledger(lasting)
    found = lasting.loop.rebuild_ledger()
    assert len(found.not_read) == 2
    assert str(first) in found.not_read[0]
    assert str(second) in found.not_read[1]
    # its number isn't given again
    lasting.answer_all("cat")
    lasting.loop.run()
    assert len({v.uri for v in lasting.loop.datasets()}) == len(lasting.loop.datasets())


def test_a_rebuild_that_failed_half_way_wrote_nothing(lasting: LastingWorld) -> None:
    lose_ledger(lasting)

    def fail(what: str, done: int, _total: int | None) -> None:
        if what == "samples tried" and done:
            raise AnnotatorUnavailable("down")

    lasting.progress = fail
    with pytest.raises(AnnotatorUnavailable):
        lasting.loop.rebuild_ledger()
    lasting.progress = lambda _what, _done, _total: None
    lasting.restart()
    assert lasting.loop.rebuild_ledger().n_batches == 2


def test_a_ledger_that_is_there_is_not_rebuilt(lasting: LastingWorld) -> None:
    with pytest.raises(LedgerError, match="only into an empty place") as caught:
        lasting.loop.rebuild_ledger()
    assert "move its files away" in caught.value.remedy
    assert not lasting.loop.run().failures


def test_without_a_log_nothing_is_rebuilt(lasting: LastingWorld) -> None:
    lose_ledger(lasting)
    Path(lasting.state / "catalog.db").unlink()
    with pytest.raises(LedgerError, match="no prediction log"):
        lasting.loop.rebuild_ledger()


def test_what_was_forgotten_stays_so_where_it_is_forgotten_again(lasting: LastingWorld) -> None:
    sample = lasting.draws("low")[0].sample_id
    lasting.loop.forget([sample])
    redacted = [v for v in lasting.loop.datasets() if v.redacted_from]
    assert redacted
    lose_ledger(lasting)
    found = lasting.loop.rebuild_ledger()
    assert any("labelloop forget" in says for says in found.missing)
    assert [v for v in lasting.loop.datasets() if v.redacted_from] == redacted
    assert sample not in [d.sample_id for d in lasting.draws()]
    lasting.loop.forget([sample])
    assert not lasting.loop.run().failures
    assert lasting.loop.project.log.samples([sample]) == {}
