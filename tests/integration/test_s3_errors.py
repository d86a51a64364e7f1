"""What goes wrong with a bucket ends in one message that names it, and the remedy."""

import re
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from labelloop.adapters.s3.store import S3Store
from labelloop.demo.process import free_port
from labelloop.errors import ConfigError, StoreDenied, StoreError, StoreUnavailable
from labelloop.ports.store import StoredObject
from tests.in_a_thread import in_a_thread

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from labelloop.demo.servers import SeaweedFS

Opens = Callable[..., S3Store]


@pytest.fixture
def open_store(seaweedfs: "SeaweedFS", bucket: str) -> Opens:
    def opens(
        uri: str = f"s3://{bucket}", *, prefixes: Sequence[str] = (), **changed: object
    ) -> S3Store:
        quick = {"connect_timeout_s": 2.0, "read_timeout_s": 2.0}
        access = replace(seaweedfs.access, **(quick | changed))
        return S3Store(uri, access, prefixes=prefixes, attempts=1)

    return opens


@contextmanager
def answering(status: int, body: bytes, content_type: str) -> Iterator[str]:
    """The URL of a server that gives one answer to everything."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_HEAD = do_PUT = do_DELETE = do_GET  # noqa: N815 - http.server's names

        def log_message(self, *args: object) -> None: ...

    with in_a_thread(ThreadingHTTPServer(("127.0.0.1", 0), Answer)) as url:
        yield url


def calls(store: S3Store, uri: str) -> dict[str, Callable[[], object]]:
    """Every call of the port that asks the server something."""
    found = StoredObject(
        sample_id="a.png",
        uri=uri,
        content_hash="",
        size_bytes=0,
        last_modified=datetime.fromtimestamp(0).astimezone(),
    )
    return {
        "objects": lambda: list(store.objects()),
        "tags": lambda: list(store.tags([found])),
        "copy_blind": lambda: store.copy_blind(uri, f"{uri}.copy"),
        "exists": lambda: store.exists(uri),
        "delete": lambda: store.delete(uri),
        "read": lambda: store.read(uri),
        "check_writable": lambda: store.check_writable(uri.rpartition("/")[0]),
    }


def assert_all_raise(
    store: S3Store, bucket: str, error: type[StoreError], message: str, remedy: str
) -> None:
    """Every call raises exactly `error`, naming the bucket; the listing says what is meant."""
    for name, call in calls(store, f"s3://{bucket}/a.png").items():
        with pytest.raises(error, match=re.escape(bucket)) as caught:
            call()
        assert type(caught.value) is error, name
        assert caught.value.remedy, name
        assert "never-show-this" not in str(caught.value)
        if name in {"objects", "tags", "read", "check_writable"}:
            assert re.search(message, str(caught.value)), f"{name}: {caught.value}"
            assert re.search(remedy, caught.value.remedy), f"{name}: {caught.value.remedy}"


@pytest.mark.mistake("key-rotated")
def test_an_unknown_access_key_is_named_as_such(
    open_store: Opens, s3: "S3Client", bucket: str
) -> None:
    s3.put_object(Bucket=bucket, Key="a.png")
    store = open_store(access_key="nobody", secret_key="never-show-this")
    assert_all_raise(store, bucket, StoreDenied, "doesn't know the access key", "access_key")


@pytest.mark.mistake("key-rotated")
def test_a_wrong_secret_is_told_from_a_wrong_key(
    open_store: Opens, s3: "S3Client", bucket: str
) -> None:
    s3.put_object(Bucket=bucket, Key="a.png")
    store = open_store(secret_key="never-show-this")
    assert_all_raise(store, bucket, StoreDenied, "secret key doesn't belong", "secret_key")


@pytest.mark.mistake("bucket-missing")
def test_a_missing_bucket_is_named(open_store: Opens) -> None:
    store = open_store("s3://prodcution")
    with pytest.raises(StoreDenied, match=r"'prodcution': there is no such bucket"):
        list(store.objects())


def test_a_wrong_clock_is_named(
    open_store: Opens, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import botocore.auth

    now = botocore.auth.get_current_datetime  # type: ignore[attr-defined]  # the stubs leave it out
    monkeypatch.setattr(
        botocore.auth, "get_current_datetime", lambda *a, **k: now(*a, **k) - timedelta(hours=2)
    )
    with pytest.raises(StoreDenied, match="clock") as caught:
        open_store().read(f"s3://{bucket}/a.png")
    assert "NTP" in caught.value.remedy


@pytest.mark.mistake("store-down")
def test_nothing_listening_is_a_refused_connection(open_store: Opens, bucket: str) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    store = open_store(endpoint_url=url)
    assert_all_raise(store, bucket, StoreUnavailable, f"{url}.*refused", "server runs")


def test_an_unknown_host_is_no_connection(open_store: Opens, bucket: str) -> None:
    with pytest.raises(StoreUnavailable, match=r"no-such-host\.invalid.*no connection"):
        list(open_store(endpoint_url="http://no-such-host.invalid").objects())


def test_https_to_a_server_without_tls_says_so(
    open_store: Opens, seaweedfs: "SeaweedFS", bucket: str
) -> None:
    store = open_store(endpoint_url=seaweedfs.endpoint_url.replace("http", "https"))
    assert_all_raise(store, bucket, StoreDenied, "TLS", r"http://.*|ca_file")


@pytest.mark.mistake("store-down")
def test_a_server_that_never_answers_times_out(open_store: Opens, bucket: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        store = open_store(endpoint_url=url, read_timeout_s=0.2)
        assert_all_raise(store, bucket, StoreUnavailable, "no answer in time", "firewall")


@pytest.mark.parametrize(
    ("status", "body", "content_type"),
    [
        (200, b"<!doctype html><html><head><meta></head><body>Log in<br></html>", "text/html"),
        (200, b"<html><body>well-formed</body></html>", "text/html; charset=utf-8"),
        (404, b"<html><body>not here<br></html>", "text/html"),
        (404, b'{"detail": "Not found"}', "application/json"),
        (403, b"<html><body>go away<br></html>", "text/html"),
        (502, b"<html><body>bad gateway<br></html>", "text/html"),
    ],
)
def test_a_server_that_is_not_s3_is_known_by_its_answers(
    open_store: Opens, bucket: str, status: int, body: bytes, content_type: str
) -> None:
    with answering(status, body, content_type) as url:
        store = open_store(endpoint_url=url)
        for name in ("objects", "tags", "read", "exists", "copy_blind", "check_writable"):
            with pytest.raises(StoreUnavailable, match=re.escape(url)) as caught:
                calls(store, f"s3://{bucket}/a.png")[name]()
            assert "endpoint_url" in caught.value.remedy, name


@pytest.mark.parametrize("code", ["SlowDown", "InternalError"])
def test_a_failing_server_may_be_asked_again(open_store: Opens, bucket: str, code: str) -> None:
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>no</Message></Error>"
    with answering(503, body.encode(), "application/xml") as url:
        store = open_store(endpoint_url=url)
        assert_all_raise(store, bucket, StoreUnavailable, code, "run again")


def test_a_missing_right_names_the_rights_that_are_needed(open_store: Opens, bucket: str) -> None:
    body = b"<?xml version='1.0'?><Error><Code>AccessDenied</Code><Message>no</Message></Error>"
    with answering(403, body, "application/xml") as url:
        store = open_store(endpoint_url=url)
        assert_all_raise(store, bucket, StoreDenied, "access is denied", "s3:GetObjectTagging")


def test_a_body_cut_short_is_not_taken_for_the_object(open_store: Opens, bucket: str) -> None:
    def cut_short(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(
                b'HTTP/1.1 200 OK\r\nETag: "x"\r\nContent-Length: 100\r\n\r\nonly this'
            )

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=cut_short, args=(listener,))
        thread.start()
        store = open_store(endpoint_url=f"http://127.0.0.1:{listener.getsockname()[1]}")
        with pytest.raises(StoreUnavailable, match="reading failed"):
            store.read(f"s3://{bucket}/a.png")
        thread.join()


def test_without_any_credentials_it_says_where_to_put_them(
    open_store: Opens, bucket: str, monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", f"{tmp_path}/none")
    monkeypatch.setenv("AWS_CONFIG_FILE", f"{tmp_path}/none")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    store = open_store(access_key=None, secret_key=None)
    assert_all_raise(store, bucket, StoreDenied, "no credentials", "access_key")
    with pytest.raises(StoreDenied, match="no credentials"):
        store.presign(f"s3://{bucket}/a.png", timedelta(hours=1))


@pytest.mark.parametrize("uri", ["production", "http://production", "s3:///key", "s3://"])
def test_what_is_no_s3_uri_is_refused_at_once(open_store: Opens, uri: str) -> None:
    with pytest.raises(ConfigError, match="isn't an S3 URI"):
        open_store(uri)


def test_an_impossible_bucket_name_is_refused(open_store: Opens) -> None:
    with pytest.raises(StoreDenied, match="Bad Name"):
        list(open_store("s3://Bad Name").objects())


@pytest.mark.parametrize("url", ["127.0.0.1:9000", "not a url"])
def test_an_endpoint_without_a_scheme_is_refused_at_once(open_store: Opens, url: str) -> None:
    with pytest.raises(ConfigError, match="endpoint"):
        open_store(endpoint_url=url)


def test_a_missing_ca_file_is_refused_at_once(open_store: Opens) -> None:
    with pytest.raises(ConfigError, match=r"none\.pem"):
        open_store(ca_file="/nowhere/none.pem")
