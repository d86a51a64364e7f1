"""Every page of the head in Chromium: its policy, accessibility, keyboard, phone and dark screens."""

import os
import re
from pathlib import Path

import pytest
from playwright.sync_api import expect
from starlette.routing import Route
from tests.browser.conftest import Served, Visit, answering, begun, faults
from tests.unit.test_projects import Many

from labelloop.service.work import Work
from labelloop.web.html import NAV

PAGES = [*(path for _, path, _ in NAV), "/snapshots"]
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


def test_an_action_changes_the_page_and_the_focus_stays(served: Served, visit: Visit) -> None:
    page = visit(f"{served.url}/queues")
    page.evaluate("window.stayed = true")
    for does, says in (("Pause", "paused"), ("Resume", "goes on")):
        page.get_by_role("button", name=f"{does} low").focus()
        page.keyboard.press("Enter")
        expect(page.locator("#said")).to_contain_text(says)
        then = "Resume" if does == "Pause" else "Pause"
        expect(page.get_by_role("button", name=f"{then} low")).to_be_focused()
    assert page.evaluate("window.stayed"), "no other page was loaded"
    page.evaluate("document.querySelectorAll('[name=csrf]').forEach(e => { e.value = 'x' })")
    page.get_by_role("button", name="Pause low").click()
    expect(page.get_by_role("alert")).to_contain_text("out of date")


def test_the_progress_of_the_work_is_shown_as_it_goes_on(served: Served, visit: Visit) -> None:
    site = served.service.site
    before, work = site._work, [None]
    site._work = lambda: work[-1]
    try:
        for path in ("/", "/activity", "/queues", "/rounds"):
            work.append(None)
            page = visit(served.url + path)
            bar = page.locator("#work")
            expect(bar).to_be_hidden()
            work.append(Work("index", "tags read", 30, 120))
            expect(bar).to_contain_text("index: tags read 30 of 120")
            assert bar.locator("progress").evaluate("p => p.value / p.max") == 0.25
            if path == "/":
                assert faults(page) == []
            work.append(Work("select"))
            expect(bar).to_contain_text("select runs now")
            assert bar.locator("progress").evaluate("p => p.position") == -1
            work.append(None)
            expect(bar).to_be_hidden()
            page.close()
    finally:
        site._work = before


def test_a_link_to_a_snapshot_is_made_opened_and_revoked(served: Served, visit: Visit) -> None:
    for scripts in (True, False):
        page = visit(f"{served.url}/snapshots", java_script_enabled=scripts)
        page.get_by_label("For whom or what").fill(f"the board {scripts}")
        page.keyboard.press("Enter")
        link = page.locator("#link").text_content()
        assert link
        path = link[link.index("/s/") :]
        for size, scheme in LOOKS:
            other = visit(served.url + path, size=size, scheme=scheme)
            expect(other.get_by_role("heading", level=1)).to_contain_text("how good")
            assert faults(other) == []
        page.get_by_role("button", name=f"Revoke the board {scripts}").click()
        expect(page.locator("#said")).to_contain_text("opens nothing")
        wrong = visit(served.url + path)
        expect(wrong.get_by_role("alert")).to_contain_text("revoked")
        assert faults(wrong) == []


def test_several_projects_are_listed_and_opened(tmp_path: Path, visit: Visit) -> None:
    many = Many(
        {name: begun(tmp_path / name, rounds=n) for name, n in (("pets", 2), ("ships", 0))},
        broken=("zoo",),
    )
    with answering(many.app) as url:
        for size, scheme in LOOKS:
            page = visit(url, size=size, scheme=scheme)
            assert faults(page) == []
            expect(page.get_by_role("table")).to_contain_text("not served")
            wide = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
            assert wide <= 0, size
        page = visit(url)
        page.get_by_role("link", name="pets").click()
        expect(page).to_have_url(f"{url}/p/pets/")
        page.get_by_role("link", name="Queues").click()
        expect(page).to_have_url(f"{url}/p/pets/queues")
        page.get_by_role("button", name="Pause low").click()
        expect(page.locator("#said")).to_contain_text("paused")
        page.get_by_role("link", name="Projects").click()
        expect(page).to_have_url(f"{url}/")
        for each in many.served:
            if each.opened:
                each.opened.ending.set()
    for each in many.served:
        each.close()
