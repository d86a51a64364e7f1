"""compare: is a candidate better than the model that serves, on the same blind labels?"""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from labelloop.core.estimate import Estimate, Undefined
from labelloop.errors import ArgumentError, DatasetError
from labelloop.ledger import Ledger, comparisons, datasets
from labelloop.ledger.rounds import Placed
from labelloop.ports import Clock
from labelloop.statistics.combine import pooled
from labelloop.statistics.compare import Difference, Verdict
from labelloop.statistics.compare import compare as paired
from labelloop.statistics.frame import BlindRound
from labelloop.steps.blind_frame import BlindFrame, blind_frames

if TYPE_CHECKING:
    import pyarrow as pa

COLUMNS = ("sample_id", "predicted_class", "confidence")
MANY_CANDIDATES = 5
"""Beyond this many candidates one label set starts to flatter the best of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassGain:
    """What samples that people call `label` contribute to the difference, in shares of all traffic."""

    label: str
    n: int
    difference: Difference | Undefined


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """Both accuracies on the same blind labels, for fresh traffic of this kind, and the verdict.

    serving_model, rounds
        the model that served, and the rounds whose labels judge
    n_candidates
        candidates that any of these rounds has judged, this one included: the interval allows for
        them
    more_labels
        labels that would probably settle a NOT YET; None: no sensible number would
    trained_on
        the versions that were named as trained on
    unchecked
        released training versions that hold some of these samples, and were not named as trained on
    """

    serving_model: str
    rounds: tuple[int, ...]
    serving: Estimate | Undefined
    candidate: Estimate | Undefined
    difference: Difference | Undefined
    min_gain: float
    verdict: Verdict | None
    more_labels: int | None
    by_class: tuple[ClassGain, ...]
    n_candidates: int
    trained_on: tuple[tuple[str, int], ...]
    unchecked: tuple[tuple[str, int], ...]

    @property
    def many_candidates(self) -> bool:
        """Whether these labels have judged so many that the best of them flatters itself."""
        return self.n_candidates > MANY_CANDIDATES


def compare(
    ledger: Ledger,
    path: Path,
    *,
    clock: Clock,
    classes: Sequence[str],
    min_gain: float = 0.0,
    trained_on: Sequence[tuple[str, int]] = (),
    level: float = 0.95,
) -> Compared:
    """The candidate whose answers stand in a Parquet file, against the model that serves.

    Judged by the regular rounds that the newest model served. `trained_on` names the dataset versions
    (name, number) that the candidate learned from: with any of their samples, or of byte-identical
    ones, among the judges there is no difference to tell, and the result says so.

    Raises:
        ArgumentError: the file can't be used, or lacks a labelled sample.
        DatasetError: a version that doesn't exist.
    """
    if not -1 <= min_gain <= 1:
        raise ArgumentError(
            f"min_gain = {min_gain}: expected a number from -1 to 1", remedy="0.01: 1 point"
        )
    answers = _read(path, frozenset(classes))
    frames = judges(ledger)
    labelled = [d for f in frames for d in f.reached if d.label is not None]
    absent = [d for d in labelled if d.sample_id not in answers]
    if absent:
        raise ArgumentError(
            f"{path} has no answer for {len(absent)} of the {len(labelled)} labelled samples, "
            f"{absent[0].sample_id!r} among them",
            remedy="`labelloop compare --write-samples FILE` lists them all; leaving some out would "
            "judge another traffic",
        )
    serving = [f.blind_round() for f in frames]
    agrees = [[answers.get(d.sample_id) == d.label for d in f.reached] for f in frames]
    seen = _seen(ledger, frames, trained_on)
    n_candidates = _record(ledger, path, frames, clock) if labelled else 1
    difference = paired(serving, agrees, level=level, trained_on=seen, n_candidates=n_candidates)
    settled = None if isinstance(difference, Undefined) else difference
    return Compared(
        serving_model=frames[-1].draws[-1].model if frames else "",
        rounds=tuple(f.round.round for f in frames),
        serving=pooled(serving, level=level, fresh=True),
        candidate=_accuracy(serving, agrees, level),
        difference=difference,
        min_gain=min_gain,
        verdict=settled.verdict(min_gain) if settled else None,
        more_labels=settled.labels_to_settle(min_gain) if settled else None,
        by_class=_by_class(frames, serving, agrees, level, n_candidates) if settled else (),
        n_candidates=n_candidates,
        trained_on=tuple(trained_on),
        unchecked=_unchecked(ledger, labelled, trained_on),
    )


def judges(ledger: Ledger) -> list[BlindFrame]:
    """The regular rounds with answers whose blind draws the newest serving model made, all of them."""
    regular = [f for f in blind_frames(ledger) if not f.round.extra and f.n_reached]
    if not regular:
        return []
    model = regular[-1].draws[-1].model
    return [f for f in regular if all(d.model == model for d in f.draws)]


def write_samples(ledger: Ledger, target: Path) -> int:
    """Write sample_id of every labelled blind draw that judges now, as CSV; returns how many."""
    ids = [d.sample_id for f in judges(ledger) for d in f.reached if d.label is not None]
    try:
        with target.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["sample_id"])
            writer.writerows([one] for one in ids)
    except OSError as exc:
        raise ArgumentError(
            f"{target} can't be written: {exc}", remedy="name another file"
        ) from exc
    return len(ids)


def _read(path: Path, classes: frozenset[str]) -> Mapping[str, str]:
    """The candidate's answers by sample_id."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    expected = f"expected a Parquet file with the columns {', '.join(COLUMNS)}"
    try:
        _check_columns(path, pq.read_schema(path), expected)
        table = pq.read_table(path, columns=list(COLUMNS))
    except (OSError, pa.ArrowException) as exc:
        raise ArgumentError(
            f"{path} can't be read: {exc}", remedy=f"{expected}, one row a sample"
        ) from exc
    answers: dict[str, str] = {}
    for row in table.to_pylist():
        sample_id, said, sure = (row[name] for name in COLUMNS)
        if sample_id in answers:
            raise ArgumentError(
                f"{path} has two rows for {sample_id!r}: expected one a sample", remedy="keep one"
            )
        if said not in classes:
            raise ArgumentError(
                f"{path}: predicted_class {said!r} of {sample_id!r} is none of the project's classes",
                remedy=f"expected one of {', '.join(sorted(classes))}",
            )
        if sure is not None and not 0 <= sure <= 1:
            raise ArgumentError(
                f"{path}: confidence {sure!r} of {sample_id!r}: expected a number from 0 to 1",
                remedy="leave it null where there is none",
            )
        answers[sample_id] = said
    return answers


def _check_columns(path: Path, held: "pa.Schema", expected: str) -> None:
    import pyarrow as pa

    def text(kind: pa.DataType) -> bool:
        own = kind.value_type if pa.types.is_dictionary(kind) else kind
        return bool(pa.types.is_string(own) or pa.types.is_large_string(own))

    for name in COLUMNS:
        if name not in held.names:
            raise ArgumentError(f"{path} has no column {name!r}: {expected}", remedy="add it")
        kind = held.field(name).type
        numeric = pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_null(kind)
        if not (numeric if name == "confidence" else text(kind)):
            wanted = "numbers" if name == "confidence" else "text"
            raise ArgumentError(
                f"{path}: column {name!r} holds {kind}, expected {wanted}", remedy="cast it"
            )


def _accuracy(
    serving: Sequence[BlindRound], agrees: Sequence[Sequence[bool]], level: float
) -> Estimate | Undefined:
    """The candidate's own accuracy: the same rounds, with its answers."""
    own = [
        BlindRound(
            np.array(right, dtype=bool), r.risk, r.inclusion, r.frame, r.answered, r.n_set_aside
        )
        for r, right in zip(serving, agrees, strict=True)
    ]
    return pooled(own, level=level, fresh=True)


def _by_class(
    frames: Sequence[BlindFrame],
    serving: Sequence[BlindRound],
    agrees: Sequence[Sequence[bool]],
    level: float,
    n_candidates: int,
) -> tuple[ClassGain, ...]:
    """The difference, split by what people say the sample is; the parts add up to the whole."""
    gains = []
    for label in sorted({d.label for f in frames for d in f.reached if d.label is not None}):
        other = [np.array([d.label != label for d in f.reached]) for f in frames]
        ours = [
            BlindRound(r.correct | o, r.risk, r.inclusion, r.frame, r.answered, r.n_set_aside)
            for r, o in zip(serving, other, strict=True)
        ]
        theirs = [np.array(a, dtype=bool) | o for a, o in zip(agrees, other, strict=True)]
        n = sum(d.label == label for f in frames for d in f.reached)
        difference = paired(ours, theirs, level=level, n_candidates=n_candidates)
        gains.append(ClassGain(label=label, n=n, difference=difference))
    return tuple(gains)


def _seen(
    ledger: Ledger, frames: Sequence[BlindFrame], trained_on: Sequence[tuple[str, int]]
) -> list[list[bool]]:
    """For each judge, whether the candidate learned from it or from a byte-identical one."""
    samples: set[str] = set()
    contents: set[str] = set()
    for name, number in trained_on:
        held_samples, held_contents = _held(ledger, name, number)
        samples |= held_samples
        contents |= held_contents
    return [
        [
            d.label is not None and (d.sample_id in samples or d.content_hash in contents)
            for d in f.reached
        ]
        for f in frames
    ]


def _held(ledger: Ledger, name: str, number: int) -> tuple[set[str], set[str]]:
    import pyarrow.parquet as pq

    with ledger.read() as tx:
        found = [v for v in datasets.every(tx) if (v.name, v.version) == (name, number)]
    if not found:
        raise DatasetError(
            f"no dataset version '{name} v{number}'", remedy="`labelloop datasets list` shows them"
        )
    manifest = Path(found[0].uri) / "manifest.parquet"
    try:
        table = pq.read_table(manifest, columns=["sample_id", "content_hash"])
    except OSError as exc:
        raise DatasetError(
            f"{name} v{number} can't be checked: {manifest} can't be read",
            remedy="restore the file; without it nobody knows what the candidate learned from",
        ) from exc
    return set(table["sample_id"].to_pylist()), set(table["content_hash"].to_pylist())


def _unchecked(
    ledger: Ledger, labelled: Sequence[Placed], trained_on: Sequence[tuple[str, int]]
) -> tuple[tuple[str, int], ...]:
    """Training versions that weren't named and hold some of the judges."""
    with ledger.read() as tx:
        versions = [
            v
            for v in datasets.every(tx)
            if v.name == "training" and (v.name, v.version) not in trained_on
        ]
    found = []
    for version in versions:
        if not (Path(version.uri) / "manifest.parquet").exists():
            continue
        samples, contents = _held(ledger, version.name, version.version)
        n = sum(d.sample_id in samples or d.content_hash in contents for d in labelled)
        if n:
            found.append((f"{version.name}@{version.version}", n))
    return tuple(found)


def _record(ledger: Ledger, path: Path, frames: Sequence[BlindFrame], clock: Clock) -> int:
    """Note that these rounds judged this candidate; returns how many any of them has judged.

    Counted round by round: one more round doesn't undo that a candidate was chosen by the others.
    """
    digest = sha256(path.read_bytes()).hexdigest()
    judged_by = [sha256(str(f.round.round).encode()).hexdigest() for f in frames]
    with ledger.lease("compare") as lease, ledger.write(lease) as tx:
        for one in judged_by:
            comparisons.record(tx, digest, one, clock.now())
        return comparisons.count_candidates(tx, judged_by)
