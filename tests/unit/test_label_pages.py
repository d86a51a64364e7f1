"""What the labelling page answers: to its script, to a plain form, and to requests that aren't right."""

import json
import re
import uuid
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from labelloop.core.verdict import ACCEPTED, Outcome
from labelloop.pages.guidelines import guidelines_html
from labelloop.pages.labelling import REASONS
from labelloop.pages.texts import LANGUAGES, language_of, texts
from labelloop.ports.desk import Guide
from tests.labelling import LabellingService

ANN, BOB = "ann@example.com", "bob@example.com"
CLASSES = ("fig", "plum")
GUIDES = {
    "after": Guide(reveal="after"),
    "blind": Guide(title="Fruit", guidelines="# fig\nPurple."),
}
SECRETS = {"predicted_class": "plum", "confidence": 0.61734, "corrected_class": "fig"}


@pytest.fixture
def service(tmp_path: Path) -> Iterator[LabellingService]:
    made = LabellingService(tmp_path, guides=GUIDES)
    made.queue("blind", CLASSES)
    yield made
    made.close()


def configured(client: TestClient, path: str) -> dict[str, Any]:
    """What a page tells its script."""
    text = client.get(path, headers={"Accept": "text/html"}).text
    held = text.partition('id="label-config"')[2].partition(">")[2].partition("</script>")[0]
    return dict(json.loads(held))


def task_of(client: TestClient, queue: str = "blind") -> str:
    return str(client.get(f"/label/{queue}/next?n=1").json()["items"][0]["task"])


def said(
    task: str, choice: str | None = "fig", who: str = ANN, **more: object
) -> dict[str, object]:
    return {"id": uuid.uuid4().hex, "task": task, "choice": choice, "who": who, **more}


# --- texts ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", LANGUAGES)
def test_every_language_says_everything(code: str) -> None:
    own, first = texts(code), texts(LANGUAGES[0])
    assert {(s, k) for s, held in own.items() for k in held} == {
        (s, k) for s, held in first.items() for k in held
    }
    for section, held in own.items():
        for name, text in held.items():
            assert _fields(text) == _fields(first[section][name]), (section, name)
    assert set(own["reasons"]) == set(REASONS)
    refusals = {each.name.lower() for each in Outcome if each not in ACCEPTED}
    assert refusals - {"name_taken", "link_over"} <= set(own["refused"])


def _fields(text: str) -> set[str]:
    return {part.partition("}")[0] for part in text.split("{")[1:]}


@settings(max_examples=30)
@given(st.text())
def test_any_wish_for_a_language_is_answered_in_one(accepted: str) -> None:
    assert language_of(accepted) in LANGUAGES


def test_guidelines_can_do_nothing() -> None:
    bad = "<script>x</script> ![i](http://e.example/a.png) [l](javascript:x) <img src=x onerror=y>"
    html = str(guidelines_html(bad, {}))
    assert "<script" not in html
    assert "<img" not in html
    assert 'href="javascript' not in html


def test_guidelines_show_the_images_that_lie_beside_them() -> None:
    html = str(
        guidelines_html("![ripe](ripe%20fig.jpg) ![no](x.png)", {}, {"ripe fig.jpg": "data:x"})
    )
    assert '<img src="data:x" alt="ripe"' in html
    assert "![no](x.png)" in html


# --- answers --------------------------------------------------------------------------------------


def test_an_answer_counts_once_however_often_it_is_sent(service: LabellingService) -> None:
    service.pictures("blind", 2)
    ann = service.client(ANN)
    held = said(task_of(ann), note="ripe", seconds=1.5)
    assert service.told == []
    for _ in range(3):
        answer = ann.post("/label/blind/answer", json=held)
        assert answer.status_code == 200
        assert answer.json()["saved"] is True
    assert set(service.told) == {"collect"}  # it is in the numbers within seconds
    assert service.answers("blind") == [(ANN, "fig")]
    past = service.desk.history("blind", ANN)[0].answer
    assert (past.note, past.took_ms) == ("ripe", 1500)


def test_refused_answers_say_what_happened_and_change_nothing(service: LabellingService) -> None:
    service.pictures("blind", 3)
    ann, bob = service.client(ANN), service.client(BOB)
    task = task_of(ann)
    ann.post("/label/blind/release", json={"who": ANN, "tasks": [task]})
    assert task_of(bob) == task

    def refused(client: TestClient, body: Mapping[str, object]) -> tuple[str, str]:
        answer = client.post("/label/blind/answer", json=body)
        assert answer.status_code == 409
        return answer.json()["code"], answer.json()["says"]

    code, says = refused(ann, said(task))
    assert code == "leased"
    assert "“fig” wasn't counted" in says
    assert refused(bob, said(task, "pear", BOB))[0] == "unknown_class"
    assert refused(bob, said("0" * 32, "fig", BOB))[0] == "gone"
    assert refused(bob, said(task, "fig", ANN))[0] == "other_person"
    for bad in (
        {},
        {"id": "x", "task": task, "choice": "fig"},
        said(task, None),
        said(task, "fig", note=5),
    ):
        assert refused(ann, {**bad, "who": ANN})[0] == "bad_request"
    assert service.answers("blind") == []

    held = said(task, "plum", BOB)
    assert bob.post("/label/blind/answer", json=held).json()["saved"] is True
    assert refused(ann, said(task))[0] == "settled"
    assert refused(ann, {**held, "who": ANN})[0] == "conflict"
    assert service.answers("blind") == [(BOB, "plum")]


@pytest.mark.parametrize("body", [b"", b"{", b"[1]", b"[" * 60_000, b"\xff\xfe", b'{"tasks": 5}'])
def test_a_body_that_is_none_changes_nothing(service: LabellingService, body: bytes) -> None:
    ann = service.client(ANN)
    for path in ("answer", "undo", "release"):
        for kind in ("application/json", "application/x-www-form-urlencoded", "text/plain"):
            answer = ann.post(
                f"/label/blind/{path}",
                content=body,
                headers={"Content-Type": kind},
                follow_redirects=False,
            )
            assert answer.status_code in {200, 409}, (path, kind)
    assert service.answers("blind") == []


def test_a_request_without_the_proof_changes_nothing(service: LabellingService) -> None:
    service.pictures("blind", 1)
    ann = service.client(ANN)
    task = task_of(ann)
    for bad in ("", "0" * 32):
        answer = ann.post("/label/blind/answer", json=said(task), headers={"X-CSRF-Token": bad})
        assert (answer.status_code, answer.json()["code"]) == (403, "csrf")
        form = {"id": "0" * 32, "task": task, "choice": "fig", "csrf": bad}
        answer = ann.post("/label/blind/answer", data=form, headers={"X-CSRF-Token": ""})
        assert answer.status_code == 403
    assert service.answers("blind") == []


def test_undo_takes_the_named_answer_back_and_no_later_one(service: LabellingService) -> None:
    service.pictures("blind", 1)
    ann = service.client(ANN)
    first = said(task_of(ann))
    ann.post("/label/blind/answer", json=first)
    undo = {"id": uuid.uuid4().hex, "who": ANN, "answer": first["id"], "task": first["task"]}
    assert ann.post("/label/blind/undo", json=undo).json()["saved"] is True
    assert service.answers("blind") == []
    assert task_of(ann) == first["task"]
    ann.post("/label/blind/answer", json=said(str(first["task"]), "plum"))
    assert ann.post("/label/blind/undo", json=undo).json()["saved"] is True
    assert service.answers("blind") == [(ANN, "plum")]


def test_a_form_does_without_the_script(service: LabellingService) -> None:
    service.pictures("blind", 1)
    ann = service.client(ANN, Accept="text/html")
    page = ann.get("/label/blind").text
    fields = {
        name: page.partition(f'name="{name}" value="')[2].partition('"')[0]
        for name in ("id", "task")
    }
    assert '<button name="choice" value="fig"' in page
    bad = ann.post("/label/blind/answer", data={**fields, "id": uuid.uuid4().hex, "choice": "pear"})
    assert "“pear” wasn" in bad.text
    again = ann.post("/label/blind/answer", data={**fields, "choice": "fig"})
    assert again.url.path == "/label/blind"
    assert "All done" in again.text
    assert service.answers("blind") == [(ANN, "fig")]


# --- what is shown, and what isn't ----------------------------------------------------------------


def test_a_blind_queue_tells_nothing(service: LabellingService) -> None:
    service.put(
        "blind", [{"image": f"/media/{n:032x}", "labelloop": "k", **SECRETS} for n in range(3)]
    )
    keys = [t.task_key for t in service.tasks("blind")]
    ann, bob = service.client(ANN), service.client(BOB)
    bob.post("/label/blind/answer", json=said(task_of(bob), "plum", BOB))
    seen = []
    for path in ("", "/blind", "/blind/next", "/me"):
        answer = ann.get(f"/label{path}", headers={"Accept": "text/html"})
        seen.append(f"{answer.headers} {answer.text}")
    task = task_of(ann)
    for path, body in (("answer", said(task)), ("undo", {"who": ANN, "task": task})):
        answer = ann.post(f"/label/blind/{path}", json=body)
        seen.append(f"{answer.headers} {answer.text}")
    for secret in ("0.617", "61.7", "62%", 'predicted_class"', BOB, *filter(None, keys)):
        assert not any(secret in each for each in seen), secret


def test_a_training_queue_shows_before_or_after_as_it_says(service: LabellingService) -> None:
    for name in ("before", "after"):
        service.queue(name, CLASSES, show=("predicted_class", "confidence"))
        service.pictures(name, 1, **SECRETS)
    ann = service.client(ANN)
    [item] = configured(ann, "/label/before")["items"]
    assert item["model"] == "plum"
    assert [each["value"] for each in item["shown"]] == ["plum", "62%"]
    [item] = configured(ann, "/label/after")["items"]
    assert (item["model"], item["shown"]) == (None, [])
    assert "62%" not in ann.get("/label/after").text
    answer = ann.post("/label/after/answer", json=said(item["task"])).json()
    assert [each["value"] for each in answer["after"]] == ["plum", "62%"]


def test_own_answers_are_found_and_changed(service: LabellingService) -> None:
    service.pictures("blind", 1)
    ann = service.client(ANN, Accept="text/html")
    task = task_of(ann)
    ann.post("/label/blind/answer", json=said(task))
    assert f"/label/blind?item={task}" in ann.get("/label/me").text
    [item] = configured(ann, f"/label/blind?item={task}")["items"]
    assert item["mine"] == "Your answer: fig"
    ann.post("/label/blind/answer", json=said(task, None, skip="unsure"))
    assert service.answers("blind") == [(ANN, "")]
    assert "Skipped: I can" in ann.get("/label/me").text
    assert configured(service.client(BOB), f"/label/blind?item={task}")["items"] == []


def test_only_who_may_label_a_queue_reaches_it(service: LabellingService) -> None:
    service.pictures("blind", 1)
    service.desk.assign(BOB, [])
    bob = service.client(BOB)
    assert bob.get("/label/blind/next").status_code == 404
    assert bob.post("/label/blind/answer", json=said("0" * 32)).status_code == 404
    assert "No queue is assigned to you" in bob.get("/label").text
    assert service.client("reader", "read").get("/label").status_code == 403
    assert TestClient(service.app).get("/label/blind/next").status_code in {401, 403}


def test_a_visitor_reads_their_language(service: LabellingService) -> None:
    ann = service.client(ANN, Accept="text/html")
    assert '<html lang="en">' in ann.get("/label").text
    german = ann.get("/label", headers={"Accept-Language": "de-CH,de;q=0.9,en;q=0.8"}).text
    assert '<html lang="de">' in german
    assert "Meine Antworten" in german
    assert "Meine Antworten" in ann.get("/label?lang=de").text
    assert "Meine Antworten" in ann.get("/label").text


def test_an_item_stays_with_whoever_looks_at_it(service: LabellingService) -> None:
    service.pictures("blind", 2)
    ann = service.client(ANN)
    held = ann.get("/label/blind/next?n=99").json()
    assert len(held["items"]) == 2
    assert held["state"] == "labelling"
    assert service.client(BOB).get("/label/blind/next").json()["state"] == "waiting"
    until = service.desk.next_items("blind", ANN)[0].leased_until
    assert until is not None
    assert until - service.desk.next_items("blind", ANN)[1].leased_until < timedelta(seconds=30)  # type: ignore[operator]


# --- joining and logging in -----------------------------------------------------------------------


def stranger(service: LabellingService, **headers: str) -> TestClient:
    """A browser that nobody knows, which keeps its cookies."""
    own = {"base_url": "http://127.0.0.1:8500", "client": ("127.0.0.1", 50_000)}
    return TestClient(service.app, headers={"Accept": "text/html", **headers}, **own)


def test_whoever_has_a_join_link_labels_its_queue_and_no_other(service: LabellingService) -> None:
    service.pictures("blind", 2)
    service.queue("helped", CLASSES)
    service.pictures("helped", 1)
    link = service.desk.make_link(
        "blind", people=1, expires_at=datetime.now(UTC) + timedelta(days=1)
    )
    new = stranger(service)
    assert "Nobody has an account" in new.get(f"/join/{link}").text
    service.add(ANN)
    form = new.get(f"/join/{link}")
    assert (form.status_code, "“blind”" in form.text) == (200, True)
    for name, said in {"": "at most 80", "x" * 81: "at most 80", ANN.upper(): "already"}.items():
        assert said in new.post(f"/join/{link}", data={"name": name}).text
    other = {"Origin": "https://elsewhere.example"}
    assert new.post(f"/join/{link}", data={"name": "bo"}, headers=other).status_code == 403
    welcome = new.post(f"/join/{link}", data={"name": "bo"})
    assert welcome.status_code == 200
    token = re.search(r"<code>(\S+)</code>", welcome.text)
    assert token is not None
    assert new.get("/label/helped").status_code == 404
    task = configured(new, "/label/blind")["items"][0]["task"]
    csrf = new.get("/label/session").json()["csrf"]
    held = {"id": uuid.uuid4().hex, "who": "bo", "task": task, "choice": "fig"}
    assert new.post("/label/blind/answer", json=held, headers={"X-CSRF-Token": csrf}).json()[
        "saved"
    ]
    assert service.answers("blind") == [], "it waits for an approval"
    assert service.desk.approve("bo") == 1
    assert service.answers("blind") == [("bo", "fig")]
    late = stranger(service)
    assert (late.get(f"/join/{link}").status_code, late.get("/join/none").status_code) == (404, 404)
    assert "it is incomplete, has expired, or" in late.get("/join/none").text
    again = late.post("/login", data={"token": token[1], "next": "/label/blind"})
    assert "label-config" in again.text


def test_logging_in_and_joining_speak_german(service: LabellingService) -> None:
    service.add(ANN)
    link = service.desk.make_link(
        "blind", people=1, expires_at=datetime.now(UTC) + timedelta(days=1)
    )
    new = stranger(service, **{"Accept-Language": "de"})
    for path in ("/login", "/label", f"/join/{link}"):
        text = new.get(path).text
        assert '<html lang="de">' in text
        assert "Zum Inhalt springen" in text
        assert "Log in" not in text
    assert "unbekannt" in new.post("/login", data={"token": "x"}).text
    own = service.client("bob@example.com", **{"Accept-Language": "de", "Accept": "text/html"})
    page = own.get("/label").text
    assert "Beschriften</a>" in page
    assert "Times are in" not in page
