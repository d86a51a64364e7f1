"""Secrets are planted wherever they may stand, and looked for wherever they must not."""

import io
import json
import logging
import re
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from rich.traceback import Traceback

from labelloop.adapters.http import retries
from labelloop.adapters.s3.store import S3Store
from labelloop.demo.process import free_port
from labelloop.errors import LabelloopError
from labelloop.loop import Loop, open_loop
from labelloop.ports.annotator import BucketAccess
from labelloop.project.adapters import s3_access
from tests.faults.stub import Asked, Reply, Stub
from tests.unit.conftest import MakeWorld
from tests.world import HEAD, QUEUES

MARK = "s3cr3t"
LEGACY = f"{MARK}legacy0123456789abcdef"
PERSONAL = f"{MARK}.personal-access.token"
SETTINGS = """
[project]
name = "pets"
classes = ["cat", "dog"]

[store]
uri = "s3://production"
endpoint_url = "{url}"
access_key = "{mark}-access"
secret_key = "${{THE_SECRET_KEY}}"
session_token = "{mark}-session"
blind_uri = "s3://blind"
timeout = "10 seconds"
{store}

[label_studio]
url = "{url}"
api_key = "{api_key}"
timeout = "10 seconds"
{label_studio}

[state]
{state}

[[queue]]
name = "accuracy"
purpose = "evaluation"
budget = 5
"""


def settings(folder: Path, url: str, *, api_key: str = LEGACY, **parts: str) -> Path:
    """A labelloop.toml full of secrets."""
    path = folder / "labelloop.toml"
    filled = {"store": "", "label_studio": "", "state": ""} | parts
    path.write_text(SETTINGS.format(url=url, mark=MARK, api_key=api_key, **filled))
    return path


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THE_SECRET_KEY", f"{MARK}-key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", f"{MARK}-of-the-environment")
    monkeypatch.setattr(retries, "FIRST_PAUSE_S", 0.0)


@pytest.fixture
def logs() -> Iterator[io.StringIO]:
    """All that any library logs."""
    said = io.StringIO()
    handler = logging.StreamHandler(said)
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(1)
    yield said
    root.removeHandler(handler)
    root.setLevel(level)


@pytest.fixture
def stub() -> Iterator[Stub]:
    server = Stub()
    yield server
    server.stop()


def everything(error: BaseException) -> str:
    """All that anybody may print of an error: the traceback of Python, and rich's with all variables."""
    trace = Traceback.extract(
        type(error),
        error,
        error.__traceback__,
        show_locals=True,
        locals_max_length=None,  # type: ignore[arg-type]  # all of them
        locals_max_string=None,  # type: ignore[arg-type]  # and whole
        locals_hide_dunder=False,
    )
    # rich would print these beside lines of source, whose colours cost far more than all the rest
    held = [
        f"{name} = {value}"
        for stack in trace.stacks
        for frame in stack.frames
        if frame.filename != __file__
        for name, value in (frame.locals or {}).items()
    ]
    assert held
    said = [f"{stack.exc_type}: {stack.exc_value} {stack.notes}" for stack in trace.stacks]
    plain = "".join(traceback.format_exception(error))
    return "\n".join([str(error), repr(error), plain, *said, *held])


@contextmanager
def fails_in_silence(logs: io.StringIO) -> Iterator[None]:
    """What is done inside fails with an explained error, and nothing secret shows."""
    with pytest.raises(LabelloopError) as caught:
        yield
    trace = caught.value.__traceback__
    assert trace is not None
    caught.value.__traceback__ = trace.tb_next  # the test's own frame holds what it planted
    assert caught.value.remedy
    shown = everything(caught.value) + logs.getvalue()
    leaks = [line for line in shown.splitlines() if MARK in line]
    assert not leaks, leaks[:5]


# --- servers that fail ----------------------------------------------------------------------------

Verb = Callable[[Loop], object]
ASK_LABEL_STUDIO: Verb = lambda loop: loop.project.annotator.projects()  # noqa: E731
ASK_STORE: Verb = lambda loop: list(loop.project.store.objects())  # noqa: E731
READ_STORE: Verb = lambda loop: loop.project.store.read("s3://production/a.png")  # noqa: E731


def give_keys(loop: Loop) -> object:
    access = BucketAccess(
        bucket="b",
        endpoint_url="http://127.0.0.1:9",
        region=None,
        access_key=f"{MARK}-access",
        secret_key=f"{MARK}-key",
        session_token=f"{MARK}-session",
    )
    return loop.project.annotator.open_bucket("1", access)


@pytest.mark.parametrize("api_key", [LEGACY, PERSONAL])
@pytest.mark.parametrize("ask", [ASK_LABEL_STUDIO, ASK_STORE, READ_STORE])
def test_a_server_that_is_down_shows_no_secret(
    tmp_path: Path, logs: io.StringIO, ask: Verb, api_key: str
) -> None:
    path = settings(tmp_path, f"http://127.0.0.1:{free_port()}", api_key=api_key)
    with fails_in_silence(logs), open_loop(path) as loop:
        ask(loop)


REPLIES = {
    "refused": Reply.of(401, {"detail": f"Invalid token {LEGACY}."}),
    "repeats": Reply.of(500, {"detail": f"no {LEGACY} at http://h/a.png?X-Amz-Signature={MARK}"}),
    "page": Reply(200, f"<html>{LEGACY}</html>".encode(), "text/html"),
    "cut short": Reply(200, f'{{"results": "{LEGACY}'.encode()),
    "other JSON": Reply.of(200, {"results": [{"id": MARK}]}),
    "moved": Reply(301, b"", headers={"Location": f"http://h/?X-Amz-Signature={MARK}"}),
}


@pytest.mark.parametrize("reply", REPLIES.values(), ids=REPLIES)
@pytest.mark.parametrize("ask", [ASK_LABEL_STUDIO, give_keys])
def test_a_label_studio_that_answers_wrongly_shows_no_secret(
    tmp_path: Path, logs: io.StringIO, stub: Stub, ask: Verb, reply: Reply
) -> None:
    cookie = {"Set-Cookie": f"sessionid={MARK}"}
    stub.answer = lambda _: Reply(reply.status, reply.body, reply.kind, cookie | reply.headers)
    with fails_in_silence(logs), open_loop(settings(tmp_path, stub.url)) as loop:
        ask(loop)


STORE_REPLIES = {
    "denied": Reply(403, b"<Error><Code>AccessDenied</Code></Error>", "application/xml"),
    "failing": Reply(500, b"<Error><Code>InternalError</Code></Error>", "application/xml"),
    "page": Reply(200, b"<html>Log in</html>", "text/html"),
    "cut short": Reply(200, b"<ListBucketResult><Name>pro", "application/xml"),
    "moved": Reply(301, b"", headers={"Location": "https://elsewhere.example/"}),
}


@pytest.mark.parametrize("reply", STORE_REPLIES.values(), ids=STORE_REPLIES)
@pytest.mark.parametrize("ask", [ASK_STORE, READ_STORE])
def test_a_store_that_answers_wrongly_shows_no_secret(
    tmp_path: Path, logs: io.StringIO, stub: Stub, ask: Verb, reply: Reply
) -> None:
    stub.answer = lambda _: reply
    with fails_in_silence(logs), open_loop(settings(tmp_path, stub.url)) as loop:
        ask(loop)


def test_a_refused_renewal_of_a_token_shows_no_secret(
    tmp_path: Path, logs: io.StringIO, stub: Stub
) -> None:
    def answer(asked: Asked) -> Reply:
        body = (
            {"access": f"{MARK}-access"} if asked.path.endswith("/refresh/") else {"detail": "no"}
        )
        return Reply.of(200 if "access" in body else 401, body)

    stub.answer = answer
    path = settings(tmp_path, stub.url, api_key=PERSONAL)
    with fails_in_silence(logs), open_loop(path) as loop:
        loop.project.annotator.projects()


@pytest.mark.parametrize("ask", [ASK_LABEL_STUDIO, ASK_STORE])
def test_a_proxy_that_is_down_shows_no_password(
    tmp_path: Path, logs: io.StringIO, ask: Verb
) -> None:
    proxy = f'proxy = "http://ana:{MARK}@127.0.0.1:{free_port()}"'
    path = settings(tmp_path, "http://elsewhere.example", store=proxy, label_studio=proxy)
    with fails_in_silence(logs), open_loop(path) as loop:
        ask(loop)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://ana:{mark}@127.0.0.1:{port}/ledger",
        "mysql://ana:{mark}@127.0.0.1/ledger",
        "postgresql://ana:{mark}@[/ledger",
    ],
)
def test_a_ledger_that_cannot_be_opened_shows_no_password(
    tmp_path: Path, logs: io.StringIO, url: str
) -> None:
    ledger = url.format(mark=MARK, port=free_port())
    path = settings(tmp_path, "http://127.0.0.1:9", state=f'ledger = "{ledger}"')
    with fails_in_silence(logs), open_loop(path) as loop:
        loop.index()
    with fails_in_silence(logs), open_loop(path) as loop:
        loop.status()


def test_a_catalog_that_cannot_be_opened_shows_no_password(
    tmp_path: Path, logs: io.StringIO
) -> None:
    catalog = f"postgresql+psycopg://ana:{MARK}@127.0.0.1:{free_port()}/catalog"
    path = settings(tmp_path, "http://127.0.0.1:9", state=f'catalog = "{catalog}"')
    with fails_in_silence(logs), open_loop(path) as loop:
        loop.index()


# --- settings -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('endpoint_url = "http', f'endpoint_url = "ftp://ana:{MARK}@host'),
        ('endpoint_url = "http://', f'endpoint_url = "http://ana:{MARK}@'),
        ('\nurl = "http://', f'\nurl = "https://ana:{MARK}@'),
        ("[state]", f'[state]\nwarehouse = "s3://ana:{MARK}@bucket/log"'),
        ('uri = "s3://', f'uri = "s3://ana:{MARK}@'),
        ("secret_key = ", f'secretkey = "{MARK}"\nsecret_key = '),
        ("session_token = ", "session_token = 5 #"),
        ("[store]", f'[store]\nproxy = "ana:{MARK}@proxy"'),
        ("[store]", f'[store]\npublic_endpoint_url = "ana:{MARK}@host"'),
        ("secret_key = ", "secret_key = ["),
        ("session_token = ", f'profile = "{MARK}"\nsession_token = '),
        ("${THE_SECRET_KEY}", "${NOT_SET}"),
        (f'api_key = "{LEGACY}"', f'api_key = "{MARK} with a blank"'),
    ],
)
def test_settings_that_cannot_be_used_show_no_secret(
    tmp_path: Path, logs: io.StringIO, old: str, new: str
) -> None:
    path = settings(tmp_path, "http://127.0.0.1:9")
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with fails_in_silence(logs), open_loop(path) as loop:
        loop.project.annotator.projects()


def test_settings_show_no_secret_when_they_are_printed(tmp_path: Path) -> None:
    state = f'ledger = "postgresql://ana:{MARK}@h/l"\ncatalog = "postgresql://ana:{MARK}@h/c"'
    proxy = f'proxy = "http://ana:{MARK}@proxy"'
    path = settings(tmp_path, "http://h", state=state, store=proxy, label_studio=proxy)
    with open_loop(path) as loop:
        assert (
            MARK not in repr(loop.settings) + str(loop.settings) + loop.settings.model_dump_json()
        )
        assert MARK not in repr(s3_access(loop.settings.store)) + repr(
            loop.project.bucket_access(None)
        )


# --- logs of the libraries ------------------------------------------------------------------------


def test_no_log_of_any_library_holds_a_signed_link(
    tmp_path: Path, logs: io.StringIO, stub: Stub
) -> None:
    with open_loop(settings(tmp_path, stub.url)) as loop:
        store = loop.project.store
        assert isinstance(store, S3Store)
        link = store.presign("s3://production/a.png", timedelta(days=1))
        store.view(link, origin="http://labels.example")
    signature = re.search(r"X-Amz-Signature=(\w+)", link)
    assert signature is not None
    said = logs.getvalue()
    assert "/production/a.png" in said  # it was logged, though
    assert signature[1] not in said
    assert MARK not in said


# --- what is kept and shown -----------------------------------------------------------------------


def test_nothing_that_is_kept_or_shown_holds_a_secret(make_world: MakeWorld) -> None:
    head = HEAD.replace('secret_key = "b"', f'secret_key = "{MARK}-key"')
    head = head.replace('api_key = "k"', f'api_key = "{LEGACY}"')
    world = make_world(head=head, queues=QUEUES)
    world.traffic(40)
    world.put("bad.png", confidence="much")
    for _ in range(2):
        world.loop.run(now=True)
        world.answer_all()
        world.traffic(10)
    loop = world.loop
    shown = [loop.status(), loop.report(), loop.measure(), loop.plan(0.02), loop.doctor()]
    shown += [loop.datasets(), loop.ties(), loop.rejected(), world.data("accuracy")]
    from labelloop.views.json_form import plain

    assert MARK not in json.dumps([plain(s) for s in shown], default=str)
    files = [p for p in (world.folder / ".labelloop").rglob("*") if p.is_file()]
    assert files
    for path in files:
        assert MARK.encode() not in path.read_bytes(), path
