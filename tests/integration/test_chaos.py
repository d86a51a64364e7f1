"""Killed at a sample of the points where something outside changes; `make chaos` tries all of them."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from labelloop.demo.servers import LabelStudio, SeaweedFS
from tests.chaos.trial import Course


@pytest.fixture
def course(tmp_path: Path, seaweedfs: SeaweedFS, label_studio: LabelStudio) -> Iterator[Course]:
    made = Course(tmp_path / "trials", seaweedfs, label_studio)
    yield made
    made.close()


# each run is a forked process, made while this one's threads hold nothing that it needs
@pytest.mark.filterwarnings("ignore:.*use of fork.*:DeprecationWarning")
def test_killed_runs_end_as_undisturbed_ones(course: Course) -> None:
    expected, points, _ = course.run({})
    assert expected.n_remote == expected.n_remote_keys == len(expected.tasks)
    assert expected.n_annotations == expected.n_remote_annotations == len(expected.labels)
    assert expected.n_copies == 0
    rng = random.Random(7)
    kills = {i: rng.randint(1, len(reached)) for i, reached in points.items()}
    found, _, killed = course.run(kills)
    assert killed
    assert found == expected, killed
