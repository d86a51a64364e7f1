"""The pages of the dashboard: what each shows of a project, with nothing in it, and to whom."""

import html
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from io import BytesIO
from urllib.parse import quote

import pyarrow.parquet as pq
import pytest

from labelloop.core.estimate import Estimate
from labelloop.core.queue import Purpose
from labelloop.ledger import rounds
from labelloop.ledger import tables as t
from tests.lasting import Kept
from tests.served import Service
from tests.unit.conftest import Keep, MakeWorld
from tests.world import QUEUES, World

HTML = {"Accept": "text/html"}
PAGES = (
    "/",
    "/now",
    "/queues",
    "/queues?show=tied",
    "/queues?show=skipped",
    "/rounds",
    "/models",
    "/datasets",
    "/people",
    "/activity",
    "/activity/rejected",
    "/doctor",
)
LOOKS = QUEUES.replace("budget = 5", "budget = 30\nsecond_look = true")

Serve = Callable[[World], Service]


@pytest.fixture
def serve() -> Iterator[Serve]:
    with ExitStack() as held:

        def make(world: World) -> Service:
            made = Service(world)
            held.callback(made.site.close)
            return made

        yield make


@pytest.fixture(scope="module")
def kept(keep: Keep) -> Kept[World]:
    """Two rounds: the first with second looks that are open, the second with people."""

    def begin(world: World) -> None:
        for number in range(2):
            world.traffic(60)
            world.put("class_01/bad.png", predicted_class="cow")
            world.loop.run()
            if number == 0:
                page = next(iter(world.annotator.tasks(world.project_ref("accuracy"))))
                world.annotator.answer(page[0].remote_id, "dog", by="ben")
                world.answer_all()
                world.loop.run()
                world.clock.pass_(days=1)
        world.loop.close()

    return keep(begin, LOOKS)


@pytest.fixture
def service(kept: Kept[World], serve: Serve) -> Iterator[Service]:
    with kept.again() as world:
        yield serve(world)


def text_of(service: Service, path: str, *scopes: str) -> str:
    n = len(service.site.accounts())
    client = service.bearer(f"ann{n}", *scopes) if scopes else service.client()
    answer = client.get(path, headers=HTML)
    assert answer.status_code == 200, (path, answer.text)
    return answer.text


def open_blind(world: World) -> set[str]:
    return {
        task.sample_id
        for task in (*world.tasks().values(), *world.looks().values())
        if task.purpose is Purpose.EVALUATION and task.state not in {"resolved", "abandoned"}
    }


@pytest.mark.parametrize("path", PAGES)
def test_a_project_without_a_ledger_is_guided(
    make_world: MakeWorld, serve: Serve, path: str
) -> None:
    world = make_world()
    (world.state / "ledger.db").unlink()
    text = text_of(serve(world), path)
    if path in {"/", "/now"}:
        assert "Connect to the predictions" in text
        assert "<code>labelloop doctor</code>" in text
        assert "Nothing blocks" in text


def test_the_guide_goes_on_with_the_project(make_world: MakeWorld, serve: Serve) -> None:
    world = make_world()

    def done() -> tuple[int, str]:
        text = text_of(serve(world), "/now")
        after = re.findall(r"<b>([^<]+)</b><br>", text.partition("</ol>")[0])
        return text.count("done: "), after[0] if after else ""

    assert done() == (0, "Connect to the predictions")
    world.traffic(30)
    world.loop.index()
    assert done() == (1, "Draw the first round")
    world.loop.select()
    assert done() == (2, "Send the samples to people")
    world.loop.send()
    assert done() == (3, "Label the first samples")
    world.answer_all()
    world.loop.collect()
    assert done() == (0, ""), "and ends with the first label"


def test_the_first_page_answers_the_leads_questions_in_order(service: Service) -> None:
    text = text_of(service, "/")
    asked = (
        "What blocks?",
        "Accuracy, last 7 days",
        "What people&#39;s errors do to it",
        "Has it fallen?",
        "Accuracy by round",
        "May a candidate be shipped?",
        "Where is it weakest?",
        "Labels spent and planned",
        "Training set",
    )
    places = [text.replace("people's", "people&#39;s").index(f">{title}<") for title in asked]
    assert places == sorted(places)
    recent = service.world.loop.report().measured.last_seven_days.estimate
    assert f"{recent.value:.1%}" in text
    assert "wait for a second look" in text
    assert "/samples?among=picks&amp;queue=accuracy" in text


def test_what_waits_is_read_again_by_itself(service: Service) -> None:
    text = text_of(service, "/now")
    assert 'hx-get="/now"' in text
    assert 'hx-trigger="every 5s, ' in text
    assert text.count('id="now"') == 1
    assert "<html" not in text


def test_buttons_wait_while_a_verb_runs(service: Service) -> None:
    made, world = service, service.world
    buttons = re.compile(r"<button([^>]*)>Do all steps now</button>")
    for path in ("/", "/activity"):
        assert buttons.findall(text_of(made, path, "read", "operate")) == [""]
        assert buttons.findall(text_of(made, path, "read")) == []
    with world.loop.project.ledger.lease("collect"):
        made.site.forget_results()
        for path in ("/", "/activity", "/now"):
            text = text_of(made, path, "read", "operate")
            assert buttons.findall(text) == [" disabled"]
            assert "collect runs now" in text


def test_a_round_lists_every_draw_with_its_chance_and_reason(service: Service) -> None:
    draws = [d for d in service.world.draws("accuracy") if d.round == 2]
    text = text_of(service, "/rounds/2?queue=accuracy")
    for d in draws:
        assert quote(d.sample_id, safe="") in text
    n = sum(d.inclusion is not None for d in draws)
    assert text.count("%</td>") == n == 30
    assert "Rule: auto 30 of all traffic, with second looks" in text
    missing = service.client().get("/rounds/2?queue=nope", headers=HTML)
    assert missing.status_code == 404
    assert "its queues: accuracy, low" in missing.text
    assert service.client().get("/rounds/77", headers=HTML).status_code == 404
    for bad in ("after=x", "after=-1", "from=%00", "after=" + "9" * 30):
        assert service.client().get(f"/rounds/2?{bad}", headers=HTML).status_code == 400


def test_pages_of_draws_hold_each_draw_once(make_world: MakeWorld, serve: Serve) -> None:
    world = make_world(QUEUES.replace("budget = 5", "budget = 120"))
    world.traffic(150)
    world.loop.run()
    service, path, found = serve(world), "/rounds/1?queue=accuracy", []
    for _ in range(4):
        text = text_of(service, path)
        found += re.findall(r'<a href="/samples/([^"?]+)">', text)
        following = re.search(r'href="([^"]+)" *rel="next"|rel="next" href="([^"]+)"', text)
        if following is None:
            break
        path = (following[1] or following[2]).replace("&amp;", "&")
    drawn = [quote(d.sample_id, safe="") for d in world.draws("accuracy")]
    assert found == drawn
    assert len(found) == 120


def test_below_operate_nothing_tells_of_samples_that_wait_for_a_blind_answer(
    service: Service,
) -> None:
    """The same pages, whatever the model said of these samples, and no name of one in them."""
    world = service.world
    hidden = open_blind(world)
    assert len(hidden) > 35, "second looks of the first round, and all of the second"
    operator = text_of(service, "/rounds/2", "operate", "read")
    assert any(quote(s, safe="") in operator for s in hidden), "who operates sees them"
    reader = service.bearer("rita", "read")
    paths = (*PAGES[1:-3], "/rounds/1", "/rounds/2", "/rounds/1?queue=low", "/activity")

    def seen() -> dict[str, str]:
        service.site.forget_results()
        return {p: reader.get(p, headers=HTML).text for p in paths if p != "/people"}

    before = seen()
    for path, text in before.items():
        for sample_id in hidden:
            assert sample_id not in text, (path, sample_id)
            assert quote(sample_id, safe="") not in text, (path, sample_id)
    with world.loop.project.ledger.write_at_once() as tx:
        for d in rounds.draws_with_labels(tx):
            if d.sample_id in hidden:
                other = "dog" if d.predicted_class == "cat" else "cat"
                tx.execute(
                    t.draws.update()
                    .where(t.draws.c.sample_id == d.sample_id, t.draws.c.round == 2)
                    .values(predicted_class=other, confidence=0.123)
                )
    assert seen() == before
    first = reader.get("/", headers=HTML).text
    assert not [s for s in hidden if quote(s, safe="") in first]


def test_taken_away_below_operate_a_manifest_lacks_them_too(service: Service) -> None:
    hidden = open_blind(service.world)
    version = max(v.version for v in service.world.loop.datasets() if v.name == "evaluation")
    path = f"/datasets/evaluation/{version}/manifest.parquet"
    whole = pq.read_table(BytesIO(service.bearer("otto", "read", "operate").get(path).content))
    answer = service.bearer("rita", "read").get(path)
    held = set(pq.read_table(BytesIO(answer.content))["sample_id"].to_pylist())
    every = set(whole["sample_id"].to_pylist())
    assert every & hidden
    assert held == every - hidden
    assert "attachment" in answer.headers["content-disposition"]
    client = service.client()
    for bad in ("other/1/manifest.parquet", "evaluation/99/manifest.parquet", "evaluation/1/x"):
        assert client.get(f"/datasets/{bad}", headers=HTML).status_code in {401, 404}


def test_two_versions_are_compared(service: Service) -> None:
    numbers = [v.version for v in service.world.loop.datasets() if v.name == "training"]
    assert len(numbers) > 1
    text = ""
    for _ in range(30):  # it is made in the background, which asks who people are
        text = text_of(service, f"/datasets?name=training&from={numbers[0]}&to={numbers[-1]}")
        if "being compared" not in text:
            break
    assert f"from v{numbers[0]} to v{numbers[-1]}" in text
    assert "samples unchanged" in text
    assert service.client().get("/datasets?name=training&from=1&to=99").status_code == 404
    assert service.client().get("/datasets?name=%00&from=1").status_code == 404


def test_queues_lead_into_the_tasks(service: Service) -> None:
    text = text_of(service, "/queues")
    waiting = service.world.loop.waits()
    assert f"({len(waiting)})" in text
    assert 'href="http://127.0.0.1:9/projects/' in text
    assert "sees the tasks" in text_of(service, "/queues", "read")
    for bad in ("show=nope", "after=never"):
        assert service.client().get(f"/queues?{bad}").status_code in {400, 401}


def test_rejected_rows_are_shown_by_reason_with_examples(service: Service) -> None:
    text = text_of(service, "/activity/rejected")
    assert "unknown class" in text.replace("_", " ").lower()
    assert "class_01/bad.png" in text
    reason = re.search(r'href="(/activity/rejected/[^"]+)"', text)
    assert reason
    assert "cow" in text_of(service, reason[1])
    assert "bad.png" not in text_of(service, "/activity/rejected", "read")
    assert service.client().get("/activity/rejected/nope").status_code in {401, 404}


def test_cells_of_the_confusion_lead_to_their_samples(service: Service) -> None:
    text = text_of(service, "/models")
    cells = service.world.loop.report().measured.confusion
    for c in cells:
        assert f"/samples?predicted={c.predicted_class}&amp;class={c.label}" in text
    assert sum(c.n for c in cells) < 30, "what waits for a second look isn't counted"


def test_numbers_of_a_class_lead_to_as_many_labels(make_world: MakeWorld, serve: Serve) -> None:
    world = make_world(QUEUES.replace("budget = 5", "budget = 40"))
    world.traffic(60)
    world.loop.run()
    world.answer_all(lambda: world.rng.choice(["cat", "dog"]))
    world.clock.pass_(minutes=5)
    world.loop.run()
    service = serve(world)
    found = world.loop.report().measured
    text = html.unescape(text_of(service, "/models"))
    for row in found.by_class.rows:
        rates = {"precision": ("predicted", row.precision), "recall": ("class", row.recall)}
        for field, rate in rates.values():
            assert isinstance(rate, Estimate)
            path = re.search(rf'"(/samples\?{field}={row.name}&outcome=wrong&[^"]+)"', text)
            assert path is not None
            assert "queue=accuracy" in path[1]
            shown = re.search(r"(\d+) picks", text_of(service, path[1]))
            of = [c for c in found.confusion if row.name in (c.predicted_class, c.label)]
            same = {"predicted": "predicted_class", "class": "label"}[field]
            n = sum(c.n for c in of if c.is_wrong and getattr(c, same) == row.name)
            assert shown is not None
            assert int(shown[1]) == n


def test_the_verdict_on_a_candidate_is_remembered(service: Service) -> None:
    world = service.world
    target = world.folder / "samples.csv"
    world.loop.write_judges(target)
    ids = target.read_text().splitlines()[1:]
    target.write_text("sample_id,predicted_class\n" + "".join(f"{i},cat\n" for i in ids))
    found = world.loop.compare(target)
    assert found.verdict is not None
    for path in ("/", "/models"):
        text = text_of(service, path)
        assert "samples.csv" in text
        assert "blind labels" in text
        assert "No candidate has been compared" not in text


def test_people_and_the_doctor_are_for_who_operates(service: Service) -> None:
    reader = service.bearer("rita", "read")
    for path in ("/people", "/doctor", "/activity/rejected/no_class"):
        assert reader.get(path, headers=HTML).status_code == 403
    assert "ana" in text_of(service, "/people", "read", "operate")
    found = text_of(service, "/doctor", "read", "operate")
    assert "under way" in found or "FAIL" in found


def test_activity_says_what_happened(service: Service) -> None:
    text = text_of(service, "/activity")
    assert "30 tasks labelled" in text or "34 tasks labelled" in text
    assert 'href="/rounds/2"' in text
    assert "round.drawn" in text
