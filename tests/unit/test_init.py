"""What `labelloop init` proposes, and the file it writes."""

import csv
import json
import random
import tomllib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result
from pyiceberg.catalog.sql import SqlCatalog

from labelloop.cli.asking import VARIABLES, Asker
from labelloop.cli.init_store import inputs, look
from labelloop.cli.init_table import table
from labelloop.cli.main import group
from labelloop.doctor.glimpse import glimpse
from labelloop.errors import ArgumentError, StoreDenied
from labelloop.settings.file import load
from labelloop.setup.first_settings import Answers, LabelStudio, text
from labelloop.setup.proposal import Proposal, per_day, propose, tag_names
from labelloop.testing import MemoryStore
from tests.json_documents import result_of

NOW = datetime(2026, 3, 2, tzinfo=UTC)
ENVIRONMENT = {"KEY": "k", "SECRET": "hush", "TOKEN": "t"}


def predictions(n: int = 200, **names: str) -> list[dict[str, str]]:
    rng = random.Random(1)
    called = {k: names.get(k, k) for k in ("predicted_class", "confidence", "timestamp")}
    return [
        {
            called["predicted_class"]: rng.choice(["Bread", "Soup / stew", 'the "rest"']),
            called["confidence"]: f"{(i + 0.5) / n:.4f}",
            called["timestamp"]: (NOW - timedelta(hours=i)).isoformat(),
        }
        for i in range(n)
    ]


def proposal(tagged: list[dict[str, str]], n_listed: int = 1000, **changes: Any) -> Proposal:
    moments = changes.get("moments", [NOW - timedelta(hours=i) for i in range(len(tagged))])
    return propose(tagged, moments, n_listed=n_listed)


def answers(**changes: Any) -> Answers:
    given: dict[str, Any] = {
        "name": "food",
        "classes": ["Bread", "Soup / stew", 'the "rest"'],
        "store": {
            "uri": "s3://production",
            "endpoint_url": "http://127.0.0.1:9000",
            "access_key": "${KEY}",
            "secret_key": "${SECRET}",
        },
        "blind_uri": "s3://production-blind",
        "label_studio": LabelStudio(url="http://127.0.0.1:8080", api_key="${TOKEN}"),
    }
    return Answers(**(given | changes))


@pytest.mark.parametrize(
    ("called", "found"),
    [
        ({}, ("predicted_class", "confidence", "timestamp")),
        (
            {"predicted_class": "label", "confidence": "score", "timestamp": "created_at"},
            ("label", "score", "created_at"),
        ),
        (
            {"predicted_class": "X-Predicted-Class", "confidence": "Confidence", "timestamp": "t0"},
            ("X-Predicted-Class", "Confidence", "t0"),
        ),
        (
            {"predicted_class": "what", "confidence": "how_sure", "timestamp": "when"},
            ("what", "how_sure", "when"),
        ),
    ],
)
def test_tags_are_recognised_by_name_or_by_what_they_hold(
    called: Mapping[str, str], found: tuple[str, ...]
) -> None:
    names, missing = tag_names(predictions(**called))
    assert (names.predicted_class, names.confidence, names.timestamp) == found
    assert missing == ()


def test_a_tag_whose_values_cant_be_it_isnt_taken_for_it() -> None:
    tagged = [{**tags, "confidence": f"{i} of 9"} for i, tags in enumerate(predictions(30))]
    _, missing = tag_names(tagged)
    assert missing == ("confidence",)


@pytest.mark.parametrize(
    ("written", "divisor"), [("{:.1f}", 100), ("{:.1f} %", 100), ("0,{:03.0f}", 1)]
)
def test_confidences_on_another_scale_are_recognised(written: str, divisor: int) -> None:
    tagged = [
        {**tags, "confidence": written.format(i / 2)} for i, tags in enumerate(predictions(200))
    ]
    seen = proposal(tagged)
    assert (seen.missing, seen.confidence_divisor) == ((), divisor)
    assert f"confidence_divisor = {divisor}" in text(answers(), seen)
    assert seen.below[0.5] == pytest.approx(0.5 if divisor == 100 else 1, abs=0.02)


def test_two_tags_that_could_be_the_class_are_left_to_the_person() -> None:
    tagged = [{"colour": "red" if i % 2 else "blue", "shape": "ab"[i % 2]} for i in range(30)]
    assert "predicted_class" in tag_names(tagged)[1]


def test_counts_a_day_come_from_the_last_week() -> None:
    moments = [NOW - timedelta(hours=i) for i in range(24 * 28)]  # four weeks, one an hour
    assert per_day(moments, n_listed=24 * 28) == pytest.approx(24, rel=0.02)
    assert per_day(moments, n_listed=24 * 28 * 10) == pytest.approx(240, rel=0.02)


def test_a_bucket_filled_at_once_says_nothing_of_its_traffic() -> None:
    assert per_day([NOW + timedelta(minutes=i) for i in range(60)], n_listed=60) is None
    tagged = [{k: v for k, v in t.items() if k != "timestamp"} for t in predictions(20)]
    assert proposal(tagged, moments=[NOW] * 20).expected(0.25) == "about 25% of all"


def test_a_few_tags_that_cant_be_read_change_nothing_of_what_is_proposed() -> None:
    good = predictions(100)
    bad = [
        {**good[0], "timestamp": "yesterday"},
        {**good[1], "confidence": "97 percent"},
        {**good[2], "confidence": "1.3"},
        {},
    ]
    seen = proposal(good + bad, n_listed=104)
    assert seen.missing == ()
    # the clear ones are an hour apart
    assert seen.per_day == pytest.approx(24, rel=0.1)


def test_the_file_loads_and_says_what_each_queue_would_get(tmp_path: Path) -> None:
    tagged = predictions(200)
    written = text(answers(), proposal(tagged, n_listed=2000))
    path = tmp_path / "labelloop.toml"
    path.write_text(written)
    settings = load(path, ENVIRONMENT)
    assert [q.name for q in settings.queue] == ["accuracy", "low-confidence", "flagged"]
    assert settings.project.classes == ["Bread", "Soup / stew", 'the "rest"']
    assert settings.training.confidence is None
    # 2,000 over 199 hours: 240 a day; the confidences are spread evenly
    assert 'where = "confidence < 0.5"' in written
    assert "confidence < 0.5: about 120 a day; below 0.7 about 170 a day, below 0.9" in written
    assert "budget = 120 # labels a round, of about 240 a day" in written
    assert all(secret not in written for secret in ("hush", '"k"'))


def test_other_tag_names_and_odd_classes_load_too(tmp_path: Path) -> None:
    odd = ["日本語", "a\\b", "50% off", "tab less", "'single'"]
    tagged = [
        {"label": odd[i % 5], "score": "0.2", "when": NOW.isoformat(), "corrected": odd[0]}
        for i in range(50)
    ]
    path = tmp_path / "labelloop.toml"
    path.write_text(text(answers(classes=odd), proposal(tagged)))
    settings = load(path, ENVIRONMENT)
    assert settings.project.classes == odd
    assert settings.store.tags.predicted_class == "label"
    assert settings.store.tags.corrected_class == "corrected"


def test_without_a_confidence_there_is_no_queue_for_it(tmp_path: Path) -> None:
    tagged = [{k: v for k, v in t.items() if k != "confidence"} for t in predictions(50)]
    written = text(answers(), proposal(tagged))
    assert [q["name"] for q in tomllib.loads(written)["queue"]] == ["accuracy", "flagged"]
    assert "No tag seems to hold the confidence" in written


def test_a_glimpse_is_spread_over_the_listing_and_always_the_same() -> None:
    store = MemoryStore("s3://production", page_size=50)
    for i in range(400):
        store.put(f"{i // 100}/{i:03}.png")
    first = glimpse(store, progress=lambda _w, _d, _t: None, n_objects=40)
    again = glimpse(store, progress=lambda _w, _d, _t: None, n_objects=40)
    assert first == again
    assert (len(first.objects), first.n_listed, first.whole) == (40, 400, True)
    assert {o.sample_id[0] for o in first.objects} == set("0123")


@pytest.mark.parametrize(
    ("environment", "written"),
    [
        ({"AWS_REGION": "eu-central-1"}, {"region": "eu-central-1"}),
        ({"AWS_PROFILE": "team"}, {}),
        (
            {"MINIO_URL": "http://a", "MINIO_USER": "b", "MINIO_PASSWORD": "c"},
            {
                "endpoint_url": "${MINIO_URL}",
                "access_key": "${MINIO_USER}",
                "secret_key": "${MINIO_PASSWORD}",
            },
        ),
        (
            {
                "AWS_ENDPOINT_URL": "http://a",
                "AWS_ACCESS_KEY_ID": "b",
                "AWS_SECRET_ACCESS_KEY": "c",
                "AWS_SESSION_TOKEN": "d",
            },
            {
                "endpoint_url": "${AWS_ENDPOINT_URL}",
                "access_key": "${AWS_ACCESS_KEY_ID}",
                "secret_key": "${AWS_SECRET_ACCESS_KEY}",
                "session_token": "${AWS_SESSION_TOKEN}",
            },
        ),
    ],
)
def test_the_server_and_its_keys_are_named_as_the_environment_has_them(
    environment: dict[str, str], written: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in {n for names in VARIABLES.values() for n in names} | {
        "AWS_REGION",
        "AWS_DEFAULT_REGION",
        "AWS_SESSION_TOKEN",
    }:
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    place = inputs(
        Asker(yes=True), Path("labelloop.toml"), bucket="b", folder=None, endpoint_url=None
    )
    assert place.written == {**written, "uri": "s3://b"}


# --- a folder, and a table of predictions ------------------------------------------------------


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to run in, and a Label Studio that nobody answers at."""
    for name in {n for names in VARIABLES.values() for n in names}:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LABEL_STUDIO_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("LABEL_STUDIO_USER_TOKEN", "0" * 40)
    monkeypatch.setattr("time.sleep", lambda _seconds: None)  # it is asked more than once
    own = tmp_path / "own"
    own.mkdir()
    monkeypatch.chdir(own)
    return own


def photos(folder: Path, n: int = 40, *, beside: bool) -> None:
    for i in range(n):
        photo = folder / f"{i % 3}" / f"a b {i:02}.jpg"
        photo.parent.mkdir(parents=True, exist_ok=True)
        photo.write_bytes(b"\xff\xd8\xff" + bytes(600_000 if i == 0 else 10))
        if beside:
            said = {
                "label": ("sea/calm", "sea/rough")[i % 2],
                "score": i / n,
                "when": (NOW + timedelta(hours=i)).isoformat(),
            }
            photo.with_name(photo.name + ".json").write_text(json.dumps(said))


def init(*flags: str) -> Result:
    return CliRunner().invoke(group, ["init", "--yes", *flags])


def test_a_folder_with_a_json_beside_each_file_needs_no_bucket(here: Path) -> None:
    photos(here.parent / "photos", beside=True)
    done = init("--folder", "../photos")
    assert done.exit_code == 0, done.output
    assert "../photos holds 40 objects; all were looked at" in done.output
    settings = load(here / "labelloop.toml")
    assert settings.store.uri == (here.parent / "photos").as_uri()
    assert settings.store.blind_uri is None
    assert settings.store.tags.predicted_class == "label"
    assert settings.project.classes == ["sea/calm", "sea/rough"]
    assert settings.project.name == "photos"
    written = (here / "labelloop.toml").read_text()
    assert "1 of the 40 checked are larger" in written


def test_what_was_written_and_seen_is_json_too(here: Path) -> None:
    photos(here.parent / "photos", beside=True)
    found = result_of(init("--folder", "../photos", "--json").stdout, "init")
    assert found["config"] == "labelloop.toml"
    assert found["seen"]["n_looked_at"] == 40


def test_what_is_no_input_is_left_out_of_the_listing_and_in_the_file(here: Path) -> None:
    photos(here.parent / "photos", beside=True)
    for name in ("Thumbs.db", "@eaDir/a.jpg", "1/.DS_Store", "notes.txt", "1/more.txt"):
        path = here.parent / "photos" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"no photo")
    done = init("--folder", "../photos", "--exclude", "*.txt", "--exclude", "Thumbs.db")
    assert done.exit_code == 0, done.output
    assert "../photos holds 40 objects; all were looked at" in done.output
    assert "left out:        *.txt, Thumbs.db, " in done.output
    excluded = load(here / "labelloop.toml").store.exclude
    assert excluded[:2] == ["*.txt", "Thumbs.db"]
    assert excluded.count("Thumbs.db") == 1
    assert "@eaDir/**" in excluded
    assert "desktop.ini" not in excluded


def test_a_spelling_that_is_hardly_ever_seen_is_no_class_of_its_own(here: Path) -> None:
    photos(here.parent / "photos", beside=True)
    odd = here.parent / "photos" / "0" / "odd.jpg"
    odd.write_bytes(b"\xff\xd8\xffodd")
    said = {"label": "Sea/Calm", "score": 0.5, "when": NOW.isoformat()}
    odd.with_name("odd.jpg.json").write_text(json.dumps(said))
    done = init("--folder", "../photos")
    assert "class 'Sea/Calm', which only looks unlike 'sea/calm'" in done.output
    assert load(here / "labelloop.toml").project.classes == ["sea/calm", "sea/rough"]


def test_the_settings_dont_lie_among_the_inputs(here: Path) -> None:
    done = init("--folder", "..")
    assert "would be inside the folder of the inputs" in str(done.exception)
    assert not (here / "labelloop.toml").exists()


def rows(n: int = 40) -> list[dict[str, Any]]:
    return [
        {
            "request_id": f"r{i:03}",
            "answer": ("sea/calm", "sea/rough")[i % 2],
            "score": None if i == 5 else 100 * (i + 0.5) / n,
            "ts": int((NOW + timedelta(hours=i)).timestamp() * 1000),
            "picture": f"{i % 3}/a b {i:02}.jpg",
            "country": ("CH", "DE", None)[i % 3],
        }
        for i in range(n)
    ]


def write_table(kind: str, at: Path) -> None:
    at.parent.mkdir(parents=True)
    if kind == "parquet":
        pq.write_table(pa.Table.from_pylist(rows()), at)
    elif kind == "jsonl":
        at.write_text("".join(json.dumps(row) + "\n" for row in rows()))
    else:
        with at.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows()[0]))
            writer.writeheader()
            writer.writerows(rows())


@pytest.mark.parametrize(
    ("kind", "whole"),
    [("parquet", "folder"), ("jsonl", "folder"), ("csv", "folder"), ("csv", "file")],
)
def test_columns_of_a_table_are_recognised_and_its_inputs_found(
    here: Path, kind: str, whole: str
) -> None:
    photos(here.parent / "photos", beside=False)
    table = here.parent / "logs" / f"part-0.{kind}"
    write_table(kind, table)
    given = "../logs" if whole == "folder" else f"../logs/part-0.{kind}"
    done = init("--folder", "../photos", "--source", given)
    assert done.exit_code == 0, (done.output, done.exception)
    source = load(here / "labelloop.toml").source
    assert source is not None
    assert (source.kind, Path(source.uri)) == (
        kind,
        table if whole == "file" else table.parent,
    )
    assert (source.confidence_divisor, source.predicted_at_unit) == (100, "milliseconds")
    assert source.attributes == ["country"]
    called = source.columns
    assert (called.sample_id, called.predicted_class) == ("request_id", "answer")
    assert (called.confidence, called.predicted_at) == ("score", "ts")
    assert called.uri == "picture"  # by no usual name, but its values are there
    assert "about 25 a day" in (here / "labelloop.toml").read_text()


def test_a_table_whose_inputs_arent_found_says_what_to_set(here: Path) -> None:
    photos(here.parent / "elsewhere", 3, beside=False)
    write_table("csv", here.parent / "logs" / "a.csv")
    done = init("--folder", "../elsewhere", "--source", "../logs")
    assert done.exit_code == 0, (done.output, done.exception)
    assert "no input in ../elsewhere is called r037" in done.output
    assert '# uri = "images/{request_id}.jpg"' in (here / "labelloop.toml").read_text()


def test_parquet_files_of_a_delta_table_are_taken_for_one(here: Path) -> None:
    import deltalake

    photos(here.parent / "photos", beside=False)
    deltalake.write_deltalake(here.parent / "lake", pa.Table.from_pylist(rows()))
    done = init("--folder", "../photos", "--source", "../lake")
    assert done.exit_code == 0, (done.output, done.exception)
    source = load(here / "labelloop.toml").source
    assert source is not None
    assert source.kind == "delta"


def test_a_place_without_predictions_is_named(here: Path) -> None:
    photos(here.parent / "photos", beside=False)
    done = init("--folder", "../photos", "--source", "../photos")
    assert "contains no Parquet, JSON lines or CSV file" in str(done.exception)


def test_a_table_that_isnt_there_is_an_argument_to_correct(here: Path) -> None:
    photos(here.parent / "photos", beside=False)
    done = init("--folder", "../photos", "--source", "nope.csv")
    assert isinstance(done.exception, StoreDenied)
    assert done.exception.remedy == "correct --source"


@pytest.mark.parametrize(
    ("flags", "says", "remedy"),
    [
        ((), "no inputs were named", "--folder"),
        (("--bucket", "prod"), "server of bucket prod is missing", "--endpoint-url"),
        (
            ("--bucket", "prod", "--endpoint-url", "http://127.0.0.1:9"),
            "no access key for the bucket",
            "MINIO_USER and MINIO_PASSWORD",
        ),
    ],
)
def test_what_nobody_can_be_asked_for_is_named_with_how_to_give_it(
    here: Path, monkeypatch: pytest.MonkeyPatch, flags: tuple[str, ...], says: str, remedy: str
) -> None:
    for name in ("AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(here))
    done = init(*flags)
    assert isinstance(done.exception, ArgumentError)
    assert says in done.exception.args[0]
    assert remedy in done.exception.remedy


def test_an_address_that_is_no_url_is_refused_before_a_file_is_written(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos(here.parent / "photos", beside=True)
    given = init("--folder", "../photos", "--label-studio-url", "labels:8080")
    assert "labels:8080 isn't a URL" in str(given.exception)
    monkeypatch.setenv("LABEL_STUDIO_URL", "labels:8080")
    found = init("--folder", "../photos")
    assert "correct LABEL_STUDIO_URL" in str(found.exception)
    assert not (here / "labelloop.toml").exists()


def test_a_mistyped_answer_is_asked_for_again(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    photos(here.parent / "photos", beside=True)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    typed = iter(["minio:9000", "../fotos", "../photos"])
    monkeypatch.setattr("click.prompt", lambda *_args, **_more: next(typed))
    place = inputs(
        Asker(yes=False), Path("labelloop.toml"), bucket=None, folder=None, endpoint_url=None
    )
    assert place.written == {"uri": "../photos"}
    said = capsys.readouterr().err
    assert "minio:9000 is neither a folder nor a URL" in said
    assert "../fotos is neither" in said


@pytest.mark.parametrize("by", ["tags", "table"])
def test_where_several_could_hold_the_class_the_person_says_which(
    here: Path, by: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = here.parent / "photos"
    photos(folder, beside=False)
    said = [
        {"file": f"{i % 3}/a b {i:02}.jpg", "colour": ("red", "blue")[i % 2], "shape": "abc"[i % 3]}
        | {"sure": f"0.{i:02}", "when": (NOW + timedelta(hours=i)).isoformat()}
        for i in range(40)
    ]
    if by == "tags":
        for tags in said:
            (folder / f"{tags['file']}.json").write_text(json.dumps(tags))
    else:
        pq.write_table(pa.Table.from_pylist(said), here.parent / "log.parquet")
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    asked: list[str] = []

    def prompt(question: str, **_more: object) -> object:
        asked.append(question)
        return 2 if question.startswith("Which") else ""

    monkeypatch.setattr("click.prompt", prompt)
    asker = Asker(yes=False)
    place = inputs(
        asker, Path("labelloop.toml"), bucket=None, folder="../photos", endpoint_url=None
    )
    seen = look(asker, place, exclude=())
    if by == "tags":
        assert asked == ["Which tag holds the predicted class"]
        assert "    1  colour:  blue, red\n    2  shape:  a, b, c\n" in capsys.readouterr().out
        assert (seen.names.predicted_class, dict(seen.classes)) == (
            "shape",
            {"a": 14, "b": 13, "c": 13},
        )
        return
    found = table(asker, place, Path("labelloop.toml"), seen, given="../log.parquet")
    assert asked == ["Which column holds the predicted class"]
    assert "    1  colour:  blue, red\n    2  shape:  a, b, c\n" in capsys.readouterr().out
    assert found is not None
    assert found.answers.columns.columns["predicted_class"] == "shape"
    assert set(found.seen.classes) == {"a", "b", "c"}


def test_an_iceberg_table_is_never_read_past_its_catalog(here: Path) -> None:
    photos(here.parent / "photos", beside=False)
    catalog = SqlCatalog("lake", uri=f"sqlite:///{here}/c.db", warehouse=str(here.parent / "lake"))
    catalog.create_namespace("logs")
    table = pa.Table.from_pylist(rows())
    catalog.create_table("logs.predictions", table.schema).append(table)
    catalog.close()
    lies_at = next((here.parent / "lake").rglob("metadata")).parent
    done = init("--folder", "../photos", "--source", str(lies_at))
    assert isinstance(done.exception, ArgumentError)
    assert "is an Iceberg table" in str(done.exception)
    assert "[source]" in done.exception.remedy
    assert init("--folder", "../photos", "--class", "sea/calm", "--class", "x").exit_code == 0


def test_inputs_without_tags_are_said_to_have_none_and_nothing_else(here: Path) -> None:
    photos(here.parent / "photos", beside=False)
    done = init("--folder", "../photos", "--class", "sea/calm", "--class", "sea/rough")
    assert done.exit_code == 0, done.output
    assert "the inputs have no tags" in done.output
    assert not {"confidence:", "traffic:"} & set(done.output.split())


def test_a_file_for_the_labelling_page_names_no_label_studio(tmp_path: Path) -> None:
    page = answers(label_studio=None, blind_uri=None)
    (tmp_path / "labelloop.toml").write_text(text(page, proposal(predictions(200))))
    settings = load(tmp_path / "labelloop.toml", {"KEY": "k", "SECRET": "s"})
    assert settings.label_studio is None
    assert settings.on_page() == {q.name for q in settings.queue}
