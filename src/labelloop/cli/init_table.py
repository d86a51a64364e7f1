"""init: a table of predictions in place of tags, and how it calls its columns."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from labelloop.cli.asking import Asker, say
from labelloop.cli.init_store import Place, from_config
from labelloop.errors import ArgumentError, StoreError

if TYPE_CHECKING:
    from labelloop.adapters.sources.files import Kind
    from labelloop.setup.first_settings import TableAnswers
    from labelloop.setup.proposal import Proposal
    from labelloop.setup.table_proposal import TableProposal

KINDS: "tuple[Kind, ...]" = ("parquet", "jsonl", "csv")


@dataclass(frozen=True, slots=True)
class Table:
    """What [source] says, and what the table's rows say."""

    answers: "TableAnswers"
    seen: "Proposal"


def is_log(place: Place, uri: str) -> bool:
    """Whether a platform's log lies there."""
    from labelloop.project import draft

    there = uri if uri.startswith("s3://") else str(Path(uri).expanduser().resolve())
    return draft.platform(there, inputs=place.settings) is not None


def table(
    asker: Asker, place: Place, config: Path, by_tags: "Proposal", *, given: str | None
) -> Table | None:
    """The table of predictions: given, or asked for where inputs have no tags; None: there is none."""
    from labelloop.project import draft
    from labelloop.setup.first_settings import TableAnswers
    from labelloop.setup.table_proposal import propose_columns

    if given is None and by_tags.n_looked_at and not by_tags.n_tagged:
        say("the inputs have no tags")
        given = asker.text(
            "A table of predictions: a folder, s3://bucket/prefix or a file (none: Enter)",
            suggested="",
            flag="--source",
        )
    if not given:
        return None
    is_bucket = given.startswith("s3://")
    uri = given if is_bucket else str(Path(given).expanduser().resolve())
    if platform := draft.platform(uri, inputs=place.settings):
        return _logged(asker, place, config, platform, uri, given)
    kind = _kind(place, uri, given)
    found, n_rows, file = _rows(place, kind, uri)
    if len(found.could_be_classes) > 1 and not asker.silent:
        question = "Which column holds the predicted class"
        column = asker.choice(question, found.could_be_classes, flag="--class")
        found = propose_columns(found.rows, column)
    found, example = _placed(place, found)
    _say_columns(found, kind, file, example, place)
    written = given if is_bucket else from_config(given, config)
    return Table(TableAnswers(kind=kind, uri=written, columns=found), found.seen(n_rows))


def _logged(asker: Asker, place: Place, config: Path, kind: str, uri: str, given: str) -> Table:
    """The log of a platform, and where in its bodies the class lies."""
    from labelloop.project import draft
    from labelloop.setup.first_settings import TableAnswers
    from labelloop.setup.table_proposal import propose_bodies

    score = None
    if kind == "langfuse":
        counts = draft.scores(uri, inputs=place.settings)
        if not counts:
            raise ArgumentError(
                f"{given} contains no score of an evaluator (source EVAL)",
                remedy='for scores that a program sent, write [source] by hand, with score_source = "API": '
                "docs/how-to/serving-logs.md",
            )
        score = max(counts, key=lambda name: counts[name])
        if len(counts) > 1 and not asker.silent:
            choices = {name: frozenset({f"{n:,} seen"}) for name, n in counts.items()}
            score = asker.choice("Which score is the prediction", choices, flag="--source")
    file, rows, n_rows = draft.logged(kind, uri, inputs=place.settings, score=score or "")
    if not rows:
        raise ArgumentError(
            f"no request of {file or given} has both {_WHOLE[kind]}, which labelloop needs",
            remedy="let the platform log them: docs/how-to/serving-logs.md",
        )
    found = propose_bodies(kind, rows)
    if len(found.could_be_classes) > 1 and not asker.silent:
        question = "Which place holds the predicted class"
        chosen = asker.choice(question, found.could_be_classes, flag="--class")
        found = replace(found, columns={**found.columns, "predicted_class": chosen})
    say(f"the log of {_PLATFORMS[kind]}; {len(found.rows):,} of its requests were looked at")
    for key in ("predicted_class", "confidence", "probabilities", "text", "uri"):
        if key in found.columns:
            say(f"{key + ':':<17}{found.columns[key]!r}")
    say(f"{'attributes:':<17}{', '.join(found.attributes) or 'none'}", 17)
    written = given if given.startswith("s3://") else from_config(given, config)
    answers = TableAnswers(kind=kind, uri=written, columns=found, score=score)
    return Table(answers, found.seen(n_rows))


_WHOLE = {
    "sagemaker": "an eventId and a response (endpointOutput)",
    "kserve": "an id and a response",
    "databricks": "a databricks_request_id and a response",
    "langfuse": "an id and a score",
}
"""What a row of a log must hold."""

_PLATFORMS = {
    "sagemaker": "a SageMaker endpoint (data capture)",
    "kserve": "KServe",
    "databricks": "Databricks (an inference table)",
    "langfuse": "Langfuse (an export)",
}


def _kind(place: Place, uri: str, given: str) -> str:
    """What kind of files lie there: the one that there are most of."""
    counts = {kind: _n_files(place, kind, uri) for kind in KINDS}
    kind = max(KINDS, key=lambda k: counts[k])
    if counts["parquet"] and _holds_json(place, f"{uri.rstrip('/')}/_delta_log"):
        return "delta"
    if counts["parquet"] and _holds_json(place, f"{uri.rstrip('/')}/metadata", ".metadata.json"):
        raise ArgumentError(
            f"{given} is an Iceberg table, which labelloop reads through its catalog",
            remedy="leave --source out, name the classes (--class Bread --class Dessert), and write "
            "catalog and table into [source]: docs/how-to/tables.md shows how",
        )
    if not counts[kind]:
        raise ArgumentError(
            f"{given} contains no Parquet, JSON lines or CSV file",
            remedy="correct --source; docs/how-to/tables.md lists the allowed file names, and shows "
            "how to use Iceberg",
        )
    return kind


def _n_files(place: Place, kind: "Kind", uri: str) -> int:
    from labelloop.adapters.sources.files import ENDINGS

    return sum(name.lower().endswith(ENDINGS[kind]) for name in _files(place, kind, uri))


def _files(place: Place, kind: "Kind", uri: str) -> list[str]:
    from labelloop.project import draft

    try:
        with draft.source({"kind": kind, "uri": uri}, inputs=place.settings) as source:
            return [file.uri for file in source.files()]
    except StoreError as exc:
        # there is no file of settings yet
        remedy = exc.remedy.replace("[source] uri", "--source")
        raise type(exc)(exc.args[0], remedy=remedy) from exc


def _holds_json(place: Place, uri: str, ending: str = ".json") -> bool:
    """Whether such a file lies there: the Parquet files beside it are a table's, which names the deleted."""
    try:
        return any(name.endswith(ending) for name in _files(place, "jsonl", uri))
    except StoreError:
        return False


def _rows(place: Place, kind: str, uri: str) -> tuple["TableProposal", int, str]:
    from labelloop.doctor.glimpse import first_rows
    from labelloop.project import draft
    from labelloop.setup.table_proposal import propose_columns

    with draft.source({"kind": kind, "uri": uri}, inputs=place.settings) as source:
        file, rows, n = first_rows(source)
    if not rows:
        raise ArgumentError(
            f"labelloop can't read any row of {file}",
            remedy="correct the file, then run this again",
        )
    return propose_columns(rows), n, file


def _placed(place: Place, found: "TableProposal") -> tuple["TableProposal", str]:
    """The proposal with the column that names inputs in the store; an example of none.

    Tried in turn: the column that is called so, the sample's id, and every other one.
    """
    from urllib.parse import quote

    from labelloop.project import draft

    def there(value: str) -> bool:
        if "://" in value:
            return value.startswith(place.uri.partition("://")[0]) and store.exists(value)
        key = quote(value) if place.is_folder else value
        return store.exists(f"{place.uri.rstrip('/')}/{key}")

    named, own = found.columns.get("uri"), found.columns.get("sample_id")
    others = [c for c in found.distinct if c not in {named, own}]
    with draft.store(place.settings) as store:
        for column in filter(None, [named, own, *others]):
            values = found.examples(column)
            if values and all(map(there, values)):
                return found.with_uri(None if column == own else column), ""
    example = next(iter(found.examples(named or own)), "")
    return replace(found.with_uri(None), needs_uri=True), example


def _say_columns(found: "TableProposal", kind: str, file: str, example: str, place: Place) -> None:
    say(f"{file} ({kind}); {len(found.rows):,} of its rows were looked at")
    for key in ("sample_id", "predicted_class", "confidence", "predicted_at", "uri"):
        if key in found.columns:
            say(f"{key + ':':<17}column {found.columns[key]!r}{found.unit_of(key)}")
        elif key != "uri":
            say(f"{key + ':':<17}no column seems to hold it")
    if found.needs_uri:
        say(f"{'uri:':<17}no input in {place.written['uri']} is called {example}", 17)
    say(f"{'attributes:':<17}{', '.join(found.attributes) or 'none'}", 17)
