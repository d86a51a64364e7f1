"""What the service answers, to whom, over a project in memory."""

import json
import re
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.routing import Route
from starlette.testclient import TestClient

from labelloop.cli.main import group
from labelloop.core.due import VerbState
from labelloop.core.token import webhook_secret
from labelloop.errors import ArgumentError
from labelloop.ledger import accounts, events, pauses, verb_states
from labelloop.web.api import ACTIONS, PREFIX, READINGS
from labelloop.web.openapi import description
from tests.json_documents import result_of
from tests.served import HERE, PROXIED, Service, refused
from tests.unit.conftest import MakeService, MakeWorld

# --- reading --------------------------------------------------------------------------------------


@pytest.mark.parametrize("reading", READINGS, ids=lambda r: r.kind)
def test_the_api_is_the_json_of_the_commands(service: Service, reading: Any) -> None:
    answer = service.client().get(PREFIX + reading.path)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    held = answer.json()
    assert held["labelloop"] == 1
    assert held["kind"] == reading.kind


def test_a_period_is_measured(service: Service) -> None:
    client = service.client()
    found = client.get(f"{PREFIX}/measure?since=2026-03-01&until=2026-03-10").json()["result"]
    assert found["period"]["n_labelled"] == found["last_seven_days"]["n_labelled"] == 5
    for since in ("yesterday", "2026-03-11T00:00:00Z", "9999999-01-01", "%00", "0001-01-01"):
        answer = client.get(f"{PREFIX}/measure?since={since}&until=2026-03-10")
        assert answer.status_code in {200, 400}, since


def test_a_project_without_a_ledger_says_what_there_is(make_world: MakeWorld) -> None:
    service = Service(make_world())
    (service.world.state / "ledger.db").unlink()
    client = service.client()
    assert client.get("/readyz").status_code == 200
    assert client.get(f"{PREFIX}/status").json()["result"]["indexed"] is False
    assert client.get("/").status_code == 200
    service.world.traffic(10)
    service.world.loop.run()
    service.site._looked_at_s = -1e9
    service.site._kept.clear()
    assert client.get(f"{PREFIX}/status").json()["result"]["last_round"] == 1
    service.site.close()


def test_a_ledger_of_another_version_is_said(service: Service) -> None:
    with service.world.loop.project.ledger.write_at_once() as tx:
        tx.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    answer = service.client().get("/readyz")
    assert answer.status_code == 503
    assert "version 9999" in refused(answer)
    assert service.client().get("/healthz").text == "ok\n"


def test_a_worker_that_is_down_is_not_ready(service: Service) -> None:
    client = service.client()
    assert client.get("/readyz").text == "ready\n"
    service.worker_is_alive = False
    assert "worker is down" in refused(client.get("/readyz"))


def test_the_report_is_a_page_that_runs_no_script(service: Service) -> None:
    answer = service.client().get("/report")
    assert "<svg" in answer.text
    assert "<script" not in answer.text
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src" not in policy


def test_metrics_are_openmetrics(service: Service) -> None:
    with service.world.loop.project.ledger.write_at_once() as tx:
        verb_states.put(tx, "send", VerbState(failed_at=service.world.clock.now(), n_failures=2))
        verb_states.put(tx, "index", VerbState(succeeded_at=service.world.clock.now()))
    answer = service.client().get("/metrics")
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    lines = answer.text.splitlines()
    assert lines[-1] == "# EOF"
    values = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    assert 0 <= float(values["labelloop_accuracy_low"]) <= float(values["labelloop_accuracy_high"])
    assert float(values["labelloop_blind_labels"]) == 5
    assert float(values["labelloop_newest_label_age_seconds"]) == 0
    queue = 'labelloop_tasks{queue="accuracy",purpose="evaluation",state="labelled"}'
    assert float(values[queue]) == 5
    assert float(values['labelloop_verb_failures{verb="send"}']) == 2
    at = service.world.clock.now().timestamp()
    assert float(values['labelloop_verb_last_success_timestamp_seconds{verb="index"}']) == at
    declared = [line.split()[2] for line in lines if line.startswith("# TYPE")]
    assert len(declared) == len(set(declared))


def test_the_service_shows_its_verbs(service: Service) -> None:
    at = service.world.clock.now()
    with service.world.loop.project.ledger.write_at_once() as tx:
        verb_states.put(tx, "send", VerbState(failed_at=at, n_failures=1, error="no place"))
        pauses.pause(tx, "low", by="ann", at=at)
    found = service.client().get(f"{PREFIX}/service").json()["result"]
    send = next(v for v in found["verbs"] if v["verb"] == "send")
    assert (send["n_failures"], send["error"]) == (1, "no place")
    assert send["next_at"] == "2026-03-02T12:00:15+00:00"
    assert found["paused"][0]["queue"] == "low"


# --- actions --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("path", "command"), [("run", "run"), ("rounds", "round")])
def test_actions_reach_the_worker(service: Service, path: str, command: str) -> None:
    answer = service.client().post(f"{PREFIX}/{path}")
    assert answer.status_code == 202
    assert service.told == [command]
    assert "this machine" in "".join(service.lines)


def test_a_queue_is_paused_and_resumed(service: Service) -> None:
    client = service.bearer("ann", "operate")
    for action, held in (("pause", {"low"}), ("pause", {"low"}), ("resume", set())):
        assert client.post(f"{PREFIX}/queues/low/{action}").json()["result"]["done"]
        with service.world.loop.project.ledger.read() as tx:
            assert pauses.queues(tx) == held
    with service.world.loop.project.ledger.read() as tx:
        found = [(e.actor, e.verb) for e in events.of(tx, "queue:low")]
    assert found == [("ann", "pause"), ("ann", "resume")]
    answer = client.post(f"{PREFIX}/queues/lo/pause")
    assert answer.status_code == 404
    assert "no queue 'lo'" in refused(answer)


def test_a_wrong_path_or_method_is_told_what_to_do(service: Service) -> None:
    client = service.bearer("ann", "operate")
    for path, said in (
        (f"{PREFIX}/nosuch", f"{PREFIX}/openapi.json lists the API's paths"),
        ("/nosuch", "correct the path; / leads to every page"),
    ):
        answer = client.get(path)
        assert (answer.status_code, answer.json()["result"]["remedy"]) == (404, said)
    answer = client.get(f"{PREFIX}/queues/low/pause")
    assert (answer.status_code, answer.json()["result"]["remedy"]) == (405, "send POST")


def test_an_action_does_not_wait_for_a_verb_that_writes(service: Service) -> None:
    with TestClient(service.app, base_url=HERE) as client:
        with service.world.loop.project.ledger.write_at_once():
            answer = client.post(f"{PREFIX}/queues/low/pause")
            assert answer.status_code == 202
            assert answer.json()["result"]["done"] is False
            assert answer.elapsed.total_seconds() < 1
        for _ in range(100):
            client.get("/healthz")
            with service.world.loop.project.ledger.read() as tx:
                if pauses.queues(tx):
                    return
            time.sleep(0.05)
    raise AssertionError("it is done once the verb has ended")


def test_broken_settings_keep_the_old_ones(service: Service) -> None:
    file = service.world.folder / "labelloop.toml"
    good = file.read_text()
    file.write_text(good.replace('name = "pets"', 'name = "cats"'))
    client = service.client()
    assert client.post(f"{PREFIX}/reload").json()["result"]["done"] is True
    assert client.get(f"{PREFIX}/report").json()["result"]["project"] == "cats"
    file.write_text("[project\n")
    answer = client.post(f"{PREFIX}/reload")
    assert answer.status_code == 202
    assert "settings kept" in "".join(service.lines)
    assert client.get(f"{PREFIX}/status").status_code == 200
    assert service.site.settings.project.name == "cats"


@pytest.mark.parametrize("body", [b"x" * 65_537, b"x" * 10_000_000])
def test_a_body_that_is_too_large_is_refused(service: Service, body: bytes) -> None:
    answer = service.client().post(f"{PREFIX}/run", content=body)
    assert answer.status_code == 413
    assert service.told == []

    def parts() -> Iterator[bytes]:  # without a length
        for _ in range(100):
            yield body[:65_536]

    assert service.client().post(f"{PREFIX}/run", content=parts()).status_code == 413


# --- who may --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host", ["127.0.0.1:8500", "localhost", "localhost:8500", "[::1]:8500", "127.0.0.2"]
)
def test_without_accounts_this_machine_may_everything(service: Service, host: str) -> None:
    client = service.client()
    assert client.get(f"{PREFIX}/waiting", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "10.0.0.1:8500", ""])
def test_without_accounts_another_name_is_refused(service: Service, host: str) -> None:
    """A page in a browser here can give this address a name of its own."""
    answer = service.client().get(f"{PREFIX}/status", headers={"Host": host})
    assert answer.status_code == 403
    assert "people add" in answer.json()["result"]["remedy"]


@pytest.mark.parametrize(
    "header", ["X-Forwarded-For", "X-Forwarded-User", "Forwarded", "X-Real-IP", "Via"]
)
def test_without_accounts_a_proxy_is_refused(service: Service, header: str) -> None:
    answer = service.client().get(f"{PREFIX}/status", headers={header: "127.0.0.1"})
    assert answer.status_code == 403


def test_once_there_is_an_account_a_token_is_asked_for(service: Service) -> None:
    client = service.bearer("ann", "read")
    assert client.get(f"{PREFIX}/status").status_code == 200
    for path in ("/", "/metrics", f"{PREFIX}/status", f"{PREFIX}/openapi.json"):
        answer = service.client().get(path)
        assert answer.status_code == 401, path
        assert answer.headers["www-authenticate"] == "Bearer"
    assert service.client().get("/healthz").status_code == 200


@pytest.mark.parametrize(
    "said", ["", "Bearer", "Bearer ", "Bearer x", "Basic YW5uOng=", "Bearer \udc80", "token x"]
)
def test_a_wrong_token_is_refused(service: Service, said: str) -> None:
    service.add("ann", "read")
    headers = {"Authorization": said.encode("utf-8", "surrogateescape")}
    assert service.client().get(f"{PREFIX}/status", headers=headers).status_code == 401  # type: ignore[arg-type]


def test_who_is_excluded_is_out_even_if_nobody_is_left(service: Service) -> None:
    client = service.bearer("ann", "read")
    with service.world.loop.project.ledger.write_at_once() as tx:
        accounts.exclude(tx, "ann", at=service.world.clock.now())
    service.site._looked_at_s = -1e9
    assert client.get(f"{PREFIX}/status").status_code == 401
    assert service.client().get(f"{PREFIX}/status").status_code == 401


def test_a_token_is_kept_as_a_hash_alone(service: Service) -> None:
    token = service.add("ann", "read")
    files = [f for f in service.world.state.iterdir() if f.name.startswith("ledger.db")]
    assert all(token.encode() not in f.read_bytes() for f in files)
    assert token not in "".join(service.lines)


def test_scopes_are_kept_apart(service: Service) -> None:
    may = {
        "read": service.bearer("rita", "read"),
        "operate": service.bearer("olga", "operate"),
        "label": service.bearer("lea", "label"),
        "nothing": service.bearer("nora"),
    }
    for reading in READINGS:
        for scope, client in may.items():
            allowed = scope == reading.scope
            status = client.get(PREFIX + reading.path).status_code
            assert status == (200 if allowed else 403), (scope, reading.path)
    for action in ACTIONS:
        path = PREFIX + action.path.replace("{queue}", "low")
        for scope in ("read", "label", "nothing"):
            assert may[scope].post(path).status_code == 403, (scope, path)
    assert service.told == []


def test_who_reads_sees_no_sample(service: Service) -> None:
    """Keys may hold the prediction, and the sample may be with somebody who is to answer blind."""
    service.world.traffic(30)
    service.world.clock.pass_(days=1)
    service.world.loop.run()
    client = service.bearer("rita", "read")
    for path in ("/", "/metrics", *(PREFIX + r.path for r in READINGS if r.scope == "read")):
        answer = client.get(path)
        assert answer.status_code == 200
        assert "class_01/" not in answer.text, path


def test_a_trusted_proxy_names_users(make_service: MakeService) -> None:
    service = make_service(PROXIED)
    proxy = service.client("https://loop.example.com", peer="10.1.2.3")
    ann = {"X-User": "ann@example.com"}
    assert proxy.get(f"{PREFIX}/status", headers=ann).status_code == 200
    assert proxy.post(f"{PREFIX}/run", headers=ann).status_code == 202
    answer = proxy.get(f"{PREFIX}/status", headers={"X-User": "bob@example.com"})
    assert answer.status_code == 403
    assert "bob@example.com has no scope" in refused(answer)
    assert proxy.get(f"{PREFIX}/status").status_code == 401
    twice = [("X-User", "bob@example.com"), ("X-User", "ann@example.com")]
    assert proxy.get(f"{PREFIX}/status", headers=twice).status_code == 400
    for peer in ("127.0.0.1", "11.0.0.1", "testclient"):
        spoofed = service.client("https://loop.example.com", peer=peer)
        assert spoofed.get(f"{PREFIX}/status", headers=ann).status_code == 401, peer


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://loop.example.com"},
        {"Origin": "https://loop.example.com.evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_a_page_of_another_site_writes_nothing(
    make_service: MakeService, headers: dict[str, str]
) -> None:
    service = make_service(PROXIED)
    proxy = service.client(
        "https://loop.example.com", peer="10.1.2.3", **{"X-User": "ann@example.com"}
    )
    assert proxy.post(f"{PREFIX}/run", headers=headers).status_code == 403
    assert service.told == []
    ours = {"Origin": "https://loop.example.com", "Sec-Fetch-Site": "same-origin"}
    assert proxy.post(f"{PREFIX}/run", headers=ours).status_code == 202


def test_here_too_a_page_of_another_site_writes_nothing(service: Service) -> None:
    client = service.client()
    assert (
        client.post(f"{PREFIX}/run", headers={"Origin": "http://evil.example"}).status_code == 403
    )
    assert client.post(f"{PREFIX}/run", headers={"Origin": HERE}).status_code == 202


# --- webhooks -------------------------------------------------------------------------------------


def secret_of(service: Service) -> str:
    return webhook_secret(service.world.log.ledger_id, salt=service.world.log.salt)


def test_label_studio_hints_at_answers(service: Service) -> None:
    service.add("ann", "read")
    client = service.client()
    for _ in range(3):
        headers = {"Labelloop-Secret": secret_of(service)}
        assert (
            client.post("/webhooks/label-studio", headers=headers, content=b"{").status_code == 200
        )
    assert service.told == ["collect"] * 3, "the worker gathers them"


@pytest.mark.parametrize("secret", ["", "x", "é", None])
def test_who_has_not_the_secret_hints_at_nothing(service: Service, secret: str | None) -> None:
    headers = {} if secret is None else {"Labelloop-Secret": secret.encode()}
    answer = service.client().post("/webhooks/label-studio", headers=headers)  # type: ignore[arg-type]
    assert answer.status_code == 403
    assert service.told == []


def test_a_webhook_s_body_has_limits(service: Service) -> None:
    headers = {"Labelloop-Secret": secret_of(service)}
    answer = service.client().post("/webhooks/label-studio", headers=headers, content=b"x" * 2**21)
    assert answer.status_code == 413
    assert service.told == []


NOTIFIED = """[store]
uri = "s3://production"
endpoint_url = "http://127.0.0.1:9"
access_key = "a"
secret_key = "b"
blind_uri = "s3://blind"
notifications = ".labelloop/notifications"

"""


def test_a_bucket_s_notifications_are_kept_for_index(make_service: MakeService) -> None:
    service = make_service('\n[service]\nwebhook_secret = "made-up"\n')
    file = service.world.folder / "labelloop.toml"
    text = file.read_text()
    store = text[text.index("[store]") : text.index("[label_studio]")]
    client = service.client(Authorization="Bearer made-up")
    assert client.post("/webhooks/s3", json={}).status_code == 404
    file.write_text(text.replace(store, NOTIFIED))
    service.site.reload()
    service.add("ann", "read")
    assert client.head("/webhooks/s3").status_code == 200
    assert client.post("/webhooks/s3", json={"Records": []}).status_code == 200
    assert client.post("/webhooks/s3", content=b"{").status_code == 400
    for said in ("Bearer other", "made-up-too", ""):
        answer = client.post("/webhooks/s3", json={}, headers={"Authorization": said})
        assert answer.status_code == 403, said
    assert client.post("/webhooks/s3", content=b" " * (2**20 + 1)).status_code == 413
    [held] = (service.world.state / "notifications").iterdir()
    assert held.read_text() == '{"Records":[]}\n', "it is on the disk by then"
    held.unlink()
    held.parent.rmdir()
    refused = client.post("/webhooks/s3", json={"Records": []})
    assert refused.status_code == 507, "the bucket tries again"


# --- the description ------------------------------------------------------------------------------


def test_every_path_of_the_api_is_described(service: Service) -> None:
    described = {
        (path, method.upper()) for path, of in description()["paths"].items() for method in of
    }
    routes = {
        (route.path, method)
        for route in service.app.routes
        if isinstance(route, Route) and route.path.startswith(PREFIX)
        for method in (route.methods or set()) - {"HEAD"}
        if not route.path.endswith("openapi.json")
    }
    assert described == routes
    assert service.client().get(f"{PREFIX}/openapi.json").json() == json.loads(
        json.dumps(description())
    )


def test_people_are_added_listed_and_excluded(service: Service) -> None:
    config = ["--config", str(service.world.folder / "labelloop.toml")]

    def people(*arguments: str) -> Any:
        ran = CliRunner().invoke(group, ["people", *arguments, *config], catch_exceptions=False)
        return result_of(ran.stdout) if "--json" in arguments else ran.stdout

    service.world.loop.close()
    made = people("add", "ann", "--scopes", "read,operate", "--json")
    client = service.client(Authorization=f"Bearer {made['token']}")
    assert client.get(f"{PREFIX}/ties").status_code == 200
    assert [a["scopes"] for a in people("list", "--json")] == [["read", "operate"]]
    assert people("exclude", "ann") == "ann is excluded\n"
    assert people("list", "--json")[0]["excluded_at"] is not None
    for arguments, said in (
        (("add", "bob", "--scopes", "raed"), "is no scope"),
        (("exclude", "bob"), "there is no account 'bob'"),
    ):
        with pytest.raises(ArgumentError, match=said):
            people(*arguments)


ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)


def test_nothing_that_is_asked_is_a_fault_of_the_service(service: Service) -> None:
    """Every path of the description, every method, whatever stands in parameters, headers and bodies."""
    paths = [*description()["paths"], "/", "/metrics", "/readyz", "/media/{token}", "/webhooks/s3"]
    paths += ["/webhooks/label-studio", f"{PREFIX}/openapi.json", f"{PREFIX}/{{anything}}"]
    client = service.client()

    @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
    @given(
        path=st.sampled_from(paths),
        method=st.sampled_from(["GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH"]),
        part=ANY_TEXT,
        query=st.dictionaries(st.sampled_from(["since", "until", "x"]), ANY_TEXT, max_size=3),
        headers=st.dictionaries(
            st.sampled_from(["Authorization", "Range", "Accept", "If-None-Match", "Content-Type"]),
            st.binary(max_size=40).map(lambda b: b.translate(None, b"\r\n\0").strip()),
            max_size=3,
        ),
        body=st.binary(max_size=200),
    )
    def ask(
        path: str,
        method: str,
        part: str,
        query: dict[str, str],
        headers: dict[str, bytes],
        body: bytes,
    ) -> None:
        at = re.sub(r"\{\w+\}", lambda _: quote(part, safe=""), path)
        answer = client.request(method, at, params=query, headers=headers, content=body)  # type: ignore[arg-type]
        assert answer.status_code < 500, (method, at, answer.text)
        if answer.status_code >= 400 and method != "HEAD":
            assert answer.json()["kind"] == "error"

    ask()
