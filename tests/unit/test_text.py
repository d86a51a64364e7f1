"""Texts are labelled like images: from a table or from objects, blind, and each once."""

import re

import pyarrow.parquet as pq
import pytest

from labelloop.core.sample import RejectReason
from labelloop.core.task import TaskState
from labelloop.errors import ConfigError
from labelloop.testing import MemorySource
from tests.served import Service
from tests.unit.conftest import MakeWorld
from tests.unit.test_index_table import SOURCE, put, reasons, row
from tests.world import HEAD, QUEUES, World

TEXT = '[input]\nkind = "text"\nmax_text_bytes = 40\n'
COLUMN = '[source.columns]\ntext = "prompt"\n'


@pytest.fixture
def tabled(make_world: MakeWorld) -> World:
    """Texts in a column; the store's own bucket is empty, and there is no place for blind copies."""
    head = HEAD.replace('blind_uri = "s3://blind"\n', "") + TEXT + SOURCE + COLUMN
    return make_world(QUEUES, head=head, source=MemorySource())


def test_a_text_from_a_column_is_sent_labelled_and_released(tabled: World) -> None:
    hostile = "<script>x</script> $text {{a}} ü\0"
    put(tabled, "monday", [row(f"r{i}", prompt=f"text {i}", confidence=0.95) for i in range(8)])
    put(tabled, "tuesday", [row("odd", prompt=hostile, confidence=0.1, flagged=True)])
    done = tabled.loop.run(now=True)
    assert not done.failures
    blind = tabled.data("accuracy")
    assert len(blind) == 5
    assert {key for data in blind for key in data} == {"text", "labelloop"}
    projects = [p.marker.rpartition("/")[2] for p in tabled.annotator.projects()]
    texts = {str(data["text"]) for queue in projects for data in tabled.data(queue)}
    assert hostile.replace("\0", "\ufffd") in texts
    tabled.answer_all("dog")
    built = tabled.loop.run().built
    assert built is not None
    assert (built.training.n_model + built.training.n_human, built.evaluation.n_human) == (4, 5)
    for version in tabled.loop.datasets():
        rows = pq.read_table(f"{version.uri}/manifest.parquet").to_pylist()
        for held in rows:
            wanted = hostile if held["sample_id"] == "odd" else f"text {held['sample_id'][1:]}"
            assert held["text"] == wanted


def test_a_second_run_renews_nothing(tabled: World) -> None:
    put(tabled, "monday", [row(f"r{i}", prompt=f"text {i}") for i in range(8)])
    tabled.loop.run(now=True)
    tabled.clock.pass_(days=6)
    sent = tabled.loop.send(refresh=True)
    assert (sent.n_sent, sent.n_refreshed, sent.n_unavailable) == (0, 0, 0)
    assert len(tabled.remote_keys()) == len(set(tabled.remote_keys()))


def test_texts_without_words_or_too_long_are_set_aside(tabled: World) -> None:
    texts = {"none": None, "empty": "", "long": "ü" * 21, "fits": "ü" * 20}
    put(tabled, "monday", [row(name, prompt=text) for name, text in texts.items()])
    assert tabled.loop.index().n_new == 1
    assert reasons(tabled) == {
        "monday#1": RejectReason.NO_TEXT,
        "monday#2": RejectReason.NO_TEXT,
        "monday#3": RejectReason.TEXT_TOO_LONG,
    }


def test_the_same_text_twice_is_a_twin(tabled: World) -> None:
    put(tabled, "monday", [row(f"r{i}", prompt="the same", confidence=0.95) for i in range(8)])
    tabled.loop.run(now=True)
    tabled.answer_all("cat")
    built = tabled.loop.run().built
    assert built is not None
    assert (built.evaluation.n_human, built.training.n_model) == (1, 0), (
        "copies share a task and a row"
    )


def test_another_text_under_the_same_id_is_set_aside(tabled: World) -> None:
    put(tabled, "monday", [row("a", prompt="one")])
    put(tabled, "tuesday", [row("a", prompt="one"), row("a", prompt="two")])
    assert tabled.loop.index().n_new == 1
    assert reasons(tabled) == {"tuesday#2": RejectReason.CHANGED}


def test_a_text_may_be_the_object_itself(make_world: MakeWorld) -> None:
    world = make_world(QUEUES, head=HEAD + TEXT)
    good = world.put("good.txt", "Grüße".encode())
    bad = {
        "bytes.txt": b"\xff\xfe",
        "long.txt": b"x" * 41,
        "empty.txt": b" \n",
    }
    for name, body in bad.items():
        world.put(name, body)
    world.loop.run(now=True)
    states = {task.sample_id: task.state for task in world.tasks().values()}
    assert states == {good: TaskState.SENT} | dict.fromkeys(bad, TaskState.UNAVAILABLE)
    (data,) = [d for q in ("accuracy",) for d in world.data(q)]
    assert data["text"] == "Grüße"
    assert not any(uri.startswith("s3://blind") for uri in world.store.objects_by_uri)


def test_the_kind_of_input_cannot_change(make_world: MakeWorld) -> None:
    world = make_world()
    world.traffic(3)
    world.loop.run(now=True)
    world.configure(QUEUES, head=HEAD + TEXT)
    with pytest.raises(ConfigError, match="show images") as error:
        world.loop.send()
    assert 'kind = "image"' in error.value.remedy


def test_a_queue_of_unusable_answers_may_wait_for_the_first(make_world: MakeWorld) -> None:
    queue = QUEUES.replace("confidence < 0.7", "attributes.unusable_answer is not null")
    head = HEAD.replace("[store]", 'invalid_prediction = "wrong"\n[store]', 1)
    world = make_world(queue, head=head)
    world.traffic(6)
    assert world.loop.run(now=True).selected is not None
    world.traffic(7, predicted_class="It is a cat.")
    chosen = world.loop.run(now=True).selected
    assert chosen is not None
    assert {p.queue: p.n_drawn for p in chosen.plans} == {"accuracy": 5, "low": 2, "flagged": 0}


def test_a_text_column_is_for_texts(make_world: MakeWorld) -> None:
    with pytest.raises(ConfigError, match=r"source.columns.text is for \[input\] kind"):
        make_world(QUEUES, head=HEAD + SOURCE + COLUMN, source=MemorySource())


def test_the_first_page_shows_mistakes_as_texts(tabled: World) -> None:
    put(tabled, "monday", [row(f"r{i}", prompt=f"text {i}", confidence=0.95) for i in range(12)])
    tabled.loop.run(now=True)
    tabled.answer_all("dog")
    tabled.loop.run()
    service = Service(tabled)
    shown = service.client().get("/", headers={"Accept": "text/html"}).text
    weakest = shown.partition('id="weakest"')[2].partition("</section>")[0]
    assert re.search(r"text \d+<br>", weakest)
    assert "<img" not in weakest
    service.site.close()
