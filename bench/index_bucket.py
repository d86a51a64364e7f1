"""`index` of a bucket: beside the loop that notebooks have, and the server's own limit.

python -m bench.index_bucket [--objects 50000] [--again 200000] [--delay-ms 30]

Everything runs on this machine: the server's share of its cores is in every figure. Needs wrk for the limit.
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from bench.table import Row, lines, peak_mb

from labelloop.adapters.s3.access import S3Access
from labelloop.adapters.s3.client import client_of, session_of
from labelloop.adapters.s3.store import S3Store
from labelloop.demo.servers import SeaweedFS

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

BUCKET = "production"
SETTINGS = """
[project]
name = "bench"
classes = [{classes}]
[store]
uri = "s3://production"
endpoint_url = "{endpoint_url}"
access_key = "{access_key}"
secret_key = "{secret_key}"
[label_studio]
url = "http://127.0.0.1:9"
api_key = "k"
[[queue]]
name = "accuracy"
purpose = "evaluation"
budget = 100
"""
WRK = """
local paths = {{}}
for line in io.lines("{paths}") do paths[#paths + 1] = line end
local i = math.random(#paths)
request = function()
  i = i % #paths + 1
  return wrk.format("GET", paths[i])
end
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--objects", type=int, default=50_000)
    parser.add_argument("--again", type=int, default=200_000, help="objects of an unchanged bucket")
    parser.add_argument("--loop", type=int, default=5_000, help="objects that the loop reads")
    parser.add_argument("--delay-ms", type=float, default=30)
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.child:
        index_twice(Path(asked.child[0]), int(asked.child[1]))
    else:
        print(*lines(measure(asked.objects, asked.again, asked.loop, asked.delay_ms)), sep="\n")


def measure(n: int, n_again: int, n_loop: int = 5_000, delay_ms: float = 30) -> list[Row]:
    """Index n objects, with and without a delay, and n_again twice."""
    with (
        tempfile.TemporaryDirectory(prefix="labelloop-bench-") as place,
        SeaweedFS(Path(place, "server")) as server,
    ):
        client = boto(server.access)
        client.create_bucket(Bucket=BUCKET)
        upload(client, 0, n)
        rows = compare(Path(place), server.access, n, n_loop, "")
        with delayed(server.endpoint_url, delay_ms) as url:
            far = replace(server.access, endpoint_url=url)
            rows += compare(Path(place), far, n, min(n_loop, 300), f", {delay_ms:g} ms away")
        upload(client, n, n_again)
        said = verb(Path(place), server.access, n_again)
        bare = timed("list_objects_v2 by boto3", listed(client))
        for name, what in (
            ("again", "index of an unchanged bucket, all of the last hour"),
            ("later", "index of an unchanged bucket, all older"),
        ):
            took_s, n_read = said[name]
            assert n_read == 0
            rate = n_again / took_s
            rows.append(
                Row(
                    what=what,
                    size=n_again,
                    unit="objects",
                    ours=rate,
                    naive=bare,
                    peak_mb=said["peak_mb"],
                )
            )
    return rows


def compare(place: Path, access: S3Access, n: int, n_loop: int, where: str) -> list[Row]:
    """The listing, tags alone and the whole verb, beside boto3's listing, the loop, and the limit."""
    client = boto(access)
    store = S3Store(f"s3://{BUCKET}", access)
    bare = timed("list_objects_v2 by boto3", listed(client))
    loop = timed("a notebook's loop: get_object_tagging", looped(client, n_loop))
    listing = timed("labelloop: the listing", pages(store))
    tags = timed("labelloop: tags", tags_read(store))
    said = verb(place, access, n)
    limit = by_wrk(place, client, n)
    took_s, n_read = said["first"]
    assert n_read == n
    return [
        Row(what=f"listing{where}", size=n, unit="objects", ours=listing, naive=bare),
        Row(what=f"tags{where}", size=n, unit="objects", ours=tags, naive=loop, limit=limit),
        Row(
            what=f"index, a first run{where}",
            size=n,
            unit="objects",
            ours=n / took_s,
            naive=loop,
            limit=limit,
            peak_mb=said["peak_mb"],
        ),
    ]


def verb(place: Path, access: S3Access, n: int) -> dict[str, Any]:
    """`index` three times in a process of its own: seconds and tags read of each, peak memory."""
    folder = Path(tempfile.mkdtemp(dir=place))
    classes = ", ".join(f'"class {i}"' for i in range(10))
    (folder / "labelloop.toml").write_text(
        SETTINGS.format(
            classes=classes,
            endpoint_url=access.endpoint_url,
            access_key=access.access_key,
            secret_key=access.secret_key,
        )
    )
    command = [sys.executable, "-m", "bench.index_bucket", "--child", str(folder), str(n)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    said: dict[str, Any] = json.loads(done.stdout)
    for name in ("first", "again", "later"):
        took_s, _ = said[name]
        print(f"  {'index, ' + name:<44} {n / took_s:9,.0f}   {took_s:6.1f} s", file=sys.stderr)
    return said


class Later:
    """The machine's clock, three days ahead: what was uploaded is beyond the feedback horizon."""

    ahead = timedelta(days=3)

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


def index_twice(folder: Path, n: int) -> None:
    """Index, again, and again as if all objects were an hour older than the newest."""
    from labelloop.loop import Loop
    from labelloop.project import Project
    from labelloop.settings.file import load
    from labelloop.steps.index import bucket as index

    found: dict[str, tuple[float, int]] = {}
    n_asked = 0
    tags = S3Store.tags

    def counted(self: S3Store, objects: Sequence[object]) -> object:
        nonlocal n_asked
        n_asked += len(objects)
        return tags(self, objects)  # type: ignore[arg-type]

    S3Store.tags = counted  # type: ignore[assignment]
    with Loop(Project(load(folder / "labelloop.toml", {}), clock=Later())) as loop:
        _ = loop.project.log
        for name in ("first", "again", "later"):
            if name == "later":
                index.SETTLED = -timedelta(seconds=1)  # type: ignore[misc]
            n_asked = 0
            begin = time.perf_counter()
            said = loop.index()
            found[name] = time.perf_counter() - begin, n_asked
            assert said.n_listed == n, said
            assert said.n_new == (n if name == "first" else 0), said
    print(json.dumps({**found, "peak_mb": peak_mb()}))


def boto(access: S3Access) -> "S3Client":
    return client_of(access, session_of(access), access.endpoint_url)


def upload(client: "S3Client", first: int, end: int) -> None:
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    def put(i: int) -> None:
        client.put_object(
            Bucket=BUCKET,
            Key=f"class_{i % 10:02d}/{i:08d}.png",
            Body=b"an image",
            Tagging=f"predicted_class=class+{i % 10}&confidence=0.{i % 1000:03d}&timestamp={now}",
        )

    with ThreadPoolExecutor(16) as pool:
        for _ in pool.map(put, range(first, end)):
            pass


def timed(what: str, counts: Iterator[int]) -> float:
    begin = time.perf_counter()
    n = sum(counts)
    took_s = time.perf_counter() - begin
    print(f"  {what:<44} {n / took_s:9,.0f}   {took_s:6.1f} s", file=sys.stderr)
    return n / took_s


def listed(client: "S3Client") -> Iterator[int]:
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET):
        yield len(page["Contents"])


def looped(client: "S3Client", n: int) -> Iterator[int]:
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET):
        for entry in page["Contents"]:
            tags = client.get_object_tagging(Bucket=BUCKET, Key=entry["Key"])["TagSet"]
            assert len(tags) == 3
            yield 1
            n -= 1
            if not n:
                return


def pages(store: S3Store) -> Iterator[int]:
    return (len(page) for page in store.objects())


def tags_read(store: S3Store) -> Iterator[int]:
    for page in store.objects():
        for _, tags in store.tags(page):
            assert len(tags) == 3
            yield 1


def by_wrk(place: Path, client: "S3Client", n: int) -> float | None:
    """What the server answers at most: signed beforehand, asked by a client in C."""
    if shutil.which("wrk") is None:
        print("  the limit isn't measured: wrk is not installed", file=sys.stderr)
        return None
    paths = place / "paths"
    url = ""
    with paths.open("w") as file:
        for i in range(min(n, 5_000)):
            key = f"class_{i % 10:02d}/{i:08d}.png"
            url = client.generate_presigned_url(
                "get_object_tagging", Params={"Bucket": BUCKET, "Key": key}, ExpiresIn=3600
            )
            parts = urlsplit(url)
            file.write(f"{parts.path}?{parts.query}\n")
    script = place / "paths.lua"
    script.write_text(WRK.format(paths=paths))
    server = "{0.scheme}://{0.netloc}".format(urlsplit(url))
    command = ["wrk", "-t2", "-c128", "-d10s", "-s", str(script), server]
    said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    assert "Non-2xx" not in said, said
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", said)[1])  # type: ignore[index]
    print(f"  {'the limit (wrk, signed URLs)':<44} {rate:9,.0f}", file=sys.stderr)
    return rate


@contextmanager
def delayed(endpoint_url: str, delay_ms: float) -> Iterator[str]:
    """A proxy before the server that holds its answers back; yields its URL."""
    port = str(urlsplit(endpoint_url).port)
    command = [sys.executable, "-m", "bench.delay", port, str(delay_ms)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as proxy:
        assert proxy.stdout
        try:
            yield f"http://127.0.0.1:{proxy.stdout.readline().strip()}"
        finally:
            proxy.terminate()


if __name__ == "__main__":
    main()
