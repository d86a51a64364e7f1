"""index over a folder: what is being written waits, what stays broken is rejected, what is mended counts."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from labelloop.adapters.folder.store import FolderStore
from labelloop.core.sample import RejectReason
from labelloop.loop import Loop
from labelloop.project import Project
from labelloop.testing import MemoryAnnotator, MemoryLog
from tests.world import StoppedClock, World

TAGS = {"predicted_class": "cat", "confidence": 0.5, "timestamp": "2026-11-01T12:00:00Z"}


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    folder = tmp_path / "inputs"
    folder.mkdir()
    return folder


@pytest.fixture
def clock() -> StoppedClock:
    """Files carry the machine's time, so the loop's begins there."""
    return StoppedClock(datetime.now(UTC))


@pytest.fixture
def loop(world: World, inputs: Path, clock: StoppedClock) -> Loop:
    return Loop(
        Project(
            world.settings,
            clock=clock,
            store=FolderStore(inputs.as_uri()),
            log=MemoryLog(),
            annotator=MemoryAnnotator(now=clock.now),
        )
    )


def test_half_written_metadata_waits_ten_minutes_and_is_then_set_aside(
    loop: Loop, inputs: Path, clock: StoppedClock
) -> None:
    with loop:
        (inputs / "a.png").write_bytes(b"pixels")
        beside = inputs / "a.png.json"
        beside.write_text(json.dumps(TAGS)[:20])
        assert (loop.index().n_pending, loop.index().n_set_aside) == (1, 0)
        clock.pass_(minutes=11)
        assert loop.index().n_set_aside == 1
        [aside] = loop.rejected()
        assert aside.reason is RejectReason.UNREADABLE
        assert aside.value.startswith("a.png.json: no JSON")
        beside.write_text(json.dumps(TAGS))
        assert loop.index().n_new == 1
        assert loop.rejected() == []


def test_other_bytes_under_a_known_name_are_set_aside_as_changed(loop: Loop, inputs: Path) -> None:
    with loop:
        (inputs / "a.png").write_bytes(b"pixels")
        (inputs / "a.json").write_text(json.dumps(TAGS))
        assert loop.index().n_new == 1
        (inputs / "a.png").write_bytes(b"others")
        assert loop.index().n_set_aside == 1
        assert loop.rejected()[0].reason is RejectReason.OVERWRITTEN


def test_names_that_are_not_utf_8_are_set_aside_for_good(
    loop: Loop, inputs: Path, clock: StoppedClock
) -> None:
    with loop:
        (inputs / os.fsdecode(b"caf\xe9.png")).write_bytes(b"pixels")
        (inputs / os.fsdecode(b"caf\xe9.png.json")).write_text(json.dumps(TAGS))
        clock.pass_(minutes=11)
        assert loop.index().n_set_aside == 1
        [aside] = loop.rejected()
        assert (aside.reason, aside.value) == (
            RejectReason.UNREADABLE,
            "the file's name isn't UTF-8",
        )
        assert aside.uri.endswith("/caf%E9.png")
