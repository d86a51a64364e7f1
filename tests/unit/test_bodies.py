"""Columns that hold JSON: what stands at a path is a column too, and what can't be read is told."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelloop.adapters.sources.bodies import BodiesSource
from labelloop.adapters.sources.files import FilesSource
from labelloop.core.json_path import JsonPath, attribute_name
from labelloop.core.sample import RejectReason
from labelloop.errors import ConfigError
from labelloop.testing import MemorySource
from tests.hostile import tries
from tests.unit.conftest import MakeWorld
from tests.unit.test_index_files import Log
from tests.unit.test_index_table import ALL, WHOLE_LINE
from tests.world import HEAD

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]


def values(
    bodies: list[str | None], *paths: str, lists: tuple[str, ...] = ()
) -> dict[str, list[object]]:
    source = MemorySource()
    source.put("log", [{"body": body} for body in bodies])
    wrapped = BodiesSource(source, [JsonPath.parse(p) for p in paths], lists=lists)
    (file,) = wrapped.files()
    (rows,) = wrapped.read(file, paths)
    wrapped.close()
    assert not rows.unreadable
    return {path: rows.batch.column(path).to_pylist() for path in paths}


@pytest.mark.parametrize(
    ("path", "steps"),
    [
        ("$.body.a", ("a",)),
        ("$.body['a b'][0][-1]", ("a b", 0, -1)),
        ('$["body"].a["it\'s"]', ("a", "it's")),
        (r"$.body['it\'s']", ("it's",)),
        ("$.body", ()),
    ],
)
def test_a_path_names_a_column_and_a_place_in_it(path: str, steps: tuple[str | int, ...]) -> None:
    found = JsonPath.parse(path)
    assert (found.column, found.steps) == ("body", steps)


@pytest.mark.parametrize(
    "path",
    ["$", "$[0].a", "$.body[*]", "$..a", "$.body[0:2]", "$.body.", "$.body[?@.a]", "$.body a"],
)
def test_a_path_to_no_single_place_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        JsonPath.parse(path)


def test_a_value_is_named_among_attributes_by_the_last_name_of_its_path() -> None:
    assert attribute_name("$.body.countries[0]") == "countries"


def test_values_are_text_and_lists_of_numbers_are_lists() -> None:
    body = json.dumps({"a": "x", "n": 0.5, "t": True, "z": None, "p": [0.25, 1], "one": 0.5})
    found = values(
        [body, None, "[]"], "$.body.a", "$.body.n", "$.body.t", "$.body.z", "$.body.p", "$.body.one",
        "$.body.p[-1]", lists=("$.body.p", "$.body.one"),
    )  # fmt: skip
    assert found == {
        "$.body.a": ["x", None, None],
        "$.body.n": ["0.5", None, None],
        "$.body.t": ["true", None, None],
        "$.body.z": [None, None, None],
        "$.body.p": [[0.25, 1.0], None, None],
        "$.body.one": [[0.5], None, None],
        "$.body.p[-1]": ["1", None, None],
    }


def test_nan_is_no_value() -> None:
    assert values(['{"n": NaN}'], "$.body.n") == {"$.body.n": [None]}


NAMES = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=5
).filter(lambda name: not name.isdigit())


@tries(15)
@given(st.lists(NAMES, min_size=1, max_size=4), st.text(st.characters(exclude_categories=["Cs"])))
def test_any_name_can_be_followed(names: list[str], value: str) -> None:
    document: Json = value
    for name in reversed(names):
        document = {name: document, "other": 1} if name != "other" else {name: document}
    quoted = "".join("['" + n.replace("\\", "\\\\").replace("'", "\\'") + "']" for n in names)
    path = f"$.body{quoted}"
    assert values([json.dumps(document)], path) == {path: [value]}


@pytest.mark.parametrize("body", ["no JSON", '{"a": 1', '{"a": "\\ud800"}', "{'a': 1}", ""])
def test_a_body_that_is_no_json_is_told(body: str) -> None:
    source = MemorySource()
    source.put("log", [{"body": '{"a": 1}'}, {"body": body}, {"body": None}])
    wrapped = BodiesSource(source, [JsonPath.parse("$.body.a")])
    (file,) = wrapped.files()
    (rows,) = wrapped.read(file, ["$.body.a"])
    assert rows.batch.column("$.body.a").to_pylist() == ["1", None]
    assert list(rows.numbers) == [1, 3]
    assert [(bad.number, bad.why) for bad in rows.unreadable] == [(2, f"body is no JSON: {body}")]


def test_records_in_columns_are_followed_as_json_is(tmp_path: Path) -> None:
    records = pa.table(
        {
            "r": pa.array([{"label": "cat", "p": [0.5]}, None]),
            "m": pa.array([[("k", "v")], []], pa.map_(pa.string(), pa.string())),
        }
    )
    pq.write_table(records, tmp_path / "a.parquet")
    paths = [JsonPath.parse(p) for p in ("$.r.label", "$.m.k")]
    source = BodiesSource(FilesSource(str(tmp_path), "parquet"), paths)
    (file,) = source.files()
    assert source.columns(file).names == ("r", "m", "$.r.label", "$.m.k")
    (rows,) = source.read(file, ["$.r.label", "$.m.k"])
    assert rows.batch.column("$.r.label").to_pylist() == ["cat", None]
    assert rows.batch.column("$.m.k").to_pylist() == ["v", None]


# --- through index ------------------------------------------------------------------------------

BODIES = """
attributes = ["$.request.country"]
class_order = ["cat", "dog"]
[source.columns]
sample_id = "id"
predicted_at = "at"
predicted_class = "$.response.label"
probabilities = "$.response.scores"
model = "$.response.model"
uri = "images/{$.request.key}.png"
"""


SETTINGS = HEAD + '\n[source]\nkind = "jsonl"\nuri = "table"\n' + BODIES


def logged(name: str, response: object, **request: object) -> dict[str, object]:
    return {
        "id": name,
        "at": "2026-03-02T11:00:00Z",
        "request": {"key": name, **request},
        "response": response if isinstance(response, str) else json.dumps(response),
    }


@pytest.fixture
def log(tmp_path: Path, make_world: MakeWorld) -> Log:
    return Log(make_world, tmp_path, "jsonl", BODIES)


def lines(*rows: dict[str, object]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def test_index_reads_what_stands_in_json_bodies(log: Log) -> None:
    log.put("day.jsonl", lines(
        logged("a", {"label": "cat", "scores": [0.75, 0.25], "model": "v7"}, country="CH"),
        logged("b", {"scores": [0.1, 0.9]}),
        logged("c", {"scores": 0.2}),
    ))  # fmt: skip
    assert log.world.loop.index().n_new == 3
    found = {p.sample_id: p for p in log.world.log.predictions(["a", "b", "c"])}
    assert (found["a"].predicted_class, found["a"].model) == ("cat", "v7")
    assert (found["b"].predicted_class, found["c"].predicted_class) == ("dog", "cat")
    rows = {c.sample_id: c for c in log.world.log.rows(ALL, [], [WHOLE_LINE])}
    assert [rows[name].confidence for name in "abc"] == [None, 0.9, 0.8]
    assert rows["a"].uri == "s3://production/images/a.png"
    assert log.world.log.attributes() == {"country"}
    assert log.world.loop.index().n_files == 0


@pytest.mark.parametrize(
    ("response", "reason", "value"),
    [
        (
            {"scores": [0.1, 0.2, 0.7]},
            RejectReason.BAD_ROW,
            "3 probabilities; class_order has 2 classes",
        ),
        ({"scores": [-3.2, 4.1]}, RejectReason.BAD_CONFIDENCE, "-3.2, 4.1"),
        ({"error": "memory"}, RejectReason.NO_CLASS, "nothing at $.response.label"),
        ("<html>502</html>", RejectReason.BAD_ROW, "response is no JSON: <html>502</html>"),
        ({"label": "cow"}, RejectReason.UNKNOWN_CLASS, "cow"),
    ],
)
def test_a_body_that_fits_not_is_rejected_with_its_reason(
    log: Log, response: object, reason: RejectReason, value: str
) -> None:
    log.put("day.jsonl", lines(logged("a", {"label": "cat"}), logged("b", response)))
    found = log.world.loop.index()
    assert (found.n_new, found.n_set_aside) == (1, 1)
    (rejected,) = log.world.loop.rejected()
    assert (rejected.reason, rejected.value) == (reason, value)
    assert rejected.uri.endswith("day.jsonl#2")


def test_a_path_into_a_column_that_is_nowhere_is_an_error(log: Log) -> None:
    log.put("day.jsonl", lines({"id": "a", "at": "2026-03-02T11:00:00Z", "answer": {}}))
    with pytest.raises(ConfigError, match=r"predicted_class = '\$\.response\.label'"):
        log.world.loop.index()


@pytest.mark.parametrize("changed", ['model = "$.response[*]"', 'role = "$.request..role"'])
def test_settings_refuse_what_is_no_path(make_world: MakeWorld, changed: str) -> None:
    with pytest.raises(ConfigError, match="can't be read from"):
        make_world(head=SETTINGS.replace('model = "$.response.model"', changed))


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (
            'class_order = ["cat", "dog"]',
            'class_order = ["cat", "cow"]',
            "'cow' is none of the classes",
        ),
        (
            'attributes = ["$.request.country"]',
            'attributes = ["$.request.country", "country"]',
            "two are called 'country'",
        ),
    ],
)
def test_settings_refuse_classes_and_attributes_that_cannot_be(
    make_world: MakeWorld, old: str, new: str, says: str
) -> None:
    with pytest.raises(ConfigError, match=says):
        make_world(head=SETTINGS.replace(old, new))
