"""What the training set consists of, version by version."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from labelloop.errors import DatasetError
from labelloop.exports import manifest
from labelloop.ledger import Ledger, datasets

NEWEST = 60
"""Versions whose manifests a report reads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingVersion:
    """Where the labels of one version come from.

    n_certified
        of the n_model model labels, those that a certificate stands behind
    human_by_queue
        people's labels by the queue that asked; None where its manifest can't be read any more
    guarantee
        what it promises about the model-made labels, in its own words; None where it says nothing
    """

    version: int
    created_at: datetime
    n_human: int
    n_model: int
    n_certified: int
    human_by_queue: Mapping[str, int] | None
    guarantee: str | None


def training_versions(ledger: Ledger) -> tuple[TrainingVersion, ...]:
    """The newest versions of the training set, oldest first."""
    with ledger.read() as tx:
        released = [d for d in datasets.every(tx) if d.name == "training"]
    found: list[TrainingVersion] = []
    for version in released[-NEWEST:]:
        by_queue: Mapping[str, int] | None
        try:
            by_queue = manifest.human_by_queue(version)
        except DatasetError:  # an old version's folder may have been moved to an archive
            by_queue = None
        found.append(
            TrainingVersion(
                version=version.version,
                created_at=version.created_at,
                n_human=version.n_human,
                n_model=version.n_model,
                n_certified=version.n_certified,
                human_by_queue=by_queue,
                guarantee=manifest.guarantee(version),
            )
        )
    return tuple(found)
