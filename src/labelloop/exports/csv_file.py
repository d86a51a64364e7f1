"""One CSV file: a row a sample, with the columns of the manifest; no cell is a formula."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING

from labelloop.core.dataset import DatasetVersion
from labelloop.exports import manifest
from labelloop.exports.exported import Exported
from labelloop.exports.target import whole, writing
from labelloop.ports.clock import Progress

if TYPE_CHECKING:
    import pyarrow as pa

FORMULA = r"^('*[=+\-@\t\r\n])"
"""What a spreadsheet may take for a formula. It gets one apostrophe more before it."""


def export(version: DatasetVersion, target: Path, progress: Progress) -> Exported:
    """Write `target`, whole or not at all.

    Text that begins with `=`, `+`, `-`, `@`, tab or a line end, after any number of apostrophes, gets one
    more apostrophe, so that a spreadsheet shows it and computes nothing. Taking one apostrophe off
    every text that matches `FORMULA` gives back what was there. Text stands in quotes, empty text
    too; what has no value, doesn't.

    Raises:
        DatasetError: it can't be written.
    """
    n = 0
    with writing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        with whole(target) as file, CsvWriter(file, manifest.schema(version)) as writer:
            for batch in manifest.batches(version):
                writer.write(batch)
                n += len(batch)
                progress("rows", n, version.n_human + version.n_model)
    return Exported(format="csv", target=str(target), n_written=n)


class CsvWriter:
    """Writes Arrow batches as CSV without formulas."""

    def __init__(self, file: IO[bytes], schema: "pa.Schema") -> None:
        import pyarrow.csv

        options = pyarrow.csv.WriteOptions(include_header=True, quoting_style="all_valid")
        self._schema = schema
        self._writer = pyarrow.csv.CSVWriter(file, schema, write_options=options)

    def __enter__(self) -> "CsvWriter":
        return self

    def __exit__(self, *_: object) -> None:
        self._writer.close()

    def write_rows(self, rows: Sequence[Mapping[str, object]]) -> None:
        """Append rows by their columns' names."""
        import pyarrow as pa

        self.write(pa.RecordBatch.from_pylist(rows, schema=self._schema))

    def write(self, batch: "pa.RecordBatch") -> None:
        """Append the rows of a batch with the schema's columns."""
        import pyarrow as pa
        import pyarrow.compute as pc

        columns = []
        for field in self._schema:
            column = batch.column(field.name).cast(field.type)
            if pa.types.is_string(field.type):
                column = pc.replace_substring_regex(column, FORMULA, r"'\1")
            columns.append(column)
        self._writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=self._schema))
