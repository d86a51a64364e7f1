"""/datasets: every version, what changed between two, and their manifests to take away."""

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from labelloop.core.dataset import DESCRIPTION, MANIFEST, DatasetVersion
from labelloop.exports import manifest
from labelloop.ledger import datasets
from labelloop.ledger.blindness import Hidden
from labelloop.views.dataset_diff import DatasetDiff
from labelloop.views.tables.datasets import of_diff, versions
from labelloop.web.access import needs
from labelloop.web.answers import ALWAYS, Refused
from labelloop.web.background import Background
from labelloop.web.html import page
from labelloop.web.pages_overview import hidden_from, report_of
from labelloop.web.pages_rounds import number_in
from labelloop.web.site import Site
from labelloop.web.who import Who

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

_WAIT_S = 0.5
"""How long a page waits for a comparison before it says that it is being made."""


def routes(site: Site) -> list[Route]:
    """The paths of the datasets."""
    diffs: Background[DatasetDiff] = Background()

    async def every(request: Request) -> Response:
        who = needs(request, "read")
        return await run_in_threadpool(_every, site, request, diffs, who)

    async def download(request: Request) -> Response:
        who = needs(request, "read")
        return await run_in_threadpool(_download, site, request, who)

    return [
        Route("/datasets", every),
        Route("/datasets/{name}/{version:int}/{file}", download),
    ]


def _every(site: Site, request: Request, diffs: Background[DatasetDiff], who: Who) -> Response:
    with site.loop().project.ledger_to_read.read() as tx:
        found = datasets.every(tx)
        exported = {
            (v.name, v.version): datasets.exports_of(tx, v.name, v.version) for v in found[-20:]
        }
    found = sorted(found, key=lambda v: (v.created_at, v.name, v.version), reverse=True)
    guarantees = {t.version: t for t in report_of(site).training}
    asked = _asked(request, found)
    made = None
    if asked is not None:
        old, new = asked

        def compare() -> DatasetDiff:
            with site.own_loop() as loop:
                return loop.diff(old, new)

        made = diffs.look((old.content_hash, new.content_hash), compare, wait_s=_WAIT_S)
    shown = made.result if made is not None else None
    hidden = hidden_from(site, who)
    if shown is not None and hidden is not None:
        told = tuple(r for r in shown.relabelled if not hidden.has(r.sample_id))
        shown = replace(shown, relabelled=told)
    return page(
        request,
        "datasets.html",
        versions=found,
        table=versions(found, site.settings.project.timezone),
        exported=exported,
        guarantees=guarantees,
        asked=asked,
        made=made,
        diff=of_diff(shown) if shown is not None else [],
        some_hidden=hidden is not None,
        files=(MANIFEST, DESCRIPTION),
    )


def _asked(
    request: Request, found: list[DatasetVersion]
) -> tuple[DatasetVersion, DatasetVersion] | None:
    """The two versions to compare; None: nobody asked."""
    name = request.query_params.get("name")
    if name is None:
        return None
    old, new = number_in(request, "from"), number_in(request, "to")
    by_number = {v.version: v for v in found if v.name == name}
    if old not in by_number or new not in by_number:
        have = ", ".join(f"v{n}" for n in sorted(by_number)) or "none"
        raise Refused(404, f"no such two versions of {name[:100]!r}", f"there are: {have}")
    return by_number[old], by_number[new]


def _download(site: Site, request: Request, who: Who) -> Response:
    name, number = request.path_params["name"], int(request.path_params["version"])
    file = request.path_params["file"]
    if file not in {MANIFEST, DESCRIPTION}:
        raise Refused(404, f"a version has no file {file[:100]!r}", f"{MANIFEST}, {DESCRIPTION}")
    with site.loop().project.ledger_to_read.read() as tx:
        found = [v for v in datasets.every(tx) if v.name == name and v.version == number]
    if not found:
        raise Refused(404, f"there is no version {name[:100]!r} v{number}", "/datasets lists them")
    version = found[0]
    path, done = Path(version.uri) / file, None
    if not path.is_file():
        raise Refused(
            404, f"{path.name} of {name} v{number} is gone", "`labelloop doctor --repair`"
        )
    hidden = hidden_from(site, who)
    if hidden is not None and hidden.sample_ids and file == MANIFEST:
        path = _rewritten(version, hidden)
        done = BackgroundTask(path.unlink)
    return FileResponse(path, headers=ALWAYS, filename=f"{name}-v{number}-{file}", background=done)


def _rewritten(version: DatasetVersion, hidden: Hidden) -> Path:
    """The manifest without some samples, in a file that is removed once it was sent."""
    import pyarrow.parquet as pq

    with tempfile.NamedTemporaryFile(suffix=".parquet", delete=False) as made:
        path = Path(made.name)
    writer = None
    try:
        for batch in _kept(version, hidden):
            writer = writer or pq.ParquetWriter(path, batch.schema)
            writer.write_batch(batch)
    finally:
        if writer is not None:
            writer.close()
    return path


def _kept(version: DatasetVersion, hidden: Hidden) -> "Iterator[pa.RecordBatch]":
    import pyarrow as pa
    import pyarrow.compute as pc

    names, contents = (
        pa.array(sorted(v), pa.string()) for v in (hidden.sample_ids, hidden.content_hashes)
    )
    for batch in manifest.batches(version):
        own = pc.is_in(batch["sample_id"], value_set=names)
        twin = pc.is_in(batch["content_hash"], value_set=contents)
        yield batch.filter(pc.invert(pc.or_(own, twin)))
