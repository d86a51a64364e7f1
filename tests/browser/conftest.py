"""Chromium, and the service of a project in memory at a real port."""

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import uvicorn
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright
from starlette.types import ASGIApp
from tests.browser.busy import busy
from tests.served import Service
from tests.unit.test_samples import Seen
from tests.world import World

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
PATIENCE_MS = 120_000
"""How long a page may take: the machine may have more to do."""
AXE = Path(__file__).parents[2] / ".tools" / "axe.min.js"
"""What `make browse` fetches: rules of accessibility."""
SIZES = {"wide": (1280, 900), "phone": (390, 844)}


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    found = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if found is None:
        pytest.fail("Chromium is missing: install Debian's package chromium")
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=list(QUIET))
        yield browser
        browser.close()


@contextmanager
def answering(app: ASGIApp) -> Iterator[str]:
    """An application at a port of this machine; its URL."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, access_log=False))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


class Served:
    """The service of a project, at a port of this machine."""

    def __init__(self, world: World, make: Callable[[World], Service] | None = None) -> None:
        self.service = make(world) if make else Service(world, store=world.store)
        self._held = ExitStack()
        self.url = self._held.enter_context(answering(self.service.app))

    def stop(self) -> None:
        """End it."""
        self.service.site.ending.set()
        self._held.close()
        self.service.site.close()


def begun(folder: Path, *, rounds: int) -> World:
    """A project with so many rounds, all but the last of them answered."""
    folder.mkdir(exist_ok=True)
    world = World(folder)
    (folder / ".labelloop").mkdir(exist_ok=True)
    for n in range(rounds):
        world.traffic(30)
        world.loop.run()
        if n < rounds - 1:
            world.answer_all(lambda: world.rng.choice(["cat", "dog"]))
            world.loop.run()
        world.clock.pass_(days=1)
    world.loop.close()
    return world


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A project with four rounds, served."""
    found = Served(begun(tmp_path_factory.mktemp("served"), rounds=4))
    yield found
    found.stop()


@pytest.fixture(scope="module")
def new(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A project in which nothing has happened yet, served."""
    found = Served(begun(tmp_path_factory.mktemp("new"), rounds=0))
    yield found
    found.stop()


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A project with fifty rounds and thirty classes, served with its images."""
    found = Served(busy(tmp_path_factory.mktemp("many"), n_classes=30, rounds=50), Seen)
    yield found
    found.stop()


Visit = Callable[..., Page]


@pytest.fixture
def visit(browser: Browser) -> Iterator[Visit]:
    """Open a page; at the end no page may have asked another host, or been stopped by its policy."""
    contexts: list[BrowserContext] = []
    troubles: list[str] = []

    def open_page(url: str, *, size: str = "wide", scheme: str = "light", **given: object) -> Page:
        width, height = SIZES[size]
        context = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme=scheme,
            bypass_csp=False,
            **given,
        )
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda m: troubles.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: troubles.append(str(error)))
        own = "/".join(url.split("/")[:3])
        page.on(
            "request",
            lambda r: None if r.url.startswith((own, "data:")) else troubles.append(r.url),
        )
        page.goto(url)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not [t for t in troubles if "status of 4" not in t], troubles


def faults(page: Page) -> list[str]:
    """What axe finds wrong with a page, as lines."""
    if not AXE.is_file():
        pytest.fail(f"{AXE} is missing: `make browse` fetches it")
    # evaluated by the debugger, which the page's policy doesn't stop
    page.evaluate(AXE.read_text())
    found = page.evaluate("() => axe.run()")
    return [
        f"{v['id']}: {node['html'][:160]} ({v['help']})"
        for v in found["violations"]
        for node in v["nodes"]
    ]
