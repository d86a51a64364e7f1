"""Several processes of one project at once: nobody waits for ever, and nothing is made twice."""

import os
import signal
import subprocess
import sys
from collections import Counter
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from labelloop.errors import LeaseHeld
from labelloop.ledger import tables as t
from labelloop.ledger.engine import database_url
from labelloop.loop import Loop
from labelloop.project import Project as OpenedProject
from labelloop.settings.file import load
from tests.integration.conftest import People, Project
from tests.integration.test_loop import fill, plain_classes

if TYPE_CHECKING:
    from tests.postgres import PostgreSQL

STOPS_IN_ITS_FIRST_IMPORT = """
import os, signal
from labelloop.adapters.label_studio.annotator import LabelStudioAnnotator
carried_on = LabelStudioAnnotator.import_tasks
def import_tasks(self, *args):
    os.kill(os.getpid(), signal.SIGSTOP)
    return carried_on(self, *args)
LabelStudioAnnotator.import_tasks = import_tasks
from labelloop.cli import main; main()
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def shared(project: Project, request: pytest.FixtureRequest) -> Project:
    """A project with a short time-out, whose ledger lies in SQLite, then in PostgreSQL."""
    state = ""
    if request.param == "postgresql":
        server: PostgreSQL = request.getfixturevalue("postgresql")
        state = f'\n[state]\nledger = "{server.database()}"\n'
    project.write(lambda text: plain_classes(text) + state, timeout="2 seconds")
    project.environment["LEDGER"] = state.partition('"')[2].rstrip('"\n') or (
        f"sqlite:///{project.folder}/.labelloop/ledger.db"
    )
    return project


def opened(project: Project) -> Loop:
    """The project's loop in this process."""
    return Loop(OpenedProject(load(project.folder / "labelloop.toml", project.environment)))


def held(project: Project, people: People) -> Counter[str]:
    """The task keys that Label Studio holds."""
    found = people.projects(project.name).values()
    return Counter(task["data"]["labelloop"] for made in found for task in people.tasks(made["id"]))


def ledger(project: Project, statement: sa.Executable) -> list[sa.Row[tuple[object, ...]]]:
    """What a statement finds, or changes, in the ledger."""
    engine = sa.create_engine(database_url(project.environment["LEDGER"]))
    with engine.begin() as tx:
        done = tx.execute(statement)
        rows = list(done) if done.returns_rows else []
    engine.dispose()
    return rows


def test_three_runs_at_once_make_one_of_everything(shared: Project, people: People) -> None:
    fill(shared)
    started = [
        subprocess.Popen(
            shared.command("run"),
            cwd=shared.folder,
            env={**os.environ, **shared.environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for _ in range(3)
    ]
    for process in started:
        said, _ = process.communicate(timeout=240)
        assert "Traceback" not in said
        failed = [line for line in said.splitlines() if "fail" in line or "error" in line]
        assert all("is running `" in line for line in failed), said
    with opened(shared) as loop:
        assert not loop.run().failures
    draws = ledger(shared, sa.select(t.draws.c.task_key))
    assert len(draws) == len(set(draws)) > 12
    assert held(shared, people) == Counter(key for (key,) in draws)
    assert {s for (s,) in ledger(shared, sa.select(t.tasks.c.state))} == {"sent"}
    assert ledger(
        shared,
        sa.select(sa.func.sum(t.batches.c.n_rows)).where(
            t.batches.c.kind == "predictions", t.batches.c.state == "committed"
        ),
    ) == [(60,)]


@pytest.mark.parametrize("shared", ["postgresql"], indirect=True)
def test_a_holder_that_stood_still_writes_nothing_and_what_it_sent_is_reconciled(
    shared: Project, people: People
) -> None:
    fill(shared)
    loop = opened(shared)
    loop.index()
    loop.select()
    still = subprocess.Popen(
        [sys.executable, "-c", STOPS_IN_ITS_FIRST_IMPORT, "send"],
        cwd=shared.folder,
        env={**os.environ, **shared.environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        os.waitpid(still.pid, os.WUNTRACED)
        with pytest.raises(LeaseHeld, match=rf"process {still.pid} on \S+ is running `send`"):
            loop.send()
        ledger(shared, t.leases.update().where(t.leases.c.step == "send").values(expires_at=1.0))
        loop.send()
        before = ledger(shared, sa.select(t.tasks).order_by(t.tasks.c.task_key))
    finally:
        still.send_signal(signal.SIGCONT)
    said, _ = still.communicate(timeout=240)
    assert still.returncode == 1
    assert "another process took over `send`" in said
    assert ledger(shared, sa.select(t.tasks).order_by(t.tasks.c.task_key)) == before
    assert max(held(shared, people).values()) == 2
    loop.collect()
    loop.close()
    keys = ledger(shared, sa.select(t.tasks.c.task_key))
    assert held(shared, people) == Counter(key for (key,) in keys)
    assert {s for (s,) in ledger(shared, sa.select(t.tasks.c.state))} == {"sent"}
