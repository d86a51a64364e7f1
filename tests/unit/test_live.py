"""The stream that tells how far the work is: to whom, how, and when it ends."""

import asyncio
import json
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from io import StringIO
from typing import Any

import pytest

from labelloop.service.journal import Journal
from labelloop.service.schedule import Schedule
from labelloop.service.work import Saying, Work, heard
from labelloop.web import live
from labelloop.web.api import PREFIX
from labelloop.web.live import Live
from tests.served import Service
from tests.unit.conftest import MakeWorld

STREAM = {"accept": "text/event-stream"}


def in_a_loop(coming: Coroutine[Any, Any, None]) -> None:
    """Run to the end, in a thread of its own: a browser's tests leave a loop that runs in this one."""
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, coming).result()


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "TICK_S", 0.01)


class Listener:
    """A browser that listens until it has heard enough."""

    def __init__(self, service: Service, **headers: str) -> None:
        self._app = service.app
        self._headers = {"host": "127.0.0.1:8500", **STREAM, **headers}
        self.status = 0
        self.headers: dict[str, str] = {}
        self.parts: list[bytes] = []
        self.gone = asyncio.Event()

    async def listen(self) -> None:
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "GET",
            "path": f"{PREFIX}/events",
            "raw_path": b"",
            "query_string": b"",
            "headers": [(k.encode(), v.encode()) for k, v in self._headers.items()],
            "client": ("127.0.0.1", 50_000),
            "server": ("127.0.0.1", 8500),
            "scheme": "http",
        }
        asked = False

        async def receive() -> dict[str, Any]:
            nonlocal asked
            if not asked:
                asked = True
                return {"type": "http.request", "body": b"", "more_body": False}
            await self.gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                self.status = message["status"]
                self.headers = {k.decode(): v.decode() for k, v in message["headers"]}
            elif message.get("body"):
                self.parts.append(message["body"])

        await self._app(scope, receive, send)

    @property
    def told(self) -> list[dict[str, Any]]:
        """The data of the events so far."""
        lines = b"".join(self.parts).decode().splitlines()
        return [json.loads(line[6:]) for line in lines if line.startswith("data: ")]


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.005)


@pytest.fixture
def working(make_world: MakeWorld) -> Iterator[tuple[Service, list[Work | None]]]:
    """A service whose worker does what the last item of a list says."""
    with ExitStack() as held:
        service, work = Service(make_world()), [None]
        held.callback(service.site.close)
        service.site._work = lambda: work[-1]
        yield service, work


def test_listeners_hear_how_far_the_work_is(working: Any) -> None:
    service, work = working

    async def check() -> None:
        listener = Listener(service)
        listening = asyncio.create_task(listener.listen())
        for each in (None, Work("index"), Work("index", "tags read", 1200, 4000), None):
            work.append(each)
            n = len(listener.told)
            await until(lambda n=n: len(listener.told) > n)
        listener.gone.set()
        await listening
        assert listener.status == 200
        assert listener.headers["content-type"].startswith("text/event-stream")
        assert listener.headers["x-accel-buffering"] == "no"
        assert listener.headers["cache-control"] == "no-store"
        assert listener.told == [
            {"verb": None},
            {"verb": "index", "what": "", "done": 0, "total": None, "says": "index runs now"},
            {
                "verb": "index",
                "what": "tags read",
                "done": 1200,
                "total": 4000,
                "says": "index: tags read 1,200 of 4,000",
            },
            {"verb": None},
        ]

    in_a_loop(check())


def test_a_silent_stream_says_that_it_lives_and_ends_in_time(
    working: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    service, _ = working
    monkeypatch.setattr(live, "HEARTBEAT_S", 0.05)
    monkeypatch.setattr(live, "LASTS_S", 0.2)
    listener = Listener(service)
    in_a_loop(asyncio.wait_for(listener.listen(), 20))
    assert listener.parts[0].startswith(b"retry: ")
    assert listener.parts.count(b": still here\n\n") >= 2


def test_streams_end_when_the_process_is_told_to(working: Any) -> None:
    service, _ = working

    async def check() -> None:
        listeners = [Listener(service) for _ in range(3)]
        listening = asyncio.gather(*(each.listen() for each in listeners))
        await until(lambda: all(each.told for each in listeners))
        service.site.ending.set()
        await asyncio.wait_for(listening, 5)

    in_a_loop(check())


def test_listeners_are_limited_and_make_room_when_they_go(
    working: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    service, _ = working
    monkeypatch.setattr(live, "AT_MOST", 2)

    async def check() -> None:
        two = [Listener(service), Listener(service)]
        listening = [asyncio.create_task(each.listen()) for each in two]
        await until(lambda: all(each.told for each in two))
        third = Listener(service)
        await third.listen()
        assert third.status == 503
        assert third.headers["retry-after"]
        two[0].gone.set()
        await listening[0]
        fourth = Listener(service)
        listening.append(asyncio.create_task(fourth.listen()))
        await until(lambda: bool(fourth.told))
        two[1].gone.set()
        fourth.gone.set()
        await asyncio.gather(*listening)

    in_a_loop(check())


def test_who_may_not_read_hears_nothing(working: Any) -> None:
    service, _ = working
    tokens = {scope: service.add(scope, scope) for scope in ("label", "read")}
    for headers, status in (
        ({}, 401),
        ({"authorization": f"Bearer {tokens['label']}"}, 403),
        ({"host": "evil.example"}, 401),
    ):
        listener = Listener(service, **headers)
        in_a_loop(asyncio.wait_for(listener.listen(), 20))
        assert listener.status == status
        assert not listener.told
    answer = service.client(Authorization=f"Bearer {tokens['read']}").get(f"{PREFIX}/events")
    assert answer.json()["kind"] == "events", "who asks for JSON gets what is recorded"


def test_pages_show_how_far_the_work_is_without_a_script(working: Any) -> None:
    service, work = working
    client = service.client(Accept="text/html")
    for path in ("/", "/activity", "/queues", "/rounds"):
        assert '<div class="work" id="work"' in client.get(path).text
        assert "hidden>" in client.get(path).text.partition('id="work"')[2].partition("<span")[0]
    work.append(Work("send", "sent to low", 3, 12))
    for path in ("/", "/activity", "/queues", "/rounds"):
        bar = client.get(path).text.partition('id="work"')[2].partition("</div>")[0]
        assert "send: sent to low 3 of 12" in bar
        assert 'max="12" value="3"' in bar
    work.append(Work("index", "listed", 12, None))
    assert "value=" not in client.get("/").text.partition("<progress")[2].partition(">")[0]


def test_a_verb_of_another_process_is_told(working: Any) -> None:
    service, _ = working
    with service.world.loop.project.ledger.lease("index"):
        found = service.site.work()
    assert found == Work("index")


def test_the_worker_says_which_verb_it_does(make_world: MakeWorld) -> None:
    said = StringIO()
    saying = Saying("pets", lambda: said)
    world = make_world()
    schedule = Schedule(world.loop, Journal(to=StringIO), begin=saying.begin)
    schedule.do(("index", "collect"))
    told = [heard(line) for line in said.getvalue().splitlines()]
    assert told == [("pets", Work("index")), ("pets", Work("collect")), ("pets", None)]


def test_progress_is_said_a_few_times_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    from labelloop.service import work

    said = StringIO()
    saying = Saying("", lambda: said)
    saying.progress("listed", 1, None)
    assert said.getvalue() == "", "no verb has begun"
    saying.begin("index")
    for n in range(1000):
        saying.progress("listed", n, None)
    assert len(said.getvalue().splitlines()) <= 3
    monkeypatch.setattr(work, "EVERY_S", 0.0)
    saying.progress("listed", 1000, 2000)
    assert heard(said.getvalue().splitlines()[-1]) == ("", Work("index", "listed", 1000, 2000))


@pytest.mark.parametrize("line", ["", "[]", "{}", '{"project": "a", "work": {"x": 1}}', "\x00"])
def test_other_lines_of_the_worker_are_ignored(line: str) -> None:
    assert heard(line) is None


def test_nobody_who_listens_stops_no_work() -> None:
    class Closed(StringIO):
        def write(self, _text: str) -> int:
            raise BrokenPipeError

    Saying("", Closed).begin("index")


def test_a_stream_names_nothing_but_verbs_queues_and_counts(working: Any) -> None:
    assert Live(working[0].site)._now is None
    event = live._event(Work("send", "sent to low", 3, None))
    assert set(json.loads(event.split(b"data: ")[1])) == {"verb", "what", "done", "total", "says"}
