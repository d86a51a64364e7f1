"""A candidate and its answers, from a file or from the prediction log."""

import csv
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from labelloop.core.sample import Role
from labelloop.errors import ArgumentError
from labelloop.reading.confidence import confidences

if TYPE_CHECKING:  # the process that reads a file from elsewhere needs none of these
    import pyarrow as pa

    from labelloop.core.round import Rival
    from labelloop.measuring.blind_frame import BlindFrame
    from labelloop.ports.log import PredictionLog

CSV = frozenset({".csv", ".tsv", ".txt"})
COLUMNS = ("sample_id", "predicted_class", "confidence")


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A model that may be shipped, with its answers.

    digest
        the hash that identifies it among candidates
    answers
        its class for each sample_id
    in_log
        whether it is a model in the log: it may have begun late, so that labelled samples have no
        answer of it. In a file that is a mistake
    """

    name: str
    digest: str
    answers: Mapping[str, str]
    in_log: bool


def from_file(
    path: Path, classes: Collection[str], renamed: Mapping[str, str] | None = None
) -> Candidate:
    """The candidate whose answers stand in a Parquet or CSV file with the columns COLUMNS.

    `confidence` may be missing. The end of a line as Windows writes it is no part of a name. A class
    under an old name, a key of `renamed`, counts as the one that it names.

    Raises:
        ArgumentError: the file can't be used.
    """
    table = read_table(path)
    answers: dict[str, str] = {}
    column = table.column("confidence").combine_chunks()
    bad = confidences(column, "confidence").bad
    for row, unread in zip(table.to_pylist(), bad, strict=True):
        sample_id, said, sure = (row[name] for name in COLUMNS)
        if sample_id is None:
            raise ArgumentError(f"{path} has a row without a sample_id", remedy="remove it")
        if sample_id in answers:
            raise ArgumentError(
                f"{path} has two rows for {sample_id!r}: expected one row for each sample",
                remedy="remove one of them",
            )
        said = said if said in classes or said is None else said.removesuffix("\r")
        said = (renamed or {}).get(said, said)
        if said not in classes:
            raise ArgumentError(
                f"{path}: predicted_class {said!r} of {sample_id!r} isn't a class of the project",
                remedy=f"expected one of {', '.join(sorted(classes))}",
            )
        if unread or sure != sure:
            raise ArgumentError(
                f"{path}: confidence {sure!r} of {sample_id!r}: expected a number from 0 to 1",
                remedy="correct it, or leave it empty if there is no confidence",
            )
        answers[sample_id] = said
    for sample_id in [s for s in answers if s.endswith("\r")]:
        answers.setdefault(sample_id.removesuffix("\r"), answers[sample_id])
    digest = sha256(path.read_bytes()).hexdigest()
    return Candidate(name=str(path), digest=digest, answers=answers, in_log=False)


def read_table(path: Path, *, most: int | None = None) -> "pa.Table":
    """The columns COLUMNS of the file, of `most` rows at most; `confidence` is null where there is none.

    Raises:
        ArgumentError: the file can't be read, or has more rows.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    expected = f"expected a Parquet or CSV file with the columns {', '.join(COLUMNS[:2])}"
    try:
        if path.suffix.lower() in CSV:
            table = _from_csv(path)
        else:
            wanted = [name for name in pq.read_schema(path).names if name in COLUMNS]
            _check_rows(path, pq.read_metadata(path).num_rows, most)
            table = pq.read_table(path, columns=wanted, partitioning=None)
    except ArgumentError:
        raise
    except FileNotFoundError as exc:
        raise ArgumentError(f"there is no file {path}", remedy="correct the path") from exc
    except (OSError, ValueError, csv.Error, pa.ArrowException) as exc:
        raise ArgumentError(
            f"{path} can't be read: {exc}", remedy=f"{expected}, with one row for each sample"
        ) from exc
    _check_rows(path, len(table), most)
    if "confidence" not in table.column_names:
        table = table.append_column("confidence", pa.nulls(len(table)))
    _check_columns(path, table.schema, expected)
    return table


def _check_rows(path: Path, n: int, most: int | None) -> None:
    if most is not None and n > most:
        raise ArgumentError(
            f"{path} has {n:,} rows: expected at most {most:,}",
            remedy="send the samples that judge alone",
        )


def _from_csv(path: Path) -> "pa.Table":
    """A CSV file's columns: text, but for the confidence.

    Raises:
        ValueError: a line has more or fewer cells than the first, or a confidence is no number.
    """
    import pyarrow as pa

    with path.open(encoding="utf-8-sig", newline="") as file:
        first = file.readline()
        file.seek(0)
        separator = next((s for s in ",;\t" if s in first), ",")
        reader = csv.reader(file, delimiter=separator, strict=True)
        names = next(reader, [])
        rows = [(reader.line_num, row) for row in reader if row]
    for number, row in rows:
        if len(row) != len(names):
            raise ValueError(f"line {number} has {len(row)} cells, the first line {len(names)}")
    twice = [name for name in COLUMNS if names.count(name) > 1]
    if twice:
        raise ArgumentError(f"{path} has two columns {twice[0]!r}", remedy="remove one of them")
    columns: dict[str, list[str | None]] = {
        name: [row[i] or None for _, row in rows] for i, name in enumerate(names) if name in COLUMNS
    }
    sure = columns.pop("confidence", None)
    table = pa.table({name: pa.array(held, pa.string()) for name, held in columns.items()})
    if sure is None:
        return table
    numbers = [None if text is None else float(text.replace(",", ".")) for text in sure]
    return table.append_column("confidence", pa.array(numbers, pa.float64()))


def _check_columns(path: Path, held: "pa.Schema", expected: str) -> None:
    import pyarrow as pa

    def text(kind: pa.DataType) -> bool:
        own = kind.value_type if pa.types.is_dictionary(kind) else kind
        return bool(pa.types.is_string(own) or pa.types.is_large_string(own))

    for name in COLUMNS:
        if held.names.count(name) > 1:
            raise ArgumentError(f"{path} has two columns {name!r}", remedy="remove one of them")
        if name not in held.names:
            raise ArgumentError(f"{path} has no column {name!r}: {expected}", remedy="add it")
        kind = held.field(name).type
        numeric = pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_null(kind)
        if not (numeric if name == "confidence" else text(kind)):
            wanted = "numbers" if name == "confidence" else "text"
            raise ArgumentError(
                f"{path}: column {name!r} holds {kind}, expected {wanted}",
                remedy="convert the column",
            )


def in_log(model: str) -> Candidate:
    """A model in the log, before any answer of it was read."""
    digest = sha256(f"model in the log: {model}".encode()).hexdigest()
    return Candidate(name=model, digest=digest, answers={}, in_log=True)


def of_round(
    rival: "Rival",
    classes: Collection[str],
    renamed: Mapping[str, str],
    path: Path | None = None,
) -> Candidate:
    """The candidate that a round was drawn for: the model in the log, or its file.

    path
        where that file lies by now; None: where it lay

    Raises:
        ArgumentError: the file can't be used, or isn't the one that the round was drawn for.
    """
    shadow = in_log(rival.name)
    if shadow.digest == rival.digest:
        return shadow
    found = from_file(path or Path(rival.name), classes, renamed)
    if found.digest != rival.digest:
        raise ArgumentError(
            f"{found.name} isn't the file that the round was drawn for: its content is another one",
            remedy="name that file with --candidate, or draw a new round for this one",
        )
    return found


def from_log(log: "PredictionLog", model: str, frames: "Sequence[BlindFrame]") -> Candidate:
    """The candidate whose answers are in the log beside those that were served.

    Those are predictions of shadow models, and of models whose answer was served to the same sample
    later; of two answers the first counts.

    Raises:
        ArgumentError: it serves, or never answered a labelled sample of `frames`.
    """
    if frames and frames[-1].draws[-1].model == model:
        raise ArgumentError(
            f"{model!r} is the serving model, which can't be compared with itself",
            remedy="give the name of the candidate",
        )
    labelled = [d.sample_id for f in frames for d in f.reached if d.label is not None]
    answers: dict[str, str] = {}
    others: Counter[str] = Counter()
    for found in log.predictions(labelled):
        if found.role is not Role.SERVING:
            others[found.model] += 1
            if found.model == model:
                answers.setdefault(found.sample_id, found.predicted_class)
    if labelled and not answers:
        named = ", ".join(f"{name!r} ({n:,})" for name, n in others.most_common(5))
        near = get_close_matches(model, others, n=1)
        raise ArgumentError(
            f"the log has no answer of model {model!r} to any of the {len(labelled):,} labelled samples",
            remedy=(f"do you mean {near[0]!r}? " if near else "")
            + (f"Models that answered some: {named}" if named else "No other model answered any")
            + "; see docs/how-to/compare.md for how a shadow model's answers get into the log",
        )
    return replace(in_log(model), answers=answers)
