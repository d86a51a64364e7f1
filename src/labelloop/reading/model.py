"""The rule for a model's version."""

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from labelloop.reading.column import each, texts

NO_MODEL = "unversioned"
"""The model version of predictions that name none."""


def model(text: str) -> str:
    """The version that a text names, without blanks around it.

    >>> model(" v7 "), model("")
    ('v7', 'unversioned')
    """
    return text.strip().replace("\0", "\ufffd") or NO_MODEL  # no database takes a NUL


def models(column: Any, name: str) -> Any:
    """The versions that a column names: a pyarrow array without nulls."""
    return pc.fill_null(each(texts(column, name), model, pa.string()).values, NO_MODEL)
