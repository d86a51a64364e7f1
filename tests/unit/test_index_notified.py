"""index, where the store names by itself what is new."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from labelloop.core.sample import RejectReason
from labelloop.testing import MemoryNotifications
from labelloop.testing.notifications import UNREADABLE
from labelloop.views.verbs import index_line
from tests.unit.conftest import MakeWorld
from tests.unit.test_index import flagged, n_framed, reasons, tags_read
from tests.world import Killed, World, kill_at_write


@pytest.fixture
def notified(make_world: MakeWorld) -> Iterator[World]:
    """A world whose store has notifications, after its first listing."""
    world = make_world()
    world.notifications = MemoryNotifications(world.store, page_size=3)
    world.configure_again()
    world.traffic(2)
    found = world.loop.index()
    assert (found.n_listed, found.n_new, found.n_notified) == (2, 2, None)
    world.clock.pass_(hours=1)
    yield world
    world.loop.close()


def name(world: World, *keys: str) -> None:
    assert world.notifications is not None
    world.notifications.name(*keys)


def test_what_is_named_is_read_and_nothing_else(notified: World) -> None:
    asked = tags_read(notified)
    name(notified, *notified.traffic(7), "gone.png")
    notified.traffic(1)
    found = notified.loop.index()
    assert (found.n_listed, found.n_new, found.n_notified) == (0, 7, 7)
    assert len(asked) == 7
    asked.clear()
    found = notified.loop.index()
    assert (found.n_new, found.n_notified, asked) == (0, 0, [])
    assert n_framed(notified) == 9


def test_feedback_is_heard_however_old_the_object_is(notified: World) -> None:
    notified.clock.pass_(days=6)
    notified.retag("class_01/00001.png", flagged="true")
    name(notified, "class_01/00001.png")
    assert notified.loop.index().n_feedback == 1
    assert flagged(notified) == {"class_01/00001.png"}


def test_one_without_its_tags_is_looked_at_again(notified: World) -> None:
    notified.store.put("late.png", b"x")
    name(notified, "late.png", *notified.traffic(6))
    found = notified.loop.index()
    assert (found.n_new, found.n_pending) == (6, 1)
    notified.clock.pass_(minutes=11)
    found = notified.restart().index()
    assert (found.n_new, found.n_pending, found.n_set_aside) == (0, 0, 1)
    assert reasons(notified) == {"late.png": RejectReason.UNTAGGED}
    notified.retag("late.png", predicted_class="cat", timestamp="2026-03-02")
    name(notified, "late.png")
    found = notified.loop.index()
    assert (found.n_new, found.n_notified) == (1, 1)
    assert not reasons(notified)


def test_what_was_never_named_is_found_by_the_listing_of_the_week(notified: World) -> None:
    notified.traffic(1)
    assert notified.loop.index().n_new == 0
    notified.clock.pass_(days=7)
    found = notified.loop.index()
    assert (found.n_listed, found.n_new) == (3, 1)
    assert notified.loop.index().n_listed == 0


def test_the_store_is_listed_when_it_is_asked_for(notified: World) -> None:
    notified.traffic(1)
    found = notified.loop.index(list_store=True)
    assert (found.n_listed, found.n_new, found.n_notified) == (3, 1, None)


def test_what_a_listing_saw_is_not_read_again(notified: World) -> None:
    name(notified, *notified.traffic(3))
    notified.clock.pass_(days=7)
    assert notified.loop.index().n_new == 3
    assert notified.loop.index().n_notified == 0


def test_a_listing_that_found_untagged_objects_leaves_their_notifications(
    notified: World,
) -> None:
    notified.clock.pass_(days=7)
    notified.store.put("late.png", b"x")
    name(notified, "late.png")
    assert notified.loop.index().n_pending == 1
    notified.retag("late.png", predicted_class="cat", timestamp="2026-03-02")
    found = notified.loop.index()
    assert (found.n_listed, found.n_notified, found.n_new) == (0, 1, 1)


def test_where_a_notification_is_unreadable_the_store_is_listed(notified: World) -> None:
    name(notified, UNREADABLE, *notified.traffic(1))
    notified.traffic(1)
    found = notified.loop.index()
    assert (found.n_unreadable, found.n_notified, found.n_listed, found.n_new) == (1, 1, 4, 2)
    assert notified.loop.index().n_listed == 0


@pytest.mark.parametrize("at", range(1, 7))
def test_one_that_is_unreadable_is_passed_only_once_the_store_was_listed(
    notified: World, at: int
) -> None:
    name(notified, UNREADABLE, *notified.traffic(4))
    notified.traffic(1)  # what it named, perhaps
    kill_at_write(notified, at)
    with pytest.raises(Killed):
        notified.loop.index()
    notified.restart().index()
    assert n_framed(notified) == 7
    assert notified.loop.index().n_listed == 0


def test_other_classes_are_a_reason_to_list(notified: World) -> None:
    notified.put("cow.png", predicted_class="cow")
    name(notified, "cow.png")
    assert notified.loop.index().n_set_aside == 1
    text = (notified.folder / "labelloop.toml").read_text()
    notified.configure("", head=text.replace('"cat"', '"cat", "cow"', 1))
    found = notified.loop.index()
    assert (found.n_listed, found.n_new, found.n_set_aside_in_all) == (3, 1, 0)


@pytest.mark.parametrize("at", range(1, 6))
def test_a_run_that_is_killed_reads_what_is_missing_next_time(notified: World, at: int) -> None:
    name(notified, *notified.traffic(7))
    notified.put("bad.png", confidence="abc")
    name(notified, "bad.png")
    kill_at_write(notified, at)
    with pytest.raises(Killed):
        notified.loop.index()
    notified.restart().index()
    assert n_framed(notified) == 9
    assert set(reasons(notified)) == {"bad.png"}
    assert notified.loop.index().n_notified == 0


def test_a_backlog_is_committed_in_batches(
    notified: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    from labelloop.steps.index import news

    monkeypatch.setattr(news, "BATCH", 3)
    name(notified, *notified.traffic(8))
    assert notified.loop.index().n_new == 8
    assert n_framed(notified) == 10


def test_what_two_pages_name_is_read_once(notified: World) -> None:
    """As it was stored, and as it was tagged a moment later."""
    bad = notified.put("bad.png", confidence="2")
    keys = notified.traffic(2)
    name(notified, *keys, bad, *keys, bad)
    found = notified.loop.index()
    assert (found.n_new, found.n_set_aside) == (2, 1)
    assert n_framed(notified) == 4


def test_feedback_that_two_pages_name_is_heard_once(notified: World) -> None:
    key = "class_01/00001.png"
    notified.retag(key, flagged="true")
    name(notified, key, *notified.traffic(2), key)
    assert notified.loop.index().n_feedback == 1


def test_the_week_is_a_setting(make_world: MakeWorld) -> None:
    world = make_world()
    assert world.settings.store.list_every == timedelta(days=7)


def test_the_line_says_what_was_named_and_what_was_listed(notified: World) -> None:
    assert index_line(notified.loop.index()) == "0 new (0 notified)"
    name(notified, UNREADABLE, *notified.traffic(2))
    assert index_line(notified.loop.index()) == (
        "2 new (2 notified, 4 listed); 1 notification can't be read, so the bucket was listed"
    )
