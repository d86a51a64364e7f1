"""The service of a project in memory, for tests that ask it without a socket."""

from typing import Any

from starlette.testclient import TestClient

from labelloop.ledger import accounts
from labelloop.loop import Loop
from labelloop.ports.store import Store
from labelloop.project import Project
from labelloop.service.journal import Journal
from labelloop.settings.file import load
from labelloop.web.app import application
from labelloop.web.site import Site
from tests.world import World

HERE = "http://127.0.0.1:8500"

PROXIED = """
[service]
public_url = "https://loop.example.com/team"
[service.auth]
trusted_proxies = ["10.0.0.0/8", "::1"]
user_header = "X-User"
users = { "ann@example.com" = ["read", "operate"] }
"""


class Service:
    """The service of a world, and what it told its worker."""

    def __init__(self, world: World, *, store: Store | None = None) -> None:
        """`store`: where images are; None: where the settings say, which nothing answers."""
        self.world = world
        self._store = store
        self.told: list[str] = []
        self.lines: list[str] = []
        self.worker_is_alive = True
        self.site = Site(self._open, tell=self.told.append, journal=Journal(to=self))
        self.app = application(self.site, worker_is_alive=lambda: self.worker_is_alive)

    def _open(self) -> Loop:
        settings = load(self.world.folder / "labelloop.toml", {})
        return Loop(
            Project(settings, clock=self.world.clock, log=self.world.log, store=self._store)
        )

    def __call__(self) -> "Service":
        return self

    def write(self, text: str) -> None:
        self.lines.append(text)

    def flush(self) -> None:
        """As a file has it."""

    def client(
        self,
        at: str = HERE,
        *,
        peer: str = "127.0.0.1",
        follow_redirects: bool = True,
        **headers: str,
    ) -> TestClient:
        return TestClient(
            self.app,
            base_url=at,
            client=(peer, 50_000),
            headers=headers,
            follow_redirects=follow_redirects,
            raise_server_exceptions=False,
        )

    def add(self, name: str, *scopes: str) -> str:
        token = accounts.new_token()
        with self.world.loop.project.ledger.write_at_once() as tx:
            accounts.add(tx, name, scopes, token, at=self.world.clock.now())
        self.site.look_again()
        return token

    def bearer(self, name: str, *scopes: str) -> TestClient:
        return self.client(Authorization=f"Bearer {self.add(name, *scopes)}")


def refused(answer: Any) -> str:
    """What an answer says is wrong."""
    held = answer.json()
    assert held["kind"] == "error"
    return str(held["result"]["error"])
