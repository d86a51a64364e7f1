"""What every receiver of events does: in memory, and one that listens over HTTP."""

import hmac
import json
import time
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from labelloop.adapters.receivers.exchange import masked
from labelloop.adapters.receivers.guarded import is_refused
from labelloop.adapters.receivers.http import HttpReceiver
from labelloop.core.notice import NAMES, Notice
from labelloop.errors import ReceiverError
from labelloop.ports.receiver import Receiver
from labelloop.testing import MemoryReceiver
from tests.in_a_thread import in_a_thread

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECRET = "whsec_" + b64encode(b"a key of 24 bytes or so.").decode()
NOTICE = Notice(
    name="dataset.built",
    subject="dataset training",
    key="training 3",
    at=AT,
    id="evt_1",
    data={"dataset": "training", "version": 3, "n_human": 1200, "n_model": 31000},
)


@dataclass
class Listening:
    """A real server: what it heard, and what it answers."""

    url: str = ""
    status: int = 204
    location: str = ""
    drips_s: float = 0.0
    heard: list[tuple[dict[str, str], bytes]] = field(default_factory=list)


@contextmanager
def listening() -> Iterator[Listening]:
    told = Listening()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["content-length"])
            headers = {name.lower(): value for name, value in self.headers.items()}
            told.heard.append((headers, self.rfile.read(length)))
            if told.drips_s:
                self.drip()
                return
            self.send_response(told.status)
            if told.location:
                self.send_header("Location", told.location)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def drip(self) -> None:
            """A byte now and then, as from a server that wants to hold who asks."""
            until_s = time.monotonic() + told.drips_s
            while time.monotonic() < until_s:
                try:
                    self.wfile.write(b"H")
                    self.wfile.flush()
                except OSError:
                    return
                time.sleep(0.05)

        def log_message(self, *_: Any) -> None:
            pass

    with in_a_thread(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as told.url:
        yield told


@dataclass(frozen=True)
class Bench:
    """A receiver, what it heard, and how to let it fail."""

    receiver: Receiver
    heard: Callable[[], list[str]]
    fail: Callable[[bool], None]


def memory() -> Iterator[Bench]:
    receiver = MemoryReceiver()

    def fail(fails: bool) -> None:
        receiver.fails = fails

    yield Bench(receiver, lambda: [n.id for n in receiver.heard], fail)


def http() -> Iterator[Bench]:
    with listening() as told:

        def fail(fails: bool) -> None:
            told.heard.clear()
            told.status = 503 if fails else 204

        heard = lambda: [headers["webhook-id"] for headers, _ in told.heard]  # noqa: E731
        yield Bench(HttpReceiver(told.url, project="pets"), heard, fail)


@pytest.fixture(params=[memory, http], ids=["memory", "http"])
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    yield from request.param()


def test_it_hears_under_the_id_of_the_event(bench: Bench) -> None:
    bench.receiver.deliver(NOTICE, at=AT)
    bench.receiver.deliver(NOTICE, at=AT)
    assert bench.heard() == ["evt_1", "evt_1"]


def test_one_that_fails_says_so_and_hears_later(bench: Bench) -> None:
    bench.fail(True)
    with pytest.raises(ReceiverError) as caught:
        bench.receiver.deliver(NOTICE, at=AT)
    assert bench.receiver.shown in str(caught.value)
    assert caught.value.remedy
    bench.fail(False)
    bench.receiver.deliver(NOTICE, at=AT)
    assert bench.heard() == ["evt_1"]


# --- over HTTP ----------------------------------------------------------------------------------


@pytest.fixture
def told() -> Iterator[Listening]:
    with listening() as server:
        yield server


def test_the_signature_is_over_id_time_and_body(told: Listening) -> None:
    HttpReceiver(told.url, project="pets", secret=SECRET).deliver(NOTICE, at=AT)
    ((headers, body),) = told.heard
    assert headers["webhook-timestamp"] == str(int(AT.timestamp()))
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    key = b64decode(SECRET.removeprefix("whsec_"))
    expected = b64encode(hmac.new(key, signed, sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"
    told_of = json.loads(body)
    assert (told_of["id"], told_of["event"], told_of["project"]) == (
        "evt_1",
        "dataset.built",
        "pets",
    )
    assert told_of["data"] == NOTICE.data
    assert (
        told_of["text"] == "training v3 was released: 1,200 labels by people, 31,000 of the model"
    )


def test_without_a_secret_nothing_is_signed(told: Listening) -> None:
    HttpReceiver(told.url, project="pets").deliver(NOTICE, at=AT)
    assert "webhook-signature" not in told.heard[0][0]


def test_slack_gets_a_sentence_that_opens_no_markup(told: Listening) -> None:
    data = {"queue": "<!here>", "oldest_at": "now"}
    notice = Notice(name="backlog.old", subject="q", key="1", at=AT, id="e", data=data)
    HttpReceiver(told.url, project="R&D", form="slack").deliver(notice, at=AT)
    assert json.loads(told.heard[0][1]) == {
        "text": "R&amp;D: the oldest task of queue &lt;!here&gt; has waited for a person since now"
    }


def test_nobody_is_followed_elsewhere(told: Listening) -> None:
    with listening() as other:
        told.status, told.location = 302, other.url
        with pytest.raises(ReceiverError, match="answered 302, which leads elsewhere"):
            HttpReceiver(told.url, project="pets").deliver(NOTICE, at=AT)
        assert other.heard == []


def test_one_that_drips_is_left_after_the_limit(told: Listening) -> None:
    told.drips_s = 5.0
    began_s = time.monotonic()
    with pytest.raises(ReceiverError, match=r"didn't answer within 0\.5 seconds"):
        HttpReceiver(told.url, project="pets", timeout_s=0.5).deliver(NOTICE, at=AT)
    assert time.monotonic() - began_s < 3


@pytest.mark.parametrize("host", ["169.254.169.254", "[fe80::1]", "[::ffff:169.254.169.254]"])
def test_nothing_is_sent_to_the_machines_own_link(host: str) -> None:
    with pytest.raises(ReceiverError, match="nothing is sent to"):
        HttpReceiver(f"http://{host}/latest", project="pets").deliver(NOTICE, at=AT)


@pytest.mark.parametrize(
    ("address", "refused"),
    [
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("203.0.113.7", False),
        ("2001:db8::1", False),
        ("169.254.0.1", True),
        ("64:ff9b::a9fe:a9fe", True),
        ("2002:a9fe:a9fe::1", True),
        ("fe80::1%eth0", True),
        ("fd00:ec2::254", True),
        ("100.100.100.200", True),
        ("0.0.0.0", True),  # noqa: S104  refused
        ("224.0.0.1", True),
    ],
)
def test_which_addresses_are_refused(address: str, refused: bool) -> None:
    assert is_refused(address) is refused


@pytest.mark.parametrize("failing", ["http://127.0.0.1:1/key", "http://no-such-host.invalid/key"])
def test_messages_hold_nothing_of_the_url_but_its_host(failing: str) -> None:
    with pytest.raises(ReceiverError) as caught:
        HttpReceiver(failing, project="pets", secret="made up key").deliver(NOTICE, at=AT)
    assert "/***" in str(caught.value)
    assert "key" not in str(caught.value).replace(caught.value.remedy, "")
    assert caught.value.__cause__ is None


def test_a_masked_url_shows_where_it_leads() -> None:
    assert masked("https://hooks.slack.com/services/T0/B0/key") == "https://hooks.slack.com/***"


def test_a_secret_that_isnt_base64_is_refused() -> None:
    with pytest.raises(ValueError, match="whsec_"):
        HttpReceiver("http://127.0.0.1", project="pets", secret="whsec_&&&")


def test_every_event_has_a_sentence() -> None:
    data = {
        "round": 1, "n_frame": 2, "drawn": {"q": 1}, "dataset": "training", "version": 1,
        "n_human": 1, "n_model": 1, "grown_by": 1, "guarantee": 1, "says": "s", "model": "m",
        "since": "s", "fallen_by": 0.1, "surely": 0.01, "low": 0.1, "high": 0.2, "required": 0.9,
        "queue": "q", "oldest_at": "s", "value": 0.15, "level": 0.95, "n": 9, "registered": "r",
        "serving": "m",
    }  # fmt: skip
    assert all(Notice(name=n, subject="s", key="k", at=AT, data=data).says for n in NAMES)
