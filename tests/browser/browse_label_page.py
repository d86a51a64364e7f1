"""The labelling page where things go wrong: the connection, the session, others at the same queue."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Route, expect
from tests.browser.conftest import faults
from tests.browser.people import person, sent
from tests.labelling import LabellingService, picture

from labelloop.ports.desk import Guide

ANN, BOB = "ann@example.com", "bob@example.com"
FRUIT = ("fig", "plum", "pear")
GUIDES = {"fruit": Guide(title="Fruit", guidelines="# fig\nPurple.\n\n# pear\nGreen.")}


@pytest.fixture
def service(tmp_path: Path) -> Iterator[LabellingService]:
    made = LabellingService(tmp_path, guides=GUIDES)
    made.queue("fruit", FRUIT)
    yield made
    made.close()


def labelling(browser: Browser, service: LabellingService, name: str = ANN) -> Page:
    page = person(browser, service, name).new_page()
    page.goto("/label/fruit")
    return page


def test_what_is_answered_offline_is_sent_once(browser: Browser, service: LabellingService) -> None:
    service.pictures("fruit", 12)
    page = labelling(browser, service)
    page.context.set_offline(True)
    for key in "123":
        page.keyboard.press(key)
    expect(page.locator("#kept")).to_contain_text("3 answers are kept in this browser")
    assert service.answers("fruit") == []
    page.keyboard.press("u")
    page.context.set_offline(False)
    sent(page)
    assert sorted(text for _, text in service.answers("fruit")) == ["fig", "plum"]
    expect(page.locator("#kept")).to_be_hidden()


def test_an_answer_whose_reply_is_lost_counts_once(
    browser: Browser, service: LabellingService
) -> None:
    service.pictures("fruit", 4)
    page = labelling(browser, service)
    lost = []

    def lose(route: Route) -> None:
        if len(lost) < 2:
            lost.append(route.fetch().status)
            route.abort()
        else:
            route.continue_()

    page.route("**/answer", lose)
    page.keyboard.press("2")
    sent(page)
    assert lost == [200, 200]
    assert service.answers("fruit") == [(ANN, "plum")]


def test_answers_outlive_the_page_and_the_session(
    browser: Browser, service: LabellingService
) -> None:
    service.pictures("fruit", 8)
    tokens = {name: service.add(name) for name in (ANN, BOB)}
    context = browser.new_context(base_url=service.url, locale="en-GB")

    def log_in(page: Page, name: str) -> None:
        page.goto("/login?next=/label/fruit")
        page.fill("input[name=token]", tokens[name])
        page.keyboard.press("Enter")
        page.wait_for_selector("#labelling")

    page = context.new_page()
    log_in(page, ANN)
    context.clear_cookies()
    page.keyboard.press("1")
    page.keyboard.press("2")
    expect(page.locator("#kept")).to_contain_text("You are logged out. 2 answers are kept")
    log_in(page, BOB)
    expect(page.locator("#kept")).to_contain_text("2 answers that somebody else gave")
    assert service.answers("fruit") == []
    context.clear_cookies()
    log_in(page, ANN)
    sent(page)
    assert sorted(service.answers("fruit")) == [(ANN, "fig"), (ANN, "plum")]
    context.close()


def test_two_people_share_a_queue_and_no_task(browser: Browser, service: LabellingService) -> None:
    service.pictures("fruit", 20)
    pages = {name: labelling(browser, service, name) for name in (ANN, BOB)}
    for _ in range(10):
        for key, page in zip("13", pages.values(), strict=True):
            page.keyboard.press(key)
            page.wait_for_timeout(80)
    for page in pages.values():
        sent(page)
    given = service.answers("fruit")
    assert len(given) == 20
    assert given.count((ANN, "fig")) + given.count((BOB, "pear")) == 20


def test_a_refused_answer_is_told(browser: Browser, service: LabellingService) -> None:
    service.pictures("fruit", 1)
    page = labelling(browser, service)
    [task] = service.tasks("fruit")
    service.annotator.delete_task(task.remote_id)
    page.keyboard.press("1")
    sent(page)
    says = page.locator("#said")
    expect(says).to_contain_text("wasn't counted") if says.is_visible() else None
    assert service.answers("fruit") == []


def test_no_traffic_of_a_blind_queue_tells(browser: Browser, service: LabellingService) -> None:
    secret = {"predicted_class": "pear", "confidence": 0.61734}
    service.put("fruit", [{"image": picture(n), **secret} for n in range(6)])
    bob = labelling(browser, service, BOB)
    bob.keyboard.press("2")
    sent(bob)
    bob.close()
    page = person(browser, service, ANN).new_page()
    traffic: list[str] = []

    def read(route: Route) -> None:
        answer = route.fetch(max_redirects=0)
        if "/static/" not in answer.url:
            traffic.append(f"{answer.url} {json.dumps(answer.headers)} {answer.text()}")
        route.fulfill(response=answer)

    page.route(re.compile("/label"), read)
    page.goto("/label/fruit")
    for key in "12u3":
        page.keyboard.press(key)
        page.wait_for_timeout(100)
    sent(page)
    page.goto("/label/me")
    page.goto("/label")
    kept = page.evaluate("JSON.stringify(localStorage)")
    for said in ("61734", "0.617", "62%", "predicted_class", BOB):
        assert not any(said in each for each in [*traffic, kept]), said
    assert len(traffic) > 6
    keys = [task.task_key for task in service.tasks("fruit")]
    assert not any(str(key) in each for key in keys for each in traffic)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(browser: Browser, service: LabellingService, scheme: str) -> None:
    service.pictures("fruit", 7)
    service.queue("texts", FRUIT, kind="text")
    service.put("texts", [{"text": "one\n\nשלום"}])
    service.queue("many", [f"class {n}" for n in range(60)], show=["predicted_class"])
    service.pictures("many", 1, predicted_class="class 7")
    page = person(browser, service, ANN, color_scheme=scheme).new_page()
    for path in ("", "/fruit", "/texts", "/many", "/me", "/fruit?lang=de"):
        page.goto(f"/label{path}")
        assert faults(page) == [], path
    for key in "1s":
        page.keyboard.press(key)
    assert faults(page) == []
    page.goto("/label/texts")
    page.keyboard.press("1")
    sent(page)
    expect(page.locator("[data-panel=done]")).to_be_visible()
    assert faults(page) == []


def test_images_are_turned_as_their_exif_says(browser: Browser, service: LabellingService) -> None:
    service.put("fruit", [{"image": picture(1, orientation=6)}])
    page = labelling(browser, service)
    size = page.evaluate(
        """async () => { const i = document.querySelector('#stage img'); await i.decode();
        return [i.naturalWidth, i.naturalHeight] }"""
    )
    assert size == [200, 300]


def test_beyond_thirty_classes_people_type(browser: Browser, service: LabellingService) -> None:
    service.queue("many", [f"Épice {n}" for n in range(60)])
    service.pictures("many", 3)
    page = person(browser, service, ANN).new_page()
    page.goto("/label/many")
    page.keyboard.type("epice 41")
    page.keyboard.press("Enter")
    page.keyboard.press("Backspace")
    page.keyboard.type("7")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    sent(page)
    assert service.answers("many") == [(ANN, "Épice 17")]


def test_a_phone_answers_by_touch(browser: Browser, service: LabellingService) -> None:
    service.pictures("fruit", 2)
    phone = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
    page = person(browser, service, ANN, **phone).new_page()
    page.goto("/label/fruit")
    button = page.get_by_role("button", name="plum")
    box = button.bounding_box()
    assert box is not None
    assert box["height"] >= 48
    button.tap()
    sent(page)
    assert service.answers("fruit") == [(ANN, "plum")]
