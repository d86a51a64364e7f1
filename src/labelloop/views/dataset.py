"""One dataset version: what it holds, and what it promises."""

from collections.abc import Mapping
from dataclasses import dataclass

from labelloop.core.dataset import DatasetVersion
from labelloop.exports import manifest


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetContents:
    """One released version with its labels.

    guarantee
        what it promises about the model's labels, in its own words; None where it says nothing
    by_label
        how many samples have each label
    """

    version: DatasetVersion
    guarantee: str | None
    by_label: Mapping[str, int]


def contents(version: DatasetVersion) -> DatasetContents:
    """What a version holds.

    Raises:
        DatasetError: its folder is gone or damaged.
    """
    return DatasetContents(
        version=version,
        guarantee=manifest.guarantee(version),
        by_label=manifest.by_label(version),
    )
