"""Tar files of bounded size, each sample as KEY.png, KEY.cls and KEY.json: what WebDataset reads."""

import json
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import IO

from labelloop.core.dataset import DatasetVersion, Row
from labelloop.exports import croissant, manifest
from labelloop.exports.exported import Exported
from labelloop.exports.inputs import inputs
from labelloop.exports.names import digest, ending
from labelloop.exports.shards import SHARD_BYTES, Shards
from labelloop.exports.target import (
    CLASS_NUMBERS,
    CLASSES,
    claimed,
    write_json,
    write_numbers,
    writing,
)
from labelloop.ports.clock import Progress
from labelloop.ports.store import Store


def export(
    version: DatasetVersion,
    target: Path,
    store: Store,
    *,
    classes: Sequence[str],
    shard_bytes: int = SHARD_BYTES,
    progress: Progress,
) -> Exported:
    """Write `target`/NAME-000000.tar and so on; the same version always gives the same bytes.

    Samples are in an order that mixes classes and days, as training from a stream needs it. KEY.cls is
    the class's place in `classes`, which `classes.json` lists; KEY.json is the manifest's row.

    Raises:
        DatasetError: the folder can't be written, or holds something else.
    """
    columns = manifest.schema(version).names
    places = {label: place for place, label in enumerate(classes)}

    @contextmanager
    def open_shard(file: IO[bytes]) -> Iterator[_TarWriter]:
        with tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as tar:
            yield _TarWriter(tar, columns, places)

    with writing(target), claimed(target, [version], "webdataset"):
        write_json(target / CLASSES, list(classes))
        write_numbers(target / CLASS_NUMBERS, classes)
        shards = Shards(target, progress)
        shards.write(
            inputs(manifest.shuffled(version), store),
            n_rows=version.n_human + version.n_model,
            name=lambda number: f"{version.name}-{number:06d}.tar",
            open_shard=open_shard,
            size_bytes=shard_bytes,
        )
        croissant.describe_tars(target, version, shards.all)
        return shards.exported("webdataset")


class _TarWriter:
    """Appends samples with nothing in their headers that differs from run to run."""

    def __init__(
        self, tar: tarfile.TarFile, columns: Sequence[str], places: dict[str, int]
    ) -> None:
        self._tar = tar
        self._columns = columns
        self._places = places

    def add(self, row: Row, data: bytes) -> None:
        """Append one sample's three files."""
        held = {name: getattr(row, name) for name in self._columns}
        key = digest(row.sample_id, row.content_hash, size=12).hex()
        self._put(f"{key}.{ending(row.sample_id, data)}", data)
        self._put(f"{key}.cls", str(self._places[row.label]).encode())
        self._put(f"{key}.json", json.dumps(held, ensure_ascii=False).encode())

    def _put(self, name: str, data: bytes) -> None:
        info = tarfile.TarInfo(name)  # its owner is 0, its time 0, its mode 0644
        info.size = len(data)
        self._tar.addfile(info, BytesIO(data))
