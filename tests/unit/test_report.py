"""The report: what it reads out of the ledger, and that its page and pictures hold for any project."""

import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import resvg_py
from click.testing import CliRunner

from labelloop.charts import over_time
from labelloop.charts.axes import Scale, thinned
from labelloop.charts.by_class import confusion as confusion_picture
from labelloop.charts.picture import png
from labelloop.charts.reliability import reliability
from labelloop.charts.report import PICTURES, pictures
from labelloop.charts.svg import Drawing, width_of
from labelloop.charts.theme import DARK, LIGHT, css
from labelloop.cli import files as cli
from labelloop.cli.main import group
from labelloop.core.estimate import Estimate, Undefined
from labelloop.errors import ReportError
from labelloop.pages.report import page
from labelloop.views.quality import Quality, quality
from labelloop.views.sentences import calibration_error, summary
from labelloop.views.tables.accuracy import of_report
from labelloop.views.tables.confusion import WIDEST_MATRIX, confusion
from labelloop.views.wording import day, points
from tests.history import History
from tests.json_documents import result_of
from tests.unit.conftest import MakeWorld
from tests.world import START, World

PETS = ("cat", "dog", "bird")
HOSTILE = (
    "<script>alert(1)</script>",
    'cats & "dogs"',
    "it's ]]> -->",
    "Хлеб и масло",
    "خبز",
    "パン",
    "a rather long class name that fits nowhere at all",
    "x/y\\z",
    "${datum}",
)

MakeHistory = Callable[..., Quality]


@pytest.fixture
def past(world: World, tmp_path: Path) -> MakeHistory:
    """The report on a made past of so many rounds."""

    def make(
        n_rounds: int, classes: tuple[str, ...] = PETS, *, project: str = "pets", **more: object
    ) -> Quality:
        made = History(world.loop.project.ledger, tmp_path / "datasets", classes, now=START)
        made.write(n_rounds, **more)  # type: ignore[arg-type]
        return quality(
            world.loop.project.ledger, clock=world.clock, project=project, timezone="UTC"
        )

    return make


# --- what it reads --------------------------------------------------------------------------------


def test_it_shows_what_measure_knows_and_what_became_of_each_label(world: World) -> None:
    world.traffic(30, confidence="0.6", model="v1")
    world.loop.run()
    world.answer_all()
    world.loop.run()
    found = world.loop.report()
    assert found.measured == world.loop.measure()
    assert [p.number for p in found.rounds] == [1]
    assert [m.model for m in found.rounds[0].models] == ["v1"]
    assert found.rounds[0].accuracy == found.measured.rounds[0]
    (asked,) = found.labels
    assert {q.queue: (q.n_asked, q.n_answered, q.n_open) for q in asked.queues} == {
        "accuracy": (5, 5, 0),
        "low": (4, 4, 0),
    }
    (version,) = found.training
    assert version.human_by_queue == {"low": 4}
    assert version.n_human == 4
    assert version.guarantee is not None


def test_open_and_skipped_labels_are_told_apart(world: World) -> None:
    world.traffic(30)
    world.loop.run()
    tasks = next(iter(world.annotator.tasks(world.project_ref("accuracy"))))
    world.annotator.skip(tasks[0].remote_id, by="ana")
    world.loop.run()
    (asked,) = world.loop.report().labels
    accuracy = next(q for q in asked.queues if q.queue == "accuracy")
    assert (accuracy.n_skipped, accuracy.n_open) == (1, 4)


def test_a_period_names_every_model_that_served_it(world: World) -> None:
    for model, n in (("v1", 3), ("v2", 2)):
        world.traffic(n, model=model)
    world.loop.run()
    (only,) = world.loop.report().rounds
    assert [(m.model, m.n_drawn) for m in only.models] == [("v1", 3), ("v2", 2)]


def test_a_version_whose_folder_is_gone_keeps_its_counts(past: MakeHistory, world: World) -> None:
    found = past(2)
    shutil.rmtree(Path(world.loop.datasets()[0].uri))
    first, second = world.loop.report().training
    assert (first.n_human, first.human_by_queue, first.guarantee) == (15, None, None)
    assert second == found.training[1]
    table = next(t for t in of_report(world.loop.report()) if "training set" in t.title)
    assert "its folder is gone" in table.rows[0][1]


def test_parts_of_confidence_hold_equal_traffic_and_all_labels(past: MakeHistory) -> None:
    found = past(3, n_blind=100)
    parts = found.calibrated.calibration.parts
    assert found.calibrated.rounds == (1, 2, 3)
    counts = [p.estimate.n for p in parts if isinstance(p.estimate, Estimate)]
    assert len(counts) == len(parts) > 3
    assert sum(counts) + found.calibrated.n_without == found.measured.last_seven_days.n_labelled
    assert sum(p.share for p in parts) == pytest.approx(1)
    for p in parts:
        assert p.low <= p.mean_confidence <= p.high
    for one, after in pairwise(parts):
        assert one.high == after.low
    assert "Calibration error: " in reliability(found).says


def test_without_a_confidence_there_is_no_calibration(world: World) -> None:
    world.traffic(12, confidence="")
    world.loop.run()
    world.answer_all("cat")
    world.loop.run()
    found = world.loop.report()
    assert found.calibrated.calibration.parts == ()
    assert found.calibrated.n_without == 5
    assert isinstance(found.calibrated.calibration.error, Undefined)
    assert calibration_error(found) == ""


def test_a_model_that_claims_too_much_is_told(world: World) -> None:
    world.configure(
        '[[queue]]\nname = "accuracy"\npurpose = "evaluation"\nbudget = 60\n',
        head=(world.folder / "labelloop.toml").read_text().split("[[queue]]")[0],
    )
    world.traffic(80, confidence="0.99", predicted_class="cat")
    world.loop.run()
    answers = iter(range(1000))
    world.answer_all(lambda: "cat" if next(answers) % 2 else "dog")
    world.loop.run()
    found = world.loop.report()
    (only,) = found.calibrated.calibration.parts
    assert (only.low, only.mean_confidence, only.high) == pytest.approx((0.99,) * 3, abs=0.001)
    assert only.off == -1
    error = found.calibrated.calibration.error
    assert not isinstance(error, Undefined)
    assert error.value == pytest.approx(0.49, abs=0.01)
    assert 0.3 < error.low < error.value < error.high
    assert "Calibration error: 49" in calibration_error(found)


def test_draws_of_unequal_chances_are_weighted(make_world: MakeWorld) -> None:
    queue = '[[queue]]\nname = "accuracy"\npurpose = "evaluation"\nbudget = 80\n'
    world = make_world(queue + 'draw = "uncertainty"\n')
    world.traffic(300, confidence="0.98", predicted_class="cat")
    world.traffic(300, confidence="0.55", predicted_class="cat")
    world.loop.run()
    world.answer_all("cat")
    world.loop.run()
    found = world.loop.report()
    assert not found.measured.even
    parts = found.calibrated.calibration.parts
    drawn = [d for d in world.draws("accuracy") if d.label is not None and not d.audit_only]
    labelled = [d.confidence or 0 for d in drawn]
    assert sum(labelled) / len(labelled) < 0.72  # most labels are of what the model is unsure of,
    assert [p.share for p in parts] == pytest.approx([0.5, 0.5])  # and half the traffic
    assert [p.mean_confidence for p in parts] == pytest.approx([0.55, 0.98], abs=0.001)
    assert "unequal chances" in confusion_picture(found).says


def test_without_recent_labels_the_newest_number_is_still_shown(
    past: MakeHistory, world: World
) -> None:
    past(2)
    world.clock.at += timedelta(days=30)
    found = world.loop.report()
    assert isinstance(found.measured.last_seven_days.estimate, Undefined)
    newest = found.measured.rounds[-1].estimate
    assert isinstance(newest, Estimate)
    assert f"Newest: round 2, {newest.value:.1%}" in summary(found)


def test_of_many_classes_only_what_was_confused_twice_is_shown(past: MakeHistory) -> None:
    found = past(8, classes=tuple(f"class {i}" for i in range(60)))
    most = max(c.n for c in found.measured.confusion if c.label != c.predicted_class)
    picture = confusion_picture(found)
    assert (picture.drawing is not None) == (most > 1)
    once = [c for c in found.measured.confusion if c.label == c.predicted_class or c.n == 1]
    alone = replace(found, measured=replace(found.measured, confusion=tuple(once)))
    bare = confusion_picture(alone)
    assert bare.drawing is None
    assert "were wrong, no two in the same way" in bare.says


def test_a_fall_stands_in_a_table_and_in_its_picture(past: MakeHistory) -> None:
    found = past(30, worse_from=22)
    alarm = found.measured.trend.alarm
    assert alarm is not None
    (looks,) = (t for t in of_report(found) if t.title.startswith("Has the accuracy fallen?"))
    assert {row[-1] for row in looks.rows} == {"fallen", "not sure"}
    text = over_time.by_round(found).svg
    assert f"fallen by more than {points(alarm.drop.bound)}" in text
    (root,) = drawn(text)
    boxes = [e for e in root if e.get("fill") == "var(--muted)" and e.tag.endswith("rect")]
    assert len(boxes) == len(found.measured.trend.means)


# --- the page and the pictures --------------------------------------------------------------------


def drawn(text: str) -> list[ElementTree.Element]:
    """Every SVG of a page; each is well-formed by itself."""
    found = re.findall(r"<svg.*?</svg>", text, re.S)
    return [ElementTree.fromstring(s) for s in found]  # noqa: S314  our own output


def fetched(text: str) -> list[str]:
    """What a browser would load from elsewhere."""
    return [
        *re.findall(
            r"(?:src|href|srcset|data|action)\s*=\s*[\"']?(?!#)([^\"'\s>]+)",
            re.sub(r">[^<]*<", "><", text),
        ),
        *re.findall(r"@import[^;]*|url\((?!#)[^)]*\)", text),
        *[u for u in re.findall(r"https?://[^\"'\s<]+", text) if "www.w3.org" not in u],
    ]


CASES = {
    "empty": (0, PETS),
    "one": (1, PETS),
    "fifty": (50, PETS),
    "hostile names": (3, HOSTILE),
    "many classes": (3, tuple(f"class {i}" for i in range(40))),
}


@pytest.mark.parametrize("case", CASES)
def test_the_page_holds_everything_and_fetches_nothing(case: str, past: MakeHistory) -> None:
    n, classes = CASES[case]
    silent = (20, 21) if n > 21 else ()
    found = past(
        n,
        classes,
        n_blind=40,
        silent=silent,
        project="<pets> & co",
        models=("v<1>", "v&2"),
        worse_from=42,
    )
    text = page(found)
    assert fetched(text) == []
    shown = list(pictures(found))
    assert len(drawn(text)) == sum(p.drawing is not None for p in shown)
    ids = re.findall(r'\bid="([^"]+)"', text)
    assert len(ids) == len(set(ids))
    for used in re.findall(r"url\(#([^)]+)\)", text):
        assert used in ids
    assert "<script" not in text
    assert "&lt;pets&gt; &amp; co" in text
    estimate = found.measured.last_seven_days.estimate
    if n == 0:
        assert isinstance(estimate, Undefined)
        assert estimate.reason in text
        (plan,) = (p for p in shown if p.drawing is not None)
        assert plan.name == "labels-and-width"
        others = [p for p in shown if p is not plan]
        assert all(p.says.startswith("Nothing to show") for p in others)
    else:
        assert isinstance(estimate, Estimate)
        assert f"{estimate.value:.1%}" in text
        assert f"{estimate.n:,} labels" in text
        assert estimate.method in text
        assert f"{100 * estimate.worst_low:.1f}" in text
        few = len(classes) <= WIDEST_MATRIX
        bare = {"worst-slices"} if few else {"worst-slices", "confusion"}  # no attributes
        assert all(p.drawing is not None for p in shown if p.name not in bare)
    alarm = found.measured.trend.alarm
    assert (alarm is not None) == (n == 50)
    if alarm is not None:
        since = f"{'the week of ' if alarm.by == 'week' else ''}{day(alarm.since)}"
        said = f"he accuracy of v&amp;2 has fallen since {since}"
        assert text.count(said) == 2  # on top, and below its picture
        assert f"fallen by more than {points(alarm.drop.bound)}" in text
    for wrong in ("nan", "undefined", "NaN", "null", "Infinity"):
        assert not re.search(rf">[^<]*\b{wrong}\b", text), wrong


def test_class_names_stand_in_the_pictures_as_they_are(past: MakeHistory) -> None:
    found = past(3, HOSTILE)
    (root,) = drawn(confusion_picture(found).svg)
    texts = {"".join(e.itertext()) for e in root.iter() if e.tag.endswith("text")}
    long = {name for name in HOSTILE if len(name) > 30}
    assert set(HOSTILE) - long <= texts
    titles = "\n".join(e.text or "" for e in root.iter() if e.tag.endswith("title"))
    assert all(name in titles for name in HOSTILE)


def test_a_class_name_may_hold_what_no_screen_shows(past: MakeHistory) -> None:
    found = past(2, ("cat\x1b[31m\x00", "dog\n", "\u2028"))
    assert len(drawn(page(found))) == len(PICTURES)


def test_each_point_says_its_numbers_under_the_pointer(past: MakeHistory) -> None:
    found = past(20)
    for picture in (over_time.by_day(found), over_time.by_round(found)):
        (root,) = drawn(picture.svg)
        titles = [e.text or "" for e in root.iter() if e.tag.endswith("title")]
        periods = found.days if picture.name == "accuracy-by-day" else found.rounds
        assert len(titles) == len(periods) + 1  # and the model's
        for p in periods:
            assert isinstance(p.accuracy.estimate, Estimate)
            assert any(f"{p.accuracy.estimate.value:.1%}" in title for title in titles)


def test_a_day_far_off_the_others_takes_no_room_from_them(past: MakeHistory) -> None:
    found = past(5)
    first, *others = found.days
    assert first.day is not None
    far = replace(first, day=first.day.replace(year=2001))
    text = over_time.by_day(replace(found, days=(far, *others))).svg
    (root,) = drawn(text)
    at = [float(e.get("cx", "")) for e in root.iter() if e.tag.endswith("circle")]
    assert at[-1] - at[-2] > 60
    assert "2001" in text


def test_pictures_are_drawn_in_light_and_in_dark(past: MakeHistory) -> None:
    for picture in pictures(past(2)):
        assert css(LIGHT) in picture.svg
        assert (
            f"@media screen and (prefers-color-scheme:dark){{.chart{{{css(DARK)}}}}}" in picture.svg
        )
        used = set(re.findall(r"var\(--(\w+)\)", picture.svg))
        assert used <= set(LIGHT)


def test_a_png_has_letters_where_the_machine_has_no_font(
    past: MakeHistory, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = over_time.by_round(past(2))
    assert picture.drawing is not None
    bare = Drawing(
        width=picture.drawing.width,
        height=picture.drawing.height,
        inside=tuple(e for e in picture.drawing.inside if not e.startswith("<text")),
    )
    draw = resvg_py.svg_to_bytes

    def without_fonts(**given: Any) -> bytes:
        found: bytes = draw(**given, skip_system_fonts=True)
        return found

    monkeypatch.setattr(resvg_py, "svg_to_bytes", without_fonts)
    untitled = replace(picture, title="", says="", drawing=bare)
    assert len(png(picture)) > len(png(untitled)) + 4_000


def test_each_picture_has_a_table_with_its_numbers(past: MakeHistory) -> None:
    found = past(2)
    assert len(of_report(found)) == len(PICTURES)
    for table in of_report(found):
        assert all(len(row) == len(table.columns) for row in table.rows)
    counted = sum(
        int(cell)
        for row in confusion(found.measured.confusion, "").rows
        for cell in row[1:]
        if cell != "·"
    )
    assert counted == found.measured.last_seven_days.n_labelled


# --- the command ----------------------------------------------------------------------------------


@pytest.fixture
def project(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """A folder with a labelloop.toml and one answered round, as the working directory."""
    world.clock.at = datetime.now(UTC)  # the command has the machine's clock
    world.traffic(20)
    world.loop.run()
    world.answer_all()
    world.loop.run()
    world.loop.close()
    monkeypatch.chdir(world.folder)
    monkeypatch.delenv("LABELLOOP_CONFIG", raising=False)
    return world


def test_it_prints_the_numbers(project: World) -> None:
    said = CliRunner().invoke(group, ["report"], catch_exceptions=False)
    assert said.exit_code == 0
    for part in ("interval is", "Accuracy by round", "round 1", "unversioned", "low 4"):
        assert part in said.output, part


def test_a_page_begins_with_what_matters_and_folds_the_rest(past: MakeHistory) -> None:
    shown = page(past(3))
    assert "<details open" not in shown
    assert shown.count("<table>") == shown.count("<details><summary>")
    unfolded = re.sub(r"<details.*?</details>", "", shown, flags=re.DOTALL)
    assert "Accuracy by round</h2>" in unfolded
    for title in ("What the training set consists of", "How to read this"):
        assert title in shown
        assert title not in unfolded


def test_pictures_without_anything_to_show_share_one_section(past: MakeHistory) -> None:
    shown = page(past(0))
    assert shown.count("Nothing to show") == 1
    assert "<dt>Accuracy by day</dt><dd>no round has been drawn yet.</dd>" in shown
    assert 'id="accuracy-by-day"' not in shown


def test_names_below_an_axis_have_room_however_uneven_they_stand() -> None:
    names = {0: "1 Jan 1970", **{n: f"{n} Feb 2026" for n in range(5, 14)}, 17: "1 Jan 2106"}
    scale = Scale(0, 17, 0, 600)
    kept = sorted(thinned(names, scale))
    assert {0, 17} <= set(kept)
    assert min(scale(b) - scale(a) for a, b in pairwise(kept)) > width_of("1 Jan 2106")


def test_json_holds_the_same(project: World) -> None:
    said = CliRunner().invoke(group, ["report", "--json"], catch_exceptions=False)
    found = result_of(said.output)
    assert found["measured"]["last_seven_days"]["n_labelled"] == 5
    assert found["training"][-1]["human_by_queue"] == {"low": 4}


def test_it_writes_a_page_and_pictures(project: World) -> None:
    said = CliRunner().invoke(
        group, ["report", "--html", "out/report.html", "--png", "png"], catch_exceptions=False
    )
    assert "written: out/report.html" in said.output
    assert (project.folder / "out" / "report.html").read_text().startswith("<!doctype html>")
    written = sorted(p.stem for p in (project.folder / "png").iterdir())
    assert "not drawn: labels-and-width. Nothing to show: a round has" in said.output
    assert "not drawn: worst-slices. Nothing to show: no attribute" in said.output
    assert len(written) == len(PICTURES) - 2
    for path in (project.folder / "png").iterdir():
        assert path.read_bytes().startswith(b"\x89PNG")


def test_a_place_that_cannot_be_written_is_named(project: World) -> None:
    (project.folder / "file").write_text("")
    with pytest.raises(ReportError, match="can't be written") as found:
        CliRunner().invoke(
            group,
            ["report", "--html", "file/x.html"],
            standalone_mode=False,
            catch_exceptions=False,
        )
    assert found.value.remedy


def test_without_the_extra_it_says_what_to_install(
    project: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli, "find_spec", lambda _name: None)
    with pytest.raises(ReportError, match="resvg_py, font_roboto") as found:
        CliRunner().invoke(
            group, ["report", "--png", "x"], standalone_mode=False, catch_exceptions=False
        )
    assert "labelloop[report]" in found.value.remedy
