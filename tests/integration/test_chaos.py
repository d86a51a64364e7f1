"""Killed, and behind bad networks, at a sample of the points; `make chaos` and `make faults` try all."""

import random
from collections.abc import Iterator

import pytest

from labelloop.demo.servers import LabelStudio, SeaweedFS
from tests.chaos.trial import STAGES, Course
from tests.faults.course import LABEL_STUDIO, S3, Passed, Proxies, outcome, play
from tests.faults.proxy import Fault, Seen

# each run is a forked process, made while this one's threads hold nothing that it needs
pytestmark = pytest.mark.filterwarnings("ignore:.*use of fork.*:DeprecationWarning")


@pytest.fixture(scope="module")
def proxies(seaweedfs: SeaweedFS, label_studio: LabelStudio) -> Iterator[Proxies]:
    with Proxies(label_studio.url, seaweedfs.endpoint_url) as standing:
        yield standing


@pytest.fixture(scope="module")
def course(
    tmp_path_factory: pytest.TempPathFactory,
    seaweedfs: SeaweedFS,
    label_studio: LabelStudio,
    proxies: Proxies,
) -> Iterator[Course]:
    home = tmp_path_factory.mktemp("course") / "trials"
    through = (proxies.urls[0], proxies.urls[1])
    made = Course(home, seaweedfs, label_studio, through=through)
    yield made
    made.close()


@pytest.fixture(scope="module")
def calm(course: Course, proxies: Proxies) -> Passed:
    """The undisturbed course."""
    passed = play(course, proxies, [[]] * len(STAGES))
    assert not passed.errors
    end = passed.end
    assert end.n_remote == end.n_remote_keys == len(end.tasks)
    assert end.n_annotations == end.n_remote_annotations == len(end.labels)
    assert end.n_copies == 0
    return passed


def test_killed_runs_end_as_undisturbed_ones(
    course: Course, proxies: Proxies, calm: Passed
) -> None:
    proxies.plan([])
    rng = random.Random(7)
    kills = {i: rng.randint(1, len(reached)) for i, reached in calm.points.items()}
    found, _, killed = course.run(kills)
    assert killed
    assert found == calm.end, killed


FAULTS = (
    [
        (LABEL_STUDIO, "POST /api/projects/", "502 with HTML"),
        (S3, "GET object tagging", "cut short"),
    ],
    [
        (LABEL_STUDIO, "POST /api/projects/N/import", "answered too late"),
        (S3, "PUT object copy", "500"),
    ],
    [(LABEL_STUDIO, "GET /api/tasks", "token expired"), (S3, "GET bucket", "reset in mid-body")],
    [],
    [(LABEL_STUDIO, "GET /api/tasks", "slow drip"), (S3, "DELETE object", "429 with Retry-After")],
)
"""One fault of each server in each stage but one: server, sort of request, kind."""


def nth(calm: list[Seen], server: int, name: str) -> int:
    """The number of the first request of a sort."""
    return [seen.name for seen in calm if seen.server == server].index(name) + 1


def test_runs_behind_bad_networks_end_as_undisturbed_ones(
    course: Course, proxies: Proxies, calm: Passed
) -> None:
    plan = [
        [Fault(server, nth(seen, server, name), kind) for server, name, kind in faults]
        for seen, faults in zip(calm.seen, FAULTS, strict=True)
    ]
    passed = play(course, proxies, plan)
    assert len(passed.faults) == 8
    assert outcome(passed.end) == outcome(calm.end), (passed.faults, passed.errors)
