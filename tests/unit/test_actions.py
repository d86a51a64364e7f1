"""What an operator does by the forms of the pages, and what is recorded of it."""

import re
from html import unescape

import pytest
from starlette.testclient import TestClient

from labelloop.ledger import events, pauses
from labelloop.web.api import ACTIONS
from labelloop.web.pages_actions import PATH
from tests.served import Service
from tests.unit.test_login import logged_in, proof


def forms(text: str) -> list[tuple[str, dict[str, str]]]:
    """The forms of a page that write: where each leads, and its hidden fields."""
    found = []
    for action, inside in re.findall(
        r'<form method="post" action="([^"]+)"[^>]*>(.*?)</form>', text, re.DOTALL
    ):
        fields = re.findall(r'name="(\w+)" value="([^"]*)"', inside)
        found.append((unescape(action), {n: unescape(v) for n, v in fields}))
    return found


def send(client: TestClient, page: str, action: str) -> str:
    """Press the button of a page; returns the page that the browser shows then."""
    [fields] = [f for a, f in forms(client.get(page).text) if a == action]
    answer = client.post(action, data=fields)
    assert answer.status_code == 303
    return client.get(answer.headers["location"]).text


def test_buttons_do_what_they_say(service: Service) -> None:
    client = logged_in(service, "read", "operate")
    for action, told in (("/do/run", "run"), ("/do/rounds", "round"), ("/do/reload", "reload")):
        assert 'role="status"' in send(client, "/activity", action)
        assert service.told[-1] == told
    assert "is paused" in send(client, "/queues", "/do/queues/low/pause")
    with service.world.loop.project.ledger.read() as tx:
        assert pauses.queues(tx) == {"low"}
        assert [(e.actor, e.verb) for e in events.of(tx, "service")] == [
            ("ann", "run"),
            ("ann", "round"),
            ("ann", "reload"),
        ]
    text = send(client, "/queues", "/do/queues/low/resume")
    assert "goes on" in text
    with service.world.loop.project.ledger.read() as tx:
        assert [(e.actor, e.verb) for e in events.of(tx, "queue:low")] == [
            ("ann", "pause"),
            ("ann", "resume"),
        ]


def test_who_may_not_operate_sees_no_button(service: Service) -> None:
    client = logged_in(service, "read")
    for page in ("/activity", "/queues"):
        assert [a for a, _ in forms(client.get(page).text)] == ["/logout"]
    for action in ACTIONS:
        path = PATH + action.path.replace("{queue}", "low").replace("{event}", "x")
        assert client.post(path, data={"csrf": proof(client)}).status_code == 403, path
    assert service.told == []


@pytest.mark.parametrize("said", ["", "x"])
def test_a_form_without_its_proof_changes_nothing(service: Service, said: str) -> None:
    operator, alone = logged_in(service, "operate", "read"), service.client()
    for client in (operator, alone):
        for action in ACTIONS:
            path = PATH + action.path.replace("{queue}", "low").replace("{event}", "x")
            assert client.post(path, data={"csrf": said}).status_code in {401, 403}, path
    assert service.told == []
    with service.world.loop.project.ledger.read() as tx:
        assert not pauses.queues(tx)


def test_on_this_machine_buttons_work_without_an_account(service: Service) -> None:
    client = service.client(follow_redirects=False)
    assert "being done now" in send(client, "/activity", "/do/run")
    assert service.told == ["run"]


def test_a_wrong_queue_or_event_is_said(service: Service) -> None:
    client = logged_in(service, "operate", "read")
    for path in ("/do/queues/lo/pause", "/do/events/none/resend"):
        answer = client.post(path, data={"csrf": proof(client)})
        assert answer.status_code == 404
        assert "What to do:" in answer.text
    for wanted in ("//evil.example/", "https://evil.example"):
        answer = client.post("/do/run", data={"csrf": proof(client), "next": wanted})
        assert answer.headers["location"] == "/?asked=run"
