"""index: what is new goes into the log once, whatever happens on the way."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from labelloop.core.round import FrameRange
from labelloop.core.row_range import NO_ROWS
from labelloop.core.sample import Feedback, Prediction, RejectReason
from labelloop.core.where import Where
from labelloop.errors import StoreUnavailable
from labelloop.ledger import rejects
from labelloop.ports.log import BatchKind
from labelloop.views.verbs import index_line
from tests.unit.conftest import MakeWorld
from tests.world import HEAD, QUEUES, Killed, World, kill_at_write

ANY_FEEDBACK = Where.parse("flagged or corrected_class is not null")


def framed(world: World) -> dict[str, int]:
    """How many rows of each predicted class the frame of everything has."""
    rows = world.log.counts(FrameRange(batch_to=1_000), ())
    return dict(Counter({c.predicted_class: 0 for c in rows}) + _sum(rows))


def _sum(rows: Sequence[object]) -> Counter[str]:
    found: Counter[str] = Counter()
    for row in rows:
        found[row.predicted_class] += row.n  # type: ignore[attr-defined]
    return found


def n_framed(world: World) -> int:
    return sum(framed(world).values())


def flagged(world: World) -> set[str]:
    return {c.sample_id for c in world.log.received(0, 1_000, ANY_FEEDBACK)}


def reasons(world: World) -> dict[str, RejectReason]:
    return {s.uri.removeprefix("s3://production/"): s.reason for s in world.loop.rejected()}


def tags_read(world: World) -> list[str]:
    """The keys whose tags are asked for from now on."""
    asked: list[str] = []

    def before(call: str, uri: str) -> None:
        if call == "tags":
            asked.append(uri.removeprefix("s3://production/"))

    world.store.before = before
    return asked


def test_new_objects_are_indexed_once(world: World) -> None:
    world.traffic(7)
    first = world.loop.index()
    assert (first.n_listed, first.n_new, first.n_set_aside) == (7, 7, 0)
    second = world.loop.index()
    assert (second.n_listed, second.n_new) == (7, 0)
    assert n_framed(world) == 7


def test_an_empty_bucket_is_no_error(world: World) -> None:
    found = world.loop.index()
    assert (found.n_listed, found.n_new, found.n_set_aside_in_all) == (0, 0, 0)


def test_no_tag_is_read_twice_once_the_feedback_horizon_has_passed(world: World) -> None:
    world.traffic(5)
    world.put("bad.png", confidence="abc")
    world.clock.pass_(days=3)
    asked = tags_read(world)
    world.loop.index()
    assert len(asked) == len(set(asked)) == 6
    asked.clear()
    world.clock.pass_(hours=3)
    world.traffic(2)
    assert world.loop.index().n_new == 2
    world.loop.index()
    assert set(asked) == {"class_01/00006.png", "class_01/00007.png"}


def test_an_object_that_came_in_behind_the_listing_is_found_next_time(world: World) -> None:
    began_at = world.clock.at
    tags = {"predicted_class": "cat", "timestamp": "2026-03-02"}
    # a listing that took two days: it still saw what came in late, and passed by what came earlier
    world.store.put("zz.png", b"z", tags=tags, last_modified=began_at + timedelta(hours=40))
    world.loop.index()
    world.store.put("aa.png", b"a", tags=tags, last_modified=began_at + timedelta(hours=3))
    world.clock.pass_(days=5)
    assert world.loop.index().n_new == 1
    assert n_framed(world) == 2


def test_an_untagged_object_is_pending_for_ten_minutes(world: World) -> None:
    world.store.put("new.png", b"x")
    found = world.loop.index()
    assert (found.n_pending, found.n_set_aside) == (1, 0)
    world.clock.pass_(minutes=11)
    found = world.loop.index()
    assert (found.n_pending, found.n_set_aside) == (0, 1)
    assert reasons(world) == {"new.png": RejectReason.UNTAGGED}


def test_a_pending_object_is_indexed_when_its_tags_come(world: World) -> None:
    world.store.put("new.png", b"x")
    world.loop.index()
    world.retag("new.png", predicted_class="cat", timestamp="2026-03-02")
    world.clock.pass_(days=5)
    assert world.loop.index().n_new == 1


def test_what_cannot_be_read_is_set_aside_and_read_again_while_it_may_change(
    world: World,
) -> None:
    for bad in ("abc", "nan", "1.2"):
        world.put(f"{bad}.png", confidence=bad)
    world.put("class.png", predicted_class="cow")
    world.put("time.png", timestamp="yesterday")
    assert world.loop.index().n_set_aside == 5
    assert Counter(reasons(world).values()) == {
        RejectReason.BAD_CONFIDENCE: 3,
        RejectReason.UNKNOWN_CLASS: 1,
        RejectReason.BAD_TIMESTAMP: 1,
    }
    world.retag("abc.png", confidence="0.7")
    world.clock.pass_(hours=1)
    found = world.loop.index()
    assert (found.n_new, found.n_set_aside, found.n_set_aside_in_all) == (1, 0, 4)
    assert "abc.png" not in reasons(world)


def test_a_class_that_is_added_mends_what_it_can(world: World) -> None:
    world.put("cow.png", predicted_class="cow")
    world.put("right.png", corrected_class="cow")
    world.loop.index()
    world.clock.pass_(days=9)
    assert world.loop.index().n_new == 0
    world.configure(head=HEAD.replace('"dog"]', '"dog", "cow"]'))
    assert world.loop.index().n_new == 1
    assert reasons(world) == {}
    assert flagged(world) == {"right.png"}


def test_tag_names_that_are_mended_mend_what_was_set_aside(world: World) -> None:
    world.put("a.png", predicted_class="-", label="dog")
    world.loop.index()
    world.clock.pass_(days=9)
    world.configure(
        head=HEAD.replace(
            "[label_studio]", '[store.tags]\npredicted_class = "label"\n[label_studio]'
        )
    )
    assert world.loop.index().n_new == 1
    assert framed(world) == {"dog": 1}


def test_feedback_is_noticed_within_its_horizon_and_once(world: World) -> None:
    early, late = world.traffic(2)
    world.loop.index()
    world.clock.pass_(days=1)
    world.retag(early, flagged="true")
    assert world.loop.index().n_feedback == 1
    assert world.loop.index().n_feedback == 0
    world.retag(early, flagged="true", corrected_class="dog")
    assert world.loop.index().n_feedback == 1
    world.clock.pass_(days=2)
    world.retag(late, flagged="true")
    assert world.loop.index().n_feedback == 0
    assert flagged(world) == {early}


def test_feedback_that_is_taken_back_is_noticed(world: World) -> None:
    (key,) = world.traffic(1, flagged="true")
    world.loop.index()
    world.retag(key, flagged="false")
    assert world.loop.index().n_feedback == 1
    assert flagged(world) == set()


def test_another_content_under_a_known_key_is_set_aside(world: World) -> None:
    world.put("a.png", b"one", predicted_class="cat")
    world.loop.index()
    world.clock.pass_(hours=1)
    world.put("a.png", b"two", predicted_class="dog")
    assert world.loop.index().n_set_aside == 1
    assert reasons(world) == {"a.png": RejectReason.OVERWRITTEN}
    assert framed(world) == {"cat": 1}


def test_another_content_is_noticed_however_long_ago_it_was_stored(world: World) -> None:
    world.put("a.png", b"one")
    world.put("b.png", b"other")
    world.loop.index()
    world.clock.pass_(hours=5)
    world.put("a.png", b"two")
    world.put("c.png")
    world.clock.pass_(days=30)
    world.loop.index()
    assert reasons(world) == {"a.png": RejectReason.OVERWRITTEN}


@pytest.mark.parametrize(
    "changed",
    [
        {"predicted_class": "dog"},
        {"confidence": "0.6"},
        {"confidence": "abc"},
        {"timestamp": "2026-01-01"},
    ],
)
def test_another_prediction_of_the_same_model_is_set_aside(
    world: World, changed: dict[str, str]
) -> None:
    (key,) = world.traffic(1, predicted_class="cat", confidence="0.5")
    world.loop.index()
    world.retag(key, **changed)
    world.loop.index()
    assert reasons(world) == {key: RejectReason.CHANGED}
    assert framed(world) == {"cat": 1}
    world.retag(key, predicted_class="cat", confidence="0.5", timestamp="2026-03-02T12:00:00Z")
    world.loop.index()
    assert reasons(world) == {}


def test_a_second_models_prediction_is_stored_once_and_framed_never(world: World) -> None:
    (key,) = world.traffic(1, model="v1", predicted_class="cat")
    world.loop.index()
    world.retag(key, model="v2", predicted_class="dog")
    assert world.loop.index().n_new == 1
    assert world.loop.index().n_new == 0
    assert framed(world) == {"cat": 1}
    assert world.log.samples([key])[key].repeated == {"v2"}
    assert reasons(world) == {}


def test_a_missing_confidence_stays_in_the_frame(world: World) -> None:
    world.put("a.png", confidence="-")
    assert world.loop.index().n_set_aside == 0
    (count,) = world.log.counts(FrameRange(batch_to=9), ())
    assert (count.risk_bin, count.n) == (512, 1)


def test_a_store_that_fails_loses_nothing(world: World) -> None:
    world.traffic(4, flagged="true")

    def fail(call: str, uri: str) -> None:
        if call == "tags" and uri.endswith("3.png"):
            raise StoreUnavailable("the store is down", remedy="run again")

    world.store.before = fail
    with pytest.raises(StoreUnavailable):
        world.loop.index()
    world.store.before = lambda _call, _uri: None
    assert world.loop.index().n_new == 4
    assert len(flagged(world)) == 4


class KillingLog:
    """Kills the process before or after the n-th call that writes to the log."""

    def __init__(self, world: World, at: int, *, after: bool) -> None:
        self.left = at
        self._after = after
        log = world.log
        for name in ("write_batch", "commit_batch"):
            setattr(log, name, self._wrapped(getattr(log, name)))
        self._world = world

    def _wrapped(self, call):  # type: ignore[no-untyped-def]
        def wrapped(*args, **kwargs):  # type: ignore[no-untyped-def]
            self.left -= 1
            if self.left == 0 and not self._after:
                raise Killed
            result = call(*args, **kwargs)
            if self.left == 0:
                raise Killed
            return result

        return wrapped


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("at", [1, 2, 3, 4])
def test_a_run_killed_around_any_write_to_the_log_ends_in_the_same_state(
    make_world: MakeWorld, at: int, after: bool
) -> None:
    world = make_world(QUEUES)
    world.traffic(3)
    world.put("flagged.png", flagged="true")
    world.put("odd.png", flagged="maybe")
    world.put("bad.png", confidence="abc")
    world.clock.pass_(days=9)  # beyond the horizon: nothing is read a second time for feedback
    KillingLog(world, at, after=after)
    with pytest.raises(Killed):
        world.loop.index()
    world.clock.pass_(minutes=5)
    world.restart().index()
    assert n_framed(world) == 5
    assert flagged(world) == {"flagged.png"}
    assert reasons(world) == {
        "odd.png": RejectReason.BAD_FLAG,
        "bad.png": RejectReason.BAD_CONFIDENCE,
    }
    assert world.loop.index().n_new == 0
    heard = [f for _, f in world.log._feedback()]
    assert len(heard) == 1


@pytest.mark.parametrize("at", range(1, 7))
def test_a_run_killed_at_any_write_to_the_ledger_ends_in_the_same_state(
    make_world: MakeWorld, at: int
) -> None:
    world = make_world(QUEUES)
    world.traffic(2)
    world.put("flagged.png", flagged="true")
    world.put("bad.png", confidence="abc")
    world.clock.pass_(days=9)
    kill_at_write(world, at)
    with pytest.raises(Killed):
        world.loop.index()
    world.restart().index()
    assert n_framed(world) == 3
    assert flagged(world) == {"flagged.png"}
    assert set(reasons(world)) == {"bad.png"}
    assert len([f for _, f in world.log._feedback()]) == 1


def test_a_batch_that_was_half_written_is_given_up(world: World) -> None:
    world.traffic(3)
    write = world.log.write_batch

    def cut_short(
        batch: int, kind: BatchKind, rows: Sequence[Prediction] | Sequence[Feedback], at: object
    ) -> str:
        path = write(batch, kind, rows[:1], world.clock.at)
        world.log.write_batch = write  # type: ignore[method-assign]
        world.log.is_whole = lambda _path, _n: False  # type: ignore[method-assign]
        return path

    world.log.write_batch = cut_short  # type: ignore[method-assign,assignment]
    commit = world.log.commit_batch

    def killed(*_args: object) -> None:
        world.log.commit_batch = commit  # type: ignore[method-assign]
        raise Killed

    world.log.commit_batch = killed  # type: ignore[method-assign,assignment]
    with pytest.raises(Killed):
        world.loop.index()
    assert world.restart().index().n_new == 3
    assert n_framed(world) == 3


def test_an_object_that_replication_brought_with_its_old_time_is_found(world: World) -> None:
    world.put("new.png")
    world.loop.index()
    world.clock.at += timedelta(days=30)
    world.put("newer.png")
    world.loop.index()
    old = datetime(2026, 1, 1, tzinfo=UTC)
    tags = {"predicted_class": "cat", "confidence": "0.5", "timestamp": "2026-01-01T00:00:00Z"}
    world.store.put("copied.png", b"x", tags=tags, last_modified=old)
    world.clock.at += timedelta(days=30)
    asked = tags_read(world)
    assert world.loop.index().n_new == 1
    assert asked == ["copied.png"]
    assert world.loop.index().n_new == 0
    assert asked == ["copied.png"]


def test_files_that_are_no_inputs_are_left_out(make_world: MakeWorld) -> None:
    world = make_world()
    for key in ("a.png", "b/readme.txt", "b/@eaDir/a.png/thumb.jpg", "Thumbs.db"):
        world.put(key, predicted_class="cow")
    assert world.loop.index().n_set_aside == 4
    exclude = '[store]\nexclude = ["*.txt", "Thumbs.db", "@eaDir/**"]'
    world.configure(QUEUES, head=HEAD.replace("[store]", exclude))
    found = world.loop.index()
    assert (found.n_listed, found.n_set_aside_in_all) == (1, 1)
    assert reasons(world) == {"a.png": RejectReason.UNKNOWN_CLASS}


def test_an_empty_object_is_no_input(world: World) -> None:
    world.put("empty.png", b"")
    assert world.loop.index().n_pending == 1
    world.clock.at += timedelta(minutes=11)
    world.loop.index()
    assert [(r.reason, r.value) for r in world.loop.rejected()] == [
        (RejectReason.UNREADABLE, "it is empty: 0 bytes")
    ]


@pytest.mark.parametrize(
    ("divisor", "texts"), [("100", ["44.5", "44.5%", "44,5 %"]), ("1", ["0,445", "0.445"])]
)
def test_confidences_in_percent_or_with_a_comma_are_read_where_the_settings_say_so(
    make_world: MakeWorld, divisor: str, texts: list[str]
) -> None:
    head = HEAD.replace("[store]", f"[store]\nconfidence_divisor = {divisor}")
    world = make_world(head=head)
    for i, text in enumerate(texts):
        world.put(f"{i}.png", confidence=text)
    world.loop.index()
    known = world.log.samples([f"{i}.png" for i in range(len(texts))])
    assert [k.confidence for k in known.values()] == [0.445] * len(texts)


# --- what isn't as it seems -----------------------------------------------------------------


def test_a_young_object_that_cannot_be_read_is_not_called_untagged(world: World) -> None:
    world.put("empty.png", b"")
    world.put("untagged.png", predicted_class="-", confidence="-", timestamp="-")
    found = world.loop.index()
    assert (found.n_pending, found.n_unreadable_yet, found.n_set_aside) == (2, 1, 0)
    assert "1 not tagged yet; 1 can't be read yet: empty, denied or half written" in index_line(
        found
    )
    world.clock.pass_(minutes=11)
    assert world.loop.index().n_unreadable_yet == 0
    assert reasons(world) == {
        "empty.png": RejectReason.UNREADABLE,
        "untagged.png": RejectReason.UNTAGGED,
    }


def test_a_known_object_that_cannot_be_read_any_more_hides_no_row(world: World) -> None:
    world.put("a.png")
    world.loop.index()
    world.clock.pass_(minutes=11)
    world.put("a.png", b"")
    world.clock.pass_(minutes=11)
    world.loop.index()
    assert reasons(world) == {"a.png": RejectReason.UNREADABLE_NOW}
    with world.loop.project.ledger.read() as tx:
        assert rejects.outside_frames(tx, None) == NO_ROWS


@pytest.mark.mistake("dated-ahead")
def test_clocks_that_run_ahead_are_told_until_their_time_comes(world: World) -> None:
    world.put("now.png")
    world.put("soon.png", timestamp="2026-03-02T12:04:00Z")
    assert world.loop.index().n_ahead == 0
    world.put("ahead.png", timestamp="2026-03-04T12:00:00Z")
    world.put("further.png", timestamp="2026-03-09T12:00:00Z")
    found = world.loop.index()
    assert found.n_ahead == 2
    assert "2 dated in the future: a clock runs ahead" in index_line(found)
    assert world.loop.index().n_ahead == 0
    [block] = [b for b in world.loop.status().blocks if b.kind == "dated ahead"]
    assert (block.n, "up to 09 Mar 2026 12:00 UTC" in block.says) == (2, True)
    world.clock.pass_(days=8)
    assert not [b for b in world.loop.status().blocks if b.kind == "dated ahead"]
