"""Each row of the threat model names tests that exist; and what no other file tries of it."""

import re
from pathlib import Path

import pytest

from labelloop.web.api import PREFIX
from tests.served import HERE, PROXIED, Service
from tests.unit.conftest import MakeService

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "explanation" / "threat-model.md"
HTML = {"Accept": "text/html"}


def rows() -> list[list[str]]:
    """The cells of each row of the table of who could do what."""
    table = PAGE.read_text().partition("## Who could do what")[2].partition("\n## ")[0]
    lines = [line for line in table.splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


@pytest.mark.parametrize("row", rows(), ids=lambda row: row[1][:40])
def test_each_row_names_tests_that_exist_or_says_undefended(row: list[str]) -> None:
    assert len(row) == 4, row
    tested = row[3]
    found = re.findall(r"\[([^\]]+)\]\(([^)]+)\)", tested)
    targets = re.findall(r"`make (\w+)`", tested)
    assert found or targets or re.match(r"undefended|the clients' own rules", tested), row
    for name, link in found:
        path = (PAGE.parent / link).resolve()
        assert path.is_relative_to(ROOT / "tests"), link
        assert re.search(r"^(def test_|Test\w+ = )", path.read_text(), re.MULTILINE), link
        if name.startswith("test_") and name != path.stem:
            assert f"def {name}(" in path.read_text(), f"{link} has no {name}"
    makefile = (ROOT / "Makefile").read_text()
    for target in targets:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


# --- what no other file tries ---------------------------------------------------------------------


def test_a_cookie_from_before_the_login_is_nobodys_after_it(service: Service) -> None:
    """Who plants a cookie in a browser doesn't have the session of who logs in there."""
    token = service.add("ann", "read")
    client = service.client(follow_redirects=False, **HTML)
    client.post("/login", data={"token": token, "next": "/"})
    [name] = client.cookies
    victim = service.client(follow_redirects=False, **HTML)
    victim.cookies.set(name, "planted")
    victim.post("/login", data={"token": token, "next": "/"})
    held = [c.value for c in victim.cookies.jar if c.name == name and c.value != "planted"]
    assert held
    assert held[-1] not in {"planted", client.cookies[name]}, "each login has a cookie of its own"
    attacker = service.client(**HTML)
    attacker.cookies.set(name, "planted")
    assert attacker.get("/").status_code == 401


CLIMBING = (
    "../labelloop.toml",
    "..%2flabelloop.toml",
    "%2e%2e/%2e%2e/etc/passwd",
    "..%252f..%252fetc%252fpasswd",
    "..\\..\\etc\\passwd",
    "....//....//etc/passwd",
    "%00",
    "/etc/passwd",
    "//etc/passwd",
)


@pytest.mark.parametrize(
    "below", ["/static/", "/media/", "/s/", "/samples/", "/label/", "/rounds/", "/datasets/", "/"]
)
def test_paths_that_climb_lead_nowhere(service: Service, below: str) -> None:
    secret = (service.world.folder / "labelloop.toml").read_text()
    client = service.client(**HTML)
    for path in CLIMBING:
        answer = client.get(below + path)
        assert answer.status_code in {400, 404, 429}, (below, path)
        assert "root:" not in answer.text
        assert secret[:40] not in answer.text


def test_a_form_that_was_late_leads_back_to_its_page(service: Service) -> None:
    """Not to the path that it was sent to, which nobody can read; nor to another site."""
    service.add("ann", "read")
    client = service.client(**HTML)
    for referer, leads in (
        (f"{HERE}/queues?show=tied", "/queues?show=tied"),
        ("https://evil.example/queues", "/queues"),
        ("", ""),
        ("http://[", ""),
    ):
        answer = client.post("/do/run", headers={"Referer": referer, "Origin": HERE})
        assert answer.status_code == 401
        assert f'name="next" value="{leads}"' in answer.text


def test_without_the_bucket_numbers_show_and_images_say_so(service: Service) -> None:
    """No store answers this service."""
    client = service.client(**HTML)
    text = client.get("/").text
    assert re.search(r'class="number">\s*\d', text)
    sample = service.world.draws("accuracy")[0].sample_id
    answer = client.get(f"/samples/{sample.replace('/', '%2F')}?image")
    assert answer.status_code in {503, 504}
    assert "store" in answer.text
    assert client.get(f"{PREFIX}/report").status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"X-User": "ann@example.com"},
        {"X-User": "ann@example.com", "X-Forwarded-For": "10.1.2.3"},
        {"X-User": "ann@example.com", "X-Real-IP": "10.1.2.3", "Forwarded": "for=10.1.2.3"},
        {"X-Forwarded-User": "ann@example.com", "Remote-User": "ann@example.com"},
    ],
)
def test_who_is_no_listed_proxy_names_nobody(
    make_service: MakeService, headers: dict[str, str]
) -> None:
    service = make_service(PROXIED)
    for peer in ("9.9.9.9", "127.0.0.1", "::ffff:9.9.9.9"):
        client = service.client("https://loop.example.com", peer=peer, **headers)
        for path in ("/team/", f"/team{PREFIX}/status", "/team/metrics"):
            assert client.get(path).status_code == 401, (peer, path)
