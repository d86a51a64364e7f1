"""Projects in memory, over a ledger that is migrated once and copied."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from labelloop.ledger import Ledger
from labelloop.testing import MemorySource
from tests.lasting import Kept, LastingWorld, two_days
from tests.served import Service
from tests.world import HEAD, QUEUES, World

if TYPE_CHECKING:
    from tests.postgres import PostgreSQL

MakeWorld = Callable[..., World]
Keep = Callable[..., Kept[World]]
MakeService = Callable[..., Service]
KINDS = ("sqlite", "postgresql")
"""Where a ledger may lie."""


@pytest.fixture(scope="session")
def ledger_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated, empty ledger."""
    path = tmp_path_factory.mktemp("ledger") / "ledger.db"
    Ledger.open(f"sqlite:///{path}").close()
    return path


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """The kind of database that a test's ledgers lie in: a test that asks for it runs on each."""
    return str(request.param)


@pytest.fixture
def new_ledger(
    kind: str, ledger_template: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> Callable[[], str]:
    """Makes empty ledgers on each kind of database; returns their URLs."""
    made: list[str] = []

    def make() -> str:
        if kind == "sqlite":
            path = tmp_path / f"ledger{len(made)}.db"
            shutil.copy(ledger_template, path)
            made.append(f"sqlite:///{path}")
        else:
            server: PostgreSQL = request.getfixturevalue("postgresql")
            made.append(server.ledger())
        return made[-1]

    return make


@pytest.fixture
def url(new_ledger: Callable[[], str]) -> str:
    """The URL of an empty ledger, on each kind of database."""
    return new_ledger()


@pytest.fixture
def ledger(url: str) -> Iterator[Ledger]:
    """That ledger, open."""
    opened = Ledger.open(url)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def keep(tmp_path_factory: pytest.TempPathFactory, ledger_template: Path) -> Keep:
    """Makes projects in memory that many tests begin with: once a file."""

    def keep_one(begin: Callable[[World], None], queues: str = QUEUES) -> Kept[World]:
        folder = tmp_path_factory.mktemp("kept")
        (folder / ".labelloop").mkdir()
        shutil.copy(ledger_template, folder / ".labelloop" / "ledger.db")
        world = World(folder, queues)
        begin(world)
        return Kept(world)

    return keep_one


@pytest.fixture
def make_world(
    tmp_path: Path, ledger_template: Path, request: pytest.FixtureRequest
) -> Iterator[MakeWorld]:
    """Makes projects in memory, and closes them; their ledgers lie in SQLite, or as `kind` says."""
    made: list[World] = []
    on_postgresql = (
        "kind" in request.fixturenames and request.getfixturevalue("kind") == "postgresql"
    )

    def make(
        queues: str = QUEUES, *, head: str = HEAD, source: MemorySource | None = None
    ) -> World:
        folder = tmp_path / f"project{len(made)}"
        (folder / ".labelloop").mkdir(parents=True)
        if on_postgresql:
            server: PostgreSQL = request.getfixturevalue("postgresql")
            head += f'\n[state]\nledger = "{server.ledger()}"\n'
        else:
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


@pytest.fixture(scope="session")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Kept[LastingWorld]:
    """A project of two days with a log on the disk, kept to come back to."""
    world = LastingWorld(tmp_path_factory.mktemp("lasting"))
    two_days(world)
    return Kept(world)


@pytest.fixture
def lasting(kept: Kept[LastingWorld]) -> Iterator[LastingWorld]:
    """That project, as it was kept."""
    with kept.again() as world:
        yield world


@pytest.fixture(scope="module")
def measured(keep: Keep) -> Kept[World]:
    """A project whose first round is labelled, kept to come back to."""

    def begin(world: World) -> None:
        world.traffic(30)
        world.loop.run()
        world.answer_all()
        world.loop.run()
        world.loop.close()

    return keep(begin)


@pytest.fixture
def make_service(measured: Kept[World]) -> Iterator[MakeService]:
    with ExitStack() as held:

        def make(service: str = "") -> Service:
            world = held.enter_context(measured.again())
            world.configure(QUEUES, head=HEAD + service)
            made = Service(world)
            held.callback(made.site.close)
            return made

        yield make


@pytest.fixture
def service(make_service: MakeService) -> Service:
    return make_service()
