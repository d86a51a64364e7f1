"""Ceph's RADOS gateway as the S3 server of tests: `make ceph`."""

import json
import os
import subprocess
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self

from labelloop.adapters.s3.access import S3Access
from labelloop.demo.process import ServerProcess, free_ports

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

SETTINGS = """
[global]
fsid = 00000000-0000-0000-0000-000000000002
mon host = v1:127.0.0.1:{monitor}
mon initial members = a
public addr = 127.0.0.1
auth cluster required = none
auth service required = none
auth client required = none
mon allow pool size one = true
osd pool default size = 1
osd pool default pg num = 4
osd objectstore = memstore
memstore device bytes = 4294967296
mon data = {home}/mon
osd data = {home}/osd
rgw data = {home}/rgw
run dir = {home}
log file = {home}/$name.log
mon cluster log file = {home}/cluster.log
rgw frontends = beast endpoint=127.0.0.1:{port} tcp_nodelay=1
"""


class RadosGateway:
    """A running gateway with its objects in memory; `people` are further keys."""

    access_key = "labelloop"

    def __init__(self, folder: Path, *, secret_key: str, people: Sequence[str] = ()) -> None:
        self.folder = folder
        self.secret_key = secret_key
        self._people = people
        [port] = free_ports(1)
        self.endpoint_url = f"http://127.0.0.1:{port}"
        for name in ("mon", "osd", "rgw"):
            (folder / name).mkdir()
        self._settings = folder / "c.conf"
        # the monitor's own port: it started at no other
        self._settings.write_text(SETTINGS.format(home=folder, port=port, monitor=6789))
        self._processes: list[ServerProcess] = []
        try:
            self._begin()
        except BaseException:
            self.stop()
            raise

    @property
    def access(self) -> S3Access:
        """How it is reached."""
        return S3Access(
            endpoint_url=self.endpoint_url, access_key=self.access_key, secret_key=self.secret_key
        )

    def _begin(self) -> None:
        self._run("ceph-mon", "-i", "a", "--mkfs")
        self._start("ceph-mon", "-i", "a", "-f")
        self._run("ceph", "osd", "create")
        self._run("ceph-osd", "-i", "0", "--mkfs")
        self._start("ceph-osd", "-i", "0", "-f")
        self._start("radosgw", "-n", "client.rgw", "-f")
        for name in (self.access_key, *self._people):
            self._run(
                *("radosgw-admin", "-n", "client.rgw", "user", "create"),
                *(f"--uid={name}", f"--display-name={name}"),
                *(f"--access-key={name}", f"--secret-key={self.secret_key}"),
            )
        self._processes[-1].wait_until(self._answers, limit_s=240, on_wait=lambda _: None)

    def _run(self, *command: str) -> str:
        done = subprocess.run(
            command, env=self._environment(), capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout

    def _start(self, *command: str) -> None:
        process = ServerProcess(
            command[0],
            list(command),
            env=self._environment(),
            log_file=self.folder / f"{command[0]}.out",
        )
        self._processes.append(process)

    def _environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "CEPH_ARGS": f"-c {self._settings}",
            "CEPH_CONF": str(self._settings),
        }

    def _answers(self) -> bool:
        import httpx

        try:
            return httpx.get(self.endpoint_url, trust_env=False).status_code == 200
        except httpx.TransportError:
            return False

    def stop(self) -> None:
        """Stop all of it."""
        for process in reversed(self._processes):
            process.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def open_to(
    s3: "S3Client", bucket: str, rights: Mapping[str, Sequence[str]], writers: Collection[str]
) -> None:
    """Give keys their rights on a bucket, and `writers` that of writing; let every origin read."""
    write = ("s3:PutObject", "s3:DeleteObject", "s3:PutObjectTagging")
    statements = [
        {
            "Effect": "Allow",
            "Principal": {"AWS": [f"arn:aws:iam:::user/{name}"]},
            "Action": [*allowed, *(write if name in writers else ())],
            "Resource": [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"],
        }
        for name, allowed in rights.items()
    ]
    policy = {"Version": "2012-10-17", "Statement": statements}
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))
    rule = {"AllowedOrigins": ["*"], "AllowedMethods": ["GET", "HEAD"]}
    s3.put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": [rule]})  # type: ignore[list-item]
