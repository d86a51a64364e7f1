"""An answer and a prediction are compared in core/outcome.py, and nowhere else."""

import ast
from pathlib import Path

import numpy as np
import pytest

import labelloop
from labelloop.core.estimate import Estimate, Undefined
from labelloop.core.outcome import is_wrong, outcome
from labelloop.errors import ArgumentError
from labelloop.statistics import BlindRound, Frame, Stratum, accuracy, compare, uniform_accuracy

SRC = Path(labelloop.__file__).parent

ANSWERS = {"label", "answer", "truth", "people_said"}
PREDICTIONS = {"predicted_class", "predicted", "prediction", "answers"}

OTHER_COMPARISONS = {
    # a label with a label: before and after, or of one class
    ("steps", "label != label_before"),
    ("steps", "d.label != label"),
    ("steps", "d.label == label"),
    # an annotation with the one that the ledger has, and with what most people said
    ("steps", "known.answer != present"),
    ("core", "a.answer == winner"),
    ("measuring", "mine.answer == other.answer"),
    ("measuring", "d.predicted_class == predicted_class"),
    ("steps", "before.answer != instead_of"),
    ("steps", "before.answer == answer"),
    ("measuring", "d.label != d.replies[Look.FIRST].answer"),
    ("ledger", "each.answer == label"),
    # a label with a class of the project
    ("ledger", "c.name == t.labels.c.label"),
    # a label with the one that a filter asks for
    ("views", "pick.label != wanted.label"),
    # a prediction with a prediction: of the same sample, or of the same class
    ("steps", "prediction.predicted_class != before.predicted_class"),
    ("steps", "held != s.predicted_class"),
    # an answer with the truth that the demonstration knows
    ("demo", "choice != truth"),
    ("demo", "row.label != stage.served[row.sample_id].truth"),
}


def compared(source: str) -> list[str]:
    """The comparisons, in Python or in SQLAlchemy, that a label or a predicted class takes part in."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.Eq | ast.NotEq):
            sides = [node.left, *node.comparators]
            names = {name for s in sides for name in ends(s)}
            constant = any(isinstance(s, ast.Constant) for s in sides) or any(
                map(str.isupper, names)
            )
            if names & (ANSWERS | PREDICTIONS) and not constant:
                found.append(ast.unparse(node))
    return found


def ends(side: ast.expr) -> set[str]:
    """What an operand is called at its end: `d.label` is `label`, `answers.get(x)` is `answers`."""
    match side:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return {name}
        case ast.Call(func=ast.Attribute(value=held, attr="get")) | ast.Subscript(value=held):
            return ends(held) | ends(side.slice if isinstance(side, ast.Subscript) else held)
        case ast.Constant(value=str(name)):
            return {name}
        case ast.BoolOp(values=values):
            return {name for value in values for name in ends(value)}
        case _:
            return set()


@pytest.mark.parametrize(
    "source",
    [
        "sum(d.label == d.predicted_class for d in draws)",
        "n = label != said",
        "answers.get(d.sample_id) == d.label",
        "row['label'] == row['predicted_class']",
        "sa.select(t.draws).where(t.labels.c.label != t.draws.c.predicted_class)",
        "right = (draw.predicted_class or '') == people",
    ],
)
def test_the_check_sees_a_comparison_however_it_is_spelled(source: str) -> None:
    assert compared(source)


def test_nothing_but_outcome_compares_an_answer_with_a_prediction() -> None:
    found = {
        (path.relative_to(SRC).parts[0], comparison)
        for path in SRC.rglob("*.py")
        for comparison in compared(path.read_text(encoding="utf-8"))
        if path != SRC / "core" / "outcome.py"
    }
    assert found == OTHER_COMPARISONS


def test_an_answer_agrees_wholly_or_not_at_all() -> None:
    assert outcome("cat", "cat") == 1
    assert outcome("dog", "cat") == outcome(None, "cat") == outcome("cat", None) == 0
    assert [is_wrong(score) for score in (0, 0.5, 1)] == [True, True, False]


def estimated(found: Estimate | Undefined) -> Estimate:
    assert isinstance(found, Estimate)
    return found


def test_scores_between_0_and_1_count_with_their_part() -> None:
    rng = np.random.default_rng(7)
    truth = rng.choice([0.0, 0.5, 0.75, 1.0], size=20_000, p=[0.1, 0.1, 0.2, 0.6])
    risk = np.clip(1 - truth + rng.normal(0, 0.2, truth.size), 0.01, 0.99)
    inclusion = np.where(risk > 0.4, 0.05, 0.01)
    frame = Frame.from_arrays(risk, inclusion)
    missed = 0
    for _ in range(200):
        drawn = rng.random(truth.size) < inclusion
        found = estimated(accuracy(truth[drawn], risk[drawn], inclusion[drawn], frame))
        missed += not found.low <= truth.mean() <= found.high
    assert missed <= 20  # 5% of 200 are 10; 20 or more have a chance of 0.2% were it nominal


def test_uniform_draws_take_the_sum_of_scores() -> None:
    found = estimated(uniform_accuracy([Stratum(n_correct=87.5, n_labelled=100, population=900)]))
    assert found.value == 0.875


def test_a_model_that_agrees_half_as_far_loses_half() -> None:
    frame = Frame.from_arrays([0.5] * 1_000, [0.2] * 1_000)
    serving = BlindRound.checked([1.0] * 200, [0.5] * 200, [0.2] * 200, frame)
    found = compare([serving], [[0.5] * 100 + [1.0] * 100])
    assert not isinstance(found, Undefined)
    assert (found.gained, round(found.lost, 6), round(found.value, 6)) == (0, 0.25, -0.25)


@pytest.mark.parametrize("scores", [[0.5, 1.2], [0.5, -0.1], [None, True], ["yes"], [[1]]])
def test_what_is_no_score_is_refused(scores: list[object]) -> None:
    frame = Frame.from_arrays([0.5] * 10, [0.2] * 10)
    with pytest.raises(ArgumentError, match="expected a list of True and False, or of scores"):
        BlindRound.checked(scores, [0.5] * len(scores), [0.2] * len(scores), frame)
