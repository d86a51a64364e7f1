"""One JSON Lines file: an object a sample, with the columns of the manifest."""

import json
from pathlib import Path

from labelloop.core.dataset import DatasetVersion
from labelloop.exports import manifest
from labelloop.exports.exported import Exported
from labelloop.exports.target import whole, writing
from labelloop.ports.clock import Progress

_LINE_ENDS = str.maketrans({"\x85": "\\u0085", "\u2028": "\\u2028", "\u2029": "\\u2029"})
"""JSON may hold these as they are, but some readers would end the line there."""


def export(version: DatasetVersion, target: Path, progress: Progress) -> Exported:
    """Write `target`, whole or not at all; what has no value is null.

    Raises:
        DatasetError: it can't be written.
    """
    n = 0
    columns = manifest.schema(version).names
    with writing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        with whole(target) as file:
            for batch in manifest.batches(version, columns):
                for row in batch.to_pylist():
                    file.write(json_line(row))
                n += len(batch)
                progress("rows", n, version.n_human + version.n_model)
    return Exported(format="jsonl", target=str(target), n_written=n)


def json_line(row: dict[str, object]) -> bytes:
    r"""One object on one line.

    >>> json_line({"label": "Füchse\u2028"})
    b'{"label": "F\xc3\xbcchse\\u2028"}\n'
    """
    return json.dumps(row, ensure_ascii=False).translate(_LINE_ENDS).encode() + b"\n"
