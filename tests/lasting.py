"""A project kept as it was, so that each test may go on from there; and one whose log is real files."""

import copy
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Generic, TypeVar

from labelloop.loop import Loop
from labelloop.project import Project
from tests.world import QUEUES, World


class LastingWorld(World):
    """A world with a log on the disk; store and annotator are in memory, as ever."""

    def configure(self, queues: str = QUEUES, *, head: str = "") -> None:
        super().configure(queues, head=head)
        self.loop = Loop(
            Project(
                self.settings,
                clock=self.clock,
                progress=lambda what, done, total: self.progress(what, done, total),
                store=self.store,
                annotator=self.annotator,
            )
        )

    def files(self, pattern: str) -> list[Path]:
        """The files of the state that match, oldest name first."""
        return sorted(self.state.glob(pattern))


def two_days(world: World) -> None:
    """Two days of traffic, each answered and released."""
    for _ in range(2):
        world.traffic(12)
        assert not world.loop.run().failures
        world.answer_all(lambda: world.rng.choice(["cat", "dog"]))
        assert not world.loop.run().failures
        world.clock.pass_(days=1, minutes=1)


W = TypeVar("W", bound=World)


class Kept(Generic[W]):
    """A world as it stands now, to come back to."""

    def __init__(self, world: W) -> None:
        world.loop.close()
        self._world = world
        self._copy = world.folder.with_name(f"{world.folder.name} kept")
        shutil.copytree(world.state, self._copy)
        self._settings = (world.folder / "labelloop.toml").read_text()
        self._at, self._n = world.clock.at, world.n
        self._held = copy.deepcopy((world.store, world.annotator, world.log, world.rng))

    @contextmanager
    def again(self) -> Iterator[W]:
        """The world as it was, whatever happened to it since."""
        world = self._world
        shutil.rmtree(world.state, ignore_errors=True)
        shutil.copytree(self._copy, world.state)
        world.clock.at, world.n = self._at, self._n
        world.store, world.annotator, world.log, world.rng = copy.deepcopy(self._held)
        world.configure("", head=self._settings)
        yield world
        world.loop.close()


def cut(path: Path, *, keep: float = 0.5) -> None:
    """Cut a file short, as a full disk or a power cut would."""
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])


def alter(path: Path, at: float, n_bytes: int = 1) -> None:
    """Flip bits of a file, as a failing disk would."""
    data = bytearray(path.read_bytes())
    start = int(len(data) * at)
    for i in range(start, min(start + n_bytes, len(data))):
        data[i] ^= 0x10
    path.write_bytes(bytes(data))
