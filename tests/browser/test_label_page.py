"""A person labels on the labelling page with real keys."""

from pathlib import Path

from playwright.sync_api import Browser
from tests.browser.people import person, sent
from tests.labelling import LabellingService

from labelloop.ports.desk import Guide

ANN = "ann@example.com"


def test_a_person_labels_with_one_key_an_answer(browser: Browser, tmp_path: Path) -> None:
    service = LabellingService(tmp_path, guides={"fruit": Guide(title="Fruit")})
    try:
        service.queue("fruit", ("fig", "plum", "pear"))
        service.pictures("fruit", 9)
        page = person(browser, service, ANN).new_page()
        page.goto("/label/fruit")
        for key in "1231":
            page.keyboard.press(key)
            page.wait_for_timeout(60)
        page.keyboard.press("u")
        page.keyboard.press("3")
        page.keyboard.press("n")
        page.keyboard.type("half a 1")
        page.keyboard.press("Escape")
        page.keyboard.press("2")
        page.keyboard.press("s")
        page.keyboard.press("3")
        sent(page)
        given = [past.answer for past in reversed(service.desk.history("fruit", ANN))]
        assert [a.choice for a in given] == ["fig", "plum", "pear", "pear", "plum", None]
        assert [a.note for a in given] == [""] * 4 + ["half a 1", ""]
        assert given[-1].reason == "unsure"
        assert sorted(text for _, text in service.answers("fruit")) == sorted(
            a.choice or "" for a in given
        )
    finally:
        service.close()
