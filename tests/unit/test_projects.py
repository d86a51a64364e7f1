"""Several projects in one service: what each shows, to whom, and that none stops the others."""

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from labelloop.errors import ConfigError, LedgerError
from labelloop.ledger import accounts
from labelloop.loop import Loop
from labelloop.project import Project
from labelloop.service.journal import Journal
from labelloop.settings.file import load
from labelloop.web import projects
from labelloop.web.projects import Projects, Served, found_in
from labelloop.web.site import Site
from tests.lasting import Kept
from tests.served import HERE, PROXIED
from tests.unit.conftest import MakeWorld
from tests.world import HEAD, QUEUES, World

HTML = {"Accept": "text/html"}


class Many:
    """A service of several worlds in memory, and what they told their workers."""

    def __init__(self, worlds: dict[str, World], *, broken: tuple[str, ...] = ()) -> None:
        self.worlds = worlds
        self.told: list[tuple[str, str]] = []
        self.opened: list[str] = []
        self.broken = set(broken)
        self.served = [self._served(name) for name in sorted({*worlds, *broken})]
        self.app = Projects(self.served, lambda: True)

    def _served(self, name: str) -> Served:
        def open_site() -> Site:
            if name in self.broken:
                raise ConfigError("no such key in /srv/secret/x.toml", remedy="mend it")
            world = self.worlds[name]
            return Site(
                lambda: Loop(
                    Project(
                        load(world.folder / "labelloop.toml", {}), clock=world.clock, log=world.log
                    )
                ),
                tell=lambda command: self.told.append((name, command)),
                journal=Journal(),
                below=f"/p/{name}",
            )

        return Served(name, open_site, lambda _: self.opened.append(name))

    def client(self, at: str = HERE, *, peer: str = "127.0.0.1", **headers: str) -> TestClient:
        return TestClient(
            self.app,
            base_url=at,
            client=(peer, 50_000),
            headers=headers,
            raise_server_exceptions=False,
        )

    def add(self, project: str, name: str, *scopes: str) -> str:
        token, world = accounts.new_token(), self.worlds[project]
        with world.loop.project.ledger.write_at_once() as tx:
            accounts.add(tx, name, scopes, token, at=world.clock.now())
        for each in self.served:
            if each.opened:
                each.opened.look_again()
        return token


Make = Callable[..., Many]


@pytest.fixture
def make(measured: Kept[World], make_world: MakeWorld) -> Iterator[Make]:
    with ExitStack() as held:

        def many(*, settings: str = "", broken: tuple[str, ...] = ()) -> Many:
            worlds = {"pets": held.enter_context(measured.again()), "ships": make_world()}
            for name, world in worlds.items():
                own = settings.replace("/team", f"/team/p/{name}")
                world.configure(QUEUES, head=HEAD + own)
            made = Many(worlds, broken=broken)
            for each in made.served:
                held.callback(each.close)
                with suppress(ConfigError):
                    each.site()
            return made

        yield many


def test_the_list_shows_each_project_and_what_is_broken(make: Make) -> None:
    many = make(broken=("zoo",))
    text = many.client(**HTML).get("/").text
    assert "<script" in text
    rows = {
        name: text.partition(f'scope="row">{head}')[2].partition("</tr>")[0]
        for name, head in (
            ("pets", '<a href="/p/pets/">'),
            ("ships", '<a href="/p/ships/">'),
            ("zoo", "zoo"),
        )
    }
    assert len(re.findall(r"\d\d(?:\.\d)?%", rows["pets"])) == 2, "its accuracy, and the lower end"
    assert "not known" in rows["ships"]
    assert "no such key" in rows["zoo"]
    assert "mend it" in rows["zoo"]
    assert many.opened == ["pets", "ships"], "a worker is started for what is served"


def test_a_broken_project_stops_no_other_and_is_served_once_it_is_mended(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = make(broken=("ships",))
    client = many.client(**HTML)
    answer = client.get("/p/ships/")
    assert answer.status_code == 503
    assert "secret" not in answer.text
    assert client.get("/p/pets/").status_code == 200
    many.broken.clear()
    assert client.get("/p/ships/").status_code == 503, "not tried again at once"
    monkeypatch.setattr(projects, "AGAIN_S", 0.0)
    assert client.get("/p/ships/").status_code == 200
    assert many.opened == ["pets", "ships"]


def test_every_link_of_a_project_stays_in_it(make: Make) -> None:
    many = make()
    client = many.client(**HTML)
    for path in ("/p/pets", "/p/pets/", "/p/pets/queues", "/p/ships/activity", "/p/pets/samples"):
        own = "/".join(path.split("/")[:3])
        answer = client.get(path)
        assert answer.status_code == 200, path
        links = re.findall(r'(?:href|src|action|hx-get|hx-post)="([^"#]*)"', answer.text)
        assert len(links) > 10
        out = {link for link in links if not link.startswith(f"{own}/")}
        assert out == {"/"}, "the list of projects"
        for link in links:
            if "/static/" in link:
                assert client.get(link.replace("&amp;", "&")).status_code == 200
    assert client.get("/p/nobody/").status_code == 404
    assert client.get("/queues").status_code == 404
    assert client.get("/p/pets/../ships/%2e%2e/%2e%2e/etc/passwd").status_code == 404


def test_actions_reach_the_worker_of_their_project(make: Make) -> None:
    many = make()
    assert many.client().post("/p/ships/api/v1/run").status_code == 202
    assert many.told == [("ships", "run")]


def test_a_link_to_a_snapshot_leads_into_its_project(make: Make) -> None:
    client = make().client(**HTML)
    proof = re.search(r'name="csrf" value="(\w+)"', client.get("/p/pets/snapshots").text)
    assert proof
    text = client.post("/p/pets/snapshots", data={"csrf": proof[1], "days": "1"}).text
    link = re.search(rf"{HERE}/p/pets/s/\w{{32}}", text)
    assert link
    assert client.get(link[0]).status_code == 200
    assert client.get(link[0].replace("pets", "ships")).status_code == 404


def test_tokens_and_sessions_are_a_projects_own(make: Make) -> None:
    many = make(broken=("zoo",))
    token = many.add("pets", "ann", "read")
    many.add("ships", "bob", "read")
    bearer = many.client(Authorization=f"Bearer {token}", **HTML)
    assert bearer.get("/p/pets/metrics").status_code == 200
    assert bearer.get("/p/ships/metrics").status_code == 401
    client = many.client(**HTML)
    assert client.get("/p/pets/queues").status_code == 401
    answer = client.post("/p/pets/login", data={"token": token, "next": "/p/pets/queues"})
    assert answer.url.path == "/p/pets/queues"
    assert answer.status_code == 200
    assert client.get("/p/ships/queues").status_code == 401
    listed = client.get("/").text
    assert "Log in<span" in listed.partition('href="/p/ships/">')[2].partition("</tr>")[0]
    assert "%" in listed.partition('href="/p/pets/">')[2].partition("</tr>")[0]
    assert "secret" not in listed, "an error of a project is for those who operate one"
    assert "Log in" in many.client(**HTML).get("/").text


def test_metrics_carry_the_projects_name(make: Make) -> None:
    many = make(broken=("zoo",))
    lines = many.client().get("/metrics").text.splitlines()
    assert lines[-1] == "# EOF"
    declared = [line.split()[2] for line in lines if line.startswith("# TYPE")]
    assert len(declared) == len(set(declared))
    samples = [line for line in lines if not line.startswith("#")]
    assert all(re.search(r'\{project="(pets|ships)"[,}]', line) for line in samples)
    assert any(line.startswith('labelloop_accuracy_low{project="pets"} 0.') for line in samples)
    family = None
    seen = set()
    for line in lines[:-1]:  # the samples of a family stand together
        name = line.split()[2] if line.startswith("#") else re.split(r"[{ ]", line)[0]
        if name.removesuffix("_info") != family:
            family = name.removesuffix("_info")
            assert family not in seen
            seen.add(family)
    token = many.add("pets", "grafana", "read")
    many.add("ships", "bob", "read")
    own = many.client(Authorization=f"Bearer {token}").get("/metrics").text
    assert 'project="pets"' in own
    assert 'project="ships"' not in own
    assert many.client(Authorization="Bearer x").get("/metrics").status_code == 403


def test_strangers_are_refused_until_there_is_an_account(make: Make) -> None:
    closed = Many({}, broken=("zoo",))
    assert "secret" in closed.client(**HTML).get("/").text, "to this machine"
    assert "secret" not in closed.client(peer="9.9.9.9", **HTML).get("/").text, "a Host made up"
    for many in (make(broken=("zoo",)), closed):
        for path in ("/", "/metrics", "/p/pets/"):
            answer = many.client("http://evil.example", **HTML).get(path)
            assert answer.status_code in {403, 404}, path
            assert "secret" not in answer.text
        assert many.client("http://evil.example").get("/healthz").text == "ok\n"
        assert many.client().get("/readyz").text == "ready\n"


@pytest.mark.parametrize("passed_on", ["/team", ""], ids=["kept", "taken away"])
def test_they_lie_below_the_prefix_of_a_proxy(make: Make, passed_on: str) -> None:
    many = make(settings=PROXIED)
    named = {"X-User": "ann@example.com", **HTML}
    client = many.client("https://loop.example.com", peer="10.1.2.3", **named)
    listed = client.get(f"{passed_on}/").text
    assert 'href="/team/p/pets/"' in listed
    text = client.get(f"{passed_on}/p/pets/queues").text
    links = re.findall(r'(?:href|src|action)="([^"#]*)"', text)
    assert all(link.startswith("/team/p/pets/") or link == "/team/" for link in links), links
    static = next(link for link in links if "/static/" in link).removeprefix("/team")
    assert client.get(f"{passed_on}{static}").status_code == 200
    token = many.add("pets", "bob", "read")
    browser = many.client("https://loop.example.com", peer="10.1.2.3", **HTML)
    browser.follow_redirects = False
    answer = browser.post(f"{passed_on}/p/pets/login", data={"token": token, "next": ""})
    assert "Path=/team;" in answer.headers["set-cookie"]


@pytest.mark.parametrize(
    ("name", "service", "said"),
    [
        ("pets", 'public_url = "https://loop.example.com/team"', "doesn't end in /p/pets"),
        ("pets", 'public_url = "https://loop.example.com/p/ships"', "doesn't end in /p/pets"),
        ("a b", "", "can't be the name"),
        ("..", "", "can't be the name"),
    ],
)
def test_a_project_that_would_be_reached_elsewhere_is_not_served(
    make_world: MakeWorld, name: str, service: str, said: str
) -> None:
    world = make_world(head=HEAD + f"\n[service]\n{service}\n")
    many = Many({name: world})
    with pytest.raises(ConfigError, match=said):
        many.served[0].site()
    assert many.opened == []


def test_links_must_know_where_a_project_lies(make_world: MakeWorld) -> None:
    head = HEAD.replace("[label_studio]", "[labelling_page]\n[ignored]").partition("[ignored]")[0]
    world = make_world(head=head)
    with pytest.raises(ConfigError, match="where this project lies") as caught:
        Many({"pets": world}).served[0].site()
    assert "/p/pets" in caught.value.remedy
    world.configure(QUEUES, head=f'{head}\n[service]\npublic_url = "{HERE}/p/pets"\n')
    found = Many({"pets": world}).served[0]
    assert found.site().prefix == "/p/pets"
    found.close()


def test_a_ledger_that_is_of_another_version_stops_no_other(make: Make) -> None:
    many = make()
    with many.worlds["ships"].loop.project.ledger.write_at_once() as tx:
        tx.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    client = many.client(**HTML)
    text = client.get("/").text
    assert "version 9999" in text
    assert client.get("/p/pets/").status_code == 200
    assert client.get("/p/ships/").status_code == 503
    with pytest.raises(LedgerError):
        many.served[1].site().loop()


def test_projects_are_the_folders_with_settings(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match="no folder in"):
        found_in(tmp_path)
    for name in ("b", "a"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "labelloop.toml").write_text("")
    assert list(found_in(tmp_path)) == ["a", "b"]
