"""Parquet files that Hugging Face's `datasets` loads, with images and classes as its own kinds."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING

from labelloop.core.dataset import DatasetVersion, Row
from labelloop.exports import croissant, manifest
from labelloop.exports.exported import Exported
from labelloop.exports.inputs import inputs
from labelloop.exports.names import ending, file_name
from labelloop.exports.shards import SHARD_BYTES, Input, OpenShard, Shards
from labelloop.exports.target import (
    CLASS_NUMBERS,
    claimed,
    make_folder,
    whole,
    write_numbers,
    writing,
)
from labelloop.ports.clock import Progress
from labelloop.ports.store import Store

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

SPLITS: Mapping[str, str] = {"training": "train", "evaluation": "test"}
_GROUP_BYTES = 32 << 20
_GROUP_ROWS = 1_000
_KINDS = {"bool": "bool", "string": "string", "double": "float64", "int64": "int64"}


def export(
    versions: Sequence[DatasetVersion],
    target: Path,
    store: Store | None,
    *,
    classes: Sequence[str],
    shard_bytes: int = SHARD_BYTES,
    progress: Progress,
) -> Exported:
    """Write `target`/data/train-00000.parquet and so on, and test-... where evaluation is exported.

    `label` is a ClassLabel whose numbers are the places in `classes`, the same in every export;
    `image` is an Image with its bytes, left out where there is no store: then the manifest holds text.
    The rest are the manifest's columns.

    Raises:
        DatasetError: the folder can't be written, or holds something else.
    """
    with writing(target), claimed(target, versions, "huggingface"):
        make_folder(target / "data")
        write_numbers(target / CLASS_NUMBERS, classes)
        shards = Shards(target, progress)
        for version in versions:
            columns = manifest.schema(version)
            shards.write(
                _inputs(version, store),
                n_rows=version.n_human + version.n_model,
                name=_namer(SPLITS[version.name]),
                open_shard=_opener(columns, classes, with_image=store is not None),
                size_bytes=shard_bytes,
            )
        with whole(target / "README.md") as card:
            card.write(_card(versions).encode())
        croissant.describe_parquet(
            target, versions, shards.all, columns, with_image=store is not None
        )
        return shards.exported("huggingface")


def _inputs(version: DatasetVersion, store: Store | None) -> Callable[[int], Iterator[Input]]:
    if store is not None:
        return inputs(manifest.rows(version), store)
    return lambda n: islice(manifest.texts(version), n, None)


def features(columns: "pa.Schema", classes: Sequence[str], *, with_image: bool) -> "pa.Schema":
    """The Arrow schema of the files, with what `datasets` needs to know in its metadata."""
    import pyarrow as pa

    fields = [pa.field("label", pa.int64()), *(f for f in columns if f.name != "label")]
    kinds: dict[str, object] = {
        f.name: {"dtype": _KINDS[str(f.type)], "_type": "Value"} for f in fields
    }
    kinds["label"] = {"names": list(classes), "_type": "ClassLabel"}
    if with_image:
        image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
        fields.insert(0, pa.field("image", image))
        kinds = {"image": {"_type": "Image"}, **kinds}
    described = json.dumps({"info": {"features": kinds}}, ensure_ascii=False)
    return pa.schema(fields, metadata={"huggingface": described})


def _namer(split: str) -> Callable[[int], str]:
    return lambda number: f"data/{split}-{number:05d}.parquet"


def _opener(columns: "pa.Schema", classes: Sequence[str], *, with_image: bool) -> OpenShard:
    import pyarrow.parquet as pq

    schema = features(columns, classes, with_image=with_image)

    @contextmanager
    def open_shard(file: IO[bytes]) -> Iterator[_GroupWriter]:
        with pq.ParquetWriter(file, schema, compression="zstd") as parquet:
            writer = _GroupWriter(parquet, schema, classes)
            yield writer
            writer.flush()

    return open_shard


class _GroupWriter:
    """Gathers samples into row groups that fit into memory."""

    def __init__(
        self, parquet: "pq.ParquetWriter", schema: "pa.Schema", classes: Sequence[str]
    ) -> None:
        self._parquet = parquet
        self._schema = schema
        self._places = {label: place for place, label in enumerate(classes)}
        self._rows: list[dict[str, object]] = []
        self._held_bytes = 0

    def add(self, row: Row, data: bytes) -> None:
        """Append one sample."""
        held: dict[str, object] = {f.name: getattr(row, f.name, None) for f in self._schema}
        held["label"] = self._places[row.label]
        if "image" in held:
            name = Path(file_name(row.sample_id, row.content_hash)).stem
            held["image"] = {"bytes": data, "path": f"{name}.{ending(row.sample_id, data)}"}
        self._rows.append(held)
        self._held_bytes += len(data)
        if len(self._rows) >= _GROUP_ROWS or self._held_bytes >= _GROUP_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write what is gathered as a row group."""
        import pyarrow as pa

        if self._rows:
            self._parquet.write_table(pa.Table.from_pylist(self._rows, schema=self._schema))
        self._rows, self._held_bytes = [], 0


def _card(versions: Sequence[DatasetVersion]) -> str:
    """The README.md that tells `datasets` which file belongs to which split."""
    files = "".join(
        f"  - split: {split}\n    path: data/{split}-*.parquet\n"
        for split in (SPLITS[v.name] for v in versions)
    )
    said = "\n".join(
        f"- {SPLITS[v.name]}: {v.name} v{v.version}, {v.n_human:,} labels by people, {v.n_model:,} by "
        f"the model; content hash {v.content_hash}"
        for v in versions
    )
    return f"---\nconfigs:\n- config_name: default\n  data_files:\n{files}---\n\n{said}\n"
