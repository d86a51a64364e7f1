"""What the log lacks of candidates is computed from their inputs, for the candidates alone."""

import io
import os
import signal
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from labelloop.errors import ConfigError
from labelloop.images.decoding import Decoder
from labelloop.settings.file import load
from labelloop.steps.select.thumbnails import features, thumbnails
from labelloop.views.verbs import select_line
from tests.unit.conftest import MakeWorld
from tests.unit.test_training_picks import ids, log_rows, represented, said, teach
from tests.world import ACCURACY, HEAD, World

Image = pytest.importorskip("PIL.Image")


def scene(seed: int, *, brighter: int = 0, moved: int = 0, kind: str = "PNG") -> bytes:
    """A picture of a few patches, as a camera sees it once more."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 200, (6, 6, 3), dtype=np.uint8)
    whole = Image.fromarray(coarse).resize((256, 256), Image.Resampling.BICUBIC)
    seen = np.asarray(whole.crop((moved, moved, 192 + moved, 192 + moved))).astype(int) + brighter
    file = io.BytesIO()
    Image.fromarray(seen.clip(0, 255).astype(np.uint8)).save(file, kind)
    return file.getvalue()


def bomb() -> bytes:
    """A PNG of a few kilobytes that says it has 60,000 x 60,000 pixels."""

    def chunk(name: bytes, data: bytes) -> bytes:
        whole = name + data
        return struct.pack(">I", len(data)) + whole + struct.pack(">I", zlib.crc32(whole))

    head = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    body = zlib.compress(bytes(1_000_000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def stored(world: World, bodies: dict[str, bytes], **changes: object) -> None:
    """Log predictions, the surest last, of objects that are in the store."""
    hashes = {key: world.store.put(key, body).content_hash for key, body in bodies.items()}
    log_rows(
        world,
        [
            said(world, key, [0.5 + i / 1000, 0.5 - i / 1000], content_hash=hashes[key], **changes)
            for i, key in enumerate(bodies)
        ],
    )


def test_a_burst_of_images_costs_one_label(make_world: MakeWorld) -> None:
    world = make_world(teach("margin", 2, 'near_duplicates = "image"\n'))
    bodies = {
        "a": scene(1),
        "a, brighter": scene(1, brighter=20),
        "a, moved": scene(1, moved=4),
        "a, as JPEG": scene(1, kind="JPEG"),
        "b": scene(2),
        "c": scene(3),
    }
    stored(world, bodies)
    world.loop.select()
    assert represented(world) == [("a", 4), ("b", 1)]


def test_images_that_cannot_be_read_stand_for_themselves(make_world: MakeWorld) -> None:
    world = make_world(teach("margin", 5, 'near_duplicates = "image"\n'))
    hostile = {"bomb": bomb(), "cut": scene(1)[:200], "none": b"", "text": b"no image"}
    stored(world, {**hostile, "a": scene(1), "a2": scene(1, brighter=9)})
    world.loop.select()
    assert represented(world) == [*((name, 1) for name in hostile), ("a", 2)]


def test_an_image_that_ends_its_reader_does_not_end_the_others() -> None:
    decoder = Decoder()
    try:
        os.kill(decoder.pid, signal.SIGKILL)
        decoder.compared(scene(1), patience_s=20)  # lost, if its end isn't known yet
        assert decoder.compared(scene(1), patience_s=20) is not None
    finally:
        decoder.close()


def test_the_features_of_an_image_do_not_depend_on_its_size_or_brightness() -> None:
    made = thumbnails([("a", lambda: scene(1)), ("b", lambda: scene(1, brighter=30, kind="JPEG"))])
    a, b = features(made["a"]), features(made["b"])
    assert (a.shape, float(np.linalg.norm(a))) == ((768,), pytest.approx(1))
    assert float(a @ b) > 0.98


OWN = """
def vectors(inputs):
    return [[1.0, 0.0] if b"near" in data else [0.0, 1.0] for data in inputs]

def words(texts):
    return [[float("late" in text), 1.0 - float("late" in text)] for text in texts]

def fails(inputs):
    raise RuntimeError("no weights")

def short(inputs):
    return [[1.0]]

number = 5
"""


@pytest.mark.parametrize("how", ["image", "teach_own:vectors"])
def test_diverse_computes_the_embeddings_that_the_log_lacks(
    make_world: MakeWorld, how: str
) -> None:
    world = make_world(teach("diverse", 2, f'embed = "{how}"\n'))
    (world.folder / "teach_own.py").write_text(OWN)
    bodies = {f"near{i}": scene(1, brighter=i) + b"near" for i in range(6)}
    stored(world, {**bodies, "far": scene(9)})
    world.loop.select()
    assert ids(world) == ["near0", "far"]


def test_embeddings_of_the_log_are_not_computed_again(make_world: MakeWorld) -> None:
    world = make_world(teach("diverse", 2, 'embed = "teach_own:fails"\n'))
    stored(world, {"a": scene(1), "b": scene(2)}, embedding=[1.0, 0.5])
    world.loop.select()
    assert ids(world) == ["a", "b"]


@pytest.mark.parametrize(
    ("how", "message"),
    [
        (
            "teach_absent:vectors",
            "embed = 'teach_absent:vectors' can't be imported: ModuleNotFound",
        ),
        ("teach_own:absent", "can't be imported: AttributeError"),
        ("teach_own:number", "embed = 'teach_own:number' isn't a function, but int"),
        ("teach_own:fails", "embed = 'teach_own:fails' failed: RuntimeError: no weights"),
        ("teach_own:short", r"returned an array of the shape \(1, 1\) for 3 inputs"),
    ],
)
def test_a_function_that_cannot_be_used_is_named(
    make_world: MakeWorld, how: str, message: str
) -> None:
    world = make_world(teach("diverse", 2, f'embed = "{how}"\n'))
    (world.folder / "teach_own.py").write_text(OWN)
    stored(world, {f"{i}": scene(i) for i in range(3)})
    with pytest.raises(ConfigError, match=message) as caught:
        world.loop.select()
    assert str(caught.value.args[0]).startswith("queue 'teach': ")


def texts(world: World, said_of: Sequence[str]) -> None:
    log_rows(
        world,
        [
            said(world, f"t{i}", [0.5 + i / 1000, 0.5 - i / 1000], text=text)
            for i, text in enumerate(said_of)
        ],
    )


@pytest.mark.parametrize("how", ["text", "teach_own:words"])
def test_texts_get_vectors_too(make_world: MakeWorld, how: str) -> None:
    head = HEAD.replace("[training]", '[input]\nkind = "text"\n\n[training]')
    world = make_world(teach("diverse", 2, f'embed = "{how}"\n'), head=head)
    (world.folder / "teach_own.py").write_text(OWN)
    late = ["the parcel is late", "The parcel is late", "the parcel  is late", "THE parcel is late"]
    texts(world, [*late, "how do I change my password"])
    world.loop.select()
    assert ids(world) == ["t0", "t4"]


@pytest.mark.parametrize(
    "queue",
    [
        teach("margin", 2, 'embed = "image"\n'),
        teach("diverse", 2, 'embed = "no such way"\n'),
        ACCURACY + 'embed = "image"\n',
    ],
)
def test_an_embed_that_cannot_be_is_refused_in_the_settings(tmp_path: Path, queue: str) -> None:
    path = tmp_path / "labelloop.toml"
    path.write_text(HEAD + queue)
    with pytest.raises(ConfigError, match="embed"):
        load(path, {})


def test_a_queue_whose_rule_cannot_be_followed_leaves_the_others_their_round(
    make_world: MakeWorld,
) -> None:
    rest = '[[queue]]\nname = "rest"\npurpose = "training"\nbudget = 3\n'
    world = make_world(ACCURACY + teach("diverse", 2) + rest)
    log_rows(world, [said(world, f"s{i}", [0.6, 0.4]) for i in range(20)])
    selected = world.loop.select()
    assert [(p.queue, p.n_drawn) for p in selected.plans] == [
        ("accuracy", 5),
        ("teach", 0),
        ("rest", 3),
    ]
    why = selected.plans[1].left_out or ""
    assert why.startswith("queue 'teach': pick = 'diverse' needs an `embedding`, and no prediction")
    assert "[source.columns] embedding" in why
    assert "\nleft out: queue 'teach'" in select_line(selected, "UTC")
    assert (selected.round, len(ids(world, "accuracy"))) == (1, 5)
