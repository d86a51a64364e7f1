"""Every page of the head in Chromium: its policy, accessibility, keyboard, phone and dark screens."""

import os
import re
from pathlib import Path

import pytest
from playwright.sync_api import expect
from starlette.routing import Route
from tests.browser.conftest import Served, Visit, faults

from labelloop.web.html import NAV

PAGES = [path for _, path, _ in NAV]
LOOKS = [("wide", "light"), ("wide", "dark"), ("phone", "light")]


def skip_missing(served: Served, path: str) -> None:
    if path not in {r.path for r in served.service.app.routes if isinstance(r, Route)}:
        pytest.skip(f"{path} isn't a page of this project")


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("which", ["served", "new", "many"])
def test_pages_are_for_everybody(
    path: str, which: str, visit: Visit, request: pytest.FixtureRequest
) -> None:
    """Axe finds nothing, nothing is wider than the screen, and nothing is fetched from elsewhere."""
    served: Served = request.getfixturevalue(which)
    skip_missing(served, path)
    for size, scheme in LOOKS:
        page = visit(served.url + path, size=size, scheme=scheme)
        if folder := os.environ.get("LABELLOOP_SCREENSHOTS"):
            name = f"{which}-{path.strip('/') or 'overview'}-{size}-{scheme}.png"
            page.screenshot(path=Path(folder) / name, full_page=True)
        assert faults(page) == []
        wide = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        assert wide <= 0, (path, size)


def test_a_page_is_read_by_keyboard(served: Served, visit: Visit) -> None:
    page = visit(served.url)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"


def test_who_has_an_account_logs_in_acts_and_logs_out(served: Served, visit: Visit) -> None:
    service = served.service
    token = service.add("ann", "read", "operate")
    try:
        for scripts in (True, False):
            page = visit(f"{served.url}/queues", java_script_enabled=scripts)
            page.get_by_label("Your token").fill("wrong")
            page.keyboard.press("Enter")
            expect(page.get_by_role("alert")).to_contain_text("unknown")
            page.get_by_label("Your token").fill(token)
            page.keyboard.press("Enter")
            expect(page).to_have_url(f"{served.url}/queues")
            page.get_by_role("button", name=re.compile("Pause low")).click()
            expect(page.get_by_role("status")).to_contain_text("paused")
            page.get_by_role("button", name=re.compile("Resume low")).click()
            expect(page.get_by_role("status")).to_contain_text("goes on")
            page.get_by_role("button", name="Log out").click()
            expect(page.get_by_role("heading", level=1)).to_have_text("Log in")
            page.goto(f"{served.url}/queues")
            expect(page.get_by_role("heading", level=1)).to_have_text("Log in")
    finally:
        from labelloop.ledger import tables as t

        with service.world.loop.project.ledger.write_at_once() as tx:
            tx.execute(t.accounts.delete())
        service.site.look_again()
