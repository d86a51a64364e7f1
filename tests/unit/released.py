"""Released versions without a loop: a manifest on disk, its inputs in a store in memory."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from labelloop.core.dataset import DatasetVersion, Origin, Row
from labelloop.exports import formats
from labelloop.exports.exported import Exported
from labelloop.exports.imagefolder import FolderKind
from labelloop.ports.clock import silent
from labelloop.steps.build.manifest_file import manifest_schema
from labelloop.testing import MemoryStore
from tests.unit.test_content_hash import plain_hash

AT = datetime(2026, 3, 2, 12, tzinfo=UTC)
ROW = Row(
    sample_id="",
    uri="",
    content_hash="",
    label="cat",
    origin=Origin.HUMAN,
    confidence=0.1,
    model="m1",
    round=1,
    queue="low",
    inclusion=0.5,
    annotator="ana",
    annotation_revision="r1",
)
MODEL = {"origin": Origin.MODEL, "round": None, "queue": None, "inclusion": None}
NOBODY = {"annotator": None, "annotation_revision": None}


def release(folder: Path, name: str, rows: Sequence[Row], *, version: int = 1) -> DatasetVersion:
    """A version whose manifest holds these rows."""
    rows = sorted(rows, key=lambda row: row.sample_id)
    home = folder / name / f"v{version:04d}"
    home.mkdir(parents=True)
    table = pa.Table.from_pylist([asdict(row) for row in rows], schema=manifest_schema())
    path = home / "manifest.parquet"
    pq.write_table(table, path, row_group_size=3, write_page_checksum=True)
    n_human = sum(row.origin is Origin.HUMAN for row in rows)
    return DatasetVersion(
        name=name,
        version=version,
        content_hash=plain_hash(
            (r.sample_id, r.content_hash, r.label, r.origin.value) for r in rows
        ),
        parent=version - 1 or None,
        uri=str(home),
        n_human=n_human,
        n_model=len(rows) - n_human,
        n_certified=0,
        created_at=AT,
    )


@dataclass
class Released:
    """One training version and the store of its inputs."""

    folder: Path
    classes: Sequence[str]
    store: MemoryStore = field(default_factory=MemoryStore)

    def __post_init__(self) -> None:
        self.version = release(self.folder, "training", [])

    def put(self, key: str, label: str, body: bytes | None = None, **changed: object) -> Row:
        """Upload an input and have its row."""
        found = self.store.put(key, key.encode() if body is None else body)
        row = replace(
            ROW, sample_id=key, uri=found.uri, content_hash=found.content_hash, label=label
        )
        return replace(row, **changed)  # type: ignore[arg-type]

    def release(self, rows: Sequence[Row]) -> DatasetVersion:
        """A new version with these rows, which exports take from now on."""
        number = self.version.version + 1
        self.version = release(self.folder, "training", rows, version=number)
        return self.version

    def export(
        self,
        to: str,
        target: Path,
        *versions: DatasetVersion,
        earlier: Sequence[Path] = (),
        link: bool = True,
        others: Sequence[str] = (),
        folder_kind: FolderKind = "names",
        progress: Callable[[str, int, int | None], None] = silent,
    ) -> Exported:
        """Export the newest version, or those."""
        return formats.export(
            versions or [self.version],
            to,
            target,
            store=lambda: self.store,
            classes=self.classes,
            others=others,
            folder_kind=folder_kind,
            earlier=earlier,
            link=link,
            progress=progress,
        )
