"""What an annotator can read of a blind task tells nothing: a guess at its sample can't be checked."""

import json
from collections.abc import Iterator
from hashlib import blake2b, md5, sha1, sha256
from itertools import product

from labelloop.core.token import task_key, unkeyed_task_key
from labelloop.testing import MemoryLog
from tests.unit.conftest import MakeWorld
from tests.world import ACCURACY, World

LOOKS = range(3)


def readable(world: World) -> str:
    """All that a person who can open the projects sees of them."""
    shown: list[object] = []
    for project in world.annotator.projects():
        shown += [project.title, project.marker, project.project_ref]
        shown += [world.annotator.data_of(i) for i in world.annotator.task_ids(project.project_ref)]
    return json.dumps(shown)


def guesses(ledger_id: str, sample_id: str) -> Iterator[str]:
    """What somebody who knows the key of an object, but not the salt, can make of it."""
    parts = [ledger_id, "evaluation", sample_id]
    for look, order in product(LOOKS, (parts, [*parts, "0"], [*parts, "1"], [sample_id])):
        for text in ("\0".join(order), "/".join(order), f"{'/'.join(order)}/{look}"):
            data = text.encode()
            for digest in (md5, sha1, sha256):
                yield digest(data).hexdigest()[:32]
            for key in (b"", b"labelloop", ledger_id.encode(), sample_id.encode()[:64]):
                yield blake2b(data, digest_size=16, key=key).hexdigest()
    for look, salt in product(LOOKS, (b"", b"\0" * 16, b"salt", ledger_id.encode(), b"0" * 32)):
        yield task_key(ledger_id, "evaluation", sample_id, salt=salt, look=look)
    yield unkeyed_task_key(ledger_id, "evaluation", sample_id)


def test_guessed_keys_are_in_no_blind_task_and_no_project(make_world: MakeWorld) -> None:
    world = make_world(ACCURACY)
    world.log = MemoryLog(salt=b"known to nobody")
    world.restart()
    keys = [f"class_{i % 11:02d}/{i:06d}.png" for i in range(60, 90)]
    for key in keys:
        world.put(key)
    world.loop.index()
    world.loop.select()
    world.loop.send()
    seen = readable(world)
    assert len(world.remote_keys()) == 5
    for key in keys:
        for uri in (key, f"s3://production/{key}"):
            assert uri not in seen
            assert not [guess for guess in guesses(world.log.ledger_id, uri) if guess in seen]


def test_who_knows_the_salt_finds_the_tasks(make_world: MakeWorld) -> None:
    """The test above would find them if they could be guessed."""
    world = make_world(ACCURACY)
    world.put("class_07/000123.png")
    world.loop.run()
    own = task_key(
        world.log.ledger_id, "evaluation", "class_07/000123.png", salt=world.log.salt, look=0
    )
    assert own in readable(world)


def test_each_look_at_a_sample_has_a_key_of_its_own() -> None:
    keys = {
        task_key("l1", purpose, "a.png", salt=b"s", look=look)
        for purpose in ("evaluation", "training")
        for look in LOOKS
    }
    assert len(keys) == 6
