"""The real servers that the tests share: one SeaweedFS, PostgreSQL and Label Studio a session."""

import json
import os
import uuid
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from labelloop.demo.servers import LabelStudio, SeaweedFS, template_home
from tests.ceph import RadosGateway, open_to
from tests.label_studios import LABEL_STUDIOS
from tests.postgres import PostgreSQL
from tests.quick import (
    collect_garbage_seldom,
    compile_statements_once,
    keep_bytecode,
    let_go,
    write_to_memory,
)
from tests.spark import spark_session as spark_session

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

# The user that the demonstration's Label Studio has too, so both start from one kept database.
USERNAME = "demo@labelloop.example"
PASSWORD = "labelloop-demo"
READER = "reader"
NO_LISTER, NO_READER, NO_WRITER = "no-lister", "no-reader", "no-writer"
"""The same without one of its rights."""
"""A key that may only read the buckets of inputs, with the same password."""

_READ, _LIST = ("s3:GetObject", "s3:GetObjectTagging"), ("s3:ListBucket", "s3:ListBucketVersions")
CEPH_RIGHTS = {
    READER: (*_READ, *_LIST),
    NO_LISTER: _READ,
    NO_READER: _LIST,
    NO_WRITER: (*_READ, *_LIST),
}
"""What each may do there; all but the last also write to buckets of copies."""

ON_SERVERS = pytest.mark.xdist_group("servers")
"""Tests that share Label Studio, and others of the bucket, which run while it boots: one process."""

ON_BUCKET = pytest.mark.xdist_group("bucket")
"""Parameters that need S3 alone: their tests may run in a second process, with an S3 server of its own."""

ON_LASTING = pytest.mark.xdist_group("lasting")
"""Tests that begin with the project of two days, which takes long to make: one process."""

_booting = pytest.StashKey[dict[str, LabelStudio]]()


def pytest_configure() -> None:
    """Let no test wait for a disk, or for what was compiled before."""
    write_to_memory()
    keep_bytecode()
    compile_statements_once()


def label_studios_of(item: pytest.Item) -> set[str]:
    """The Label Studios that a test wants, as a fixture or as the parameter that names one."""
    call = getattr(item, "callspec", None)
    named = {value for value in call.params.values() if isinstance(value, str)} if call else set()
    return LABEL_STUDIOS.keys() & {*getattr(item, "fixturenames", ()), *named}


def on_servers(item: pytest.Item) -> bool:
    """Whether a test is one of those."""
    return ON_SERVERS.mark in item.iter_markers("xdist_group")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Let every Label Studio that the session wants boot while its other tests of servers run."""
    if not on_servers(item) or _booting in item.config.stash:
        return
    if item.config.getoption("loadgroup", default=False) and "@" not in item.nodeid:
        # each process would boot all the servers
        pytest.fail("pytest-xdist scatters groups: use the pytest that requirements.lock names")
    factory: pytest.TempPathFactory = item.config._tmp_path_factory  # type: ignore[attr-defined]
    booting = item.config.stash[_booting] = {}
    for name in sorted({name for item in item.session.items for name in label_studios_of(item)}):
        version = LABEL_STUDIOS[name]
        booting[name] = LabelStudio(
            factory.mktemp("label-studio"),
            username=USERNAME,
            password=PASSWORD,
            template=template_home(version),
            version=version,
        )
        booting[name].start()


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Stop every Label Studio, also when no test came to use it, and leave as a program does."""
    let_go()
    for server in session.config.stash.get(_booting, {}).values():
        server.stop()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the tests of servers in one process, those of Label Studio last: it boots meanwhile.

    They come before all others, and simulations before what is quick: so no process is left alone
    with what takes long at the end.
    """
    for item in items:
        grouped = item.get_closest_marker("xdist_group") is not None
        on_bucket = "seaweedfs" in getattr(item, "fixturenames", ())
        if label_studios_of(item) or (on_bucket and not grouped):
            item.add_marker(ON_SERVERS)
        elif not grouped and "lasting" in getattr(item, "fixturenames", ()):
            item.add_marker(ON_LASTING)
    items.sort(
        key=lambda i: (
            not on_servers(i),
            i.get_closest_marker("xdist_group") is None,
            sorted(label_studios_of(i)),
            i.path.parent.name != "property",
        )
    )


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """Keep the tests themselves out of the search for garbage."""
    collect_garbage_seldom()


@pytest.fixture(scope="session")
def label_studio(request: pytest.FixtureRequest) -> LabelStudio:
    """A running Label Studio of the session; tests share it, so each makes projects of its own."""
    server = request.config.stash[_booting]["label_studio"]
    server.wait_ready()
    return server


@pytest.fixture(scope="session")
def older_label_studio(request: pytest.FixtureRequest) -> LabelStudio:
    """The oldest Label Studio that labelloop works with."""
    server = request.config.stash[_booting]["older_label_studio"]
    server.wait_ready()
    return server


@pytest.fixture(scope="session")
def seaweedfs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SeaweedFS | RadosGateway]:
    """A running S3 server of the session; tests share it, so each uses buckets of its own.

    It is Ceph's if LABELLOOP_S3_SERVER says so.
    """
    if os.environ.get("LABELLOOP_S3_SERVER") == "ceph":
        with RadosGateway(
            tmp_path_factory.mktemp("ceph"), secret_key=PASSWORD, people=[*CEPH_RIGHTS]
        ) as gateway:
            yield gateway
        return
    folder = tmp_path_factory.mktemp("seaweedfs")
    identities = folder / "identities.json"
    everything = ["Admin", "Read", "Write", "List", "Tagging"]
    keys = [
        ("labelloop", PASSWORD, everything),
        # the least that labelloop needs: blind copies go to buckets whose names begin with b-
        (READER, PASSWORD, ["Read", "List", "Write:b-*"]),
        (NO_LISTER, PASSWORD, ["Read", "Write:b-*"]),
        (NO_READER, PASSWORD, ["List", "Write:b-*"]),
        (NO_WRITER, PASSWORD, ["Read", "List"]),
    ]
    made = [
        {"name": key, "credentials": [{"accessKey": key, "secretKey": secret}], "actions": actions}
        for key, secret, actions in keys
    ]
    identities.write_text(json.dumps({"identities": made}))
    with SeaweedFS(folder, secret_key=PASSWORD, identities=identities) as server:
        yield server


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQL]:
    """A running PostgreSQL of the session; tests share it, so each makes databases of its own."""
    server = PostgreSQL()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def s3(seaweedfs: SeaweedFS | RadosGateway) -> Iterator["S3Client"]:
    """A plain boto3 client of the session's S3 server."""
    import boto3
    from botocore.config import Config

    client = boto3.client(
        "s3",
        endpoint_url=seaweedfs.endpoint_url,
        aws_access_key_id=seaweedfs.access_key,
        aws_secret_access_key=seaweedfs.secret_key,
        region_name="us-east-1",
        config=Config(
            signature_version="s3v4",
            s3={"addressing_style": "path"},
            proxies={},
            request_checksum_calculation="when_required",
        ),
    )
    yield client
    client.close()


@pytest.fixture
def bucket(s3: "S3Client", seaweedfs: SeaweedFS | RadosGateway) -> str:
    """The name of a fresh, empty bucket."""
    return _bucket(s3, seaweedfs, "t-")


@pytest.fixture
def blind_bucket(s3: "S3Client", seaweedfs: SeaweedFS | RadosGateway) -> str:
    """The name of a second fresh bucket, for blind copies."""
    return _bucket(s3, seaweedfs, "b-")


def _bucket(s3: "S3Client", server: SeaweedFS | RadosGateway, prefix: str) -> str:
    name = f"{prefix}{uuid.uuid4().hex[:16]}"
    s3.create_bucket(Bucket=name)
    if isinstance(server, RadosGateway):  # SeaweedFS has rights by key, and lets all origins read
        writers = {READER, NO_LISTER, NO_READER} if prefix == "b-" else frozenset()
        open_to(s3, name, CEPH_RIGHTS, writers)
    return name
