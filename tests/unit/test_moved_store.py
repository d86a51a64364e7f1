"""A bucket that was renamed, a folder that was moved: `[store] was` says so, and nothing is lost."""

import json
from pathlib import Path

import pytest

from labelloop.adapters.folder.store import FolderStore
from labelloop.core.task import TaskState
from labelloop.errors import ConfigError, StoreDenied
from labelloop.settings.file import load
from labelloop.testing import MemoryStore
from tests.unit.conftest import MakeWorld
from tests.world import ACCURACY, HEAD, LOW, QUEUES, World

SIGNS = '\nimages = "label-studio"'


def rename_bucket(world: World) -> None:
    """The same objects, in a bucket of another name, which is the store's uri."""
    renamed = MemoryStore("s3://pictures", buckets=["blind"], now=lambda: world.clock.at)
    renamed.objects_by_uri = {
        uri.replace("s3://production/", "s3://pictures/"): held
        for uri, held in world.store.objects_by_uri.items()
    }
    world.store = renamed
    write(world, 'uri = "s3://production"', 'uri = "s3://pictures/"')


def tell(world: World) -> None:
    """Say in the settings what the bucket was called."""
    write(world, "[store]", '[store]\nwas = ["s3://production"]')


def write(world: World, old: str, new: str) -> None:
    text = (world.folder / "labelloop.toml").read_text()
    assert old in text
    world.configure("", head=text.replace(old, new))


@pytest.fixture
def half_sent(world: World) -> World:
    """A round is in Label Studio, another one waits, and an object was rejected."""
    world.traffic(40)
    world.put("bad.png", confidence="high")
    world.loop.run()
    world.clock.pass_(days=1)
    world.traffic(20)
    world.loop.index()
    world.loop.select()
    assert world.states() == {TaskState.SENT: 9, TaskState.DRAWN: 9}
    return world


@pytest.mark.mistake("bucket-renamed")
def test_inputs_of_a_renamed_bucket_are_found_under_its_new_name(
    half_sent: World, kind: str
) -> None:
    rename_bucket(half_sent)
    tell(half_sent)
    found = half_sent.loop.index()
    assert (found.n_listed, found.n_new, found.n_set_aside_in_all) == (61, 0, 1)
    assert half_sent.loop.send().n_sent == 9
    half_sent.clock.pass_(days=6)
    assert half_sent.loop.send().n_refreshed == 18
    assert half_sent.states() == {TaskState.SENT: 18}
    shown = {str(d["image"]).split("?")[0].rpartition("/class_")[0] for d in half_sent.data("low")}
    assert shown == {"https://memory.invalid/pictures"}


@pytest.mark.mistake("bucket-renamed")
def test_a_renamed_bucket_that_the_settings_dont_tell_of_loses_nothing(half_sent: World) -> None:
    rename_bucket(half_sent)
    half_sent.loop.index()
    with pytest.raises(StoreDenied, match="no bucket 'production'"):
        half_sent.loop.send()
    tell(half_sent)
    assert half_sent.loop.index().n_set_aside_in_all == 1
    assert half_sent.loop.send().n_sent == 9


def test_label_studio_signs_links_into_the_renamed_bucket(make_world: MakeWorld) -> None:
    queues = LOW + SIGNS.lstrip()
    world = make_world(queues)
    world.traffic(4, confidence="0.1")
    world.loop.index()
    world.loop.select()
    rename_bucket(world)
    tell(world)
    world.loop.send()
    assert all(str(d["image"]).startswith("s3://pictures/class_01/") for d in world.data("low"))


@pytest.mark.mistake("bucket-renamed")
def test_inputs_of_a_moved_folder_are_found_where_it_lies_now(
    make_world: MakeWorld, tmp_path: Path
) -> None:
    def settings(uri: str, was: str = "") -> str:
        start, _, rest = HEAD.partition("[store]")
        rest = rest.partition("[label_studio]")[2]
        return f'{start}[store]\nuri = "{uri}"\n{was}[label_studio]{rest}'

    def exported(world: World) -> int:
        world.answer_all()
        world.loop.run()
        version = world.loop.dataset("evaluation")
        return world.loop.export([version], "imagefolder", tmp_path / "out").n_written

    first, second = tmp_path / "my inputs", tmp_path / "elsewhere"
    first.mkdir()
    tags = {"predicted_class": "cat", "timestamp": "2026-03-02T11:00:00Z"}
    for i in range(3):
        (first / f"{i} %41.png").write_bytes(b"\x89PNG\r\n\x1a\n%d" % i)
        (first / f"{i} %41.png.json").write_text(json.dumps(tags))
    world = make_world(ACCURACY)
    world.store = FolderStore(first.as_uri())  # type: ignore[assignment]
    world.configure(ACCURACY, head=settings(str(first)))
    world.loop.index()
    world.loop.select()
    first.rename(second)
    world.store = FolderStore(second.as_uri())  # type: ignore[assignment]
    world.configure(ACCURACY, head=settings(str(second), f'was = ["{first}"]\n'))
    assert world.loop.index().n_new == 0
    assert world.loop.send().n_sent == 3
    assert exported(world) == 3


@pytest.mark.parametrize(
    ("was", "message"),
    [
        ('["s3://production/inputs"]', "is what uri is"),
        ('["/data/inputs"]', "uri is of another kind"),
        ('["production"]', "uri is of another kind"),
    ],
)
def test_what_it_cant_have_been_is_refused(tmp_path: Path, was: str, message: str) -> None:
    path = tmp_path / "labelloop.toml"
    path.write_text(HEAD.replace("[store]", f"[store]\nwas = {was}") + QUEUES)
    with pytest.raises(ConfigError, match=message):
        load(path, {})
