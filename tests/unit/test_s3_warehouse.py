"""A warehouse on S3, before a server that is strict where AWS isn't."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from labelloop.adapters.iceberg.files import IcebergFiles
from labelloop.adapters.s3.access import S3Access
from labelloop.errors import LogError
from tests.faults.stub import Asked, Reply, Stub, certificate


@pytest.fixture
def stub() -> Iterator[Stub]:
    server = Stub()
    yield server
    server.stop()


def strict(asked: Asked) -> Reply:
    """As Ceph's RADOS gateway: an upload says its length."""
    chunked = {"transfer-encoding", "x-amz-trailer"} & asked.headers.keys()
    if asked.method == "PUT" and chunked:
        error = b"<Error><Code>MissingContentLength</Code></Error>"
        return Reply(411, error, "application/xml")
    return Reply(204 if asked.method == "DELETE" else 200, b"", headers={"ETag": '"e"'})


def files(url: str, home: Path, ca_file: Path | None = None) -> IcebergFiles:
    trusted = None if ca_file is None else str(ca_file)
    return IcebergFiles(
        warehouse="s3://b/log",
        catalog=f"sqlite:///{home}/catalog.db",
        s3=S3Access(endpoint_url=url, access_key="a", secret_key="b", ca_file=trusted),
    )


def test_an_upload_says_its_length(
    stub: Stub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_REQUEST_CHECKSUM_CALCULATION", raising=False)
    stub.answer = strict
    files(stub.url, tmp_path).check_writable()
    assert ("PUT", "/b/log/labelloop-check") in {(a.method, a.path) for a in stub.asked}
    assert ("DELETE", "/b/log/labelloop-check") in {(a.method, a.path) for a in stub.asked}
    assert not (tmp_path / "catalog.db").exists()


def test_what_the_environment_says_of_checksums_holds(
    stub: Stub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_REQUEST_CHECKSUM_CALCULATION", "when_supported")
    stub.answer = strict
    with pytest.raises(LogError, match=r"Writing s3://b/log/labelloop-check failed"):
        files(stub.url, tmp_path).check_writable()


def test_certificates_of_ones_own_are_trusted(tmp_path: Path) -> None:
    own = certificate(tmp_path)
    server = Stub(tls=own)
    server.answer = strict
    try:
        files(server.url, tmp_path, own).check_writable()
        assert "PUT" in {asked.method for asked in server.asked}
        with pytest.raises(LogError, match=r"certificate|SSL"):
            files(server.url, tmp_path).check_writable()
    finally:
        server.stop()
