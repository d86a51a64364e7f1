"""A candidate's predictions come from elsewhere: limits, aggregates alone, and looks counted."""

import io
import json
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from starlette.testclient import TestClient

from labelloop.core.queue import Purpose
from labelloop.errors import ArgumentError
from labelloop.ledger import rounds
from labelloop.statistics import Verdict
from labelloop.steps.compare import limited
from labelloop.steps.compare.limited import from_bytes
from tests.lasting import Kept
from tests.served import Service, refused
from tests.unit.conftest import Keep
from tests.unit.test_compare import judged
from tests.world import ACCURACY, LOW, World

PATH = "/api/v1/candidates"
CLASSES = ("cat", "dog")


@pytest.fixture(scope="module")
def kept(keep: Keep) -> Kept[World]:
    """120 labelled blind samples; the serving model says cat and is right on two of three."""

    def begin(world: World) -> None:
        judged(world)
        world.loop.close()

    return keep(begin, ACCURACY.replace("5", "120") + LOW)


@pytest.fixture
def service(kept: Kept[World]) -> Iterator[Service]:
    with ExitStack() as held:
        world = held.enter_context(kept.again())
        made = Service(world)
        held.callback(made.site.close)
        yield made


def truth(service: Service) -> dict[str, str]:
    with service.world.loop.project.ledger.read() as tx:
        found = rounds.draws_with_labels(tx, Purpose.EVALUATION)
        return {d.sample_id: d.label or "" for d in found}


def csv_of(answers: dict[str, str]) -> bytes:
    lines = "".join(f"{sample_id},{said}\n" for sample_id, said in answers.items())
    return f"sample_id,predicted_class\n{lines}".encode()


def parquet_of(answers: dict[str, str]) -> bytes:
    held = io.BytesIO()
    table = pa.table({"sample_id": list(answers), "predicted_class": list(answers.values())})
    pq.write_table(table, held)
    return held.getvalue()


def send(client: TestClient, body: bytes, query: str = "name=v4&trained_on=nothing") -> Any:
    return client.post(f"{PATH}?{query}", content=body)


def test_a_pipeline_asks_what_to_predict_and_is_told_the_verdict(service: Service) -> None:
    client = service.bearer("pipeline", "read", "operate")
    answers = truth(service)
    wanted = client.get(f"{PATH}/samples").json()["result"]["samples"]
    assert sorted(wanted) == sorted(answers)
    answer = send(client, csv_of(answers), "name=v4&trained_on=nothing&min_gain=0.05")
    assert answer.status_code == 200, answer.text
    found = answer.json()["result"]
    assert (found["verdict"], found["candidate_name"]) == (Verdict.PASS, "v4")
    assert found["gate"]["low"] > 0.05
    assert found["gate"]["low"] < found["difference"]["low"], "it holds at every look"
    assert found["n_candidates"] == 1
    assert not any(sample_id in answer.text for sample_id in answers), "aggregates alone"
    assert "judge" in "".join(service.lines)


def test_looks_are_counted_by_answers_whatever_the_file(service: Service) -> None:
    client, answers = service.bearer("pipeline", "operate"), truth(service)

    def n(body: bytes) -> int:
        return int(send(client, body).json()["result"]["n_candidates"])

    assert n(csv_of(answers)) == 1
    assert n(parquet_of(answers)) == 1
    first = next(iter(answers))
    other = {"cat": "dog", "dog": "cat"}[answers[first]]
    assert n(csv_of(answers | {first: other})) == 2


def test_it_needs_the_scope_to_operate(service: Service) -> None:
    body = csv_of(truth(service))
    for scopes in (("read",), ("label",)):
        client = service.bearer(scopes[0], *scopes)
        assert send(client, body).status_code == 403
        assert client.get(f"{PATH}/samples").status_code == 403
    assert send(service.client(), body).status_code == 401


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("name=v4", "trained_on names no dataset versions"),
        ("name=v4&trained_on=training", "trained_on names no dataset versions"),
        ("name=v4&trained_on=nothing&trained_on=training@1", "trained_on names no"),
        ("trained_on=nothing", "expected 1 to 100 characters"),
        ("name=%1b%5b31m&trained_on=nothing", "expected 1 to 100 characters"),
        ("name=v4&trained_on=nothing&min_gain=nan", "expected a number from -1 to 1"),
        ("name=v4&trained_on=nothing&min_gain=2", "expected a number from -1 to 1"),
    ],
)
def test_what_is_asked_is_checked(service: Service, query: str, says: str) -> None:
    answer = send(service.client(), csv_of({"a": "cat"}), query)
    assert answer.status_code == 400
    assert says in refused(answer)


def test_a_version_that_isnt_there_is_no_fault_of_the_service(service: Service) -> None:
    answer = send(service.client(), csv_of(truth(service)), "name=v4&trained_on=training@99")
    assert answer.status_code in {400, 503}
    assert "training@99" in refused(answer)


def test_a_body_over_the_limit_is_refused(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = service.client().post(
        f"{PATH}?name=v4&trained_on=nothing",
        content=b"x",
        headers={"Content-Length": str(limited.BODY_BYTES + 1)},
    )
    assert answer.status_code == 413


# --- reading it in a process of its own -----------------------------------------------------------


def test_a_file_is_read_as_compare_reads_it() -> None:
    answers = {"a,b": "cat", 'c"d': "dog", "é": "cat"}
    for body in (parquet_of(answers), csv_of({"e": "cat"})):
        found = from_bytes(body, "v4", CLASSES, {})
        assert found.name == "v4"
        assert found.answers in (answers, {"e": "cat"})


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "has no column 'sample_id'"),
        (b"PAR1 and no more", "can't be read"),
        (b"\x00\xff\xfe", "can't be read"),
        (b"sample_id\n1\n", "has no column 'predicted_class'"),
        (b"sample_id,predicted_class\na,bird\n", "isn't a class of the project"),
        (b"sample_id,predicted_class\na,cat\na,dog\n", "two rows for 'a'"),
    ],
)
def test_what_cant_be_used_is_explained_without_paths(body: bytes, says: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        from_bytes(body, "v4", CLASSES, {})
    assert says in str(caught.value)
    assert str(caught.value).startswith("v4")
    assert "/tmp" not in str(caught.value)  # noqa: S108
    assert "given." not in str(caught.value)


def test_a_file_that_unpacks_to_too_many_rows_is_refused() -> None:
    """A hundred million rows in some kilobytes: their number stands in the file's end."""
    held = io.BytesIO()
    n = limited.ROWS + 1
    same = pa.DictionaryArray.from_arrays(pa.array([0] * n, pa.int8()), pa.array(["a"]))
    pq.write_table(pa.table({"sample_id": same, "predicted_class": same}), held)
    assert len(held.getvalue()) < 100_000
    with pytest.raises(ArgumentError, match=f"has {n:,} rows: expected at most"):
        from_bytes(held.getvalue(), "v4", CLASSES, {})


def test_a_value_that_unpacks_to_more_than_the_memory_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    held = io.BytesIO()
    long = pa.array(["a" * 2**20] * 400)
    pq.write_table(pa.table({"sample_id": long, "predicted_class": long}), held, compression="zstd")
    assert len(held.getvalue()) < limited.BODY_BYTES
    with pytest.raises(ArgumentError) as caught:
        from_bytes(held.getvalue(), "v4", CLASSES, {})
    assert "within the limits" in str(caught.value)


def test_the_process_that_reads_has_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it may see of the environment is a list of names."""
    monkeypatch.setenv("S3_SECRET_KEY", "made up")
    assert not {name for name in limited._PASSED_ON if "KEY" in name or "TOKEN" in name}
    assert from_bytes(csv_of({"a": "cat"}), "v4", CLASSES, {}).answers == {"a": "cat"}


def test_the_documents_name_it(service: Service) -> None:
    described = service.client().get("/api/v1/openapi.json").json()
    assert "post" in described["paths"][PATH]
    assert json.dumps(described).count("document.compare") >= 1
