"""Projects in memory, over a ledger that is migrated once and copied."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from labelloop.ledger import Ledger
from labelloop.testing import MemorySource
from tests.world import HEAD, QUEUES, World

MakeWorld = Callable[..., World]


@pytest.fixture(scope="session")
def ledger_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated, empty ledger."""
    path = tmp_path_factory.mktemp("ledger") / "ledger.db"
    Ledger.open(f"sqlite:///{path}").close()
    return path


@pytest.fixture
def make_world(tmp_path: Path, ledger_template: Path) -> Iterator[MakeWorld]:
    """Makes projects in memory, and closes them."""
    made: list[World] = []

    def make(
        queues: str = QUEUES, *, head: str = HEAD, source: MemorySource | None = None
    ) -> World:
        folder = tmp_path / f"project{len(made)}"
        (folder / ".labelloop").mkdir(parents=True)
        shutil.copy(ledger_template, folder / ".labelloop" / "ledger.db")
        made.append(World(folder, queues, head=head, source=source))
        return made[-1]

    yield make
    for world in made:
        world.loop.close()


@pytest.fixture
def world(make_world: MakeWorld) -> World:
    """A project with an evaluation queue, a queue with a budget, and one on feedback."""
    return make_world()
