"""An export of small images from SeaweedFS, beside a boto3 loop and bare parallel requests.

python bench/exports.py [--images 5000] [--kib 2] [--rows 10000000]

The last lines compare two versions of --rows rows: their time and peak memory.
"""

import argparse
import http.client
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from bench.table import peak_mb

from labelloop.adapters.s3.client import client_of, session_of
from labelloop.adapters.s3.store import S3Store
from labelloop.core.dataset import DatasetVersion
from labelloop.demo.servers import SeaweedFS
from labelloop.exports import formats
from labelloop.ports.clock import silent
from labelloop.steps.build.manifest_file import manifest_schema
from labelloop.views.dataset_diff import diff

CLASSES = [f"class {i}" for i in range(10)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=5_000)
    parser.add_argument("--kib", type=int, default=2)
    parser.add_argument("--rows", type=int, default=10_000_000)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        downloads(Path(place), asked.images, asked.kib)
        differences(Path(place), asked.rows)


@contextmanager
def timed(what: str, n: int) -> Iterator[None]:
    begin, cpu = time.perf_counter(), time.process_time()
    yield
    took_s, cpu_s = time.perf_counter() - begin, time.process_time() - cpu
    print(f"{what:<44} {took_s:8.2f} s {n / took_s:10,.0f} /s   {cpu_s:6.2f} s of this CPU")


def downloads(folder: Path, n: int, kib: int) -> None:
    with SeaweedFS(folder / "server") as server:
        store = S3Store("s3://images", server.access)
        client = client_of(server.access, session_of(server.access), server.endpoint_url)
        client.create_bucket(Bucket="images")
        body = b"\x89PNG\r\n\x1a\n" + os.urandom(kib * 1024)
        keys = [f"class_{i % 10:02d}/{i:06d}.png" for i in range(n)]
        with ThreadPoolExecutor(16) as pool:
            list(pool.map(lambda k: client.put_object(Bucket="images", Key=k, Body=body), keys))
        found = sorted((o for page in store.objects() for o in page), key=lambda o: o.sample_id)
        version = written(
            folder / "v1",
            {
                "sample_id": [o.sample_id for o in found],
                "uri": [o.uri for o in found],
                "content_hash": [o.content_hash for o in found],
                "label": [CLASSES[i % 10] for i in range(n)],
            },
        )

        def export(to: str, name: str, earlier: list[Path]) -> None:
            with timed(f"labelloop: {to}{' beside an earlier one' if earlier else ''}", n):
                done = formats.export(
                    [version],
                    to,
                    folder / name,
                    store=lambda: store,
                    classes=CLASSES,
                    earlier=earlier,
                    progress=silent,
                )
            assert done.n_written == n

        (folder / "loop").mkdir()
        with timed("a boto3 loop", n):
            for i, key in enumerate(keys):
                answer = client.get_object(Bucket="images", Key=key)
                (folder / "loop" / f"{i}.png").write_bytes(answer["Body"].read())
        export("imagefolder", "images", [])
        export("imagefolder", "again", [folder / "images"])
        export("huggingface", "hf", [])
        export("webdataset", "wds", [])
        urls = [store.presign(o.uri, timedelta(hours=1)) for o in found]
        with multiprocessing.Pool(2) as pool, timed("bare GETs, signed before, 2 x 8 threads", n):
            pool.map(get_all, [urls[0::2], urls[1::2]])


def get_all(urls: list[str]) -> None:
    def some(part: list[str]) -> None:
        connection = http.client.HTTPConnection(urlsplit(urls[0]).netloc)
        for url in part:
            connection.request("GET", url[url.index("/", 8) :])
            answer = connection.getresponse()
            assert answer.status == 200
            answer.read()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(some, [urls[i::8] for i in range(8)]))


def differences(folder: Path, n: int) -> None:
    old = large(folder / "old", n, lambda _i, label: label)
    new = large(folder / "new", n, lambda i, label: np.where(i % 50 == 0, "class x", label))
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        n_changes, took_s, peak_mib = pool.apply(compared, (old, new))
    print(f"{f'datasets diff, {n:,} rows each':<44} {took_s:8.2f} s {n / took_s:10,.0f} /s")
    print(f"  ({n_changes:,} changes; peak memory of its process {peak_mib} MiB)")


def compared(old: DatasetVersion, new: DatasetVersion) -> tuple[int, float, int]:
    begin = time.perf_counter()
    found = diff(old, new, progress=silent)
    took_s = time.perf_counter() - begin
    peak_mib = round(peak_mb())
    return sum(c.n for c in found.changes), took_s, peak_mib


def large(
    folder: Path, n: int, label: Callable[[np.ndarray, np.ndarray], np.ndarray]
) -> DatasetVersion:
    def tables() -> Iterator[dict[str, object]]:
        for start in range(0, n, 500_000):
            i = np.arange(start, min(n, start + 500_000))
            ids = pa.array([f"{k:012d}.png" for k in i.tolist()])
            yield {
                "sample_id": ids,
                "uri": ids,
                "content_hash": ids,
                "label": pa.array(label(i, np.array(CLASSES)[i % 10])),
            }

    return written(folder, *tables())


def written(folder: Path, *parts: dict[str, object]) -> DatasetVersion:
    folder.mkdir()
    schema, n = manifest_schema(), 0
    with pq.ParquetWriter(folder / "manifest.parquet", schema, compression="zstd") as writer:
        for part in parts:
            held = {**part, "origin": ["model"] * len(part["label"])}  # type: ignore[arg-type]
            size = len(held["origin"])
            n += size
            columns = [
                pa.array(held[f.name], f.type) if f.name in held else pa.nulls(size, f.type)
                for f in schema
            ]
            writer.write_table(pa.Table.from_arrays(columns, schema=schema))
    return DatasetVersion(
        name="training",
        version=1,
        content_hash=folder.name,
        parent=None,
        uri=str(folder),
        n_human=0,
        n_model=n,
        n_certified=0,
        created_at=datetime(2026, 3, 1, tzinfo=UTC),
    )


if __name__ == "__main__":
    main()
