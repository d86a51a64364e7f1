"""The servers start on their own ports, stop for certain, and say why when they can't start."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx
import pytest

from labelloop.demo.process import ServerError, ServerProcess
from labelloop.demo.servers import LabelStudio, SeaweedFS

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def ended(pid: int) -> bool:
    for _ in range(2000):
        if not is_running(pid):
            return True
        time.sleep(0.1)
    return False


def test_a_second_seaweedfs_runs_beside_the_first_and_leaves_no_sockets(
    seaweedfs: SeaweedFS, s3: "S3Client", bucket: str, tmp_path: Path
) -> None:
    with SeaweedFS(tmp_path) as second:
        assert second.endpoint_url != seaweedfs.endpoint_url
        assert httpx.get(second.endpoint_url, trust_env=False).status_code == 403
    port = urlsplit(second.endpoint_url).port
    assert not list(Path("/tmp").glob(f"seaweedfs-*-{port}.sock"))  # noqa: S108 - its choice
    with pytest.raises(httpx.ConnectError):
        httpx.get(second.endpoint_url, trust_env=False)
    assert bucket in {found["Name"] for found in s3.list_buckets()["Buckets"]}


def test_seaweedfs_keeps_its_objects_over_a_restart(tmp_path: Path) -> None:
    import boto3
    from botocore.config import Config

    for step in ("write", "read"):
        with SeaweedFS(tmp_path, secret_key="same") as server:
            client = boto3.client(
                "s3",
                endpoint_url=server.endpoint_url,
                aws_access_key_id=server.access_key,
                aws_secret_access_key="same",
                region_name="us-east-1",
                config=Config(s3={"addressing_style": "path"}, proxies={}),
            )
            if step == "write":
                client.create_bucket(Bucket="kept")
                client.put_object(Bucket="kept", Key="a", Body=b"1")
            else:
                assert client.get_object(Bucket="kept", Key="a")["Body"].read() == b"1"
            client.close()


def test_a_server_that_ends_at_once_says_what_its_log_says(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "print('no room on the disk'); raise SystemExit(3)"]
    process = ServerProcess("Thing", command, env=dict(os.environ), log_file=tmp_path / "log")
    with pytest.raises(ServerError, match=r"Thing ended with code 3(?s:.*)no room on the disk"):
        process.wait_until(lambda: False, limit_s=60, on_wait=lambda _: None)
    process.stop()


def test_a_server_that_never_answers_is_given_up(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import time; time.sleep(600)"]
    process = ServerProcess("Thing", command, env=dict(os.environ), log_file=tmp_path / "log")
    with pytest.raises(ServerError, match="not ready within 0 s"):
        process.wait_until(lambda: False, limit_s=0.3, on_wait=lambda _: None)
    process.stop()
    process.stop()
    assert ended(process.pid)


def test_a_server_and_what_it_started_end_when_their_starter_is_killed(tmp_path: Path) -> None:
    server = (
        "import os, subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "print(os.getpid(), child.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    log = tmp_path / "log"
    starter = (
        "import os, sys, time, pathlib\n"
        "from labelloop.demo.process import ServerProcess\n"
        f"ServerProcess('Thing', [sys.executable, '-c', {server!r}], env=dict(os.environ),"
        f" log_file=pathlib.Path({str(log)!r}))\n"
        "print('up', flush=True)\n"
        "time.sleep(600)\n"
    )
    command = [sys.executable, "-c", starter]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        running.stdout.readline()
        while len(log.read_text().split()) < 2:
            time.sleep(0.05)
        running.send_signal(signal.SIGKILL)
    for pid in map(int, log.read_text().split()):
        assert ended(pid)


def test_label_studio_takes_both_kinds_of_token(label_studio: LabelStudio) -> None:
    url = f"{label_studio.url}/api/current-user/whoami"
    legacy = {"Authorization": f"Token {label_studio.legacy_token}"}
    assert httpx.get(url, headers=legacy).json()["email"] == label_studio.username
    refreshed = httpx.post(
        f"{label_studio.url}/api/token/refresh/",
        json={"refresh": label_studio.personal_access_token()},
    )
    bearer = {"Authorization": f"Bearer {refreshed.json()['access']}"}
    assert httpx.get(url, headers=bearer).json()["email"] == label_studio.username
