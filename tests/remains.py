"""Finds what is left of a text in files, also where they are compressed."""

from pathlib import Path


def holding(folder: Path, text: str) -> list[str]:
    """The files below a folder that hold a text: by their bytes, and Parquet and Avro files inside."""
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    return [str(p.relative_to(folder)) for p in found if any(text.encode() in s for s in _said(p))]


def _said(path: Path) -> list[bytes]:
    said = [path.read_bytes()]
    if path.suffix == ".parquet":
        import pyarrow.parquet as pq

        said.append(repr(pq.read_table(path, partitioning=None).to_pylist()).encode())
    elif path.suffix == ".avro":
        from pyiceberg.avro.file import AvroFile
        from pyiceberg.io.pyarrow import PyArrowFileIO

        with AvroFile(PyArrowFileIO().new_input(str(path))) as records:  # type: ignore[var-annotated]
            said.append(repr(list(records)).encode())
    return said
