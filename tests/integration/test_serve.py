"""labelloop serve as real processes: killed anywhere, two of it, a port in use, slow and broken clients."""

import contextlib
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

import labelloop.ledger.migrations
from labelloop.core.due import VERBS
from labelloop.demo.servers import LabelStudio
from labelloop.ledger import Ledger, rounds, verb_states
from labelloop.loop import open_loop
from tests.postgres import PostgreSQL

SETTINGS = """
[project]
name = "pets"
classes = ["cat", "dog"]

[store]
uri = "inputs"

[label_studio]
url = "http://127.0.0.1:9"
api_key = "k"
timeout = "1 second"

[rounds]
every = "3 seconds"

[service]
port = 0
run_every = "1 second"
log = "json"

[[queue]]
name = "accuracy"
purpose = "evaluation"
budget = 3
"""


class Served:
    """A project in a folder, whose Label Studio is down, and the processes that serve it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = folder / "labelloop.toml"
        folder.mkdir(parents=True, exist_ok=True)
        self.config.write_text(SETTINGS)
        (folder / "inputs").mkdir()
        self.running: list[subprocess.Popen[str]] = []
        self.clients: list[httpx.Client] = []
        self.n = 0

    def traffic(self, n: int = 5) -> None:
        for _ in range(n):
            self.n += 1
            image = self.folder / "inputs" / f"{self.n:05d}.png"
            image.write_bytes(b"\x89PNG\r\n\x1a\n" + str(self.n).encode())
            at = datetime.now(UTC) - timedelta(minutes=1)
            tags = {"predicted_class": "cat", "confidence": 0.5, "timestamp": at.isoformat()}
            Path(f"{image}.json").write_text(json.dumps(tags))

    def start(self) -> tuple["subprocess.Popen[str]", httpx.Client]:
        """A process that answers, and a client of it."""
        with (self.folder / f"log{len(self.running)}").open("w") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "labelloop", "serve", "--config", str(self.config)],
                stderr=log,
                stdin=subprocess.DEVNULL,
                text=True,
                start_new_session=True,
            )
        self.running.append(process)
        found = self.wait(lambda: self.said("listening", len(self.running) - 1))
        client = httpx.Client(base_url=str(found[0]["at"]), timeout=30, trust_env=False)
        self.clients.append(client)
        return process, client

    def lines(self, which: int) -> list[dict[str, Any]]:
        text = (self.folder / f"log{which}").read_text()
        return [json.loads(line) for line in text.splitlines() if line.startswith("{")]

    def said(self, what: str, which: int) -> list[dict[str, Any]]:
        return [line for line in self.lines(which) if line["what"] == what]

    def wait(self, what: Callable[[], Any], *, at_most_s: float = 150) -> Any:
        until = time.monotonic() + at_most_s
        while time.monotonic() < until:
            with contextlib.suppress(httpx.TransportError):
                if found := what():
                    return found
            time.sleep(0.1)
        said = {n: self.lines(n)[-6:] for n in range(len(self.running))}
        raise AssertionError(f"it did not come to that in time; {said}")

    def n_done(self, verb: str) -> int:
        """How often a verb was done in all; "" for any."""
        lines = [line for which in range(len(self.running)) for line in self.said("done", which)]
        return sum(verb in {"", line["verb"]} for line in lines)

    def frames(self) -> list[tuple[int, int]]:
        """The batches of each round."""
        with open_loop(self.config) as loop, loop.project.ledger_to_read.read() as tx:
            found = [r.frame for r in rounds.every(tx)]
            return [(f.batch_after, f.batch_to) for f in found]

    def stop(self) -> None:
        for process in self.running:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        for client in self.clients:
            client.close()


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    made = Served(tmp_path)
    yield made
    made.stop()


def last_round(client: httpx.Client) -> int:
    return client.get("/api/v1/status").json()["result"]["last_round"] or 0


def test_it_draws_rounds_by_itself_and_ends_at_once(served: Served) -> None:
    served.traffic()
    process, client = served.start()
    served.wait(lambda: last_round(client) == 1)
    served.traffic()
    served.wait(lambda: last_round(client) == 2)
    assert client.get("/readyz").status_code == 200
    verbs = {v["verb"]: v for v in client.get("/api/v1/service").json()["result"]["verbs"]}
    assert verbs["collect"]["n_failures"] == 0, "nothing was sent, so there is nothing to ask for"
    assert verbs["send"]["n_failures"] > 0, "Label Studio is down"
    assert verbs["build"]["succeeded_at"] is not None, "which stops nothing else"
    process.terminate()
    assert process.wait(30) == 0
    assert served.said("ended", 0)


def test_two_instances_share_a_ledger_on_postgresql_with_the_least_rights(
    served: Served, postgresql: PostgreSQL
) -> None:
    """The role may change rows, and no table: the owner made them."""
    owner, role = postgresql.ledger(), f"served_{os.getpid()}"
    engine = sa.create_engine(owner.replace("postgresql:", "postgresql+psycopg:"))
    with engine.begin() as tx:
        tx.exec_driver_sql(f"CREATE ROLE {role} LOGIN PASSWORD 'made-up'")
        tx.exec_driver_sql(
            f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}"
        )
        tx.exec_driver_sql(f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {role}")
    url = str(sa.make_url(owner).set(username=role).set(password="made-up").render_as_string(False))
    served.config.write_text(f'{SETTINGS}\n[state]\nledger = "{url}"\n')
    served.traffic()
    _, client = served.start()
    served.start()
    served.wait(lambda: last_round(client) == 1)
    served.traffic()
    served.wait(lambda: last_round(client) == 2)
    assert client.get("/metrics").status_code == 200
    served.stop()
    found = served.frames()
    assert [low for low, _ in found[1:]] == [high for _, high in found[:-1]], "each round once"
    with engine.begin() as tx:
        tx.exec_driver_sql(f"DROP OWNED BY {role}")
        tx.exec_driver_sql(f"DROP ROLE {role}")
    engine.dispose()


def test_kills_anywhere_and_two_instances_lose_and_double_nothing(served: Served) -> None:
    rng = random.Random(7)
    served.traffic()
    for turn in range(6):  # each kind of kill, with a round drawn before and without
        while len([p for p in served.running if p.poll() is None]) < 2:
            served.start()
        verb = "select" if turn % 2 else ""  # in every other turn a round is drawn before
        done = served.n_done(verb)
        served.wait(lambda verb=verb, done=done: served.n_done(verb) > done)
        time.sleep(rng.uniform(0.0, 1.5))
        served.traffic(2)
        victim = rng.choice([p for p in served.running if p.poll() is None])
        # the web alone, its worker alone, or both
        kind = turn % 3
        if kind == 2:
            os.killpg(victim.pid, signal.SIGKILL)
        elif kind == 1:
            for pid in worker_of(victim.pid):
                os.kill(pid, signal.SIGKILL)
        else:
            victim.kill()
    served.stop()
    _, client = served.start()
    before = last_round(client)
    served.traffic(3)
    served.wait(lambda: last_round(client) > before)
    served.stop()
    found = served.frames()
    assert len(found) > 2
    assert [low for low, _ in found[1:]] == [high for _, high in found[:-1]], "no gap, no overlap"
    with open_loop(served.config) as loop, loop.project.ledger_to_read.read() as tx:
        drawn = [d.sample_id for d in rounds.draws_with_labels(tx)]
    assert len(drawn) == len(set(drawn)), "each sample is in one frame"


def worker_of(pid: int) -> list[int]:
    """The children of a process, whichever of its threads started them."""
    found = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for children in found for child in children.read_text().split()]


def test_a_worker_that_dies_is_started_again_and_its_parent_s_end_is_its_own(
    served: Served,
) -> None:
    process, client = served.start()
    [worker] = served.wait(lambda: worker_of(process.pid))
    os.kill(worker, signal.SIGKILL)
    served.wait(lambda: served.said("worker ended", 0))
    [again] = served.wait(lambda: [w for w in worker_of(process.pid) if w != worker])
    assert client.get("/healthz").status_code == 200
    process.kill()
    process.wait()
    served.wait(lambda: not Path(f"/proc/{again}").exists(), at_most_s=30)


def test_settings_are_read_again_and_broken_ones_are_not(served: Served) -> None:
    process, client = served.start()
    served.wait(lambda: client.get("/readyz").status_code == 200)
    served.wait(lambda: served.said("done", 0))
    served.config.write_text(SETTINGS.replace('"pets"', '"beasts"'))
    process.send_signal(signal.SIGHUP)
    served.wait(lambda: served.said("settings read", 0))
    assert client.get("/api/v1/report").json()["result"]["project"] == "beasts"
    served.config.write_text("[project")
    process.send_signal(signal.SIGHUP)
    kept = served.wait(lambda: served.said("settings kept", 0))
    assert "can't be read as TOML" in kept[0]["because"]
    assert client.get("/readyz").status_code == 200
    served.config.write_text(SETTINGS)


def test_run_beside_it_is_harmless(served: Served) -> None:
    served.traffic()
    _, client = served.start()
    for _ in range(3):
        subprocess.run(
            [sys.executable, "-m", "labelloop", "run", "--now", "--config", str(served.config)],
            capture_output=True,
            check=False,
        )
        served.traffic(2)
    served.wait(lambda: last_round(client) >= 2)
    served.stop()
    found = served.frames()
    assert [low for low, _ in found[1:]] == [high for _, high in found[:-1]]


def test_an_upgrade_under_it_is_refused_by_every_verb(served: Served) -> None:
    served.traffic()
    _, client = served.start()
    served.wait(lambda: last_round(client) == 1)
    url = f"sqlite:///{served.folder}/.labelloop/ledger.db"
    engine = sa.create_engine(url)
    with engine.begin() as tx:
        tx.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    engine.dispose()
    at = len(served.lines(0))
    served.wait(lambda: [x for x in served.lines(0)[at:] if x["what"] == "failed"])
    answer = served.wait(
        lambda: (a := client.get("/readyz")).status_code == 503 and "version 9999" in a.text and a
    )
    assert answer
    assert client.get("/healzth").status_code in {404, 503}


def test_a_folder_of_projects_is_served_with_one_worker(tmp_path: Path) -> None:
    many = [Served(tmp_path / "many" / name) for name in ("pets", "ships")]
    (tmp_path / "many" / "broken").mkdir()
    (tmp_path / "many" / "broken" / "labelloop.toml").write_text("nonsense = 1")
    for each in many:
        each.traffic()
    older(many[0])
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "labelloop", "serve", str(tmp_path / "many"), "--port", "0"],
            stderr=log,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
    many[0].running.append(process)
    (many[0].folder / "log0").symlink_to(tmp_path / "log")
    try:
        found = many[0].wait(
            lambda: re.search(r'listening at="(\S+)"', (tmp_path / "log").read_text())
        )
        with httpx.Client(base_url=found[1], timeout=30, trust_env=False) as client:
            for name in ("pets", "ships"):
                status = f"/p/{name}/api/v1/status"
                many[0].wait(lambda at=status: client.get(at).json()["result"]["last_round"] == 1)
            assert client.get("/readyz").text == "ready\n"
            assert "nonsense" in client.get("/", headers={"Accept": "text/html"}).text
            assert client.get("/p/broken/").status_code == 503
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
            assert len(children) == 1, "one worker"
            process.terminate()
            assert process.wait(30) in {0, -signal.SIGTERM}
    finally:
        many[0].stop()


def older(served: Served) -> None:
    """Give a project a ledger as an earlier version left it."""
    path = served.folder / ".labelloop" / "ledger.db"
    path.parent.mkdir()
    engine = sa.create_engine(f"sqlite:///{path}")
    config = Config()
    config.set_main_option(
        "script_location", str(Path(labelloop.ledger.migrations.__file__).parent)
    )
    config.set_main_option("path_separator", "os")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0016")
    engine.dispose()


# --- with Label Studio ----------------------------------------------------------------------------


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def test_an_answer_is_in_the_numbers_within_seconds_and_images_show(
    served: Served, older_label_studio: LabelStudio
) -> None:
    """Label Studio 1.20.0, which calls private addresses; between the turns of a service."""
    url, token = older_label_studio.url, older_label_studio.legacy_token
    text = SETTINGS.replace("http://127.0.0.1:9", url).replace('"k"', f'"{token}"')
    text = text.replace('"pets"', f'"served {os.getpid()}"').replace("3 seconds", "1 day")
    text = text.replace('1 second"\nlog', '1 hour"\nlog').replace(
        "port = 0", f"port = {free_port()}"
    )
    served.config.write_text(text.replace("budget = 3", 'budget = 3\nimages = "gateway"'))
    served.traffic()
    _, client = served.start()
    served.wait(lambda: served.n_done("build"))
    assert served.said("not announced", 0) == []
    headers = {"Authorization": f"Token {token}"}
    with httpx.Client(base_url=url, headers=headers, trust_env=False, timeout=30) as people:
        projects = people.get("/api/projects/", params={"page_size": 100}).json()["results"]
        [project] = [p for p in projects if p["title"].startswith(f"served {os.getpid()}")]
        params = {"project": project["id"], "fields": "all"}
        tasks = people.get("/api/tasks", params=params).json()["tasks"]
        assert len(tasks) == 3
        for n, task in enumerate(tasks, start=1):
            link = task["data"]["image"]
            image = httpx.get(link, trust_env=False)
            assert image.headers["content-type"] == "image/png"
            assert image.content.startswith(b"\x89PNG")
            assert "inputs" not in str(task["data"])
            choice = {"choices": ["cat"]}
            result = {"from_name": "label", "to_name": "input", "type": "choices", "value": choice}
            names = people.get(f"/api/projects/{project['id']}/").json()["parsed_label_config"]
            [(result["from_name"], control)] = names.items()
            [result["to_name"]] = control["to_name"]
            people.post(f"/api/tasks/{task['id']}/annotations/", json={"result": [result]})
            answered_at = time.monotonic()

            def counted(n: int = n) -> bool:
                found = client.get("/api/v1/measure").json()["result"]
                return bool(found["last_seven_days"]["n_labelled"] == n)

            served.wait(counted)
            took_s = time.monotonic() - answered_at
            assert took_s < 5, took_s


# --- what goes wrong ------------------------------------------------------------------------------


def test_a_port_in_use_is_said(served: Served) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ran = subprocess.run(
            [
                *(sys.executable, "-m", "labelloop", "serve", "--config", str(served.config)),
                *("--port", port),
            ],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    assert ran.returncode == 1
    assert f"can't listen at 127.0.0.1:{port}" in ran.stderr
    assert "remedy" in ran.stderr


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ('host = "0.0.0.0"', "0.0.0.0 can be reached by others, and nobody has an account"),
        ('public_url = "https://a.example"', "lets others in, and nobody has an account"),
    ],
)
def test_open_doors_are_refused(served: Served, settings: str, said: str) -> None:
    served.config.write_text(SETTINGS.replace("[service]", f"[service]\n{settings}"))
    ran = subprocess.run(
        [sys.executable, "-m", "labelloop", "serve", "--config", str(served.config)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ran.returncode == 1
    assert said in ran.stderr
    assert "people add" in ran.stderr


def test_slow_and_broken_clients_block_nobody(served: Served) -> None:
    _, client = served.start()
    address = client.base_url.host, client.base_url.port or 0
    slow = [socket.create_connection(address) for _ in range(150)]
    for each in slow[:75]:
        each.send(b"GET /healthz HTTP/1.1\r\nHost: 127")  # and nothing more
    for each in slow[75:]:
        each.send(b"POST /api/v1/run HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9\r\n\r\nx")
    broken = socket.create_connection(address)
    broken.send(b"\x00\x16\xff rubbish\r\n\r\n")
    began = time.monotonic()
    for _ in range(20):
        assert client.get("/healthz").status_code == 200
    assert time.monotonic() - began < 5
    slow[-1].settimeout(30)
    assert b"408" in slow[-1].recv(1000).split(b"\r\n")[0]
    for each in (*slow, broken):
        each.close()


def test_the_state_of_the_verbs_outlives_the_process(served: Served) -> None:
    served.traffic()
    process, _ = served.start()
    served.wait(lambda: {line["verb"] for line in served.lines(0) if "verb" in line} == set(VERBS))
    process.terminate()
    process.wait()
    found = Ledger.read_only(f"sqlite:///{served.folder}/.labelloop/ledger.db")
    assert found is not None
    with found.read() as tx:
        assert set(verb_states.every(tx)) == set(VERBS)
    found.close()
