"""What every page of the service shares: its head, its policy, its errors and its files."""

import re
import threading
from html.parser import HTMLParser
from typing import Any

import pytest
from starlette.routing import Route

from labelloop.charts.report import pictures
from labelloop.loop import Loop
from labelloop.views.table import Mark, Table, names, numbers
from labelloop.web.html import NAV, POLICY
from tests.served import HERE, PROXIED, Service
from tests.unit.conftest import MakeService

HTML = {"Accept": "text/html,application/xhtml+xml"}


class Tags(HTMLParser):
    """The elements of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def values(self, name: str) -> list[str]:
        return [held[name] or "" for _, held in self.found if name in held]


def pages_of(service: Service) -> list[str]:
    """The paths of the head's pages that exist."""
    there = {route.path for route in service.app.routes if isinstance(route, Route)}
    return [path for _, path, _ in NAV if path in there]


def test_every_page_obeys_a_strict_policy(service: Service) -> None:
    """Nothing inline that the policy would forbid, nothing from another host."""
    client = service.client()
    for path in (*pages_of(service), "/nothing-here"):
        answer = client.get(path, headers=HTML)
        assert answer.headers["content-security-policy"] == POLICY
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["referrer-policy"] == "same-origin"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert 'class="notice"' not in answer.text  # nothing was done
        tags = Tags(answer.text)
        assert not tags.values("style")
        assert not [t for t, _ in tags.found if t in {"style", "base"}]
        assert all("src" in held for tag, held in tags.found if tag == "script")
        assert not [n for _, held in tags.found for n in held if n.startswith("on")]
        for address in tags.values("href") + tags.values("src") + tags.values("action"):
            assert address.startswith(("/", "#", "?")), (path, address)
            assert not address.startswith("//"), (path, address)


def test_the_head_links_to_what_one_may_see(service: Service) -> None:
    for scopes in ((), ("label",), ("read",), ("read", "operate")):
        client = service.bearer("-".join(["ann", *scopes]), *scopes)
        text = client.get("/nothing-here", headers=HTML).text
        linked = set(re.findall(r'<li><a href="([^"]+)"', text))
        asked = {path for _, path, scope in NAV if scope in scopes}
        assert linked == asked & set(pages_of(service))
    text = service.bearer("rita", "read").get("/", headers=HTML).text
    assert re.findall(r'href="([^"]+)" aria-current="page"', text) == ["/"]


@pytest.mark.parametrize(
    ("path", "status"), [("/nothing", 404), ("/media/x", 404), ("/static/../app.py", 404)]
)
def test_a_visitor_reads_a_page_and_a_program_a_document(
    service: Service, path: str, status: int
) -> None:
    seen = service.client().get(path, headers=HTML)
    read = service.client().get(path)
    assert seen.status_code == read.status_code == status
    assert seen.headers["content-type"].startswith("text/html")
    assert read.json()["kind"] == "error"
    assert service.client().get("/api/v1/nothing", headers=HTML).json()["kind"] == "error"


def test_who_is_refused_reads_why(make_service: MakeService) -> None:
    service = make_service(PROXIED)
    proxy = service.client("https://loop.example.com", peer="10.1.2.3", **HTML)
    answer = proxy.get("/", headers={"X-User": "<script>alert(1)</script>"})
    assert answer.status_code == 403
    assert "&lt;script&gt;alert(1)&lt;/script&gt; has no scope" in answer.text
    assert "What to do:" in answer.text
    with service.world.loop.project.ledger.write_at_once() as tx:
        tx.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    service.site._looked_at_s = -1e9
    service.site._accounts = None
    answer = proxy.get("/", headers={"X-User": "ann@example.com"})
    assert answer.status_code == 503
    assert "version 9999" in answer.text


@pytest.mark.parametrize("path", ["/", "/team", "/team/"])
def test_links_keep_the_prefix_of_the_public_url(make_service: MakeService, path: str) -> None:
    """A proxy may keep the prefix in the path or take it away."""
    service = make_service(PROXIED)
    ann = {"X-User": "ann@example.com", **HTML}
    proxy = service.client("https://loop.example.com", peer="10.1.2.3", **ann)
    answer = proxy.get(path)
    assert answer.status_code == 200
    tags = Tags(answer.text)
    found = [a for a in tags.values("href") + tags.values("src") if not a.startswith("#")]
    assert all(a.startswith("/team/") for a in found), found
    for address in found:
        if "/static/" in address:
            assert proxy.get(address).status_code == 200
            assert proxy.get(address.removeprefix("/team")).status_code == 200
    assert proxy.get("/teammate", headers=ann).status_code == 404


def test_files_are_kept_by_the_hash_of_their_content(service: Service) -> None:
    service.add("ann", "read")
    client = service.client()
    page = service.client(at=HERE).get("/", headers=HTML)
    assert page.status_code == 401, "who has no account still reads the refusal in its style"
    addresses = [a for n in ("href", "src") for a in Tags(page.text).values(n) if "/static/" in a]
    assert len(addresses) >= 3
    for address in addresses:
        answer = client.get(address)
        assert answer.status_code == 200
        assert "immutable" in answer.headers["cache-control"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        stale = client.get(address.partition("?")[0] + "?v=other")
        assert stale.headers["cache-control"] == "no-cache"
    assert "url(" not in client.get("/static/labelloop.css").text


def test_a_table_shows_its_marks_and_links(service: Service) -> None:
    table = Table(
        title="By class",
        columns=(*names("class"), *numbers("recall")),
        rows=(("<cat>", "90.0"), ("dog", "70.0")),
        marks={(1, 1): Mark.WRONG},
    )
    text = from_parts("table(it, links={(1, 0): '/samples?class=dog'})", it=table)
    assert "&lt;cat&gt;" in text
    assert re.search(r'<td class="n wrong">\s*70.0', text)
    assert re.search(r'<th scope="?row"?>\s*<a href="/team/samples\?class=dog">dog</a>', text)


def test_a_form_carries_the_secret_of_its_session() -> None:
    text = from_parts("form('/run')")
    assert 'action="/team/run"' in text
    assert 'name="csrf" value="&#34;secret"' in text


def test_pictures_of_pages_hold_no_style(service: Service) -> None:
    drawn = [p.inline for p in pictures(service.site.loop().report()) if p.drawing]
    assert drawn
    assert not [svg for svg in drawn if "<style" in svg or " style=" in svg]


def from_parts(call: str, **values: Any) -> str:
    from labelloop.pages.rendering import _environment

    source = (
        '{% import "web/parts.html" as ui with context %}{% macro caller() %}{% endmacro %}'
        + (
            f"{{% call ui.{call} %}}{{% endcall %}}"
            if call.startswith("form")
            else f"{{{{ ui.{call} }}}}"
        )
    )
    template = _environment().from_string(source)
    return template.render(url=lambda path: f"/team{path}", csrf='"secret', **values)


def test_an_old_result_is_given_while_the_next_is_made_but_never_after_an_own_write(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.world.loop.index()  # there is a ledger
    monkeypatch.setattr("labelloop.web.site.KEPT_S", 0.0)
    site, goes_on = service.site, threading.Event()

    def slowly(_: Loop) -> str:
        goes_on.wait(20)
        return "next"

    assert site.lately("status", lambda _: "first") == "first"
    assert site.lately("status", slowly) == "first"
    assert site.write(lambda _tx, _now: True)
    assert site.lately("status", lambda _: "after the write") == "after the write"
    goes_on.set()
    monkeypatch.setattr("labelloop.web.site.OLDEST_S", 0.0)
    assert site.lately("status", lambda _: "not too old") == "not too old"
