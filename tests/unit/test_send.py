"""send: each task exactly once, whatever Label Studio, the store or the power does."""

from collections import Counter
from collections.abc import Iterator

import pytest

from labelloop.core.task import TaskState
from labelloop.errors import (
    AnnotatorDenied,
    AnnotatorError,
    AnnotatorUnavailable,
    BucketRefused,
    ConfigError,
    InputTooLarge,
    LedgerError,
    StoreDenied,
    StoreError,
    StoreUnavailable,
)
from labelloop.ledger import events, tasks
from labelloop.ports.annotator import ProjectSpec
from labelloop.testing import MemoryLog, MemorySource
from labelloop.views.verbs import send_line
from tests.lasting import Kept
from tests.unit.conftest import Keep, MakeWorld
from tests.world import ACCURACY, HEAD, LOW, QUEUES, Killed, World, kill_at_write

SOURCE = """
[source]
kind = "parquet"
uri = "unused"
"""
ROW = {"predicted_class": "cat", "predicted_at": "2026-03-02T11:00:00Z"}


def draw(world: World) -> None:
    world.traffic(40)
    world.loop.index()
    world.loop.select()


@pytest.fixture(scope="module")
def kept(keep: Keep) -> Kept[World]:
    return keep(draw)


@pytest.fixture
def drawn(kept: Kept[World]) -> Iterator[World]:
    """Nine draws wait: five blind, four with a low confidence."""
    with kept.again() as world:
        yield world


def assert_settled(world: World) -> None:
    """Every drawn sample has exactly one task in Label Studio, and the ledger knows its id."""
    assert world.states() == {TaskState.SENT: 9}
    assert Counter(world.remote_keys()) == Counter(t.task_key for t in world.tasks().values())
    for task in world.tasks().values():
        assert task.remote_id is not None
        assert world.annotator.data_of(task.remote_id)["labelloop"] == task.task_key


# --- what is sent ---------------------------------------------------------------------------


def test_draws_are_sent_once_in_the_order_of_the_round(drawn: World) -> None:
    found = drawn.loop.send()
    assert (found.n_sent, found.n_found) == (9, 0)
    assert_settled(drawn)
    for queue in ("accuracy", "low"):
        sent = [d["labelloop"] for d in drawn.data(queue)]
        assert sent == [d.task_key for d in drawn.draws(queue)]
    assert drawn.loop.send().n_sent == 0
    assert_settled(drawn)


def test_nothing_drawn_makes_no_request(world: World) -> None:
    world.loop.send()
    assert world.annotator.calls == []


def test_a_blind_task_holds_the_image_and_its_key_and_nothing_else(drawn: World) -> None:
    drawn.loop.send()
    for data in drawn.data("accuracy"):
        assert set(data) == {"image", "labelloop"}
        assert "class_" not in str(data["image"])
        assert ".png" not in str(data["image"])
        assert "production" not in str(data["image"])
    copies = {u: o for u, o in drawn.store.objects_by_uri.items() if u.startswith("s3://blind/")}
    assert len(copies) == 5
    assert all(not o.tags and not o.metadata for o in copies.values())
    sources = {drawn.task(d.sample_id, "evaluation").uri for d in drawn.draws("accuracy")}
    assert {o.body for o in copies.values()} == {
        drawn.store.objects_by_uri[uri].body for uri in sources
    }


def test_a_shown_task_holds_what_its_queue_shows(drawn: World) -> None:
    drawn.loop.send()
    by_key = {d.task_key: d for d in drawn.draws("low")}
    for data in drawn.data("low"):
        draw = by_key[str(data["labelloop"])]
        assert set(data) == {"image", "labelloop", "confidence", "predicted_class"}
        assert data["confidence"] == draw.confidence
        assert data["predicted_class"] == draw.predicted_class


def test_what_is_not_known_is_shown_as_not_known(make_world: MakeWorld) -> None:
    world = make_world(LOW.replace('"confidence < 0.7"', "\"predicted_class = 'cat'\""))
    world.put("a.png", confidence="-")
    world.loop.index()
    world.loop.select()
    world.loop.send()
    assert [d["confidence"] for d in world.data("low")] == [None]


def test_tasks_go_in_batches_of_250(make_world: MakeWorld) -> None:
    world = make_world(ACCURACY.replace("5", "600"))
    world.traffic(600)
    world.loop.index()
    world.loop.select()
    assert world.loop.send().n_sent == 600
    assert world.annotator.calls.count("import_tasks") == 3
    assert world.annotator.calls.count("create_project") == 1
    sent = [d["labelloop"] for d in world.data("accuracy")]
    assert sent == [d.task_key for d in world.draws("accuracy")]


@pytest.mark.mistake("project-renamed")
def test_projects_are_found_again_by_their_marker(drawn: World) -> None:
    drawn.loop.send()
    drawn.annotator.rename_project(drawn.project_ref("low"), "something else")
    drawn.traffic(20)
    drawn.loop.index()
    drawn.clock.pass_(days=1)
    drawn.loop.select()
    drawn.loop.send()
    assert drawn.annotator.calls.count("create_project") == 2


# --- trouble in Label Studio ------------------------------------------------------------------


@pytest.mark.parametrize("nth", [1, 2])
@pytest.mark.parametrize("call", ["projects", "create_project", "import_tasks"])
@pytest.mark.parametrize("fault", ["refused", "timed out, done", "timed out, not done", "later"])
def test_a_fault_at_any_call_loses_and_repeats_nothing(
    drawn: World, call: str, nth: int, fault: str
) -> None:
    if nth == 2:  # the second queue's: the first is served
        fail_at_nth(drawn, call, 2, fault)
    else:
        fail(drawn, call, fault)
    runs = 0
    while True:
        runs += 1
        try:
            drawn.loop.send()
            break
        except AnnotatorUnavailable:
            assert runs < 3
    assert_settled(drawn)
    assert len(drawn.annotator.projects()) == 2


def fail(world: World, call: str, fault: str) -> None:
    if fault == "refused":
        error = AnnotatorUnavailable("refused", remedy="start it", carried_out=False)
        world.annotator.fail_next(call, error, carried_out=False)
    elif fault == "later":
        world.annotator.fail_next(call, after_calls=3)
    else:
        error = AnnotatorUnavailable("timed out", remedy="run again", carried_out=True)
        world.annotator.fail_next(call, error, carried_out=fault == "timed out, done")


def fail_at_nth(world: World, call: str, nth: int, fault: str) -> None:
    original = getattr(world.annotator, call)
    left = [nth]

    def counted(*args, **kwargs):  # type: ignore[no-untyped-def]
        left[0] -= 1
        if left[0] == 0:
            fail(world, call, fault)
        return original(*args, **kwargs)

    setattr(world.annotator, call, counted)


@pytest.mark.parametrize("nth", [1, 2])
def test_a_look_that_fails_leaves_the_doubt_for_the_next_run(drawn: World, nth: int) -> None:
    drawn.annotator.fail_next("import_tasks", carried_out=True)
    fail_at_nth(drawn, "find", nth, "refused")
    drawn.annotator.fail_next("find", AnnotatorError("500"), carried_out=False)
    with pytest.raises(AnnotatorError):
        drawn.loop.send()
    assert drawn.states()[TaskState.SENDING] == 5
    for _ in range(2):
        try:
            found = drawn.loop.send()
        except AnnotatorUnavailable:
            continue
    assert found.n_found + found.n_sent >= 4
    assert_settled(drawn)


def test_a_request_that_is_carried_out_late_is_waited_for(drawn: World) -> None:
    drawn.annotator.fail_next("import_tasks", after_calls=2)
    assert drawn.loop.send().n_sent == 9
    assert drawn.annotator.calls.count("import_tasks") == 2
    assert_settled(drawn)


@pytest.mark.mistake("token-refused")
def test_what_a_settled_look_finds_missing_is_sent_once_more(drawn: World) -> None:
    drawn.annotator.fail_next("import_tasks", carried_out=False)
    with pytest.raises(AnnotatorUnavailable):  # its outcome was certain: no second try
        drawn.loop.send()
    unanswered = AnnotatorUnavailable("502", remedy="run again", carried_out=True)
    drawn.annotator.fail_next("import_tasks", unanswered, carried_out=False)
    assert drawn.loop.send().n_sent == 9
    assert_settled(drawn)


def test_a_batch_that_fails_again_and_again_is_told(drawn: World) -> None:
    for _ in range(3):
        unanswered = AnnotatorUnavailable("502", remedy="run again", carried_out=True)
        drawn.annotator.fail_next("import_tasks", unanswered, carried_out=False)
    with pytest.raises(AnnotatorUnavailable, match="502"):
        drawn.loop.send()
    assert drawn.annotator.calls.count("import_tasks") == 2
    assert drawn.states() == {TaskState.DRAWN: 9}


def test_a_project_that_is_still_being_created_is_waited_for(drawn: World) -> None:
    drawn.annotator.fail_next("create_project", Killed(), after_calls=3)
    with pytest.raises(Killed):
        drawn.loop.send()
    drawn.restart().send()
    assert_settled(drawn)
    assert len(drawn.annotator.projects()) == 2


def test_a_project_that_was_refused_is_not_waited_for(drawn: World) -> None:
    refused = AnnotatorUnavailable("refused", remedy="start it", carried_out=False)
    drawn.annotator.fail_next("create_project", refused, carried_out=False)
    with pytest.raises(AnnotatorUnavailable):
        drawn.loop.send()
    began = drawn.clock.at
    drawn.loop.send()
    assert drawn.clock.at == began


def test_a_refused_token_leaves_the_tasks_to_be_sent(drawn: World) -> None:
    drawn.annotator.fail_next(
        "import_tasks", AnnotatorDenied("wrong token", remedy="mend it"), carried_out=False
    )
    with pytest.raises(AnnotatorDenied):
        drawn.loop.send()
    drawn.loop.send()
    assert_settled(drawn)


def test_a_project_deleted_by_hand_is_made_again(drawn: World) -> None:
    drawn.annotator.create_project(
        ProjectSpec(title="other", marker="labelloop:x/y", classes=("a",), show=(), blind=False)
    )
    original = drawn.annotator.import_tasks

    def delete_first(project_ref, tasks):  # type: ignore[no-untyped-def]
        drawn.annotator.import_tasks = original  # type: ignore[method-assign]
        drawn.annotator.delete_project(project_ref)
        return original(project_ref, tasks)

    drawn.annotator.import_tasks = delete_first  # type: ignore[method-assign]
    assert drawn.loop.send().n_sent == 9
    assert_settled(drawn)


@pytest.mark.parametrize("at", range(1, 7))
def test_a_send_killed_at_any_write_to_the_ledger_ends_in_the_same_state(
    drawn: World, at: int
) -> None:
    kill_at_write(drawn, at)
    with pytest.raises(Killed):
        drawn.loop.send()
    drawn.restart().send()
    assert_settled(drawn)
    assert len(drawn.annotator.projects()) == 2


@pytest.mark.parametrize("call", ["projects", "create_project", "import_tasks"])
@pytest.mark.parametrize("done", [True, False])
def test_a_send_killed_in_a_request_ends_in_the_same_state(
    drawn: World, call: str, done: bool
) -> None:
    original = getattr(drawn.annotator, call)

    def kill(*args, **kwargs):  # type: ignore[no-untyped-def]
        if done:
            original(*args, **kwargs)
        raise Killed

    setattr(drawn.annotator, call, kill)
    with pytest.raises(Killed):
        drawn.loop.send()
    setattr(drawn.annotator, call, original)
    drawn.restart().send()
    assert_settled(drawn)
    assert len(drawn.annotator.projects()) == 2


def test_a_collect_between_a_killed_send_and_the_next_loses_no_answer(drawn: World) -> None:
    original = drawn.annotator.import_tasks

    def kill(*args):  # type: ignore[no-untyped-def]
        original(*args)
        raise Killed

    drawn.annotator.import_tasks = kill  # type: ignore[method-assign]
    with pytest.raises(Killed):
        drawn.loop.send()
    drawn.annotator.import_tasks = original  # type: ignore[method-assign]
    drawn.answer_all("dog")
    drawn.restart().collect()
    drawn.loop.send()
    found = drawn.loop.collect()
    assert found.n_labels == 5
    assert drawn.states() == {TaskState.RESOLVED: 5, TaskState.SENT: 4}


def test_tasks_in_doubt_of_a_queue_that_is_gone_are_settled(drawn: World) -> None:
    drawn.annotator.fail_next("import_tasks", carried_out=True)
    drawn.annotator.fail_next("find", AnnotatorError("500"), carried_out=False)
    with pytest.raises(AnnotatorError):
        drawn.loop.send()
    drawn.configure(LOW)
    assert drawn.loop.send().n_found == 5
    drawn.answer_all()
    assert drawn.loop.collect().n_labels == 9


# --- blindness ------------------------------------------------------------------------------


def test_without_a_place_for_copies_a_blind_queue_is_refused_and_the_others_are_sent(
    make_world: MakeWorld,
) -> None:
    world = make_world(QUEUES, head=HEAD.replace('blind_uri = "s3://blind"', ""))
    world.traffic(40)
    world.loop.index()
    world.loop.select()
    with pytest.raises(ConfigError, match="blind queue 'accuracy'") as caught:
        world.loop.send()
    assert "blind_uri" in caught.value.remedy
    assert world.states() == {TaskState.DRAWN: 5, TaskState.SENT: 4}
    assert [p.marker.rpartition("/")[2] for p in world.annotator.projects()] == ["low"]


def test_images_inside_the_tasks_need_no_copies_and_no_place_for_them(
    make_world: MakeWorld,
) -> None:
    world = make_world(QUEUES, head=HEAD.replace('blind_uri = "s3://blind"', ""))
    world.store.inline = True
    world.traffic(40)
    world.loop.index()
    world.loop.select()
    assert world.loop.send().n_sent == 9
    data = [*world.data("accuracy"), *world.data("low")]
    assert len(data) == 9
    assert all(str(d["image"]).startswith("data:image/png;base64,") for d in data)
    assert not any(uri.startswith("s3://blind") for uri in world.store.objects_by_uri)
    again = world.loop.send()
    assert (again.n_sent, again.n_refreshed, again.n_copies_removed) == (0, 0, 0)


def test_a_place_for_copies_that_cannot_be_written_is_refused_by_name(
    make_world: MakeWorld,
) -> None:
    world = make_world(QUEUES, head=HEAD.replace('"s3://blind"', '"s3://nowhere"'))
    world.traffic(40)
    world.loop.index()
    world.loop.select()
    with pytest.raises(StoreDenied, match="nowhere"):
        world.loop.send()
    assert world.states() == {TaskState.DRAWN: 5, TaskState.SENT: 4}


def test_without_a_place_for_copies_blind_urls_lapse_and_the_others_are_renewed(
    drawn: World,
) -> None:
    drawn.loop.send()
    before = {queue: drawn.data(queue) for queue in ("accuracy", "low")}
    drawn.configure(head=HEAD.replace('"s3://blind"', '"s3://nowhere"'))
    with pytest.raises(StoreDenied, match="nowhere"):
        drawn.loop.send(refresh=True)
    assert drawn.data("accuracy") == before["accuracy"]
    assert drawn.data("low") != before["low"]


def test_a_queue_that_changes_its_purpose_is_refused_and_shows_nothing(drawn: World) -> None:
    drawn.loop.send()
    before = drawn.data("accuracy")
    swapped = ACCURACY.replace('"accuracy"', '"low"') + LOW.replace('"low"', '"accuracy"')
    drawn.configure(swapped)
    drawn.traffic(10)
    drawn.loop.index()
    with pytest.raises(
        ConfigError, match="'low' has the purpose evaluation, but already has tasks for training"
    ):
        drawn.loop.select(now=True)
    with pytest.raises(ConfigError, match="a labelling project has only one purpose") as caught:
        drawn.loop.send(refresh=True)
    assert "another name" in caught.value.remedy
    assert drawn.data("accuracy") == before
    drawn.configure()
    assert drawn.loop.select(now=True).round == 2


def test_copies_go_seven_days_after_resolution_and_come_back_when_a_task_reopens(
    drawn: World,
) -> None:
    drawn.loop.send()
    drawn.answer_all()
    drawn.loop.collect()
    drawn.clock.pass_(days=6, hours=23)
    assert drawn.loop.send().n_copies_removed == 0
    drawn.clock.pass_(hours=2)
    assert drawn.loop.send().n_copies_removed == 5
    assert not [u for u in drawn.store.objects_by_uri if u.startswith("s3://blind/")]
    remote = next(t for p in drawn.annotator.tasks(drawn.project_ref("accuracy")) for t in p)
    drawn.annotator.delete_annotation(remote.annotations[0].remote_id)
    drawn.loop.collect()
    assert drawn.loop.send().n_refreshed == 1
    (copy,) = (u for u in drawn.store.objects_by_uri if u.startswith("s3://blind/"))
    image = str(drawn.annotator.data_of(remote.remote_id)["image"])
    assert copy.removeprefix("s3://") in image
    assert drawn.loop.send().n_refreshed == 0


@pytest.mark.parametrize("at", range(1, 5))
def test_a_copy_whose_restoring_was_killed_is_restored_by_the_next_run(
    drawn: World, at: int
) -> None:
    drawn.loop.send()
    drawn.answer_all()
    drawn.loop.collect()
    drawn.clock.pass_(days=8)
    drawn.loop.send()
    remote = next(t for p in drawn.annotator.tasks(drawn.project_ref("accuracy")) for t in p)
    drawn.annotator.delete_annotation(remote.annotations[0].remote_id)
    drawn.loop.collect()
    if at == 4:
        kill_in_copy(drawn)
    else:
        kill_at_write(drawn, at)
    with pytest.raises(Killed):
        drawn.loop.send()
    drawn.store.before = lambda _call, _uri: None
    drawn.restart().send()
    task = next(t for t in drawn.tasks().values() if t.remote_id == remote.remote_id)
    assert task.media_uri in drawn.store.objects_by_uri
    image = str(drawn.annotator.data_of(remote.remote_id)["image"])
    assert str(task.media_uri).removeprefix("s3://") in image


def kill_in_copy(world: World) -> None:
    def before(call: str, _uri: str) -> None:
        if call == "copy_blind":
            raise Killed

    world.store.before = before


# --- inputs and URLs ------------------------------------------------------------------------


@pytest.mark.mistake("input-gone")
def test_a_task_whose_input_is_gone_is_unavailable(drawn: World) -> None:
    gone = [drawn.draws("accuracy")[0].sample_id, drawn.draws("low")[0].sample_id]
    for key in gone:
        del drawn.store.objects_by_uri[f"s3://production/{key}"]
    found = drawn.loop.send()
    assert (found.n_sent, found.n_unavailable) == (7, 2)
    assert drawn.states() == {TaskState.SENT: 7, TaskState.UNAVAILABLE: 2}


def overwritten(world: World) -> list[str]:
    """The samples, one of each queue, whose objects now hold something else."""
    keys = [world.draws(queue)[0].sample_id for queue in ("accuracy", "low")]
    for key in keys:
        world.put(key, b"another image")
    return keys


@pytest.mark.mistake("no-image")
@pytest.mark.parametrize(
    ("body", "what"),
    [
        (b"", "empty"),
        (b"\xef\xbb\xbffile,label\r\n" + "Zoë.png,cat\r\n".encode() * 90, "a text"),
        (b"<!doctype html><html><body>404 not found</body></html>", "a text"),
        (b"%PDF-1.7\n", "a PDF"),
        (b"\0\0\0\x20ftypisom\0\0\2\0", "a video"),
        (b"RIFF\x24\0\0\0WAVEfmt ", "a recording"),
    ],
)
def test_a_task_whose_input_is_no_image_is_unavailable(
    make_world: MakeWorld, body: bytes, what: str
) -> None:
    world = make_world(QUEUES, head=HEAD + SOURCE, source=MemorySource())
    rows = [ROW | {"sample_id": f"{i}.png", "confidence": i / 40} for i in range(40)]
    world.source.put("monday", rows)  # type: ignore[union-attr]
    for row in rows:
        world.store.put(str(row["sample_id"]), b"\x89PNG\r\n\x1a\n" + str(row).encode())
    world.loop.index()
    world.loop.select()
    odd = [world.draws("accuracy")[0], world.draws("low")[0]]
    for draw in odd:
        world.store.put(draw.sample_id, body)
    assert world.loop.send().n_unavailable == 2
    purposes = zip(odd, ("evaluation", "training"), strict=True)
    states = {world.task(d.sample_id, purpose).state for d, purpose in purposes}
    assert states == {TaskState.UNAVAILABLE}
    with world.loop.project.ledger.read() as tx:
        said = {e.detail for e in events.of(tx, odd[0].task_key)}
    assert f"the input is no image: {what}" in said


@pytest.mark.parametrize(
    "body",
    [
        b"\x89PNG\r\n\x1a\n" + b"a" * 90,
        b"\xef\xbb\xbf<?xml version='1.0'?>\n<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"P2\n# a comment of a plain grey map\n24 7\n15\n0 0 0 0",
        b"DICM or whatever nobody knows \0\1\2 of",
        b"RIFF\x24\0\0\0WEBPVP8 ",
    ],
)
def test_what_may_be_an_image_is_sent(world: World, body: bytes) -> None:
    for i in range(20):
        world.put(f"{i}.png", body + bytes([i]), confidence="0.2")
    world.loop.index()
    world.loop.select()
    assert world.loop.send().n_unavailable == 0


def test_a_task_whose_input_was_overwritten_is_unavailable(drawn: World) -> None:
    keys = overwritten(drawn)
    drawn.loop.index()
    found = drawn.loop.send()
    assert (found.n_sent, found.n_unavailable) == (7, 2)
    lost = {t.sample_id for t in drawn.tasks().values() if t.state is TaskState.UNAVAILABLE}
    assert lost == set(keys)
    assert "2 whose input is gone, overwritten or no image" in send_line(found)


def test_no_link_is_renewed_to_what_was_overwritten_since(drawn: World) -> None:
    drawn.loop.send()
    evaluated, trained = overwritten(drawn)
    found = drawn.loop.send(refresh=True)
    assert (found.n_refreshed, found.n_unavailable) == (8, 1)
    now = {t.sample_id: t for t in drawn.tasks().values()}
    assert now[trained].state is TaskState.UNAVAILABLE
    copied = now[evaluated]
    assert copied.state is TaskState.SENT
    assert drawn.store.objects_by_uri[str(copied.media_uri)].body == evaluated.encode()


@pytest.mark.mistake("key-rotated")
@pytest.mark.parametrize("error", [StoreUnavailable, StoreDenied])
@pytest.mark.parametrize("call", ["check_writable", "copy_blind", "presign", "losses"])
def test_a_store_that_fails_in_the_middle_loses_and_repeats_nothing(
    drawn: World, call: str, error: type[StoreError]
) -> None:
    fail_once(drawn, call, error("no", remedy="run again"))
    with pytest.raises(StoreError):
        drawn.loop.send()
    drawn.loop.send()
    assert_settled(drawn)
    assert sum(u.startswith("s3://blind/") for u in drawn.store.objects_by_uri) == 5


def fail_once(world: World, call: str, error: StoreError) -> None:
    def before(called: str, _uri: str) -> None:
        if called == call:
            world.store.before = lambda _call, _uri: None
            raise error

    world.store.before = before


def test_urls_are_renewed_before_they_lapse_and_not_sooner(drawn: World) -> None:
    drawn.loop.send()
    before = [d["image"] for d in drawn.data("accuracy")]
    drawn.clock.pass_(days=4, hours=23)
    assert drawn.loop.send().n_refreshed == 0
    drawn.clock.pass_(hours=2)
    assert drawn.loop.send().n_refreshed == 9
    after = [d["image"] for d in drawn.data("accuracy")]
    assert all(a != b for a, b in zip(before, after, strict=True))
    assert drawn.loop.send().n_refreshed == 0
    assert drawn.loop.send(refresh=True).n_refreshed == 9
    for data in drawn.data("low"):
        assert set(data) == {"image", "labelloop", "confidence", "predicted_class"}
    for data in drawn.data("accuracy"):
        assert set(data) == {"image", "labelloop"}


@pytest.mark.mistake("key-rotated")
@pytest.mark.mistake("address-changed")
@pytest.mark.parametrize(
    ("was", "now"),
    [
        ('access_key = "a"', 'access_key = "a2"'),
        ("[label_studio]", 'public_endpoint_url = "http://9.9.9.9"\n[label_studio]'),
    ],
)
def test_another_key_or_address_renews_every_link_once(drawn: World, was: str, now: str) -> None:
    drawn.loop.send()
    assert drawn.loop.send().n_refreshed == 0
    drawn.configure(head=HEAD.replace(was, now, 1))
    fail_once(drawn, "presign", StoreUnavailable("no", remedy="run again"))
    with pytest.raises(StoreUnavailable):
        drawn.loop.send()
    assert drawn.loop.send().n_refreshed == 9
    assert drawn.loop.send().n_refreshed == 0


def test_answered_tasks_are_not_renewed(drawn: World) -> None:
    drawn.loop.send()
    drawn.answer_all()
    drawn.loop.collect()
    drawn.clock.pass_(days=6)
    assert drawn.loop.send().n_refreshed == 0


@pytest.mark.mistake("input-gone")
def test_an_input_that_goes_while_its_task_is_open_makes_it_unavailable(drawn: World) -> None:
    drawn.loop.send()
    key = drawn.draws("low")[0].sample_id
    blind = drawn.draws("accuracy")[0].sample_id
    for gone in (key, blind):
        del drawn.store.objects_by_uri[f"s3://production/{gone}"]
    drawn.clock.pass_(days=6)
    assert drawn.loop.send().n_refreshed == 8
    assert drawn.task(key).state is TaskState.UNAVAILABLE
    # its copy is still there to be labelled
    assert drawn.task(blind, "evaluation").state is TaskState.SENT


# --- a lost ledger ----------------------------------------------------------------------------


@pytest.mark.mistake("ledger-lost")
def test_a_new_ledger_beside_projects_of_another_is_refused(
    drawn: World, make_world: MakeWorld
) -> None:
    drawn.loop.send()
    other = make_world()
    other.log = MemoryLog(ledger_id="another")
    other.annotator = drawn.annotator
    other.restart()
    other.traffic(10)
    other.loop.index()
    other.loop.select()
    with pytest.raises(LedgerError, match="another ledger created") as caught:
        other.loop.send()
    assert "restore the old ledger" in caught.value.remedy
    assert len(drawn.annotator.projects()) == 2


@pytest.mark.parametrize("name", ["birds", "pet", "p"])
def test_a_project_of_another_name_is_no_obstacle(
    drawn: World, make_world: MakeWorld, name: str
) -> None:
    drawn.loop.send()
    other = make_world(head=HEAD.replace('"pets"', f'"{name}"'))
    other.log = MemoryLog(ledger_id="another")
    other.annotator = drawn.annotator
    other.restart()
    other.traffic(10)
    other.loop.index()
    other.loop.select()
    assert other.loop.send().n_sent > 0


# --- a proxy that takes small requests only ----------------------------------------------------


def test_a_request_that_is_too_large_is_sent_in_parts(drawn: World) -> None:
    drawn.annotator.most_bytes = 500
    n = len(drawn.draws())
    assert drawn.loop.send().n_sent == n
    assert drawn.states() == {TaskState.SENT: n}
    imports = drawn.annotator.calls.count("import_tasks")
    assert n // 3 < imports < 2 * n
    assert max(Counter(drawn.remote_keys()).values()) == 1


@pytest.mark.mistake("request-too-large")
def test_a_task_that_is_too_large_alone_waits_and_the_limit_is_named(drawn: World) -> None:
    drawn.annotator.most_bytes = 40
    n = len(drawn.draws())
    with pytest.raises(InputTooLarge, match="refused a request of") as caught:
        drawn.loop.send()
    assert caught.value.remedy == "raise its most_bytes"
    assert drawn.states() == {TaskState.DRAWN: n}
    drawn.annotator.most_bytes = None
    assert drawn.loop.send().n_sent == n


# --- images by way of Label Studio ------------------------------------------------------------

OWN_LINKS = (ACCURACY + LOW).replace("budget", 'images = "label-studio"\nbudget')


@pytest.fixture
def own_links(make_world: MakeWorld) -> World:
    """Nine draws wait, in queues whose links Label Studio signs."""
    world = make_world(OWN_LINKS)
    world.traffic(40)
    world.loop.index()
    world.loop.select()
    return world


def test_label_studio_is_given_the_bucket_and_tasks_name_the_object(own_links: World) -> None:
    assert own_links.loop.send().n_sent == 9
    for queue, bucket in (("accuracy", "blind"), ("low", "production")):
        assert list(own_links.annotator.buckets[own_links.project_ref(queue)]) == [bucket]
        assert all(str(d["image"]).startswith(f"s3://{bucket}/") for d in own_links.data(queue))
    assert all("class_01" not in str(d) for d in own_links.data("accuracy"))
    access = own_links.annotator.buckets[own_links.project_ref("low")]["production"]
    assert (access.access_key, access.secret_key) == ("a", "b")
    assert "secret_key" not in repr(access)


def test_links_that_label_studio_signs_are_never_renewed(own_links: World) -> None:
    own_links.loop.send()
    own_links.clock.pass_(days=30)
    assert own_links.loop.send().n_refreshed == 0


def test_who_signs_may_change_both_ways(make_world: MakeWorld) -> None:
    world = make_world(ACCURACY + LOW)
    world.traffic(40)
    world.loop.index()
    world.loop.select()
    world.loop.send()
    world.configure(OWN_LINKS)
    world.clock.pass_(days=6)
    assert world.loop.send().n_refreshed == 9
    assert all(str(d["image"]).startswith("s3://") for d in world.data("low"))
    world.configure(ACCURACY + LOW)
    assert world.loop.send(refresh=True).n_refreshed == 9
    assert all("X-Amz-Expires" in str(d["image"]) for d in world.data("low"))


def test_a_bucket_that_is_refused_holds_up_its_own_queue_only(own_links: World) -> None:
    own_links.annotator.refused_buckets.add("blind")
    with pytest.raises(BucketRefused, match="'blind' was refused"):
        own_links.loop.send()
    assert own_links.states() == {TaskState.SENT: 4, TaskState.DRAWN: 5}
    own_links.annotator.refused_buckets.clear()
    own_links.loop.send()
    assert_settled(own_links)


def test_without_keys_label_studio_cant_sign(make_world: MakeWorld) -> None:
    head = HEAD.replace('access_key = "a"\nsecret_key = "b"\n', "")
    with pytest.raises(ConfigError, match="images = 'label-studio' needs access_key"):
        make_world(OWN_LINKS, head=head)


def test_an_image_too_large_for_its_task_waits_while_the_others_are_sent(
    make_world: MakeWorld,
) -> None:
    world = make_world(QUEUES, head=HEAD.replace('blind_uri = "s3://blind"', ""))
    world.store.inline = True
    world.traffic(40)
    world.loop.index()
    world.loop.select()
    with world.loop.project.ledger.read() as tx:
        large = [tasks.to_send(tx, queue, 9)[0].task.uri for queue in ("accuracy", "low")]

    def refuse_large(operation: str, uri: str) -> None:
        if operation == "presign" and uri in large:
            raise InputTooLarge(f"{uri} is too large", remedy="serve it")

    world.store.before = refuse_large
    for _ in range(2):
        with pytest.raises(InputTooLarge, match="2 images wait, the others are sent"):
            world.loop.send()
        assert world.states() == {TaskState.DRAWN: 2, TaskState.SENT: 7}
    world.store.before = lambda _operation, _uri: None
    assert world.loop.send().n_sent == 2
