"""What people come for, done by visible links alone: clicks and seconds are counted."""

import re
import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import Locator, Page, expect
from tests.browser.busy import busy, class_names
from tests.browser.conftest import Served, Visit
from tests.unit.test_samples import Seen

MOST_CLICKS = 3
CLASSES = 6


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A project of six rounds with mistakes, ties, tasks that wait, and a candidate."""
    found = Served(busy(tmp_path_factory.mktemp("tasks"), n_classes=CLASSES, rounds=6), Seen)
    yield found
    found.stop()


class Visitor:
    """Somebody who begins at the first page, and finds their way by what they see."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.n_clicks = 0
        self._began_s = time.perf_counter()

    def click(self, where: Locator) -> None:
        """Click what is there to be seen."""
        expect(where.first).to_be_visible()
        where.first.click()
        self.n_clicks += 1

    def reads(self, where: Locator, said: str) -> str:
        """What stands somewhere, once it says what was looked for."""
        expect(where.first).to_contain_text(re.compile(said))
        return where.first.inner_text()

    def sees(self, images: Locator, least: int = 1) -> None:
        """Wait until images are there, whole."""
        expect(images.first).to_be_visible()
        assert images.count() >= least
        for at in range(min(images.count(), 6)):
            images.nth(at).scroll_into_view_if_needed()
        self.page.wait_for_function(
            "[...document.querySelectorAll('main img')].slice(0, 6).every(i => i.naturalWidth > 0)"
        )

    def is_done(self, what: str) -> None:
        """Tell what it took."""
        took_s = time.perf_counter() - self._began_s
        print(f"| {what} | {self.n_clicks} | {took_s:.1f} |")  # noqa: T201  read with -s
        assert self.n_clicks <= MOST_CLICKS


@pytest.fixture
def visitor(project: Served, visit: Visit) -> Visitor:
    began_s = time.perf_counter()
    made = Visitor(visit(project.url))
    made._began_s = began_s
    return made


def test_a_lead_reads_whether_it_fell(visitor: Visitor) -> None:
    page = visitor.page
    visitor.reads(page.locator("#accuracy .number"), r"\d+\.\d%")
    visitor.reads(page.locator("#trend"), "fallen")
    visitor.is_done("a lead: has it fallen?")


def test_a_lead_reads_whether_the_candidate_may_be_shipped(visitor: Visitor) -> None:
    said = visitor.reads(visitor.page.locator("#ship"), "next: ")
    assert "points against" in said
    assert "blind labels" in said
    visitor.is_done("a lead: may we ship?")


def test_an_engineer_sees_the_mistakes_of_the_weakest_class(visitor: Visitor) -> None:
    page = visitor.page
    weakest = page.locator("#weakest b").first.inner_text()
    visitor.sees(page.locator("#weakest img"))
    visitor.click(page.locator("#weakest").get_by_role("link", name=f"{weakest} that it missed"))
    visitor.sees(page.locator(".card.bad img"))
    visitor.click(page.locator(".card.bad a"))
    visitor.reads(page.locator("main"), "What models said")
    visitor.reads(page.locator("main"), "What people answered")
    visitor.is_done("an engineer: which mistakes make the weakest class weak?")


def test_an_engineer_sees_the_mistakes_of_any_class(visitor: Visitor) -> None:
    page, name = visitor.page, class_names(CLASSES)[-1]
    visitor.click(page.get_by_role("navigation", name="Pages").get_by_role("link", name="Models"))
    row = page.locator("#by-class tr", has=page.get_by_role("rowheader", name=name))
    page.locator("#by-class summary").click()
    visitor.n_clicks += 1
    visitor.click(row.locator("a").nth(3))
    visitor.sees(page.locator(".card.bad img"))
    assert name in page.locator(".card.bad").first.inner_text()
    visitor.is_done("an engineer: which mistakes make a class weak?")


def test_who_leads_annotators_opens_what_waits_longest(visitor: Visitor) -> None:
    page = visitor.page
    visitor.click(page.locator("#blocks").get_by_role("link", name=re.compile(r"^\d+$")))
    visitor.reads(page.locator("main"), "With people, by how long")
    expect(page.get_by_role("link", name="open").first).to_be_visible()
    visitor.is_done("a lead of annotators: what waits for people, and where?")


def test_who_leads_annotators_settles_a_tie(visitor: Visitor) -> None:
    page = visitor.page
    visitor.click(page.get_by_role("link", name="The ties"))
    visitor.sees(page.locator(".ties img"))
    n = page.locator(".ties .card").count()
    visitor.click(page.locator(".ties button[name=answer]"))
    visitor.reads(page.get_by_role("status"), "settled")
    assert page.locator(".ties .card").count() == n - 1
    visitor.is_done("a lead of annotators: settle a tie")


def test_who_leads_annotators_compares_people(visitor: Visitor) -> None:
    page = visitor.page
    visitor.click(page.get_by_role("navigation", name="Pages").get_by_role("link", name="People"))
    said = visitor.reads(page.locator("main table"), "ana")
    assert "seconds each" in said
    assert "agree with others" in said
    visitor.is_done("a lead of annotators: who is fast, and who agrees with others?")
