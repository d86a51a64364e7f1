"""`labelloop init` on a real S3 server: by flags, and asked on a terminal."""

import os
import pty
import select
import subprocess
from pathlib import Path

import pytest

from labelloop.settings.file import load
from tests.integration.conftest import Project

CLASSES = ("cat", "Füchse 狐")
SECRETS = ("MINIO_PASSWORD", "LABEL_STUDIO_USER_TOKEN")


@pytest.fixture
def fresh(offline_project: Project) -> Project:
    """A bucket with predictions, and a folder without a labelloop.toml."""
    (offline_project.folder / "labelloop.toml").unlink()
    for i in range(24):
        offline_project.upload(
            f"{i:02}.png",
            predicted_class=CLASSES[i % 2],
            confidence=f"0.{i:02}",
            timestamp=f"2026-03-{1 + i // 8:02}T{i % 8:02}:00:00Z",
        )
    return offline_project


def settings(project: Project) -> Path:
    return project.folder / "labelloop.toml"


def test_by_flags_it_writes_a_file_that_loads(fresh: Project) -> None:
    flags = ["--yes", "--bucket", fresh.bucket, "--blind-bucket", fresh.blind_bucket]
    done = fresh.run("init", *flags)
    assert done.returncode == 0, done.stderr
    assert "holds 24 objects; all were looked at" in done.stderr
    assert "Label Studio can't be reached" in done.stderr
    written = settings(fresh).read_text()
    assert all(fresh.environment[name] not in written for name in SECRETS)
    loaded = load(settings(fresh), fresh.environment)
    assert loaded.project.classes == sorted(CLASSES)
    again = fresh.run("init", *flags)
    assert (again.returncode, settings(fresh).read_text()) == (1, written)
    assert "never overwrites" in again.stderr


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--bucket", "no-such-bucket-here"], "there is no such bucket"),
        (["--endpoint-url", "http://127.0.0.1:9", "--bucket", "b"], "no connection"),
        (["--endpoint-url", "minio:9000", "--bucket", "b"], "expected a URL"),
    ],
)
def test_what_cant_be_used_is_said_and_nothing_is_written(
    fresh: Project, flags: list[str], says: str
) -> None:
    done = fresh.run("init", "--yes", *flags)
    assert done.returncode == 1
    assert says in done.stderr
    assert not settings(fresh).exists()


def test_on_a_terminal_it_asks_only_for_what_it_cant_find_out(fresh: Project) -> None:
    known = {k: v for k, v in fresh.environment.items() if k != "LABEL_STUDIO_USER_TOKEN"}
    said = talk(
        fresh,
        known,
        ["init", "--bucket", fresh.bucket],
        {
            "Another class (none: Enter)": "Wolf",
            "Another class (none: Enter):": "",
            "Bucket for blind copies": fresh.blind_bucket,
            "Label Studio's token": "a-token-typed-in",
            "Name of the project": "pets",
        },
    )
    assert "set LABEL_STUDIO_USER_TOKEN before you run labelloop" in said
    assert "a-token-typed-in" not in said
    written = settings(fresh).read_text()
    assert 'api_key = "${LABEL_STUDIO_USER_TOKEN}"' in written
    loaded = load(settings(fresh), fresh.environment)
    assert loaded.project.name == "pets"
    assert loaded.project.classes == [*sorted(CLASSES), "Wolf"]
    assert loaded.store.blind_uri == f"s3://{fresh.blind_bucket}"


def talk(
    project: Project, environment: dict[str, str], args: list[str], answers: dict[str, str]
) -> str:
    """What a terminal shows of a command, each question answered as it comes."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        project.command(*args),
        cwd=project.folder,
        env={**{k: v for k, v in os.environ.items() if "LABEL_STUDIO" not in k}, **environment},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        close_fds=True,
    )
    os.close(theirs)
    said, seen = "", 0
    waiting = list(answers.items())
    while select.select([ours], [], [], 240)[0]:
        try:
            said += os.read(ours, 4096).decode(errors="replace")
        except OSError:  # the other end is closed
            break
        if waiting and waiting[0][0] in said[seen:]:
            seen = len(said)
            os.write(ours, f"{waiting.pop(0)[1]}\n".encode())
    os.close(ours)
    assert process.wait(240) == 0, said
    assert not waiting, said
    return said
