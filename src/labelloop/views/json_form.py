"""The JSON that `--json` prints: one form for every result, which programs may rely on."""

import json
import math
from collections.abc import Mapping, Sequence, Set
from dataclasses import fields, is_dataclass
from datetime import UTC, date, datetime
from enum import Enum
from pathlib import Path
from typing import Any

from labelloop.core.estimate import Undefined
from labelloop.errors import LabelloopError

CONTRACT = 1
"""Raise it when a field goes, or means something else. A new field leaves it as it is."""


def document(kind: str, result: object) -> str:
    """A result as the JSON text that a command prints."""
    held = {"labelloop": CONTRACT, "kind": kind, "result": plain(result)}
    text = json.dumps(held, indent=2, ensure_ascii=False, allow_nan=False)
    # half of a pair that stands for one character is no text; as an escape it is JSON
    return text.encode("utf-8", "backslashreplace").decode()


def plain(value: object) -> Any:
    """A result as what JSON knows.

    An instant is ISO 8601 in UTC, an Undefined its reason, a number that isn't finite null.

    Raises:
        TypeError: a value that has no such form.

    >>> plain({"at": datetime(2026, 3, 1, tzinfo=UTC), "share": Undefined("no label"), "n": math.inf})
    {'at': '2026-03-01T00:00:00+00:00', 'share': {'undefined': 'no label'}, 'n': None}
    """
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Enum):
        return value.value
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, Undefined):
        return {"undefined": value.reason}
    if isinstance(value, LabelloopError):
        return failure(type(value).__name__, str(value.args[0]), value.remedy)
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return {str(plain(key)): plain(held) for key, held in value.items()}
    if isinstance(value, Set):
        return sorted(plain(held) for held in value)
    if isinstance(value, Sequence):
        return [plain(held) for held in value]
    raise TypeError(f"{type(value).__name__} has no JSON form")


def failure(kind: str, error: str, remedy: str) -> dict[str, str]:
    """An error as JSON: its class, what failed, and what to do."""
    return {"type": kind, "error": error, "remedy": remedy}
