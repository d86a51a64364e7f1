"""Gates: a verdict that holds at every look, for programs that go on or stop."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from click.testing import CliRunner, Result

from labelloop.cli.main import group
from labelloop.core.estimate import Undefined
from labelloop.errors import ArgumentError
from labelloop.measuring.blind_frame import BlindFrame
from labelloop.measuring.gate import WINDOWS, Gated, gated
from labelloop.measuring.measured_round import MeasuredRound
from labelloop.statistics import Verdict
from labelloop.statistics.gate import FALSE_A_YEAR, daily_level, level_at_every_look
from labelloop.views.gate import answer, junit, question
from tests.frames import blind_frame
from tests.json_documents import result_of
from tests.lasting import Kept
from tests.property.coverage import most
from tests.unit.conftest import Keep
from tests.world import ACCURACY, World

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)


def asked(
    frames: list[BlindFrame], required: float = 0.9, *, now: datetime = NOW, missing: bool = False
) -> Gated:
    rounds = [
        MeasuredRound(f.round, lambda f=f: f, timezone="UTC", level=0.95)  # type: ignore[misc]
        for f in frames
    ]
    return gated(rounds, required, now=now, level=0.95, much_missing=missing)


def days(shares: list[float], n: int = 100, model: str = "v1") -> list[BlindFrame]:
    """A round a day up to now, of which this share is right."""
    first = NOW - timedelta(days=len(shares) - 1, hours=4)
    return [
        blind_frame(
            i + 1,
            first + timedelta(days=i),
            [j < round(share * n) for j in range(n)],
            n_frame=50 * n,
            model=model,
        )
        for i, share in enumerate(shares)
    ]


def test_without_a_label_nothing_is_settled() -> None:
    found = asked([])
    assert (found.verdict, found.model) == (Verdict.NOT_YET, None)
    assert isinstance(found.estimate, Undefined)
    assert (found.low, found.high) == (0, 1)
    assert answer(found) == found.reason != ""


def test_a_week_settles_what_is_clear_and_longer_periods_settle_what_is_close() -> None:
    clear = asked(days([0.97] * 100))
    assert (clear.verdict, clear.days, clear.more_labels) == (Verdict.PASS, 7, 0)
    assert clear.low > 0.9
    close = asked(days([0.92] * 100))
    assert (close.verdict, close.days) == (Verdict.PASS, 91)
    assert asked(days([0.8] * 10)).verdict is Verdict.FAIL
    few = asked(days([0.92] * 10))
    assert (few.verdict, few.days) == (Verdict.NOT_YET, 365)
    assert few.more_labels is not None
    assert few.more_labels > 1_000


def test_a_good_record_hides_no_fall() -> None:
    found = asked(days([0.97] * 200 + [0.75] * 5))
    assert (found.verdict, found.days) == (Verdict.FAIL, 7)


def test_the_model_before_doesnt_count() -> None:
    old = days([0.5] * 60)
    new = [
        blind_frame(99, NOW - timedelta(hours=2), [True] * 98 + [False] * 2, model="v2"),
    ]
    found = asked([*old, *new], 0.8)
    assert (found.verdict, found.model) == (Verdict.PASS, "v2")
    unlabelled = blind_frame(
        99, NOW - timedelta(hours=2), [True] * 10, model="v2", answered_after=timedelta(hours=3)
    ).as_of(NOW)
    found = asked([*days([0.97] * 60), unlabelled])
    assert (found.verdict, found.model) == (Verdict.NOT_YET, "v2")


def test_nothing_passes_while_much_of_the_traffic_is_missing() -> None:
    found = asked(days([0.97] * 30), missing=True)
    assert found.verdict is Verdict.NOT_YET
    assert "missing" in answer(found)
    assert asked(days([0.6] * 30), missing=True).verdict is Verdict.FAIL


@pytest.mark.parametrize("required", [0.0, 1.0, 90.0])
def test_a_gate_is_a_share(required: float) -> None:
    with pytest.raises(ArgumentError, match=r"write 0\.9 for 90%"):
        asked([], required)


def suite_in(xml: str) -> ElementTree.Element:
    return ElementTree.fromstring(xml)  # noqa: S314  our own


RUNS = 2_000


def walks(rng: np.random.Generator, n_looks: int, a_look: int) -> np.ndarray:
    """How many labels of each look are right, in each run, of a model that is right on 90%."""
    return rng.binomial(a_look, 0.9, (RUNS, n_looks))


def false_verdicts(right: np.ndarray, n: np.ndarray, level: float | np.ndarray) -> np.ndarray:
    """Whether Wilson's interval, shape (runs, looks), leaves 0.9 above it or below it: (2, runs)."""
    from scipy.special import ndtri

    z = ndtri(0.5 + np.asarray(level) / 2)
    p = right / n
    centre, half = p + z**2 / (2 * n), z * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    low, high = (centre - half) / (1 + z**2 / n), (centre + half) / (1 + z**2 / n)
    return np.array([(low > 0.9).any(axis=1), (high < 0.9).any(axis=1)])


def test_a_model_at_the_gate_seldom_gets_a_verdict_in_a_year_of_daily_looks() -> None:
    """By counts alone: `make bench-statistics` simulates rounds. A 95% interval errs in every second year."""
    daily = walks(np.random.default_rng(1), 365, 60)
    total = np.concatenate([np.zeros((RUNS, 1), dtype=int), daily.cumsum(axis=1)], axis=1)
    found, plain = np.zeros((2, RUNS), dtype=bool), np.zeros((2, RUNS), dtype=bool)
    for window in WINDOWS:
        first = np.maximum(np.arange(1, 366) - window, 0)
        right, n = total[:, 1:] - total[:, first], 60 * (np.arange(1, 366) - first)
        found |= false_verdicts(right, n, daily_level(len(WINDOWS)))
        plain |= false_verdicts(right, n, 0.95)
    assert found.mean(axis=1).max() <= most(FALSE_A_YEAR, RUNS)
    assert plain.mean(axis=1).min() > 0.5


def test_a_candidate_as_good_seldom_gets_a_verdict_at_any_look() -> None:
    """A look every 10 labels up to 20,000."""
    right = walks(np.random.default_rng(2), 2_000, 10).cumsum(axis=1)
    n = 10 * np.arange(1, 2_001)
    found = false_verdicts(right, n, np.array([level_at_every_look(int(one)) for one in n]))
    assert found.mean(axis=1).max() <= most(FALSE_A_YEAR, RUNS)
    assert false_verdicts(right, n, 0.95).mean(axis=1).min() > 0.2


# --- the commands -------------------------------------------------------------------------------


def judged(world: World) -> None:
    world.clock.at = datetime.now(UTC)  # as the command line's
    world.traffic(300, predicted_class="cat")
    world.loop.index()
    world.loop.select()
    world.loop.send()
    for i, remote in enumerate(world.annotator.task_ids(world.project_ref("accuracy"))):
        world.annotator.answer(remote, "dog" if i % 5 == 0 else "cat", by="ana")
    world.loop.collect()


@pytest.fixture(scope="module")
def kept(keep: Keep) -> Kept[World]:
    """150 labelled blind samples; the model says cat and is right on four of five."""
    return keep(judged, ACCURACY.replace("5", "150"))


@pytest.fixture
def world(kept: Kept[World]) -> Iterator[World]:
    with kept.again() as world:
        yield world


def test_the_loop_tells_the_verdict_beside_the_numbers(world: World) -> None:
    found = world.loop.measure(gate=0.5).gate
    assert found is not None
    assert (found.verdict, found.days) == (Verdict.PASS, 7)
    assert question(found) == "is the accuracy of unversioned above 50.0%?"
    assert world.loop.measure().gate is None


def command(world: World, *args: str) -> Result:
    """The command line, over the ledger that the world left; its clock is the machine's."""
    config = str(world.folder / "labelloop.toml")
    return CliRunner().invoke(group, [*args, "--config", config])


def test_compare_exits_by_its_verdict(world: World, tmp_path: Path) -> None:
    """A gate's bounds are wider than the interval that one look needs."""
    draws = world.draws()
    better, junit_file = tmp_path / "better.csv", tmp_path / "gate.xml"
    better.write_text(
        "sample_id,predicted_class\n" + "".join(f"{d.sample_id},{d.label}\n" for d in draws)
    )
    passed = command(world, "compare", str(better), "--gate", "--json", "--junit", str(junit_file))
    assert passed.exit_code == 0, passed.output
    result = result_of(passed.output, "compare")
    assert result["gate"]["low"] < result["difference"]["low"]
    case = suite_in(junit_file.read_text())[0]
    assert [child.tag for child in case] == ["system-out"]
    worse = tmp_path / "worse.csv"
    worse.write_text("sample_id,predicted_class\n" + "".join(f"{d.sample_id},dog\n" for d in draws))
    failed = command(world, "compare", str(worse), "--gate", "--junit", str(junit_file))
    assert failed.exit_code == 3
    assert "FAIL: does" in failed.output
    case = suite_in(junit_file.read_text())[0]
    assert [child.tag for child in case] == ["failure"]
    assert command(world, "compare", str(worse)).exit_code == 0
    same = tmp_path / "same.csv"
    same.write_text("sample_id,predicted_class\n" + "".join(f"{d.sample_id},cat\n" for d in draws))
    assert command(world, "compare", str(same), "--gate").exit_code == 4


@pytest.mark.parametrize(("gate", "code"), [("0.5", 0), ("0.95", 3), ("0.82", 4)])
def test_measure_exits_by_its_verdict(world: World, gate: str, code: int, tmp_path: Path) -> None:
    junit_file = tmp_path / "gate.xml"
    found = command(world, "measure", "--gate", gate, "--junit", str(junit_file))
    assert found.exit_code == code, found.output
    said = {0: "PASS", 3: "FAIL", 4: "NOT YET"}[code]
    assert f"{said}: is the accuracy of unversioned above {float(gate):.1%}?" in found.output
    suite = suite_in(junit_file.read_text())
    assert suite.get("failures") == str(int(code == 3))
    assert suite.get("skipped") == str(int(code == 4))


def test_a_junit_file_that_cant_be_written_is_an_error(world: World, tmp_path: Path) -> None:
    missing = tmp_path / "no folder" / "gate.xml"
    found = command(world, "measure", "--gate", "0.9", "--junit", str(missing))
    assert (found.exit_code, type(found.exception).__name__) == (1, "ReportError")


@pytest.mark.parametrize("args", [["measure"], ["compare", "x.csv"]])
def test_junit_without_a_gate_is_wrong_usage(world: World, args: list[str]) -> None:
    found = command(world, *args, "--junit", "gate.xml")
    assert found.exit_code == 2
    assert "--junit is for --gate" in found.output


def test_run_asks_the_gate_of_the_settings(world: World) -> None:
    world.configure(
        "", head=(world.folder / "labelloop.toml").read_text() + "\n[gate]\naccuracy = 0.95\n"
    )
    measured = world.loop.run().measured
    assert measured is not None
    assert measured.gate is not None
    assert (measured.gate.verdict, measured.gate.required) == (Verdict.FAIL, 0.95)


def test_a_model_name_of_any_characters_is_xml() -> None:
    text = junit("is <v\\x0b1> & good?", Verdict.FAIL, 'no: "<2>"')
    case = suite_in(text)[0]
    assert case.get("name") == "is <v\\x0b1> & good?"


def test_the_windows_reach_back_from_the_present(world: World) -> None:
    world.clock.pass_(days=400)
    found = world.loop.measure(gate=0.5).gate
    assert found is not None
    assert (found.verdict, found.reason != "") == (Verdict.NOT_YET, True)
