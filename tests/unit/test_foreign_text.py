"""Text that no database takes: what others wrote stops neither index nor collect."""

from labelloop.core.task import TaskState
from labelloop.ledger import rejects
from labelloop.testing import MemorySource
from tests.unit.conftest import MakeWorld
from tests.unit.test_index_table import SOURCE, put, row
from tests.world import HEAD, LOW, QUEUES, World


def set_aside(world: World) -> dict[str, str]:
    with world.loop.project.ledger.read() as tx:
        return {r.uri: f"{r.reason}: {r.value}" for r in rejects.every(tx)}


def test_an_answer_with_a_nul_is_set_aside(make_world: MakeWorld, kind: str) -> None:
    world = make_world(LOW)
    world.traffic(3, confidence="0.1")
    world.loop.run()
    world.annotator.answer("t1", "c\0t", by="ana")
    world.annotator.answer("t2", "c\ud800t", by="ana")
    world.annotator.answer("t3", "cat", by="ana")
    found = world.loop.collect()
    assert found.n_labels == 1
    assert sorted(s.value for s in found.strays) == ["c\ufffdt", "c\ufffdt"]
    assert world.states() == {TaskState.SENT: 2, TaskState.RESOLVED: 1}


def test_tags_with_a_nul_are_set_aside_or_kept_as_attributes(
    make_world: MakeWorld, kind: str
) -> None:
    world = make_world(QUEUES)
    world.put("class.png", predicted_class="c\0t")
    world.put("time.png", timestamp="\ud800")
    world.put("model.png", model="v\0001")
    world.put("correction.png", corrected_class="d\0g")
    world.put("site.png", site="A\0B")
    done = world.loop.run()
    assert not done.failures
    assert done.indexed is not None
    assert done.indexed.n_new == 3
    found = set_aside(world)
    assert found["s3://production/class.png"] == "unknown class: c\ufffdt"
    assert found["s3://production/correction.png"] == "corrected class is unknown: d\ufffdg"
    drawn = {d.sample_id: d.model for d in world.draws()}
    assert drawn == {
        "correction.png": "unversioned",
        "site.png": "unversioned",
        "model.png": "v\ufffd1",
    }


def test_rows_with_a_nul_in_what_identifies_the_input_are_set_aside(
    make_world: MakeWorld, kind: str
) -> None:
    world = make_world(QUEUES, head=HEAD + SOURCE, source=MemorySource())
    rows = [row("a\0b"), row("good", model="v\0001"), row("c", predicted_class="c\0t")]
    put(world, "monday", rows)
    world.store.put("good", b"image")
    done = world.loop.run()
    assert not done.failures
    assert done.indexed is not None
    assert done.indexed.n_new == 1
    assert {d.model for d in world.draws()} == {"v\ufffd1"}
    assert sorted(set_aside(world).values()) == [
        "row can't be read: a NUL in a\ufffdb",
        "unknown class: c\ufffdt",
    ]
