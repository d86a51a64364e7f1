"""Opening is not writing: what only reads needs the project's folder alone, and changes nothing in it."""

import ctypes
import hashlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from labelloop.cli.main import group
from labelloop.core.sample import Reject, RejectReason
from labelloop.errors import LabelloopError, LedgerError
from labelloop.ledger import Ledger, rejects
from tests.json_documents import result_of
from tests.lasting import Kept, LastingWorld
from tests.unit.conftest import MakeWorld
from tests.world import START

READING = [
    ["status"],
    ["status", "--rejected"],
    ["status", "--waiting"],
    ["status", "--ties"],
    ["report"],
    ["measure"],
    ["measure", "--since", "2026-03-01"],
    ["plan"],
    ["datasets", "list"],
    ["datasets", "show", "training"],
    ["datasets", "diff", "training@1", "training@2"],
]
NAMED = [" ".join(arguments) for arguments in READING]
LEFT_BY_SQLITE = ("ledger.db-wal", "ledger.db-shm")


@pytest.fixture(scope="module")
def folder(kept: Kept[LastingWorld], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project after two days. Its variables aren't set, and its servers aren't there."""
    made = tmp_path_factory.mktemp("alone")
    with kept.again() as world:
        world.loop.close()
        keep(world, made)
    return made


def keep(world: LastingWorld, made: Path) -> None:
    shutil.copytree(world.state, made / ".labelloop")
    with closing(sqlite3.connect(made / ".labelloop/ledger.db")) as ledger:
        # the project was made elsewhere; its versions are found where they lie now
        ledger.execute(
            "UPDATE datasets SET uri = replace(uri, ?, ?)", (str(world.folder), str(made))
        )
        ledger.commit()
    text = (world.folder / "labelloop.toml").read_text()
    for old, new in (
        ('access_key = "a"', 'access_key = "${NO_KEY}"'),
        ('secret_key = "b"', 'secret_key = "${NO_SECRET}"'),
        ('api_key = "k"', 'api_key = "${NO_TOKEN}"'),
        ('endpoint_url = "http://127.0.0.1:9"', 'endpoint_url = "${NO_SERVER}"'),
    ):
        assert old in text
        text = text.replace(old, new)
    (made / "labelloop.toml").write_text(text)


def ran(folder: Path, *arguments: str) -> Result:
    return CliRunner().invoke(group, [*arguments, "--config", str(folder / "labelloop.toml")])


def held(folder: Path) -> dict[str, str]:
    """Each file of the state by its digest, but those that SQLite keeps beside a database."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and path.name not in LEFT_BY_SQLITE
    }


@pytest.mark.parametrize("arguments", READING, ids=NAMED)
def test_reading_needs_no_variable_and_no_server_and_changes_no_byte(
    folder: Path, arguments: list[str]
) -> None:
    before = held(folder)
    for as_json in ([], ["--json"]):
        done = ran(folder, *arguments, *as_json)
        assert done.exit_code == 0, done.exception
        assert done.stdout
        if as_json:
            result_of(done.stdout)
    assert held(folder) == before


def test_what_waits_is_listed_with_its_page(folder: Path, tmp_path: Path) -> None:
    own = tmp_path / "own"
    shutil.copytree(folder, own)
    with closing(sqlite3.connect(own / ".labelloop/ledger.db")) as ledger:
        ledger.execute("UPDATE tasks SET state = 'sent'")
        ledger.commit()
    said = ran(own, "status", "--waiting").stdout
    assert "http://127.0.0.1:9/projects/" in said.replace("\n", "").replace(" ", "")
    text = (own / "labelloop.toml").read_text()
    unknown = text.replace('url = "http://127.0.0.1:9"', 'url = "${NO_ADDRESS}"')
    (own / "labelloop.toml").write_text(unknown)
    done = ran(own, "status", "--waiting")
    assert done.exit_code == 0, done.exception
    assert "  task " in done.stdout
    assert "http" not in done.stdout


def test_the_samples_that_judge_are_written_without_a_key(folder: Path, tmp_path: Path) -> None:
    before = held(folder)
    done = ran(folder, "compare", "--write-samples", str(tmp_path / "judges.csv"))
    assert done.exit_code == 0, done.exception
    assert held(folder) == before


def test_a_candidate_is_compared_without_a_key(folder: Path, tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.parquet as pq

    own = tmp_path / "own"
    shutil.copytree(folder, own)
    assert ran(own, "compare", "--write-samples", str(tmp_path / "judges.csv")).exit_code == 0
    names = pa.csv.read_csv(tmp_path / "judges.csv")["sample_id"]
    answers = {"predicted_class": ["cat"] * len(names), "confidence": [0.5] * len(names)}
    pq.write_table(pa.table({"sample_id": names, **answers}), tmp_path / "candidate.parquet")
    done = ran(own, "compare", str(tmp_path / "candidate.parquet"))
    assert done.exit_code == 0, done.exception


@pytest.mark.parametrize(
    ("arguments", "variable"),
    [(["run"], "NO_"), (["index"], "NO_SERVER"), (["collect"], "NO_TOKEN"), (["doctor"], "NO_")],
    ids=["run", "index", "collect", "doctor"],
)
def test_who_needs_a_variable_names_it(
    folder: Path, tmp_path: Path, arguments: list[str], variable: str
) -> None:
    own = tmp_path / "own"
    shutil.copytree(folder, own)
    before = held(own)
    done = ran(own, *arguments)
    assert done.exit_code == 1
    said = done.stdout if arguments == ["doctor"] else str(done.exception)
    assert f"names the environment variable {variable}" in " ".join(said.split())
    if arguments != ["index"] and arguments != ["collect"]:
        assert held(own) == before, "it is known before anything is done"


@pytest.fixture
def sealed(folder: Path, tmp_path: Path) -> Iterator[Path]:
    """The project in a folder that may only be read, and that no process has open."""
    project = tmp_path / "project"
    shutil.copytree(folder, project)
    for left in LEFT_BY_SQLITE:
        (project / ".labelloop" / left).unlink(missing_ok=True)
    for path in [project, *project.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    yield project
    for path in [project, *project.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)


AS_READER = """
import json, os, sys
try:
    open(sys.argv[1] + "/.labelloop/mine", "w")
    sys.exit("this user may write there")
except PermissionError:
    pass
from click.testing import CliRunner
from labelloop.cli.main import group
for arguments in json.loads(sys.argv[2]):
    done = CliRunner().invoke(group, [*arguments, "--config", sys.argv[1] + "/labelloop.toml"])
    print(json.dumps([done.exit_code, repr(done.exception) if done.exit_code else done.stdout]))
"""


def without_override() -> None:
    """Let the rights of files hold for root too: drop CAP_DAC_OVERRIDE for what is run next."""
    drop_bound, dac_override = 24, 1  # linux/prctl.h, linux/capability.h
    ctypes.CDLL(None).prctl(drop_bound, dac_override)


def as_reader(project: Path, *verbs: list[str]) -> list[tuple[int, str]]:
    """The exit code of each verb, and what it says, to a user who may write nothing in the folder."""
    done = subprocess.run(
        [sys.executable, "-c", AS_READER, str(project), json.dumps(verbs)],
        capture_output=True,
        text=True,
        preexec_fn=without_override if os.getuid() == 0 else None,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [(code, said) for code, said in map(json.loads, done.stdout.splitlines())]


def test_reading_needs_no_right_to_write(sealed: Path) -> None:
    before = held(sealed)
    assert [code for code, _ in as_reader(sealed, *READING)] == [0] * len(READING)
    assert held(sealed) == before


def open_to_write(project: Path) -> Ledger:
    """The ledger of a sealed project, as somebody has it open who may write."""
    (project / ".labelloop").chmod(0o755)
    (project / ".labelloop/ledger.db").chmod(0o644)
    return Ledger.open(f"sqlite:///{project}/.labelloop/ledger.db")


def reject(ledger: Ledger) -> None:
    with ledger.write_at_once() as tx:
        found = [Reject(uri="s3://production/odd.png", reason=RejectReason.NO_CLASS, value="")]
        rejects.put(tx, found, START)


def test_who_may_only_read_reads_what_a_writer_has_just_written(sealed: Path) -> None:
    writer = open_to_write(sealed)
    reject(writer)
    (sealed / ".labelloop").chmod(0o555)
    [(code, said)] = as_reader(sealed, ["status", "--rejected"])
    writer.close()
    assert code == 0
    assert "odd.png" in said


def test_what_was_committed_and_cannot_be_read_is_an_error(sealed: Path) -> None:
    writer = open_to_write(sealed)
    reject(writer)
    state = sealed / ".labelloop"
    shutil.copy(state / "ledger.db-wal", sealed / "wal")
    writer.close()
    shutil.move(sealed / "wal", state / "ledger.db-wal")  # as after a power cut
    (state / "ledger.db-shm").unlink(missing_ok=True)
    state.chmod(0o555)
    [(code, said)] = as_reader(sealed, ["status", "--rejected"])
    assert code == 1
    assert "LedgerError" in said


# --- before there is a ledger ---------------------------------------------------------------------


def test_before_the_first_run_status_says_so_and_makes_nothing(make_world: MakeWorld) -> None:
    world = make_world()
    world.loop.close()
    shutil.rmtree(world.folder / ".labelloop")
    for arguments in (*READING[:-2], ["compare", "--write-samples", "none.csv"]):
        if arguments[0] != "compare":
            done = ran(world.folder, *arguments)
            assert done.exit_code == 0, (arguments, done.exception)
    assert "nothing indexed yet" in ran(world.folder, "status").stdout
    found = result_of(ran(world.folder, "status", "--json").stdout)
    assert (found["indexed"], found["queues"], found["due_at"]) == (False, [], None)
    done = ran(world.folder, "datasets", "show", "training")
    assert isinstance(done.exception, LabelloopError)
    assert "none is released yet" in str(done.exception)
    assert sorted(path.name for path in world.folder.iterdir()) == ["labelloop.toml"]


def test_what_is_made_later_is_seen(make_world: MakeWorld) -> None:
    world = make_world()
    world.loop.close()
    shutil.rmtree(world.folder / ".labelloop")
    assert not world.loop.status().indexed
    world.traffic(12)
    assert not world.loop.run().failures
    assert world.loop.status().last_round == 1


def test_a_ledger_that_was_lost_is_not_taken_for_a_new_project(
    folder: Path, tmp_path: Path
) -> None:
    own = tmp_path / "own"
    shutil.copytree(folder, own)
    for path in (own / ".labelloop").glob("ledger.db*"):
        path.unlink()
    before = held(own)
    done = ran(own, "status")
    assert isinstance(done.exception, LedgerError)
    assert "the ledger was lost" in str(done.exception)
    assert held(own) == before


# --- other ledgers --------------------------------------------------------------------------------


def test_an_older_ledger_is_left_as_it_is_with_the_remedy(folder: Path, tmp_path: Path) -> None:
    own = tmp_path / "own"
    shutil.copytree(folder, own)
    with closing(sqlite3.connect(own / ".labelloop/ledger.db")) as ledger:
        ledger.execute("UPDATE alembic_version SET version_num = '0001'")
        ledger.commit()
    before = held(own)
    done = ran(own, "status")
    assert isinstance(done.exception, LedgerError)
    assert "has version 0001" in str(done.exception)
    assert "`labelloop run`" in done.exception.remedy
    assert held(own) == before


def test_a_newer_ledger_is_refused_as_by_those_who_write(url: str) -> None:
    writer = Ledger.open(url)
    with writer.write_at_once() as tx:
        tx.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    writer.close()
    with pytest.raises(LedgerError, match="9999") as caught:
        Ledger.read_only(url)
    assert "newer" in caught.value.remedy


def test_a_ledger_of_another_project_is_refused_without_its_keys(
    folder: Path, tmp_path: Path
) -> None:
    own = tmp_path / "own"
    shutil.copytree(folder, own)
    text = (own / "labelloop.toml").read_text()
    other = text.replace('name = "pets"', 'name = "birds"')
    (own / "labelloop.toml").write_text(other.replace('"s3://production"', '"s3://aviary"'))
    before = held(own)
    done = ran(own, "status")
    assert isinstance(done.exception, LedgerError)
    assert "belongs to the project 'pets'" in str(done.exception)
    assert held(own) == before


def test_a_ledger_opened_to_be_read_takes_no_write(url: str) -> None:
    Ledger.open(url).close()
    ledger = Ledger.read_only(url)
    assert ledger is not None
    with pytest.raises(LedgerError):
        ledger.create_identity()
    with pytest.raises(LedgerError), ledger.lease("send"):
        pass
    with ledger.read() as tx:
        assert tx.exec_driver_sql("SELECT count(*) FROM meta").scalar_one() == 0
    ledger.close()
