"""Who logs in, how long it lasts, and that no other page can act in their name."""

import re
from datetime import timedelta

import pytest
from starlette.testclient import TestClient

from labelloop.ledger import accounts, events, sessions
from labelloop.web.api import PREFIX
from labelloop.web.attempts import N_ATTEMPTS
from tests.served import HERE, PROXIED, Service
from tests.unit.conftest import MakeService

HTML = {"Accept": "text/html"}
RUN = f"{PREFIX}/run"


def logged_in(service: Service, *scopes: str, name: str = "ann") -> TestClient:
    client = service.client(follow_redirects=False, **HTML)
    answer = client.post("/login", data={"token": service.add(name, *scopes), "next": "/"})
    assert answer.status_code == 303
    return client


def proof(client: TestClient, path: str = "/") -> str:
    found = re.search(r'<meta name="csrf" content="(\w+)">', client.get(path).text)
    assert found
    return found[1]


def test_a_token_is_shown_once_and_a_cookie_from_then_on(service: Service) -> None:
    client = logged_in(service, "read")
    assert "Log out" in client.get("/").text
    assert client.get("/login").headers["location"] == "/"
    other = service.client(follow_redirects=False, **HTML)
    answer = other.get("/queues?x=1")
    assert answer.status_code == 401
    assert 'name="next" value="/queues?x=1"' in answer.text, "it leads back"
    assert client.get("/metrics").status_code == 200
    assert client.get(f"{PREFIX}/ties").status_code == 403, "with the scopes of the account"


def test_the_cookie_is_for_this_service_alone(make_service: MakeService) -> None:
    service = make_service(PROXIED)
    token = service.add("ann", "read")
    client = service.client("https://loop.example.com", peer="10.1.2.3", follow_redirects=False)
    answer = client.post("/team/login", data={"token": token, "next": "/team/queues"})
    assert answer.headers["location"] == "/team/queues"
    held = answer.headers["set-cookie"]
    for part in ("HttpOnly", "SameSite=lax", "Secure", "Path=/team", "Max-Age=43200"):
        assert part in held, part
    assert token not in held
    value = held.partition("=")[2].partition(";")[0]
    assert len(value) >= 43, "256 bits"
    files = [f for f in service.world.state.iterdir() if f.name.startswith("ledger.db")]
    assert all(value.encode() not in f.read_bytes() for f in files), "only its hash is kept"
    assert value not in "".join(service.lines)
    with service.world.loop.project.ledger.read() as tx:
        assert [e.verb for e in events.of(tx, "account:ann")] == ["add", "log in"]


def test_a_session_ends(service: Service) -> None:
    client = logged_in(service, "read")
    cookies = dict(client.cookies)
    assert client.post("/logout", data={"csrf": proof(client)}).status_code == 303
    assert not client.cookies
    stolen = service.client(**HTML)
    stolen.cookies.update(cookies)
    assert stolen.get("/").status_code == 401, "the server forgets it too"
    for end in ("expired", "excluded", "added anew"):
        client = logged_in(service, "read", name=end)
        assert client.get("/").status_code == 200
        with service.world.loop.project.ledger.write_at_once() as tx:
            at = service.world.clock.now()
            if end == "expired":
                service.world.clock.pass_(hours=12)
            else:
                accounts.exclude(tx, end, at=at)
        if end == "added anew":
            service.world.clock.pass_(seconds=1)
            service.add(end, "read")
        service.site.look_again()
        assert client.get("/").status_code == 401, end


def test_sessions_that_ended_are_deleted(service: Service) -> None:
    with service.world.loop.project.ledger.write_at_once() as tx:
        at = service.world.clock.now()
        sessions.begin(tx, "ann", at=at)
        sessions.begin(tx, "bob", at=at + timedelta(hours=13))
        assert [s.account for s in sessions.by_cookie_hash(tx).values()] == ["bob"]


@pytest.mark.parametrize("cookie", ["", "x", "é".encode().decode("latin-1"), "a" * 4000])
def test_a_forged_cookie_is_nobodys(service: Service, cookie: str) -> None:
    client = logged_in(service, "read")
    [name] = client.cookies
    answer = service.client().get("/", headers={"Cookie": f"{name}={cookie}".encode("latin-1")})  # type: ignore[dict-item]
    assert answer.status_code == 401


def test_wrong_tokens_are_limited_by_address(service: Service) -> None:
    token = service.add("ann", "read")
    client = service.client(follow_redirects=False, **HTML)
    for _ in range(N_ATTEMPTS):
        answer = client.post("/login", data={"token": "guess"})
        assert answer.status_code == 401
        assert "unknown" in answer.text
        assert "guess" not in answer.text
    answer = client.post("/login", data={"token": token})
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) > 0
    other = service.client(peer="127.0.0.2", follow_redirects=False)
    assert other.post("/login", data={"token": token}).status_code == 303


def test_attempts_behind_a_proxy_are_counted_by_what_it_says(make_service: MakeService) -> None:
    service = make_service(PROXIED)
    token = service.add("ann", "read")
    proxy = service.client("https://loop.example.com", peer="10.1.2.3", follow_redirects=False)
    for n in range(N_ATTEMPTS):  # what the visitor made up stands before the last place
        headers = {"X-Forwarded-For": f"9.9.9.{n}, 5.5.5.5"}
        assert proxy.post("/login", data={"token": "x"}, headers=headers).status_code == 401
    headers = {"X-Forwarded-For": "7.7.7.7, 5.5.5.5"}
    assert proxy.post("/login", data={"token": token}, headers=headers).status_code == 429
    headers = {"X-Forwarded-For": "5.5.5.5, 6.6.6.6"}
    assert proxy.post("/login", data={"token": token}, headers=headers).status_code == 303


@pytest.mark.parametrize(
    "wanted",
    ["//evil.example/", "https://evil.example/", "/\\evil.example", "javascript:alert(1)", "", "x"],
)
def test_logging_in_leads_nowhere_else(service: Service, wanted: str) -> None:
    client = service.client(follow_redirects=False)
    answer = client.post("/login", data={"token": service.add("ann", "read"), "next": wanted})
    assert answer.headers["location"] == "/"
    assert client.get("/login", params={"next": wanted}).headers["location"] == "/"


@pytest.mark.parametrize("said", [None, "", "x", "é", "other's"])
def test_a_write_with_a_cookie_needs_its_proof(service: Service, said: str | None) -> None:
    """SameSite and Origin stop other sites' pages already; this holds where a browser sends neither."""
    client = logged_in(service, "operate", "read")
    if said == "other's":
        said = proof(logged_in(service, "operate", "read", name="bob"))
    headers = {} if said is None else {"X-CSRF-Token": said.encode()}
    answer = client.post(RUN, headers=headers)  # type: ignore[arg-type]
    assert answer.status_code == 403
    assert "out of date" in answer.json()["result"]["error"]
    answer = client.post("/logout", data={} if said is None else {"csrf": said})
    assert answer.status_code == 403
    assert "nothing was changed" in answer.text
    assert service.told == []
    assert client.post(RUN, headers={"X-CSRF-Token": proof(client)}).status_code == 202


def test_a_form_outlives_a_restart(service: Service) -> None:
    client = logged_in(service, "operate", "read")
    held = proof(client)
    again = Service(service.world)
    later = again.client(follow_redirects=False)
    later.cookies.update(dict(client.cookies))
    assert later.post("/logout", data={"csrf": held}).status_code == 303
    again.site.close()


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"token=" + b"x" * 70_000, "application/x-www-form-urlencoded", 413),
        (b"&".join(b"a=1" for _ in range(300)), "application/x-www-form-urlencoded", 400),
        (b"token=\xff", "application/x-www-form-urlencoded", 400),
        (b"{}", "application/json", 415),
        (b"", "", 401),
    ],
)
def test_what_is_no_form_is_refused(service: Service, body: bytes, kind: str, status: int) -> None:
    service.add("ann", "read")
    answer = service.client(at=HERE).post("/login", content=body, headers={"Content-Type": kind})
    assert answer.status_code == status


def test_without_accounts_nobody_logs_in(service: Service) -> None:
    client = service.client(follow_redirects=False)
    assert client.get("/login").headers["location"] == "/"
    assert client.post("/login", data={"token": "x"}).status_code == 401
    assert client.get("/login", headers={"Host": "evil.example"}).status_code == 403
