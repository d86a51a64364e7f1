"""index, from a table: each row is in the log once, whatever it is called and however it comes."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest

from labelloop.core.line import LINE_END
from labelloop.core.round import FrameRange, Span
from labelloop.core.row_range import RowRange
from labelloop.core.sample import NO_CLASS, UNUSABLE, RejectReason
from labelloop.core.task import TaskState
from labelloop.core.where import Where
from labelloop.errors import ConfigError, SourceFileBad, SourceFileDenied, StoreDenied
from labelloop.ports.log import LabelPart
from labelloop.steps.index import table as index_table
from labelloop.testing import MemorySource
from labelloop.views.verbs import index_line
from tests.unit.conftest import MakeWorld
from tests.world import HEAD, QUEUES, Killed, World, kill_at_write

SOURCE = """
[source]
kind = "parquet"
uri = "unused"
"""
ALL = FrameRange(batch_to=1_000)
WHOLE_LINE = Span(pattern=0, above=-1, up_to=LINE_END)


def row(sample_id: str, **changes: object) -> dict[str, object]:
    usual = {
        "sample_id": sample_id,
        "predicted_class": "cat",
        "confidence": 0.5,
        "predicted_at": datetime(2026, 3, 2, 11, tzinfo=UTC),
    }
    return usual | changes


def tabled(make_world: MakeWorld, source: str = SOURCE, *, project: str = "") -> World:
    head = HEAD.replace('classes = ["cat", "dog"]', f'classes = ["cat", "dog"]\n{project}')
    return make_world(QUEUES, head=head + source, source=MemorySource(rows_at_a_time=3))


def put(world: World, name: str, rows: Sequence[dict[str, object]] | SourceFileBad) -> None:
    assert world.source is not None
    world.source.put(name, rows)


def held(world: World) -> dict[str, tuple[str, float | None, str]]:
    rows = world.log.rows(ALL, [], [WHOLE_LINE])
    return {c.sample_id: (c.predicted_class, c.confidence, c.uri) for c in rows}


def reasons(world: World) -> dict[str, RejectReason]:
    return {s.uri.removeprefix("memory://"): s.reason for s in world.loop.rejected()}


def test_rows_of_new_files_are_indexed_once(make_world: MakeWorld) -> None:
    world = tabled(make_world)
    put(world, "monday", [row(f"a{i}.png") for i in range(7)])
    first = world.loop.index()
    assert (first.n_new, first.n_files, first.n_rows, first.n_listed) == (7, 1, 7, 0)
    put(world, "tuesday", [row("b.png", predicted_class="dog", confidence=1)])
    second = world.loop.index()
    assert (second.n_new, second.n_files, second.n_rows) == (1, 1, 1)
    assert world.loop.index().n_files == 0
    assert held(world)["b.png"] == ("dog", 1.0, "s3://production/b.png")
    assert len(held(world)) == 8


def test_columns_have_the_names_that_the_table_gives_them(make_world: MakeWorld) -> None:
    columns = """
confidence_divisor = 100
predicted_at_unit = "milliseconds"
attributes = ["*"]
[source.columns]
sample_id = "request_id"
confidence = "score"
predicted_at = "ts"
uri = "s3://production/{day}/{request_id}.png"
"""
    world = tabled(make_world, SOURCE + columns)
    at = int(datetime(2026, 3, 2, 11, tzinfo=UTC).timestamp() * 1000)
    one = {"request_id": 17, "score": 91, "ts": at, "day": "mon", "predicted_class": "cat"}
    put(world, "monday", [one | {"country": "CH", "length": 3}, one | {"request_id": 18}])
    assert world.loop.index().n_new == 2
    assert held(world)["17"] == ("cat", 0.91, "s3://production/mon/17.png")
    swiss = Where.parse("attributes.country = 'CH' and attributes.length = '3'")
    span = Span(pattern=1, above=-1, up_to=LINE_END)
    assert [c.sample_id for c in world.log.rows(ALL, [swiss], [span])] == ["17"]
    assert world.log.attributes() == {"country", "length"}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"sample_id": None}, RejectReason.NO_SAMPLE_ID),
        ({"predicted_at": None}, RejectReason.NO_TIMESTAMP),
        ({"predicted_class": None}, RejectReason.NO_CLASS),
        ({"predicted_class": "cow"}, RejectReason.UNKNOWN_CLASS),
        ({"confidence": 1.2}, RejectReason.BAD_CONFIDENCE),
        ({"confidence": float("inf")}, RejectReason.BAD_CONFIDENCE),
        ({"role": "canary"}, RejectReason.BAD_ROLE),
        ({"uri": "http://elsewhere/a.png"}, RejectReason.BAD_URI),
        ({"uri": None}, RejectReason.NO_URI),
    ],
)
def test_a_bad_row_is_set_aside_with_its_file_and_place(
    make_world: MakeWorld, changes: dict[str, object], reason: RejectReason
) -> None:
    world = tabled(make_world, SOURCE + '[source.columns]\nuri = "uri"\n')
    good = row("good.png", uri="good.png", role=None)
    put(world, "monday", [good, good | {"sample_id": "bad.png"} | changes])
    found = world.loop.index()
    assert (found.n_new, found.n_set_aside) == (1, 1)
    assert reasons(world) == {"monday#2": reason}
    again = world.loop.index()
    assert again.n_set_aside_in_all == 1
    assert "says why" not in index_line(found) + index_line(again)
    put(world, "tuesday", [good | {"sample_id": "worse.png"} | changes])
    third = world.loop.index()
    assert "(1 row in 1 file)" in index_line(third)
    assert index_line(third).endswith("`labelloop status --rejected` says why")
    with world.loop.project.ledger.read() as tx:
        from labelloop.ledger import rejects

        assert rejects.outside_frames(tx, None) == RowRange(2, 2)


def test_timestamps_come_as_text_too(make_world: MakeWorld) -> None:
    world = tabled(make_world)
    texts = ["2026-03-02T11:00:00+01:00", " 2026-03-02 10:00:00.25 ", "2026-03-02", "yesterday", ""]
    put(world, "monday", [row(f"{i}", predicted_at=text) for i, text in enumerate(texts)])
    world.loop.index()
    found = {c.sample_id: c.predicted_at.isoformat() for c in world.log.rows(ALL, [], [WHOLE_LINE])}
    assert found == {
        "0": "2026-03-02T10:00:00+00:00",
        "1": "2026-03-02T10:00:00.250000+00:00",
        "2": "2026-03-02T00:00:00+00:00",
    }
    assert reasons(world) == {
        "monday#4": RejectReason.BAD_TIMESTAMP,
        "monday#5": RejectReason.NO_TIMESTAMP,
    }


def test_a_wrong_unit_of_time_is_noticed(make_world: MakeWorld) -> None:
    world = tabled(make_world, SOURCE + 'predicted_at_unit = "milliseconds"\n')
    put(world, "monday", [row("a", predicted_at=1_772_449_200)])
    world.loop.index()
    assert reasons(world) == {"monday#1": RejectReason.BAD_TIMESTAMP}


@pytest.mark.parametrize("at", [1_772_449_200, 1_772_449_200.5, "1772449200"])
def test_numbers_without_a_unit_of_time_are_an_error(make_world: MakeWorld, at: object) -> None:
    world = tabled(make_world)
    put(world, "monday", [row("a", predicted_at=at)])
    with pytest.raises(ConfigError, match="predicted_at_unit"):
        world.loop.index()


def test_a_confidence_in_single_precision_is_what_was_meant(make_world: MakeWorld) -> None:
    world = tabled(make_world)
    single = pa.scalar(0.9, pa.float32())
    assert single.as_py() != 0.9
    put(world, "monday", [row("a", confidence=single), row("b", confidence=None)])
    world.loop.index()
    assert {k: v[1] for k, v in held(world).items()} == {"a": 0.9, "b": None}


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ('confidence = "confidnce"', "did you mean 'confidence'"),
        ('sample_id = "sample"', "did you mean 'sample_id'"),
        ('uri = "s3://b/{sample_uid}.png"', "did you mean 'sample_id'"),
        ('model = "zzz"', "it has sample_id, predicted_class"),
    ],
)
def test_a_mistyped_column_is_an_error_that_names_the_nearest(
    make_world: MakeWorld, columns: str, said: str
) -> None:
    world = tabled(make_world, f"{SOURCE}[source.columns]\n{columns}\n")
    put(world, "monday", [row("a")])
    with pytest.raises(ConfigError, match=r"\[source.columns\]") as error:
        world.loop.index()
    assert said in error.value.remedy
    assert held(world) == {}


def test_a_mistyped_attribute_is_an_error_too(make_world: MakeWorld) -> None:
    world = tabled(make_world, SOURCE + 'attributes = ["contry"]\n')
    put(world, "monday", [row("a", country="CH")])
    with pytest.raises(ConfigError, match="contry"):
        world.loop.index()


def test_the_same_sample_in_two_files_is_one(make_world: MakeWorld) -> None:
    world = tabled(make_world)
    put(world, "monday", [row("a"), row("b"), row("a")])
    put(world, "tuesday", [row("a", confidence=0.51), row("b", predicted_class="dog")])
    assert world.loop.index().n_new == 2
    put(world, "wednesday", [row("a", confidence=0.6), row("a", predicted_class="dog")])
    assert world.loop.index().n_new == 0
    assert held(world)["a"][:2] == ("cat", 0.5)
    assert reasons(world) == {
        "tuesday#2": RejectReason.CHANGED,
        "wednesday#2": RejectReason.CHANGED,
    }


def test_the_same_sample_in_tags_and_table_is_one(make_world: MakeWorld) -> None:
    world = tabled(make_world, SOURCE + "with_tags = true\n")
    world.put("a.png", confidence="0.50")
    world.put("b.png", predicted_class="dog")
    world.put("c.png")
    world.store.put("d.png", b"d")
    put(world, "monday", [row("a.png", confidence=0.503), row("b.png"), row("d.png")])
    world.clock.pass_(hours=1)
    first = world.loop.index()
    assert (first.n_new, first.n_listed, first.n_rows) == (4, 4, 3)
    assert {s.uri: s.reason for s in world.loop.rejected()} == {
        "s3://production/b.png": RejectReason.CHANGED
    }
    put(world, "tuesday", [row("c.png", confidence=0.9), row("e.png")])
    assert world.loop.index().n_new == 1
    assert held(world)["c.png"][1] == 0.5


def test_another_model_and_a_shadow_enter_no_frame(make_world: MakeWorld) -> None:
    world = tabled(make_world)
    rows = [
        row("a", model="m1"),
        row("a", model="m2", predicted_class="dog"),
        row("a", model="m3", role="shadow", predicted_class="dog"),
    ]
    put(world, "monday", rows)
    assert world.loop.index().n_new == 3
    put(world, "monday again", rows)
    assert world.loop.index().n_new == 0
    assert held(world)["a"][0] == "cat"
    assert sorted((r.role, r.model) for r in world.log.predictions(["a"])) == [
        ("repeated", "m2"),
        ("serving", "m1"),
        ("shadow", "m3"),
    ]


def test_a_row_without_a_prediction_may_say_what_a_user_said(make_world: MakeWorld) -> None:
    world = tabled(make_world)
    nothing = {"predicted_class": None, "confidence": None, "predicted_at": None}
    put(
        world,
        "monday",
        [
            row("a"),
            row("b"),
            row("c", **nothing),
            row("a", **nothing, flagged=True),
            row("b", **nothing, corrected_class="dog"),
        ],
    )
    found = world.loop.index()
    assert (found.n_new, found.n_feedback) == (2, 2)
    assert list(reasons(world).values()) == [RejectReason.NO_TIMESTAMP]
    put(world, "tuesday", [row("a", **nothing, flagged=False), row("b", **nothing, flagged=False)])
    found = world.loop.index()
    assert (found.n_new, found.n_feedback, found.n_rows) == (0, 1, 2)
    heard = world.log.received(0, 1_000, Where.parse("flagged or corrected_class is not null"))
    assert {(c.sample_id, c.flagged, c.corrected_class) for c in heard} == {("b", None, "dog")}


def test_feedback_comes_with_the_rows_or_after_them(make_world: MakeWorld) -> None:
    world = tabled(make_world)
    put(world, "monday", [row("a", flagged=True), row("b", flagged=False), row("c")])
    assert world.loop.index().n_feedback == 1
    put(
        world,
        "tuesday",
        [
            row("a", flagged="false"),
            row("b", corrected_class="dog"),
            row("c", flagged="maybe"),
            row("d", corrected_class="cow"),
        ],
    )
    found = world.loop.index()
    assert (found.n_feedback, found.n_new) == (2, 1)
    any_feedback = Where.parse("flagged or corrected_class is not null")
    heard = world.log.received(0, 1_000, any_feedback)
    assert {(c.sample_id, c.flagged, c.corrected_class) for c in heard} == {("b", None, "dog")}
    assert reasons(world) == {
        "tuesday#3": RejectReason.BAD_FLAG,
        "tuesday#4": RejectReason.UNKNOWN_CORRECTION,
    }


def test_rows_set_aside_are_read_again_when_it_can_have_changed(make_world: MakeWorld) -> None:
    world = tabled(make_world)
    put(world, "monday", [row("a"), row("b", predicted_class="cow")])
    put(world, "tuesday", [row("c")])
    assert world.loop.index().n_set_aside == 1
    text = (world.folder / "labelloop.toml").read_text()
    world.configure("", head=text.replace('"dog"]', '"dog", "cow"]'))
    found = world.loop.index()
    assert (found.n_new, found.n_files, found.n_set_aside_in_all) == (1, 1, 0)


def test_a_file_that_changed_is_read_again(make_world: MakeWorld) -> None:
    world = tabled(make_world)
    put(world, "monday", [row("a"), row("b", confidence=7)])
    world.loop.index()
    put(world, "monday", [row("a"), row("b", confidence=0.7), row("c")])
    found = world.loop.index()
    assert (found.n_new, found.n_rows, found.n_set_aside_in_all) == (2, 3, 0)


def test_a_file_that_cannot_be_read_is_set_aside_and_the_others_are_read(
    make_world: MakeWorld,
) -> None:
    world = tabled(make_world)
    put(world, "broken", SourceFileBad("no footer"))
    put(world, "good", [row("a")])
    found = world.loop.index()
    assert (found.n_new, found.n_set_aside) == (1, 1)
    assert reasons(world) == {"broken": RejectReason.BAD_FILE}
    put(world, "broken", [row("b")])
    found = world.loop.index()
    assert (found.n_new, found.n_set_aside_in_all) == (1, 0)


def test_a_file_that_is_denied_is_set_aside_and_tried_each_time(make_world: MakeWorld) -> None:
    world = tabled(make_world)
    put(world, "good", [row("a")])
    put(world, "closed", SourceFileDenied("access is denied"))
    for n_new in (1, 0):
        found = world.loop.index()
        assert (found.n_new, found.n_set_aside_in_all) == (n_new, 1)
        assert reasons(world) == {"closed": RejectReason.BAD_FILE}
    put(world, "closed", [row("b")])
    found = world.loop.index()
    assert (found.n_new, found.n_set_aside_in_all) == (1, 0)


def test_a_denied_file_that_is_gone_hides_nothing_any_more(make_world: MakeWorld) -> None:
    world = tabled(make_world)
    put(world, "good", [row("a")])
    put(world, "closed", SourceFileDenied("it is not there any more"))
    assert world.loop.index().n_set_aside_in_all == 1
    assert world.source is not None
    world.source.drop("closed")
    assert world.loop.index().n_set_aside_in_all == 0


def test_a_key_that_may_open_no_file_stops_the_verb(make_world: MakeWorld) -> None:
    world = tabled(make_world)
    denied = SourceFileDenied("access is denied")
    put(world, "one", denied)
    put(world, "two", denied)
    with pytest.raises(StoreDenied, match=r"none of 2 listed files .* access is denied"):
        world.loop.index()
    put(world, "one", [row("a")])
    assert world.loop.index().n_new == 1
    put(world, "one", denied)
    with pytest.raises(StoreDenied, match="access is denied"):
        world.loop.index()


def test_what_was_rewritten_into_other_files_is_counted_once(make_world: MakeWorld) -> None:
    world = make_world(QUEUES, head=HEAD + SOURCE, source=MemorySource(rewrites=True))
    assert world.source is not None
    put(world, "one", [row("a"), row("b", confidence=7)])
    put(world, "two", [row("c", confidence=8)])
    world.loop.index()
    world.source.drop("one")
    world.source.drop("two")
    put(world, "compacted", [row("a"), row("b", confidence=7), row("c", confidence=8), row("d")])
    found = world.loop.index()
    assert (found.n_new, found.n_set_aside_in_all) == (1, 2)


@pytest.mark.parametrize("at", range(1, 13))
def test_a_run_that_is_killed_anywhere_is_carried_on(
    make_world: MakeWorld, at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_table, "BATCH_ROWS", 4)
    world = tabled(make_world)
    put(world, "monday", [row(f"a{i}", flagged=i % 2 == 0) for i in range(8)])
    put(world, "tuesday", [row("b"), row("a1"), row("x", confidence=9)])
    kill_at_write(world, at)
    with pytest.raises(Killed):
        world.loop.index()
    world.restart()
    world.loop.index()
    assert sorted(held(world)) == [*(f"a{i}" for i in range(8)), "b"]
    counted = sum(c.n for c in world.log.counts(ALL, ()))
    assert counted == 9
    heard = world.log.received(0, 1_000, Where.parse("flagged"))
    assert {c.sample_id for c in heard} == {"a0", "a2", "a4", "a6"}
    assert reasons(world) == {"tuesday#3": RejectReason.BAD_CONFIDENCE}
    assert world.loop.index().n_files == 0


def test_an_unusable_answer_is_an_error_if_the_settings_say_so(make_world: MakeWorld) -> None:
    world = tabled(make_world, project='invalid_prediction = "wrong"')
    rows = [row(f"ok{i}", confidence=0.99) for i in range(2)]
    rows += [row("null", predicted_class=None, confidence=0.99)]
    rows += [row("prose", predicted_class="I think it is a cat.", confidence=0.99)]
    put(world, "monday", rows)
    found = world.loop.index()
    assert (found.n_new, found.n_set_aside) == (4, 0)
    assert {k: v[0] for k, v in held(world).items()} == {
        "ok0": "cat",
        "ok1": "cat",
        "null": NO_CLASS,
        "prose": NO_CLASS,
    }
    prose = Where.parse(f"attributes.{UNUSABLE} like 'I think%'")
    span = Span(pattern=1, above=-1, up_to=LINE_END)
    assert [c.sample_id for c in world.log.rows(ALL, [prose], [span])] == ["prose"]
    world.store.put("ok0", b"0")
    for name in ("ok0", "ok1", "null", "prose"):
        world.store.put(name, name.encode())
    world.loop.run(now=True)
    world.answer_all("cat")
    done = world.loop.run()
    assert done.measured is not None
    assert done.measured.last_seven_days.estimate.value == 0.5  # type: ignore[union-attr]
    part = LabelPart(frames=(ALL,), min_confidence=0.9)
    by_class = {
        row.name: row.precision.value  # type: ignore[union-attr]
        for row in done.measured.by_class.rows
    }
    assert by_class == {"cat": 1.0, "no class": 0.0}
    labels = world.log.model_labels([part], without_samples=[], without_content=[])
    assert {m for batch in labels for m in batch.column("sample_id").to_pylist()} == {"ok0", "ok1"}


def test_tags_that_name_no_class_are_errors_too(make_world: MakeWorld) -> None:
    head = HEAD.replace("[store]", 'invalid_prediction = "wrong"\n[store]', 1)
    world = make_world(QUEUES, head=head)
    world.put("a.png", predicted_class="cow")
    world.put("b.png", predicted_class="cow", confidence="abc")
    world.put("c.png", predicted_class="")
    found = world.loop.index()
    assert (found.n_new, found.n_set_aside) == (2, 1)
    assert {k: v[0] for k, v in held(world).items()} == {"a.png": NO_CLASS, "c.png": NO_CLASS}


def test_a_delta_table_may_be_compacted_and_updated(make_world: MakeWorld, tmp_path: Path) -> None:
    from deltalake import DeltaTable, write_deltalake

    uri = str(tmp_path / "table")

    def write(*rows: dict[str, object]) -> None:
        write_deltalake(
            uri, pa.Table.from_pylist([r | {"flagged": False} for r in rows]), mode="append"
        )

    write(row("a"), row("b", confidence=7.0))
    source = f'[source]\nkind = "delta"\nuri = "{uri}"\n'
    world = make_world(QUEUES, head=HEAD + source)
    assert world.loop.index().n_new == 1
    write(row("c"), row("a"))
    assert world.loop.index().n_new == 1
    DeltaTable(uri).optimize.compact()
    found = world.loop.index()
    assert (found.n_new, found.n_files, found.n_rows, found.n_set_aside_in_all) == (0, 1, 4, 1)
    DeltaTable(uri).update(predicate="sample_id = 'c'", updates={"flagged": "true"})
    found = world.loop.index()
    assert (found.n_new, found.n_feedback, found.n_set_aside_in_all) == (0, 1, 1)
    heard = world.log.received(0, 1_000, Where.parse("flagged"))
    assert [c.sample_id for c in heard] == ["c"]


def test_inputs_may_lie_in_a_folder(make_world: MakeWorld, tmp_path: Path) -> None:
    from labelloop.adapters.folder.store import FolderStore

    (tmp_path / "inputs" / "a b").mkdir(parents=True)
    (tmp_path / "inputs" / "a b" / "50% #1.png").write_bytes(b"png")
    (tmp_path / "inputs" / "%41.png").write_bytes(b"no letter")
    (tmp_path / "inputs" / "A.png").write_bytes(b"letter")
    store = FolderStore(f"file://{tmp_path}/inputs", blind_uri=f"file://{tmp_path}/blind")
    head = HEAD.replace('uri = "s3://production"', f'uri = "file://{tmp_path}/inputs"')
    start, _, rest = head.partition("endpoint_url")
    head = f'{start}blind_uri = "file://{tmp_path}/blind"\n[label_studio]{rest.partition("[label_studio]")[2]}'
    world = make_world(QUEUES, head=head + SOURCE, source=MemorySource())
    rows = [row("a b/50% #1.png"), row("b", predicted_class="dog"), row("%41.png"), row("A.png")]
    put(world, "monday", rows)
    assert world.loop.index().n_new == 4
    uris = {sample_id: uri for sample_id, (_, _, uri) in held(world).items()}
    assert store.read(uris["a b/50% #1.png"]) == b"png"
    assert not store.exists(uris["b"])
    assert store.read(uris["%41.png"]) == b"no letter"
    assert store.read(uris["A.png"]) == b"letter"
    listed = {o.sample_id: o.uri for page in store.objects() for o in page}
    assert {key: uris[key] for key in listed} == listed, "the same sample by two ways is one"


def test_rows_of_a_forgotten_sample_are_passed_by(make_world: MakeWorld) -> None:
    world = tabled(make_world)
    put(world, "monday", [row(f"{name}.png", flagged=name == "b") for name in "abc"])
    world.loop.index()
    done = world.loop.forget(["b.png", "late.png"], unknown_too=True)
    assert (done.n_predictions, done.n_feedback) == (1, 1)
    put(world, "monday", [row(f"{name}.png", flagged=True) for name in "abcd"])
    put(world, "tuesday", [row("late.png", model="m2"), row("b.png", corrected_class="dog")])
    indexed = world.loop.index()
    assert (indexed.n_new, indexed.n_rows, indexed.n_set_aside) == (1, 6, 0)
    assert set(held(world)) == {"a.png", "c.png", "d.png"}
    assert world.log.held(["b.png", "late.png"]) == []


def test_a_hash_that_a_table_gives_is_not_compared_with_the_object(make_world: MakeWorld) -> None:
    world = tabled(make_world, SOURCE + '[source.columns]\ncontent_hash = "pixels"\n')
    keys = [f"{i}.png" for i in range(8)]
    for key in keys:
        world.store.put(key, key.encode())
    put(world, "monday", [row(key, pixels=f"{i:032x}") for i, key in enumerate(keys)])
    world.loop.run(now=True)
    assert world.loop.send().n_unavailable == 0
    assert world.states().keys() == {TaskState.SENT}
