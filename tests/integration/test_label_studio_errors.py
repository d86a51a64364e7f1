"""What the Label Studio adapter makes of a server in trouble: a small one, told what to answer."""

import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from labelloop.adapters.label_studio.annotator import LabelStudioAnnotator
from labelloop.demo.process import free_port
from labelloop.errors import (
    AnnotatorDenied,
    AnnotatorError,
    AnnotatorUnavailable,
    LabelloopError,
    ProjectGone,
    RequestTooLarge,
)
from labelloop.ports.annotator import ProjectSpec, TaskData
from tests.faults.stub import Asked, Reply, Stub, dripping

LEGACY = "0123456789abcdef0123456789abcdef01234567"
PERSONAL = "aaaa.personal-access-token.cccc"
TASKS = [TaskData(task_key="k", data={"image": "http://127.0.0.1:9/a.png", "labelloop": "k"})]
NO_PROJECTS = {"count": 0, "next": None, "previous": None, "results": []}
SPEC = ProjectSpec(title="fruit", marker="labelloop:l1/q", classes=("fig",), show=(), blind=True)


@pytest.fixture
def fake() -> Iterator[Stub]:
    server = Stub()
    server.answer = lambda _: Reply.of(200, NO_PROJECTS)
    yield server
    server.stop()


@pytest.fixture
def pauses() -> list[float]:
    return []


@pytest.fixture
def connect(pauses: list[float]) -> Iterator[Callable[..., LabelStudioAnnotator]]:
    made: list[LabelStudioAnnotator] = []

    def make(url: str, api_key: str = LEGACY, **settings: Any) -> LabelStudioAnnotator:
        annotator = LabelStudioAnnotator(url=url, api_key=api_key, sleep=pauses.append, **settings)
        made.append(annotator)
        return annotator

    yield make
    for annotator in made:
        annotator.close()


Connect = Callable[..., LabelStudioAnnotator]


def shown(error: LabelloopError) -> str:
    """All that a reader of the error, or of its traceback, may see of it."""
    text = str(error)
    cause = error.__cause__
    while cause is not None:
        text += f"\n{cause!r}"
        cause = cause.__cause__
    assert LEGACY not in text
    assert PERSONAL not in text
    return text


def test_a_server_that_is_down_is_named_with_the_remedy(connect: Connect) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(AnnotatorUnavailable) as caught:
        connect(url).import_tasks(1, TASKS)
    assert caught.value.carried_out is False
    assert url in shown(caught.value)
    assert "label_studio" in caught.value.remedy


def test_reads_are_tried_again_and_give_up(
    connect: Connect, fake: Stub, pauses: list[float]
) -> None:
    fake.answer = lambda _: Reply.of(500, {"detail": "database is locked"})
    with pytest.raises(AnnotatorUnavailable, match=r"500.*database is locked"):
        connect(fake.url).projects()
    assert len(fake.asked) == 4
    assert len(pauses) == 3


def test_a_read_that_works_the_second_time_works(connect: Connect, fake: Stub) -> None:
    replies = iter([Reply.of(503, {}), Reply.of(200, NO_PROJECTS)])
    fake.answer = lambda _: next(replies)
    assert list(connect(fake.url).projects()) == []


def test_retry_after_is_honoured(connect: Connect, fake: Stub, pauses: list[float]) -> None:
    replies = iter([Reply.of(429, {}, **{"Retry-After": "7"}), Reply.of(200, NO_PROJECTS)])
    fake.answer = lambda _: next(replies)
    connect(fake.url).projects()
    assert pauses == [7.0]


def test_retry_after_may_be_an_instant_of_the_servers_clock(
    connect: Connect, fake: Stub, pauses: list[float]
) -> None:
    told = {"Date": "Wed, 04 Mar 2020 12:00:00 GMT", "Retry-After": "Wed, 04 Mar 2020 12:00:09 GMT"}
    replies = iter([Reply.of(503, {}, **told), Reply.of(200, NO_PROJECTS)])
    fake.answer = lambda _: next(replies)
    connect(fake.url).projects()
    assert pauses == [9.0]


def test_a_server_that_wants_a_long_pause_isnt_asked_before_it(
    connect: Connect, fake: Stub, pauses: list[float]
) -> None:
    fake.answer = lambda _: Reply.of(429, {}, **{"Retry-After": "600"})
    with pytest.raises(AnnotatorUnavailable, match=r"429.*come back after 600 s"):
        connect(fake.url).projects()
    assert len(fake.asked) == 1
    assert pauses == []


@pytest.mark.parametrize("method", ["GET", "PATCH"])
def test_json_cut_short_is_asked_for_again(connect: Connect, fake: Stub, method: str) -> None:
    whole = NO_PROJECTS if method == "GET" else {"id": 1}
    replies = iter([Reply(200, json.dumps(whole).encode()[:-1]), Reply.of(200, whole)])
    fake.answer = lambda _: next(replies)
    annotator = connect(fake.url)
    if method == "GET":
        assert list(annotator.projects()) == []
    else:
        assert annotator.replace_data(1, {"image": "x", "labelloop": "k"}) is True
    assert [a.method for a in fake.asked] == [method, method]


def test_html_in_place_of_json_is_no_passing_failure(connect: Connect, fake: Stub) -> None:
    fake.answer = lambda _: Reply(200, b"<html>Welcome to nginx</html>", "text/html")
    with pytest.raises(AnnotatorUnavailable, match="HTML"):
        connect(fake.url).projects()
    assert len(fake.asked) == 1


def test_an_answer_that_drips_is_given_up(connect: Connect) -> None:
    body = json.dumps(NO_PROJECTS).encode()
    with dripping(b"Content-Type: application/json", body, every_s=0.02) as url:
        with pytest.raises(AnnotatorUnavailable, match=r"no answer within 0\.2 s") as caught:
            connect(url, timeout_s=0.2).projects()
        assert caught.value.carried_out is True


def test_a_large_answer_may_take_longer(connect: Connect, fake: Stub) -> None:
    pieces = json.dumps({**NO_PROJECTS, "more": "x" * 20_000}).encode()
    with dripping(b"Content-Type: application/json", pieces, every_s=0.02, size=1000) as url:
        assert list(connect(url, timeout_s=0.2).projects()) == []


def test_changes_of_data_are_tried_again(connect: Connect, fake: Stub) -> None:
    replies = iter([Reply.of(502, {}), Reply.of(200, {"id": 1})])
    fake.answer = lambda _: next(replies)
    assert connect(fake.url).replace_data(1, {"image": "x", "labelloop": "k"}) is True
    assert [a.method for a in fake.asked] == ["PATCH", "PATCH"]


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_imports_are_never_sent_twice(connect: Connect, fake: Stub, status: int) -> None:
    fake.answer = lambda _: Reply(status, b"<html>Bad gateway</html>", "text/html")
    with pytest.raises(AnnotatorUnavailable, match=str(status)) as caught:
        connect(fake.url).import_tasks(1, TASKS)
    assert caught.value.carried_out is True
    with pytest.raises(AnnotatorUnavailable):
        connect(fake.url).create_project(SPEC)
    assert len(fake.asked) == 2


def test_a_slow_import_may_have_been_carried_out(connect: Connect, fake: Stub) -> None:
    done = threading.Event()

    def wait(_: Asked) -> Reply:
        done.wait()
        return Reply.of(201, {"task_ids": [1]})

    fake.answer = wait
    try:
        with pytest.raises(AnnotatorUnavailable, match=r"no answer within 0\.2 s") as caught:
            connect(fake.url, timeout_s=0.2).import_tasks(1, TASKS)
    finally:
        done.set()
    assert caught.value.carried_out is True
    assert len(fake.asked) == 1


@pytest.mark.parametrize(
    "reply",
    [
        Reply(201, b"<!doctype html><title>Log in</title>", "text/html"),
        Reply(201, b'{"task_ids": [1'),
        Reply(201, b'{"task_ids": [1', cut=True),
        Reply(201, b""),
        Reply.of(201, {"task_count": 1}),
        Reply.of(201, {"task_ids": [1, 2]}),
        Reply.of(201, ["task_ids"]),
    ],
    ids=["HTML", "truncated", "cut off", "empty", "without ids", "too many ids", "a list"],
)
def test_an_import_answered_strangely_may_have_been_carried_out(
    connect: Connect, fake: Stub, reply: Reply
) -> None:
    fake.answer = lambda _: reply
    with pytest.raises(AnnotatorUnavailable) as caught:
        connect(fake.url).import_tasks(1, TASKS)
    assert caught.value.carried_out is True
    assert fake.url in shown(
        caught.value
    ) or "created 2 tasks in project 1, and 1 were sent" in str(caught.value)
    assert len(fake.asked) == 1


def test_html_in_place_of_json_says_so(connect: Connect, fake: Stub) -> None:
    fake.answer = lambda _: Reply(200, b"\n<html>Welcome to nginx</html>", "text/html")
    with pytest.raises(AnnotatorUnavailable, match="HTML"):
        connect(fake.url).projects()


def test_a_limit_of_a_proxy_is_named_and_nothing_was_carried_out(
    connect: Connect, fake: Stub
) -> None:
    fake.answer = lambda _: Reply(413, b"<html>413 Request Entity Too Large</html>")
    with pytest.raises(RequestTooLarge, match=r"refused a request of \d+ bytes") as caught:
        connect(fake.url).import_tasks(1, TASKS)
    assert "client_max_body_size" in caught.value.remedy


def test_a_page_of_404_is_no_missing_project(connect: Connect, fake: Stub) -> None:
    fake.answer = lambda _: Reply(404, b"<html>no such app</html>", "text/html")
    for call in (
        lambda a: a.import_tasks(1, TASKS),
        lambda a: a.find(1, ["k"]),
        lambda a: a.replace_data(1, {"labelloop": "k"}),
        lambda a: a.delete_task(1),
        lambda a: a.projects(),
    ):
        with pytest.raises(AnnotatorUnavailable, match="404"):
            call(connect(fake.url))


def test_a_missing_project_is_gone(connect: Connect, fake: Stub) -> None:
    fake.answer = lambda _: Reply.of(404, {"detail": "No Project matches the given query."})
    with pytest.raises(ProjectGone, match="project 12 "):
        connect(fake.url).find(12, ["k"])


def test_a_redirection_is_not_followed_but_told(connect: Connect, fake: Stub) -> None:
    fake.answer = lambda _: Reply(301, b"", headers={"Location": "https://labels.example/api/?a=b"})
    with pytest.raises(AnnotatorError, match=r"https://labels\.example/api/\?…") as caught:
        connect(fake.url).projects()
    assert "url" in caught.value.remedy


def test_label_studios_own_words_are_kept_without_links_or_tasks(
    connect: Connect, fake: Stub
) -> None:
    said = "'image' is expected :: {'data': {'x': 'http://h/a.png?X-Amz-Signature=s3cr3t'}}"
    words = {"non_field_errors": [said, "see http://h/b.png?X-Amz-Signature=s3cr3t"]}
    fake.answer = lambda _: Reply.of(
        400, {"id": "u", "detail": f"Validation error {LEGACY}", "validation_errors": words}
    )
    with pytest.raises(AnnotatorError, match="non_field_errors: 'image' is expected") as caught:
        connect(fake.url).import_tasks(1, TASKS)
    assert "s3cr3t" not in shown(caught.value)
    assert not isinstance(caught.value, AnnotatorUnavailable)


def test_what_is_received_is_not_repeated_in_errors(connect: Connect, fake: Stub) -> None:
    fake.answer = lambda _: Reply.of(200, {"tasks": [{"id": "s3cr3t"}]})
    with pytest.raises(AnnotatorUnavailable) as caught:
        connect(fake.url).find(1, ["k"])
    assert "s3cr3t" not in shown(caught.value)


# --- tokens ---------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_legacy_token_says_what_to_do(connect: Connect, fake: Stub, status: int) -> None:
    fake.answer = lambda _: Reply.of(status, {"detail": "Invalid token."})
    with pytest.raises(AnnotatorDenied, match="Invalid token") as caught:
        connect(fake.url).projects()
    assert "personal access token" in shown(caught.value)
    assert f"{fake.url}/user/account" in caught.value.remedy
    assert [a.token for a in fake.asked] == [f"Token {LEGACY}"]


class Tokens:
    """Access tokens, as Label Studio hands them out; only the latest one is good."""

    def __init__(self, fake: Stub) -> None:
        self.n_given = 0
        self.refuse_all = False
        fake.answer = self.answer

    def answer(self, asked: Asked) -> Reply:
        if asked.path == "/api/token/refresh/":
            if self.refuse_all or json.loads(asked.body) != {"refresh": PERSONAL}:
                return Reply.of(401, {"detail": "Token is invalid"})
            self.n_given += 1
            return Reply.of(200, {"access": f"access-{self.n_given}"})
        if self.refuse_all or asked.token != f"Bearer access-{self.n_given}":
            return Reply.of(401, {"detail": "Given token not valid for any token type"})
        return Reply.of(200, {"task_ids": [1]} if asked.method == "POST" else NO_PROJECTS)

    def expire(self) -> None:
        self.n_given += 1


def test_a_personal_token_is_exchanged_once_for_many_requests(connect: Connect, fake: Stub) -> None:
    tokens = Tokens(fake)
    annotator = connect(fake.url, PERSONAL)
    for _ in range(3):
        annotator.projects()
    assert tokens.n_given == 1


def test_an_expired_access_token_is_renewed_in_the_middle(connect: Connect, fake: Stub) -> None:
    tokens = Tokens(fake)
    annotator = connect(fake.url, PERSONAL)
    annotator.projects()
    tokens.expire()
    assert list(annotator.import_tasks(1, TASKS)) == ["1"]


@pytest.mark.mistake("token-refused")
def test_a_revoked_personal_token_is_refused_after_one_renewal(
    connect: Connect, fake: Stub
) -> None:
    tokens = Tokens(fake)
    annotator = connect(fake.url, PERSONAL)
    annotator.projects()
    tokens.refuse_all = True
    fake.asked.clear()
    with pytest.raises(AnnotatorDenied, match="Token is invalid") as caught:
        annotator.projects()
    assert "expired or been revoked" in shown(caught.value)
    assert len(fake.asked) == 2


def test_an_access_token_refused_at_once_is_not_renewed_for_ever(
    connect: Connect, fake: Stub
) -> None:
    tokens = Tokens(fake)

    def only_exchange(asked: Asked) -> Reply:
        if asked.path == "/api/token/refresh/":
            return tokens.answer(asked)
        return Reply.of(401, {"detail": "switched off"})

    fake.answer = only_exchange
    with pytest.raises(AnnotatorDenied, match="switched off"):
        connect(fake.url, PERSONAL).projects()
    assert len(fake.asked) == 2


@pytest.mark.parametrize("key", ["", "  ", "has space", "new\nline", "tökén"])
def test_a_key_that_is_no_token_is_refused_without_being_repeated(
    connect: Connect, key: str
) -> None:
    with pytest.raises(AnnotatorDenied) as caught:
        connect("http://127.0.0.1:9", key)
    assert not key.strip() or key not in str(caught.value)


# --- addresses ------------------------------------------------------------------------------


def test_label_studio_may_live_below_a_path(connect: Connect, fake: Stub) -> None:
    annotator = connect(fake.url + "/label-studio/")
    annotator.projects()
    assert fake.asked[0].path == "/label-studio/api/projects/"
    assert annotator.project_url(3) == f"{fake.url}/label-studio/projects/3/data"


def test_people_open_the_public_address(connect: Connect, fake: Stub) -> None:
    annotator = connect(fake.url, public_url="https://labels.example.com/ls/")
    assert annotator.project_url(3) == "https://labels.example.com/ls/projects/3/data"


@pytest.mark.parametrize(
    "url", ["", "labels.example.com", "ftp://host", "http://", "http://user:s3cr3t@host"]
)
def test_an_address_that_is_none_is_refused(connect: Connect, url: str) -> None:
    with pytest.raises(AnnotatorError, match="label_studio") as caught:
        connect(url)
    assert "s3cr3t" not in str(caught.value)


def test_a_file_of_certificates_that_is_missing_is_named(connect: Connect) -> None:
    with pytest.raises(AnnotatorError, match=r"/nowhere\.pem"):
        connect("https://127.0.0.1:9", ca_file="/nowhere.pem")


def test_a_fast_reader_of_many_pages_sees_them_all(connect: Connect, fake: Stub) -> None:
    pages = iter([[2, 5], [9, 11], [12]])
    fake.answer = lambda _: Reply.of(
        200,
        {
            "tasks": [
                {"id": i, "updated_at": "2026-03-01T00:00:00Z", "data": {"image": "x"}}
                for i in next(pages)
            ]
        },
    )
    tasks = [t for page in connect(fake.url, page_size=2).tasks(1) for t in page]
    assert [t.remote_id for t in tasks] == ["2", "5", "9", "11", "12"]
    assert {t.task_key for t in tasks} == {None}


def test_results_that_are_not_ours_are_left_out(connect: Connect, fake: Stub) -> None:
    annotations = [
        {"id": 1, "result": None},
        {"id": 2, "result": [], "completed_by": {"id": 7, "email": "ana@example.com"}},
        {"id": 3, "result": [{"from_name": "note", "value": {"text": ["fig"]}}]},
        {"id": 4, "result": [{"from_name": "label", "value": {"choices": ["fig"]}}, "odd"]},
        {"id": 5, "result": [{"from_name": "label", "value": None}], "was_cancelled": True},
    ]
    task = {
        "id": 1,
        "updated_at": "2026-03-01T00:00:00Z",
        "data": {"labelloop": "k"},
        "annotations": [{"updated_at": "2026-03-01T00:00:00.5Z"} | a for a in annotations],
        "drafts": [{"id": 9, "result": [{"from_name": "label", "value": {"choices": ["fig"]}}]}],
    }
    fake.answer = lambda _: Reply.of(200, {"tasks": [task]})
    [found] = connect(fake.url).find(1, ["k"])
    assert [a.choices for a in found.annotations] == [(), (), (), ("fig",), ()]
    assert [a.annotator for a in found.annotations][:2] == ["unknown (1)", "7"]
    assert [a.skipped for a in found.annotations] == [False] * 4 + [True]
