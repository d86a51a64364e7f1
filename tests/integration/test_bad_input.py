"""What a new user gets wrong: each ends in one clear message, and the next run carries on."""

import http.server
from collections.abc import Iterator

import pytest

from labelloop.demo.servers import LabelStudio
from tests.in_a_thread import in_a_thread
from tests.integration.conftest import People, Project
from tests.integration.test_loop import answer_all, fill, plain_classes


@pytest.fixture(autouse=True)
def settings(offline_project: Project) -> None:
    offline_project.write(plain_classes)


def failed(project: Project, *args: str, **environment: str) -> str:
    """The message of a command that must fail as an explained error."""
    done = project.run(*args, **environment)
    assert done.returncode == 1, done.stdout + done.stderr
    said = done.stdout + done.stderr
    assert "Traceback" not in said
    assert "remedy: " in said
    for secret in ("MINIO_PASSWORD", "LABEL_STUDIO_USER_TOKEN"):
        assert {**project.environment, **environment}[secret] not in said
    return said


def edit(project: Project, old: str, new: str) -> None:
    project.write(lambda text: plain_classes(text).replace(old, new))


# --- settings -----------------------------------------------------------------------------------


def test_no_config(offline_project: Project) -> None:
    (offline_project.folder / "labelloop.toml").unlink()
    assert "there is no labelloop.toml in" in failed(offline_project, "run")


@pytest.mark.mistake("key-unknown")
def test_an_unknown_key_names_the_nearest(offline_project: Project) -> None:
    edit(offline_project, "budget = 12", "bugdet = 12")
    said = failed(offline_project, "run")
    assert "unknown key 'bugdet' in queue 'accuracy'" in said
    assert "did you mean budget?" in said


def test_a_typo_in_where_names_the_nearest_column(offline_project: Project) -> None:
    edit(offline_project, "confidence < 0.5", "confidnce < 0.5")
    said = failed(offline_project, "run")
    assert "unknown column 'confidnce'" in said
    assert "did you mean confidence?" in said


def test_an_environment_variable_that_is_not_set(offline_project: Project) -> None:
    said = failed(offline_project, "run", MINIO_URL="")
    assert "store.endpoint_url names the environment variable MINIO_URL, which is empty" in said


def test_an_unknown_command_names_the_nearest(offline_project: Project) -> None:
    done = offline_project.run("meassure")
    assert done.returncode == 2
    assert "Did you mean measure?" in done.stderr


# --- the store ----------------------------------------------------------------------------------


def test_an_empty_bucket_is_no_error(offline_project: Project) -> None:
    assert "nothing there: what [store] uri names" in offline_project.ok("index")
    assert "nothing new to draw from" in offline_project.ok("select")
    assert "no accuracy yet: nothing was drawn" in offline_project.ok("measure")
    assert "nothing yet" in offline_project.ok("build")
    assert "nothing indexed yet" in offline_project.ok("status")


def test_a_bucket_that_does_not_exist(offline_project: Project) -> None:
    edit(offline_project, f's3://{offline_project.bucket}"', 's3://no-such-bucket"')
    assert "no-such-bucket" in failed(offline_project, "index")


@pytest.mark.parametrize("name", ["MINIO_USER", "MINIO_PASSWORD"])
def test_a_wrong_key(offline_project: Project, name: str) -> None:
    failed(offline_project, "index", **{name: "wrong-but-long-enough"})


def test_a_store_that_is_down(offline_project: Project) -> None:
    said = failed(offline_project, "index", MINIO_URL="http://127.0.0.1:9")
    assert "http://127.0.0.1:9" in said


def test_tags_that_cannot_be_read_are_set_aside_and_read_again(offline_project: Project) -> None:
    good = {
        "predicted_class": "c0",
        "confidence": "0.5",
        "timestamp": "2026-03-01T12:00:00+01:00",
    }
    bad = {
        "confidence": ["abc", "nan", "1.2"],
        "predicted_class": ["unknown"],
        "timestamp": ["yesterday"],
    }
    for name, values in bad.items():
        for value in values:
            offline_project.upload(f"{name}-{value}.png", **{**good, name: value})
    offline_project.upload("good.png", **good)
    offline_project.upload("no-confidence.png", predicted_class="c1", timestamp="2026-03-01")
    offline_project.upload("untagged.png")
    offline_project.upload("a\nb\x1b[31m.png", **{**good, "confidence": "high"})
    indexed = offline_project.json("index")
    assert (indexed["n_new"], indexed["n_set_aside"], indexed["n_pending"]) == (2, 6, 1)
    listed = offline_project.ok("status", "--rejected")
    assert "a\\nb\\x1b[31m.png" in listed
    for value in ("= abc", "= nan", "= 1.2", "= unknown", "= yesterday"):
        assert value in listed

    offline_project.tag("confidence-abc.png", **good)
    again = offline_project.json("index")
    assert (again["n_new"], again["n_set_aside_in_all"]) == (1, 5)


# --- Label Studio -------------------------------------------------------------------------------


@pytest.mark.mistake("label-studio-down")
def test_label_studio_is_down(offline_project: Project, label_studio: LabelStudio) -> None:
    fill(offline_project, 30)
    said = failed(offline_project, "run")
    assert "index    30 new" in said
    assert "select   accuracy 12 of 30" in said
    assert "send     failed: " in said
    assert "http://127.0.0.1:9" in said
    up = {
        "LABEL_STUDIO_URL": label_studio.url,
        "LABEL_STUDIO_USER_TOKEN": label_studio.personal_access_token(),
    }
    offline_project.environment |= up
    assert offline_project.json("run")["sent"]["n_sent"] >= 12


def test_a_store_that_is_down_does_not_stop_collecting(project: Project, people: People) -> None:
    fill(project, 30)
    n_sent = project.json("run")["sent"]["n_sent"]
    answer_all(project, people)
    said = failed(project, "run", MINIO_URL="http://127.0.0.1:9")
    assert "index    failed: " in said
    assert "select   not run: without index, traffic would be missing" in said
    assert f"collect  {n_sent} labels" in said
    assert "measure  " in said
    assert "evaluation v1" in said


@pytest.fixture
def html_server() -> Iterator[str]:
    """A server that answers everything with a page and 502, as a proxy in front of nothing does."""

    class Page(http.server.BaseHTTPRequestHandler):
        def _answer(self) -> None:
            self.send_response(502)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(b"<html>bad gateway</html>")

        do_GET = do_POST = _answer  # noqa: N815  named by http.server

        def log_message(self, *_: object) -> None:
            pass

    with in_a_thread(http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)) as url:
        yield url


def test_a_page_in_place_of_label_studio(offline_project: Project, html_server: str) -> None:
    fill(offline_project, 20)
    said = failed(offline_project, "run", LABEL_STUDIO_URL=html_server)
    assert "send     failed: " in said
    assert "502" in said


def test_a_wrong_token(project: Project) -> None:
    fill(project, 20)
    said = failed(project, "run", LABEL_STUDIO_USER_TOKEN="f" * 40)
    assert "send     failed: " in said
    assert project.json("run")["sent"]["n_sent"] >= 12


@pytest.mark.mistake("project-deleted")
def test_a_project_deleted_by_hand_is_made_again(project: Project, people: People) -> None:
    fill(project, 40)
    first = project.json("run")["sent"]["n_sent"]
    blind = people.project(project.name, "accuracy")
    tasks = people.tasks(blind["id"])
    people.answer(tasks[0]["id"], "c0")
    project.ok("run")
    people.api.delete(f"/api/projects/{blind['id']}/").raise_for_status()
    again = project.json("run")
    assert again["collected"]["lost_projects"] == ["accuracy"]
    # the answer that was collected stands; the other eleven are asked for anew
    assert again["sent"]["n_sent"] == 11
    assert len(people.tasks(people.project(project.name, "accuracy")["id"])) == 11
    assert again["measured"]["last_seven_days"]["n_labelled"] == 1
    assert first >= 12


@pytest.mark.mistake("tasks-deleted")
def test_tasks_deleted_by_hand_are_sent_again(project: Project, people: People) -> None:
    fill(project, 40)
    project.ok("run")
    blind = people.project(project.name, "accuracy")
    gone = people.tasks(blind["id"])[:3]
    for task in gone:
        people.api.delete(f"/api/tasks/{task['id']}/").raise_for_status()
    again = project.json("run")
    assert (again["collected"]["n_lost"], again["sent"]["n_sent"]) == (3, 3)
    keys = [t["data"]["labelloop"] for t in people.tasks(blind["id"])]
    assert len(keys) == len(set(keys)) == 12


def test_a_budget_larger_than_the_traffic_takes_all_of_it(project: Project) -> None:
    fill(project, 5)
    plans = project.json("run")["selected"]["plans"]
    assert (plans[0]["n_drawn"], plans[0]["inclusion"]) == (5, 1.0)


@pytest.mark.mistake("ledger-lost")
def test_a_lost_ledger_is_no_fresh_start(project: Project) -> None:
    fill(project, 20)
    project.ok("run")
    for file in project.folder.glob(".labelloop/ledger.db*"):
        file.unlink()
    assert "the ledger was lost" in failed(project, "run")
    for left in ("catalog.db", "log"):
        (project.folder / ".labelloop" / left).rename(project.folder / left)
    for file in project.folder.glob(".labelloop/ledger.db*"):
        file.unlink()
    assert "another ledger created" in failed(project, "run")


# --- Ctrl-C -------------------------------------------------------------------------------------


def test_ctrl_c_at_any_moment_loses_and_repeats_nothing(project: Project, people: People) -> None:
    project.write(plain_classes, timeout="3 seconds")
    fill(project, 60)
    codes = [project.interrupt("run", after_s=0.1 + 0.3 * i) for i in range(8)]
    assert 130 in codes
    done = project.run("run")
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(people.tasks(people.project(project.name, "accuracy")["id"])) == 12
    n_answers = len(answer_all(project, people))
    collected = project.json("run")["collected"]
    assert collected["n_labels"] == n_answers
    assert collected["n_duplicates"] == 0
    status = project.json("status")
    assert sum(sum(q["by_state"].values()) for q in status["queues"]) == n_answers
