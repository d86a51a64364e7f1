"""A real run on real servers: its secrets are looked for in all that it leaves, prints and shows."""

import json
import os
import subprocess
import time
from pathlib import Path

from tests.integration.conftest import People, Project
from tests.integration.test_loop import fill, plain_classes
from tests.json_documents import result_of


def command_lines(pid: int) -> str:
    """The titles of a process and of all below it; empty once it has ended."""
    try:
        title = Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8")
        below = [t.read_text() for t in Path(f"/proc/{pid}/task").glob("*/children")]
    except OSError:
        return ""
    return title + "".join(command_lines(int(child)) for some in below for child in some.split())


def test_a_real_run_leaves_and_shows_no_secret(project: Project, people: People) -> None:
    project.write(plain_classes)
    fill(project, 30)
    secrets = [project.environment[n] for n in ("MINIO_PASSWORD", "LABEL_STUDIO_USER_TOKEN")]
    titles = ""
    with subprocess.Popen(
        project.command("run", "--json"),
        cwd=project.folder,
        env={**os.environ, **project.environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as running:
        while running.poll() is None:
            titles += command_lines(running.pid)
            time.sleep(0.01)  # or looking takes the core that the run needs
        assert running.stdout is not None
        shown = running.stdout.read().decode()
    assert result_of(shown, "run")["sent"]["n_sent"] >= 12
    assert "labelloop" in titles
    shown += titles
    for args in (["status"], ["doctor"], ["report"], ["plan"], ["datasets", "list"]):
        done = project.run(*args, "--json")
        shown += done.stdout + done.stderr
    shown += project.ok("report", "--html", "report.html")
    tasks = [t for p in people.projects(project.name).values() for t in people.tasks(p["id"])]
    for task in tasks:
        task["data"].pop("image")  # a signed link: the one exception
    shown += json.dumps(tasks)
    files = [p for p in project.folder.rglob("*") if p.is_file()]
    assert {"ledger.db", "catalog.db", "report.html"} <= {p.name for p in files}
    for secret in secrets:
        assert secret not in shown
        assert not [p for p in files if secret.encode() in p.read_bytes()]
