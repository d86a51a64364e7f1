"""Which platform's log lies at a uri, as far as its first rows tell."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from itertools import islice
from typing import Any

from labelloop.adapters.s3.access import S3Access
from labelloop.adapters.sources.databricks import DatabricksSource
from labelloop.adapters.sources.delta import DeltaSource
from labelloop.adapters.sources.envelopes import EnvelopeSource
from labelloop.adapters.sources.files import FilesSource, LinesSource
from labelloop.adapters.sources.kserve import KServeSource
from labelloop.adapters.sources.langfuse import TABLE, LangfuseSource
from labelloop.adapters.sources.sagemaker import SageMakerSource
from labelloop.errors import LabelloopError
from labelloop.ports.source import BEGINS, EXPECTED, PAIR, Source, SourceFile

_FILES = 20
_ROWS = 300

MAKERS: Mapping[str, Callable[..., EnvelopeSource]] = {
    "sagemaker": SageMakerSource,
    "kserve": KServeSource,
    "databricks": DatabricksSource,
    "langfuse": LangfuseSource,
}


def platform_of(uri: str, s3: S3Access | None) -> str | None:
    """The kind of [source] that the newest files below `uri` look like; None: no platform's.

    >>> platform_of("/nowhere", None) is None
    True
    """
    for source in (
        LinesSource(uri, s3=s3),
        FilesSource(uri, "parquet", s3=s3),
        FilesSource(uri, "csv", s3=s3),
    ):
        with suppress(LabelloopError):
            files = list(source.files())
            if any(TABLE.search(f.uri) and "/scores/" in f.uri for f in files) and any(
                (found := TABLE.search(f.uri)) and found[1] != "scores" for f in files
            ):
                return "langfuse"
            for file in files[-3:]:
                if kind := _kind_by(_names(source, file)):
                    return kind
    with suppress(LabelloopError):
        delta = DeltaSource(uri, s3=s3)
        for file in delta.files()[-1:]:
            return _kind_by(dict.fromkeys(delta.columns(file).names, ""))
    return None


def rows_of(source: EnvelopeSource) -> tuple[str, list[dict[str, str]], int]:
    """The newest file, some whole rows of the newest files as text, and how many rows were read."""
    files = list(source.files())
    rows: dict[str, dict[str, str]] = {}
    whole: list[dict[str, str]] = []
    n = 0
    for file in reversed(files[-_FILES:]):
        for some in islice(source.read(file, None), 1):
            for i, row in enumerate(some.batch.to_pylist()):
                n += 1
                key = row.get(PAIR) or f"{file.uri}#{i}"
                known = rows.setdefault(str(key), {})
                known |= {
                    k: str(v)
                    for k, v in row.items()
                    if v is not None and k not in known and k not in (PAIR, BEGINS, EXPECTED, "")
                }
        whole = [r for r in rows.values() if r.get("id") and r.keys() & {"response", "output"}]
        if len(whole) >= _ROWS:
            break
    return files[-1].uri if files else "", whole[:_ROWS], n


def score_names(source: LangfuseSource) -> dict[str, int]:
    """How often each score of an evaluator occurs, in the newest files of scores."""
    counts: dict[str, int] = {}
    for file in [f for f in source.files() if "/scores/" in f.uri][-3:]:
        for name, n in source.names_in(file):
            counts[name] = counts.get(name, 0) + n
    return counts


def _names(source: Source, file: SourceFile) -> Mapping[str, Any]:
    """The names in the first record of a file, with their values where it is JSON."""
    if not isinstance(source, LinesSource):
        return dict.fromkeys(source.columns(file).names)
    return next(_records(source, file), {})


def _records(source: LinesSource, file: SourceFile) -> Iterator[Mapping[str, Any]]:
    for rows in source.read(file, None):
        for line in rows.batch.column("line").to_pylist():
            with suppress(ValueError, RecursionError):
                record = json.loads(line)
                if isinstance(record, dict):
                    yield record


def _kind_by(record: Mapping[str, Any]) -> str | None:
    plain = {name.replace("_", "").lower() for name in record}
    if {"capturedata", "eventmetadata"} <= plain:
        return "sagemaker"
    if "databricksrequestid" in plain:
        return "databricks"
    of_event = str(record.get("type", "")).startswith("org.kubeflow.serving.inference.")
    if of_event or {"reqtype", "bytes", "id"} <= plain:
        return "kserve"
    return None
