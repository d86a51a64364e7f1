"""A dataset version: a content-hashed list of samples, labels, and where each came from."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

MANIFEST, DESCRIPTION = "manifest.parquet", "dataset.json"
"""The files of a version's folder: its rows, and what it says of itself."""


class Origin(StrEnum):
    """Who gave a label."""

    HUMAN = "human"
    MODEL = "model"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row of a manifest. Fields that don't apply to its origin are None.

    `certificate` bounds how many of the model's labels that carry it are wrong. `text` is that of a
    table; what is in an object of its own stands at `uri`. `extra_answer`: the label is none of the
    model's classes, so whatever a model says of the sample is wrong.
    """

    sample_id: str
    uri: str
    content_hash: str
    label: str
    origin: Origin
    confidence: float | None
    model: str
    round: int | None
    queue: str | None
    inclusion: float | None
    annotator: str | None
    annotation_revision: str | None
    certificate: int | None = None
    text: str | None = None
    extra_answer: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetVersion:
    """One released version. A certificate stands behind `n_certified` of the n_model labels.

    `redacted_from` is the content hash before rows were last taken out by `forget`; None: never.
    """

    name: str
    version: int
    content_hash: str
    parent: int | None
    uri: str
    n_human: int
    n_model: int
    n_certified: int
    created_at: datetime
    redacted_from: str | None = None
