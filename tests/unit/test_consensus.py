from collections import Counter

import numpy as np
import pyarrow as pa
import pytest

from labelloop.errors import ArgumentError
from labelloop.statistics import consensus

Votes = dict[str, list[str]]


def simulated(
    seed: int, skills: list[float], *, n: int = 300, n_classes: int = 5, n_votes: int = 3
) -> tuple[list[str], Votes]:
    """The truth, and the votes of people who are right with the probability `skills` names."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(n_classes, size=n)
    votes: Votes = {"sample_id": [], "annotator": [], "label": []}
    for i in range(n):
        for person in rng.choice(len(skills), n_votes, replace=False):
            right = rng.random() < skills[person]
            said = truth[i] if right else (truth[i] + rng.integers(1, n_classes)) % n_classes
            votes["sample_id"].append(f"{i:04d}")
            votes["annotator"].append(f"p{person}")
            votes["label"].append(f"c{said}")
    return [f"c{t}" for t in truth], votes


def majority(votes: Votes) -> list[str]:
    rng = np.random.default_rng(0)
    said: dict[str, Counter[str]] = {}
    for sample, label in zip(votes["sample_id"], votes["label"], strict=True):
        said.setdefault(sample, Counter())[label] += 1
    found = []
    for _, counts in sorted(said.items()):
        best = [label for label in sorted(counts) if counts[label] == max(counts.values())]
        found.append(str(rng.choice(best)))
    return found


def gain(seed: int, skills: list[float], **how: int) -> float:
    """How much larger the share of right labels is than the majority's."""
    truth, votes = simulated(seed, skills, **how)
    got = consensus(votes)["label"].to_pylist()
    right = np.mean([a == b for a, b in zip(got, truth, strict=True)])
    return float(right - np.mean([a == b for a, b in zip(majority(votes), truth, strict=True)]))


def test_beats_the_majority_where_people_differ_in_skill() -> None:
    gains = [gain(seed, [0.95, 0.9, 0.6, 0.55, 0.5]) for seed in range(5)]
    assert np.mean(gains) > 0.04
    assert min(gains) > 0


@pytest.mark.parametrize(
    ("skills", "how"),
    [
        ([0.9] * 5, {}),
        ([0.6] * 5, {"n_classes": 3}),
        ([0.85] * 3, {"n": 60, "n_classes": 10}),
        ([0.9, 0.8, 0.7], {"n_classes": 30, "n": 200}),
        ([0.95, 0.55, 0.55], {"n_classes": 2}),
        ([0.9, 0.9, 0.3], {"n_classes": 4}),
    ],
)
def test_is_never_much_worse_than_the_majority(skills: list[float], how: dict[str, int]) -> None:
    assert np.mean([gain(seed, skills, **how) for seed in range(6)]) > -0.02


def test_few_votes_or_few_answers_leave_the_majority() -> None:
    _, pairs = simulated(1, [0.95, 0.9, 0.5, 0.5], n_votes=2)
    unanimous = [k for k, v in _by_sample(pairs).items() if len(set(v)) == 1]
    got = {r["sample_id"]: r for r in consensus(pairs).to_pylist()}
    assert all(got[k]["probability"] == pytest.approx(1.0) for k in unanimous)
    assert {round(r["probability"], 6) for r in got.values()} == {0.5, 1.0}
    _, few = simulated(1, [0.95, 0.9, 0.5], n=19)
    assert set(np.round(consensus(few)["probability"].to_pylist(), 3)) <= {0.333, 0.667, 1.0}


def _by_sample(votes: Votes) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for sample, label in zip(votes["sample_id"], votes["label"], strict=True):
        found.setdefault(sample, []).append(label)
    return found


def test_equal_votes_go_to_the_class_that_is_answered_more_often() -> None:
    votes = {
        "sample_id": ["a", "a", "b"],
        "annotator": ["ana", "ben", "ana"],
        "label": ["cat", "dog", "dog"],
    }
    assert consensus(votes)["label"].to_pylist() == ["dog", "dog"]


def test_takes_an_arrow_table_in_any_order_and_counts_votes() -> None:
    truth, votes = simulated(3, [0.95, 0.9, 0.6, 0.5])
    table = pa.table(votes)
    turned = table.take(np.random.default_rng(0).permutation(table.num_rows))
    assert consensus(turned)["label"] == consensus(votes)["label"]
    result = consensus(table)
    assert result.column_names == ["sample_id", "label", "probability", "n_votes"]
    assert set(result["n_votes"].to_pylist()) == {3}
    assert all(0 < p <= 1 for p in result["probability"].to_pylist())
    assert len(result) == len(truth)


def test_no_votes_give_no_labels() -> None:
    empty: Votes = {"sample_id": [], "annotator": [], "label": []}
    assert len(consensus(pa.table(empty, schema=_schema()))) == 0


def _schema() -> pa.Schema:
    return pa.schema([(name, pa.string()) for name in ("sample_id", "annotator", "label")])


@pytest.mark.parametrize(
    ("votes", "message"),
    [
        ({"sample_id": ["a"], "label": ["x"]}, "no column 'annotator'"),
        ({"sample_id": ["a"], "annotator": ["p"], "label": [None]}, "'label'"),
        (
            {"sample_id": ["a", "a"], "annotator": ["p", "p"], "label": ["x", "y"]},
            "'p' voted 2 times on 'a'",
        ),
    ],
)
def test_says_what_is_wrong_with_votes(votes: Votes, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        consensus(votes)
