import re
from datetime import UTC, date, datetime

import pytest

from labelloop.demo import digits, model
from labelloop.demo.digits import CLASSES
from labelloop.demo.traffic import Served, serve

DAY = date(2026, 3, 1)

pytestmark = pytest.mark.xdist_group("demo")
"""One process imports what they share, and makes it."""


@pytest.fixture(scope="module")
def served() -> tuple[Served, ...]:
    parts = digits.split(digits.load(), n_first=100, n_per_day=(600,), seed=7)
    return serve(parts.days[0], model.train("forest-1", parts.first), day=DAY, seed=7)


def test_the_folder_of_a_key_is_the_predicted_class(served: tuple[Served, ...]) -> None:
    for one in served:
        assert re.fullmatch(r"class_0\d/[0-9a-f-]{36}\.png", one.key)
        assert one.key.split("/")[0] == one.predicted_class
    assert len({one.key for one in served}) == len(served)


def test_tags_are_written_as_an_application_writes_them() -> None:
    one = Served(
        key="class_07/x.png",
        png=b"",
        truth="class_01",
        predicted_class="class_07",
        confidence=0.98765,
        predicted_at=datetime(2026, 3, 1, 9, 5, 7, tzinfo=UTC),
        model="forest-1",
        flagged=True,
        corrected_class="class_01",
        late=False,
    )
    plain = {
        "predicted_class": "class_07",
        "confidence": "0.988",
        "timestamp": "2026-03-01T09:05:07Z",
        "model": "forest-1",
    }
    assert one.tags(with_feedback=False) == plain
    assert one.tags(with_feedback=True) == plain | {
        "flagged": "true",
        "corrected_class": "class_01",
    }


def test_requests_come_in_order_within_their_day(served: tuple[Served, ...]) -> None:
    instants = [one.predicted_at for one in served]
    assert instants == sorted(instants)
    assert {instant.date() for instant in instants} == {DAY}


def test_users_say_more_of_wrong_answers_and_never_correct_right_ones(
    served: tuple[Served, ...],
) -> None:
    wrong = [one for one in served if not one.right]
    right = [one for one in served if one.right]
    assert wrong
    share = [sum(o.has_feedback for o in part) / len(part) for part in (wrong, right)]
    assert share[0] > share[1]
    assert all(one.corrected_class is None for one in right)
    corrections = {one.corrected_class for one in wrong if one.corrected_class}
    assert corrections <= set(CLASSES)


def test_the_same_seed_serves_the_same_traffic() -> None:
    parts = digits.split(digits.load(), n_first=50, n_per_day=(40,), seed=1)
    trained = model.train("forest-1", parts.first)
    one, again, other = (serve(parts.days[0], trained, day=DAY, seed=s) for s in (3, 3, 4))
    assert one == again
    assert {o.key for o in one}.isdisjoint(o.key for o in other)
