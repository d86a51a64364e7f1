"""The whole protocol of second looks on a real Label Studio, with five people of stated error."""

import json
import random
from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import httpx

from labelloop.core.looks import Look, agreed
from labelloop.core.queue import Purpose
from labelloop.ledger import Ledger, rounds
from labelloop.ledger.rounds import DrawWithLabel
from tests.contract.test_annotator import RealPeople
from tests.integration.conftest import Project
from tests.integration.test_loop import plain_classes

if TYPE_CHECKING:
    from labelloop.demo.servers import LabelStudio

ERRORS = {"ana": 0.3, "ben": 0.2, "cem": 0.2, "ref": 0.0, "rob": 0.0}
N_DRAWN = 9


def settings(text: str) -> str:
    queue = text.index('[[queue]]\nname = "low-confidence"')
    end = text.index("[training]")
    referees = json.dumps([f"{name}@labelloop.example" for name in ("ref", "rob")])
    return (
        plain_classes(text[:queue]).replace(
            "budget = 12", f"budget = {N_DRAWN}\nsecond_look = true"
        )
        + f"[people]\nreferees = {referees}\n\n"
        + text[end:]
    )


def fill(project: Project) -> dict[str, str]:
    """Traffic whose every third prediction is wrong, all of it drawn; returns what each picture shows.

    By the picture's bytes.
    """
    truth: dict[str, str] = {}
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    for i in range(N_DRAWN):
        shows = i % 4
        predicted = (shows + 1) % 4 if i % 3 == 0 else shows
        body = f"picture {project.name} {i}"
        project.upload(
            f"class_{predicted:02d}/{i:04d}.png",
            body=body.encode(),
            predicted_class=f"c{predicted}",
            confidence=f"{0.3 + i / 100:.2f}",
            timestamp=now,
        )
        truth[body] = f"c{shows}"
    return truth


def work(
    people: RealPeople, project_ref: str, truth: dict[str, str], luck: random.Random
) -> Counter[str]:
    """Everybody answers what the labelling stream offers them, in turns; returns how many each."""
    given: Counter[str] = Counter()
    at_work = list(ERRORS)
    with httpx.Client(trust_env=False, timeout=30) as browser:
        while at_work:
            # referees look before others do: whoever takes a referee's look wastes it
            (who,) = luck.choices(at_work, [1 if ERRORS[one] else 6 for one in at_work])
            task = people.next_task(project_ref, by=who)
            if task is None:
                at_work.remove(who)
                continue
            # nor does the page show what others, whose answer may be wasted, said of it
            assert not task["annotations"]
            assert not task["predictions"]
            said = truth[browser.get(task["data"]["image"]).raise_for_status().text]
            if luck.random() < ERRORS[who]:
                said = luck.choice([c for c in ("c0", "c1", "c2", "c3") if c != said])
            people.answer(str(task["id"]), said, by=who)
            given[who] += 1
    return given


def drawn(project: Project) -> list[DrawWithLabel]:
    ledger = Ledger.read_only(f"sqlite:///{project.folder}/.labelloop/ledger.db")
    assert ledger is not None
    with ledger.read() as tx:
        found = list(rounds.draws_with_labels(tx, Purpose.EVALUATION))
    ledger.close()
    return found


def test_five_people_through_the_whole_protocol(
    project: Project, label_studio: "LabelStudio"
) -> None:
    people = RealPeople(label_studio)
    for name in ERRORS:
        people._token(name)
    project.write(settings)
    truth = fill(project)
    project.ok("run")
    listed = people._ask("GET", f"/api/projects/?title={project.name}&page_size=10")["results"]
    (place,) = [p for p in listed if p["title"].startswith(project.name)]
    project_ref, luck = str(place["id"]), random.Random(3)
    given: Counter[str] = Counter()
    for _ in range(15):  # each takes one wasted answer more off a look
        answered = work(people, project_ref, truth, luck)
        if not answered:
            break
        given += answered
        project.ok("collect")
        project.ok("send")
    else:
        raise AssertionError("people were asked for ever")

    draws = drawn(project)
    assert len(draws) == N_DRAWN
    shown = {f"class_{(i + (i % 3 == 0)) % 4:02d}/{i:04d}.png": f"c{i % 4}" for i in range(N_DRAWN)}
    n_differing = 0
    for d in draws:
        assert d.replies is not None
        by = [reply.by for reply in d.replies.values()]
        assert len(by) == len(set(by))
        if not agreed(d.replies, d.predicted_class):
            n_differing += 1
            assert d.replies[Look.SECOND].by_referee
            assert d.label == shown[d.sample_id], d
    assert n_differing > N_DRAWN / 5

    # each task once, and nothing in a look that the first one doesn't hold
    tasks: list[dict[str, Any]] = people._ask(
        "GET", f"/api/tasks?project={project_ref}&page_size=1000&fields=all"
    )["tasks"]
    keys = [task["data"]["labelloop"] for task in tasks]
    images = [task["data"]["image"].partition("?")[0] for task in tasks]
    assert len(set(keys)) == len(keys) == len(set(images)) > N_DRAWN
    for task in tasks:
        assert set(task["data"]) == {"image", "labelloop"}
        assert not task["meta"]
        assert not task["predictions"]
        assert not any(key in json.dumps(task) for key in keys if key != task["data"]["labelloop"])

    measured = project.json("measure")
    rests = measured["rests_on"]
    assert (rests["n_differing"], rests["n_unconfirmed"]) == (n_differing, 0)
    assert rests["n_confirmed"] + rests["n_refuted"] == n_differing
    assert rests["n_recaptured"] > 0
    everybody = {p["name"]: p for p in project.json("measure", "--people")}
    assert {name: p["n_answers"] for name, p in everybody.items()} == {
        f"{name}@labelloop.example": n for name, n in given.items()
    }
    assert {name for name, p in everybody.items() if p["referee"]} == {
        "ref@labelloop.example",
        "rob@labelloop.example",
    }
    people.client.close()
