"""--json: one form, described by a schema, which changes only together with its version."""

import json
import math
import runpy
import shutil
import subprocess
import sys
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import click
import jsonschema
import pytest
from click.testing import CliRunner

from labelloop.cli.kinds import KINDS
from labelloop.cli.main import group
from labelloop.core.estimate import Undefined
from labelloop.errors import StoreDenied
from labelloop.views import json_form
from labelloop.views.json_form import document, plain
from labelloop.views.json_schema import breaks, schema
from tests.json_documents import SCHEMA, result_of
from tests.json_documents import schema as published
from tests.unit.conftest import MakeWorld
from tests.world import World

READERS = {
    "status": ["status"],
    "rejected": ["status", "--rejected"],
    "ties": ["status", "--ties"],
    "waiting": ["status", "--waiting"],
    "skipped": ["status", "--skipped"],
    "measure": ["measure"],
    "people": ["measure", "--people"],
    "report": ["report"],
    "plan": ["plan"],
    "datasets": ["datasets", "list"],
    "dataset": ["datasets", "show", "training"],
    "diff": ["datasets", "diff", "training@1", "training"],
    "samples": ["compare", "--write-samples", "judges.csv"],
}
"""By kind, the commands that need the project's folder alone."""
FOLDER = """
[project]
name = "pets"
classes = ["cat", "dog"]

[store]
uri = "inputs"

[label_studio]
url = "http://127.0.0.1:9"
api_key = "k"
timeout = "1 second"

[[queue]]
name = "accuracy"
purpose = "evaluation"
budget = 5
"""


def printed(folder: Path, *arguments: str) -> str:
    done = CliRunner().invoke(
        group,
        [*arguments, "--json", "--config", str(folder / "labelloop.toml")],
        catch_exceptions=False,
    )
    return done.stdout


@pytest.fixture
def project(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """A project with answers, a tie, skips, rejected rows, and two versions of its training set."""
    monkeypatch.chdir(world.folder)
    world.put("bad.png", confidence="much")
    for _ in range(2):
        world.traffic(30, confidence="0.6", model="v1", flagged="true")
        world.loop.run(now=True)
        world.answer_all()
    world.traffic(12, model="v2")
    world.loop.run(now=True)
    newest = [*world.annotator.tasks(world.project_ref("accuracy"))][-1][-1]
    world.annotator.skip(newest.remote_id, by="ana")
    world.loop.run()
    return world


# --- every command --------------------------------------------------------------------------------


def test_what_reads_prints_what_the_schema_says(project: World) -> None:
    project.loop.close()
    for kind, arguments in READERS.items():
        result_of(printed(project.folder, *arguments), kind)


def test_so_it_does_before_the_first_run(make_world: MakeWorld, monkeypatch: Any) -> None:
    world = make_world()
    monkeypatch.chdir(world.folder)
    world.loop.close()
    shutil.rmtree(world.folder / ".labelloop")
    for kind in READERS.keys() - {"dataset", "diff", "samples"}:
        result_of(printed(world.folder, *READERS[kind]), kind)


def test_what_writes_prints_what_the_schema_says(project: World, tmp_path: Path) -> None:
    loop = project.loop
    project.traffic(12)
    made = {
        "index": loop.index(),
        "collect": loop.collect(),
        "select": loop.select(now=True),
        "send": loop.send(),
        "build": loop.build(),
        "run": loop.run(),
        "maintain": loop.maintain(dry_run=True),
        "export": loop.export([loop.dataset("training")], "csv", tmp_path / "out.csv"),
        "forget": loop.forget([project.draws()[0].sample_id]),
        "doctor": loop.doctor(),
        "migrate": loop.move_ledger(f"sqlite:///{tmp_path}/other.db"),
    }
    for kind, result in made.items():
        result_of(document(kind, result), kind)


def test_commands_print_it_with_the_real_adapters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "labelloop.toml").write_text(FOLDER)
    (tmp_path / "inputs").mkdir()
    at = datetime.now(UTC) - timedelta(hours=1)
    for n in range(12):
        (tmp_path / "inputs" / f"{n}.png").write_bytes(f"pixels {n}".encode())
        tags = {"predicted_class": "cat", "confidence": n / 12, "timestamp": at.isoformat()}
        (tmp_path / "inputs" / f"{n}.png.json").write_text(json.dumps(tags))
    commands = {
        "index": ["index"],
        "select": ["select", "--dry-run"],
        "run": ["run"],
        "measure": ["measure", "--since", "2026-01-01"],
        "build": ["build"],
        "maintain": ["log", "maintain"],
        "forget": ["forget", "0.png", "--yes"],
        "doctor": ["doctor"],
    }
    found = {kind: result_of(printed(tmp_path, *a), kind) for kind, a in commands.items()}
    assert found["index"]["n_new"] == 12
    assert found["run"]["failures"]["send"]["type"] == "AnnotatorUnavailable"


# --- errors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "code", "named"),
    [
        (["status", "--config", "none.toml"], 1, "ConfigError"),
        (["status", "--rejcted"], 2, "UsageError"),
        (["statsu"], 2, "UsageError"),
    ],
)
def test_an_error_is_a_document_too(
    arguments: list[str], code: int, named: str, tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "labelloop", *arguments, "--json"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (code, "")
    found = result_of(done.stdout, "error")
    assert found["type"] == named
    assert found["error"]
    assert found["remedy"]


# --- values ---------------------------------------------------------------------------------------


def test_instants_are_utc_and_numbers_finite() -> None:
    at = datetime(2026, 3, 1, 1, tzinfo=timezone(timedelta(hours=2)))
    assert plain([at, math.nan, -math.inf, 0.5]) == ["2026-02-28T23:00:00+00:00", None, None, 0.5]


def test_half_a_character_stays_json() -> None:
    text = document("error", StoreDenied("no key \udc80 é"))
    assert "é" in text
    assert result_of(text.encode().decode(), "error")["error"] == "no key \udc80 é"


def test_what_has_no_form_is_refused() -> None:
    with pytest.raises(TypeError, match="object has no JSON form"):
        document("status", object())


# --- the schema changes with its version ----------------------------------------------------------


@pytest.fixture(scope="module")
def generate() -> dict[str, Any]:
    return runpy.run_path(str(SCHEMA.parents[1] / "generate.py"))


def test_the_published_schema_is_that_of_the_code(generate: dict[str, Any]) -> None:
    jsonschema.Draft202012Validator.check_schema(published())
    assert generate["json_schema"]() == published(), "it is stale: run `make docs`"


def test_every_command_with_json_has_a_kind() -> None:
    def named(of: click.Command, path: str) -> set[str]:
        if isinstance(of, click.Group):
            context = click.Context(of)
            below = {name: of.get_command(context, name) for name in of.list_commands(context)}
            return set().union(*(named(c, f"{path} {name}") for name, c in below.items() if c))
        return {path.strip()} if any(p.name == "as_json" for p in of.params) else set()

    assert named(group, "") == {c for c, _ in KINDS.values() if "--" not in c} - {KINDS["error"][0]}


@dataclass(frozen=True)
class Made:
    """A result.

    n, share
        a count; a share
    """

    n: int
    share: float | Undefined
    at: tuple[datetime, ...]


def changed(of: Callable[[dict[str, Any]], object]) -> list[str]:
    old = schema({"made": list[Made]})
    new = deepcopy(old)
    of(new["$defs"]["Made"]["properties"])
    return breaks(old, new)


def test_a_schema_says_what_fields_mean() -> None:
    held = schema({"made": Made})["$defs"]["Made"]
    assert held["properties"]["n"] == {"type": "integer", "description": "a count"}
    assert held["properties"]["share"]["description"] == "a share"
    assert held["required"] == ["n", "share", "at"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda p: p.pop("n"), "made[].n is gone"),
        (lambda p: p["n"].update(type="number"), "made[].n is of another type"),
        (lambda p: p["n"].update(type=["integer", "null"]), "made[].n is of another type"),
        (lambda p: p["share"]["anyOf"].append({"type": "null"}), "made[].share can be something"),
        (lambda p: p["at"].update(items={"type": "string"}), "made[].at[] is of another type"),
    ],
)
def test_what_readers_could_stumble_over_is_found(
    change: Callable[[dict[str, Any]], object], said: str
) -> None:
    [found] = changed(change)
    assert found.startswith(said)


@pytest.mark.parametrize(
    "change",
    [
        lambda p: p.update(more={"type": "string"}),
        lambda p: p["n"].update(description="another word"),
        lambda p: p["share"]["anyOf"].pop(),
    ],
)
def test_what_they_can_ignore_is_not(change: Callable[[dict[str, Any]], object]) -> None:
    assert changed(change) == []


def test_the_published_schema_gives_way_to_a_raised_version_only(
    generate: dict[str, Any], tmp_path: Path
) -> None:
    file = tmp_path / "json.schema.json"
    file.write_text(SCHEMA.read_text())
    now = deepcopy(published())
    del now["$defs"]["Estimate"]["properties"]["low"]
    with pytest.raises(click.ClickException, match=r"measure\.last_seven_days\.estimate"):
        generate["write_schema"](file, now)
    assert json.loads(file.read_text()) == published()
    for each in now["oneOf"]:
        each["properties"]["labelloop"]["const"] = json_form.CONTRACT + 1
    generate["write_schema"](file, now)
    assert json.loads(file.read_text()) == now
