"""Several people's answers to the same questions -> one answer each, and how sure it is."""

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from labelloop.errors import ArgumentError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pyarrow as pa

MIN_VOTES = 3
"""Votes on a sample below which the majority is as good a guide."""

MIN_ANSWERS = 20
"""Answers by one person below which nothing is learned of their skill: they count as average."""

ROW_PRIOR = 40.0
"""How many answers per true class the plain model of a person's errors is worth."""

SKILL_PRIOR = 40.0
"""How many answers the average person's accuracy is worth in judging one person's."""

_STEPS = 3
"""Run to its end, the iteration may come to trust one person wholly, and not always the right one."""

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def consensus(votes: "pa.Table | Mapping[str, Sequence[str]]") -> "pa.Table":
    """The most probable true label of each sample, from the votes of several people.

    Votes are weighed by what each person tends to answer where the truth is this or that class, and
    that is learned from the votes themselves by expectation and maximisation (Dawid and Skene 1979,
    "Maximum likelihood estimation of observer error-rates using the EM algorithm", equations 2.3 to
    2.5). Assumed: people err independently of each other, given the truth, and in the same way on
    every sample of a class. Each person's error rates are smoothed: towards errors that are spread
    evenly over the other classes, at a rate that is itself smoothed towards everybody's. Three steps are
    made from the majority's answer, not as many as it takes: further ones may drift far from it.

    A sample with fewer than three votes gets the majority's label, and its share as probability; so do
    all samples where nobody who gave twenty answers or more voted. Equal votes go to the class that
    people answer more often, then to the first by name.

    votes
        columns sample_id, annotator, label (texts); one row for each person and sample
    returns
        a Table, one row a sample, by sample_id: sample_id, label, probability (float64 in (0, 1]: that
        the label is right, if the assumptions hold), n_votes (int64)

    Raises:
        ArgumentError: a column is missing or holds nulls, or one person voted twice on a sample.

    >>> votes = {
    ...     "sample_id": ["a", "a", "a", "b"],
    ...     "annotator": ["ana", "ben", "cem", "ana"],
    ...     "label": ["cat", "cat", "dog", "dog"],
    ... }
    >>> consensus(votes).to_pylist()[1]
    {'sample_id': 'b', 'label': 'dog', 'probability': 1.0, 'n_votes': 1}
    >>> consensus(votes)["label"].to_pylist()
    ['cat', 'dog']
    """
    import pyarrow as pa

    table = votes if isinstance(votes, pa.Table) else pa.table(dict(votes))
    samples, item = _coded(table, "sample_id")
    people, person = _coded(table, "annotator")
    labels, answer = _coded(table, "label")
    pairs = item * max(len(people), 1) + person
    if len(np.unique(pairs)) != len(pairs):
        values, counts = np.unique(pairs, return_counts=True)
        at = int(values[counts > 1][0])
        raise ArgumentError(
            f"{people[at % len(people)]!r} voted {int(counts.max())} times on "
            f"{samples[at // len(people)]!r}",
            remedy="give one row for each person and sample",
        )
    n_votes = np.bincount(item, minlength=len(samples))
    posterior = _posterior(item, person, answer, (len(samples), len(people), len(labels)))
    chosen = posterior.argmax(axis=1) if len(samples) else np.zeros(0, dtype=np.int64)
    return pa.table(
        {
            "sample_id": pa.array(samples, pa.string()),
            "label": pa.array([labels[i] for i in chosen], pa.string()),
            "probability": pa.array(posterior[np.arange(len(samples)), chosen], pa.float64()),
            "n_votes": pa.array(n_votes, pa.int64()),
        }
    )


def _coded(table: "pa.Table", name: str) -> tuple[list[str], Ints]:
    """The distinct values of a column in order, and for each row the number of its own."""
    if name not in table.column_names:
        raise ArgumentError(
            f"votes have no column {name!r}", remedy="give sample_id, annotator and label"
        )
    values = table[name].to_pylist()
    if not all(isinstance(value, str) for value in values):
        raise ArgumentError(
            f"column {name!r} of the votes holds something that is no text",
            remedy="leave rows without an answer out",
        )
    distinct = sorted(set(values))
    number = {value: i for i, value in enumerate(distinct)}
    return distinct, np.array([number[value] for value in values], dtype=np.int64)


def _posterior(item: Ints, person: Ints, answer: Ints, shape: tuple[int, int, int]) -> Floats:
    """(samples, labels): the probability of each label; the share of votes where that is all."""
    n_items, n_people, n_labels = shape
    counts = np.zeros((n_items, n_labels))
    np.add.at(counts, (item, answer), 1.0)
    n_votes = counts.sum(axis=1, keepdims=True)
    share = counts / np.maximum(n_votes, 1)
    # equal votes: a nudge too small to outweigh a vote
    liked = counts.sum(axis=0) / max(len(item), 1)
    capped: Floats = np.minimum(share + 1e-9 * liked, 1.0)
    known = np.bincount(person, minlength=n_people) >= MIN_ANSWERS
    judged = np.zeros(n_items, dtype=bool)
    judged[item[known[person]]] = True
    judged &= n_votes[:, 0] >= MIN_VOTES
    if n_labels < 2 or not judged.any():
        return capped
    # people with few answers share one set of error rates, the last
    who = np.where(known[person], person, n_people)
    weighed = _expectation_maximisation(item, who, answer, share, n_people + 1)
    posterior: Floats = np.where(judged[:, None], weighed, capped)
    return posterior


def _expectation_maximisation(
    item: Ints, who: Ints, answer: Ints, start: Floats, n_people: int
) -> Floats:
    n_labels = start.shape[1]
    truth = start
    for _ in range(_STEPS):
        table = np.zeros((n_people, n_labels, n_labels))  # person, truth, answer
        np.add.at(table.transpose(0, 2, 1), (who, answer), truth[item])
        errors = np.log(_error_rates(table))
        prior = np.log((truth.sum(axis=0) + 1) / (len(truth) + n_labels))
        score = np.tile(prior, (len(truth), 1))
        np.add.at(score, item, errors[who, :, answer])
        score -= score.max(axis=1, keepdims=True)
        truth = np.exp(score)
        truth /= truth.sum(axis=1, keepdims=True)
    return truth


def _error_rates(table: Floats) -> Floats:
    """(people, truth, answer): P(answer | truth) for each person, smoothed, never 0."""
    n_labels = table.shape[1]
    right = np.trace(table, axis1=1, axis2=2)
    total = table.sum(axis=(1, 2))
    # one right and one wrong answer to everybody's account: nobody is infallible
    average = (right.sum() + 1) / (total.sum() + 2)
    skill = (right + SKILL_PRIOR * average) / (total + SKILL_PRIOR)
    plain = np.repeat(((1 - skill) / (n_labels - 1))[:, None, None], n_labels, axis=1)
    plain = np.repeat(plain, n_labels, axis=2)
    every = np.arange(n_labels)
    plain[:, every, every] = skill[:, None]
    rows = table.sum(axis=2, keepdims=True)
    smoothed: Floats = (table + ROW_PRIOR * plain) / (rows + ROW_PRIOR)
    return smoothed
