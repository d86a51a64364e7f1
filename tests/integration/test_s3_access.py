"""Whose credentials are used, which addresses, through which proxy: as AWS's own tools have it."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from labelloop.adapters.iceberg.log import IcebergLog
from labelloop.adapters.s3.access import S3Access
from labelloop.adapters.s3.client import session_of
from labelloop.adapters.s3.store import S3Store
from labelloop.errors import ConfigError, StoreDenied, StoreUnavailable

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from labelloop.demo.servers import SeaweedFS

DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
def aws_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home without credentials, and a machine without a role."""
    for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN", "PROFILE", "REGION"):
        monkeypatch.delenv(f"AWS_{name}", raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    return tmp_path


@pytest.fixture
def full(s3: "S3Client", bucket: str) -> str:
    """A bucket with one object."""
    s3.put_object(Bucket=bucket, Key="a.png", Body=b"pixels", ContentType="image/png")
    return bucket


@pytest.fixture
def anonymous(seaweedfs: "SeaweedFS") -> S3Access:
    """The server, without saying as whom."""
    return S3Access(endpoint_url=seaweedfs.endpoint_url)


def assert_all_works(access: S3Access, bucket: str) -> str:
    """List, read and open a link; returns the link."""
    store = S3Store(f"s3://{bucket}", access, attempts=1)
    [[found]] = store.objects()
    assert store.read(found.uri) == b"pixels"
    url = store.presign(found.uri, DAY)
    assert httpx.get(url, trust_env=False, proxy=access.proxy).content == b"pixels"
    return url


def test_keys_are_found_in_the_environment(
    seaweedfs: "SeaweedFS", anonymous: S3Access, full: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", seaweedfs.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", seaweedfs.secret_key)
    assert_all_works(anonymous, full)


@pytest.mark.parametrize("by_environment", [False, True])
def test_keys_and_region_are_found_in_a_profile(
    seaweedfs: "SeaweedFS",
    anonymous: S3Access,
    full: str,
    aws_files: Path,
    monkeypatch: pytest.MonkeyPatch,
    by_environment: bool,
) -> None:
    (aws_files / "credentials").write_text(
        f"[default]\naws_access_key_id = nobody\naws_secret_access_key = nothing\n"
        f"[food]\naws_access_key_id = {seaweedfs.access_key}\n"
        f"aws_secret_access_key = {seaweedfs.secret_key}\n"
    )
    (aws_files / "config").write_text("[profile food]\nregion = eu-central-2\n")
    if by_environment:
        monkeypatch.setenv("AWS_PROFILE", "food")
        access = anonymous
    else:
        access = replace(anonymous, profile="food")
    assert "eu-central-2" in assert_all_works(access, full)
    with pytest.raises(StoreDenied, match="doesn't know the access key"):
        list(S3Store(f"s3://{full}", replace(anonymous, profile="default")).objects())


def test_a_temporary_key_takes_its_session_token_along(
    seaweedfs: "SeaweedFS", full: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = seaweedfs.access
    sts = session_of(own).client("sts", endpoint_url=own.endpoint_url)
    lent = sts.get_federation_token(Name="labelloop")["Credentials"]
    token = lent["SessionToken"]
    temporary = replace(
        own, access_key=lent["AccessKeyId"], secret_key=lent["SecretAccessKey"], session_token=token
    )
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", lent["AccessKeyId"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", lent["SecretAccessKey"])
    monkeypatch.setenv("AWS_SESSION_TOKEN", token)
    for access in (temporary, S3Access(endpoint_url=own.endpoint_url)):
        store = S3Store(f"s3://{full}", access, attempts=1)
        # the server knows whose it is, and lends no rights with it
        with pytest.raises(StoreDenied, match="access is denied"):
            list(store.objects())
        url = store.presign(f"s3://{full}/a.png", DAY)
        assert parse_qs(urlsplit(url).query)["X-Amz-Security-Token"] == [token]
        assert "AccessDenied" in httpx.get(url, trust_env=False).text
        for shown in (repr(access), str(store)):
            assert token not in shown
            assert lent["SecretAccessKey"] not in shown
    with pytest.raises(StoreDenied, match=r"doesn't know the access key|is not valid"):
        list(S3Store(f"s3://{full}", replace(temporary, session_token="made-up")).objects())


def lend(folder: Path, server: "SeaweedFS", ends_at: datetime) -> None:
    """A profile whose keys a program lends until a moment, as company logins do."""
    lent = {
        "Version": 1,
        "AccessKeyId": server.access_key,
        "SecretAccessKey": server.secret_key,
        "Expiration": ends_at.isoformat(),
    }
    (folder / "lent.json").write_text(json.dumps(lent))
    (folder / "config").write_text(f"[profile lent]\ncredential_process = cat {folder}/lent.json\n")


def test_a_link_is_said_to_last_no_longer_than_what_signed_it(
    seaweedfs: "SeaweedFS", anonymous: S3Access, full: str, aws_files: Path
) -> None:
    lend(aws_files, seaweedfs, datetime.now(UTC) + timedelta(hours=3))
    access = replace(anonymous, profile="lent")
    assert_all_works(access, full)
    store = S3Store(f"s3://{full}", access)
    lasting = store.lasting(timedelta(days=7))
    assert timedelta(hours=2, minutes=50) < lasting <= timedelta(hours=3)
    assert store.lasting(timedelta(hours=1)) == timedelta(hours=1)
    assert S3Store(f"s3://{full}", seaweedfs.access).lasting(DAY) == DAY


def test_a_warehouse_on_s3_is_reached_by_a_profile(
    seaweedfs: "SeaweedFS", anonymous: S3Access, bucket: str, aws_files: Path, s3: "S3Client"
) -> None:
    lend(aws_files, seaweedfs, datetime.now(UTC) + timedelta(hours=3))
    log = IcebergLog.open(
        warehouse=f"s3://{bucket}/log",
        catalog=f"sqlite:///{aws_files}/catalog.db",
        ledger_id="1" * 32,
        salt=b"salt",
        s3=replace(anonymous, profile="lent"),
    )
    log.close()
    assert s3.list_objects_v2(Bucket=bucket, Prefix="log/")["KeyCount"] > 0


def test_a_warehouse_without_credentials_says_where_it_looked(
    anonymous: S3Access, aws_files: Path
) -> None:
    with pytest.raises(StoreDenied, match="no credentials; looked for access_key") as caught:
        IcebergLog.open(
            warehouse="s3://bkt/log",
            catalog=f"sqlite:///{aws_files}/catalog.db",
            ledger_id="1" * 32,
            salt=b"salt",
            s3=anonymous,
        )
    assert "access_key" in caught.value.remedy


# --- addresses ---------------------------------------------------------------------------------


@pytest.fixture
def virtual(seaweedfs: "SeaweedFS") -> S3Access:
    """Buckets in host names that no resolver here knows: the server itself is the proxy to them."""
    port = seaweedfs.endpoint_url.rpartition(":")[2]
    return replace(
        seaweedfs.access,
        endpoint_url=f"http://s3.localhost:{port}",
        addressing="virtual",
        proxy=seaweedfs.endpoint_url,
    )


def test_a_bucket_in_the_host_name_is_reached_through_a_proxy(virtual: S3Access, full: str) -> None:
    url = assert_all_works(virtual, full)
    assert url.startswith(f"http://{full}.s3.localhost:")
    seen = S3Store(f"s3://{full}", virtual).view(url, origin="http://labels.example")
    assert (seen.status, seen.content_type) == (200, "image/png")


@pytest.mark.parametrize(
    ("access", "begins"),
    [
        ({}, "https://bkt.s3.amazonaws.com/a%20b?"),
        ({"region": "eu-west-1"}, "https://bkt.s3.eu-west-1.amazonaws.com/a%20b?"),
        ({"addressing": "path"}, "https://s3.amazonaws.com/bkt/a%20b?"),
        ({"endpoint_url": "https://s3.example.com"}, "https://s3.example.com/bkt/a%20b?"),
        (
            {"endpoint_url": "https://s3.example.com", "addressing": "virtual"},
            "https://bkt.s3.example.com/a%20b?",
        ),
    ],
)
def test_a_link_names_the_bucket_where_the_server_wants_it(
    access: dict[str, str], begins: str
) -> None:
    store = S3Store("s3://bkt", S3Access(access_key="a", secret_key="b", **access))  # type: ignore[arg-type]
    assert store.presign("s3://bkt/a b", DAY).startswith(begins)


# --- what goes wrong ---------------------------------------------------------------------------


def test_an_unknown_profile_is_named_with_the_nearest(anonymous: S3Access, aws_files: Path) -> None:
    (aws_files / "credentials").write_text("[production]\naws_access_key_id = a\n")
    with pytest.raises(ConfigError, match="profile is 'prodution'") as caught:
        S3Store("s3://bkt", replace(anonymous, profile="prodution"))
    assert "did you mean 'production'" in caught.value.remedy
    assert str(aws_files / "credentials") in str(caught.value)


def test_an_unknown_profile_of_the_environment_says_where_it_stands(
    anonymous: S3Access, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nowhere")
    with pytest.raises(ConfigError, match="AWS_PROFILE is 'nowhere'") as caught:
        S3Store("s3://bkt", anonymous)
    assert "there are none" in caught.value.remedy


def test_a_broken_file_of_aws_is_named(anonymous: S3Access, aws_files: Path) -> None:
    (aws_files / "config").write_text("this is no ini file\n")
    with pytest.raises(ConfigError, match="config"):
        S3Store("s3://bkt", anonymous)


def test_without_credentials_it_says_where_it_looked(anonymous: S3Access, aws_files: Path) -> None:
    with pytest.raises(StoreDenied, match="no credentials") as caught:
        list(S3Store("s3://bkt", anonymous).objects())
    for place in ("access_key in [store]", "AWS_ACCESS_KEY_ID", "'default'", "role"):
        assert place in str(caught.value)
    assert str(aws_files / "credentials") in str(caught.value)
    with pytest.raises(StoreDenied, match="no credentials"):
        S3Store("s3://bkt", anonymous).presign("s3://bkt/a", DAY)


def test_a_login_program_that_fails_is_named(anonymous: S3Access, aws_files: Path) -> None:
    (aws_files / "config").write_text("[profile lent]\ncredential_process = false\n")
    for call in (
        lambda: list(S3Store("s3://bkt", replace(anonymous, profile="lent")).objects()),
        lambda: S3Store("s3://bkt", replace(anonymous, profile="lent")).lasting(DAY),
    ):
        with pytest.raises(StoreDenied, match="can't be fetched") as caught:
            call()
        assert "credential_process" in caught.value.remedy


def test_a_server_that_knows_no_virtual_hosts_names_the_setting(
    virtual: S3Access, full: str
) -> None:
    unknown = replace(virtual, endpoint_url="http://elsewhere.test")
    with pytest.raises((StoreDenied, StoreUnavailable)) as caught:
        list(S3Store(f"s3://{full}", unknown, attempts=1).objects())
    assert 'addressing = "path"' in caught.value.remedy
    no_such_host = replace(unknown, proxy=None, endpoint_url="http://s3.invalid")
    with pytest.raises(StoreUnavailable, match="no connection") as caught:
        list(S3Store(f"s3://{full}", no_such_host, attempts=1).objects())
    assert 'addressing = "path"' in caught.value.remedy


def test_an_endpoint_that_names_the_bucket_already_is_told(virtual: S3Access, full: str) -> None:
    port = (virtual.endpoint_url or "").rpartition(":")[2]
    doubled = replace(virtual, endpoint_url=f"http://{full}.s3.localhost:{port}", addressing="path")
    with pytest.raises(StoreDenied, match="took the bucket for an object") as caught:
        list(S3Store(f"s3://{full}", doubled, attempts=1).objects())
    assert "without the bucket" in caught.value.remedy


def test_a_dead_proxy_is_named(seaweedfs: "SeaweedFS", full: str) -> None:
    dead = replace(seaweedfs.access, proxy="http://127.0.0.1:9")
    with pytest.raises(StoreUnavailable, match="proxy can't be reached") as caught:
        list(S3Store(f"s3://{full}", dead, attempts=1).objects())
    assert "[store]" in caught.value.remedy


# --- versioned buckets -------------------------------------------------------------------------


def test_in_a_versioned_bucket_the_present_counts_and_deleted_copies_are_gone(
    seaweedfs: "SeaweedFS", s3: "S3Client", bucket: str
) -> None:
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    for body in (b"first", b"second"):
        s3.put_object(Bucket=bucket, Key="a.png", Body=body, Tagging=f"is={body.decode()}")
    s3.put_object(Bucket=bucket, Key="b.png", Body=b"gone")
    s3.delete_object(Bucket=bucket, Key="b.png")
    store = S3Store(f"s3://{bucket}", seaweedfs.access)
    [[found]] = store.objects()
    assert (found.sample_id, store.read(found.uri)) == ("a.png", b"second")
    assert [dict(tags) for _, tags in store.tags([found])] == [{"is": "second"}]
    assert not store.exists(f"s3://{bucket}/b.png")
    copy = f"s3://{bucket}/0a1b"
    store.copy_blind(found.uri, copy)
    assert httpx.get(store.presign(copy, DAY), trust_env=False).content == b"second"
    store.delete(copy)
    left = s3.list_object_versions(Bucket=bucket, Prefix="0a1b")
    assert not left.get("Versions")
    assert not left.get("DeleteMarkers")
    assert len(s3.list_object_versions(Bucket=bucket, Prefix="a.png")["Versions"]) == 2
