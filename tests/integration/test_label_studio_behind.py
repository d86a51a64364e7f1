"""Label Studio behind what stands in front of it elsewhere: a path, a CA of one's own, a proxy."""

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from labelloop.adapters.label_studio.annotator import LabelStudioAnnotator
from labelloop.demo.servers import LabelStudio
from labelloop.errors import AnnotatorUnavailable
from labelloop.ports.annotator import Annotator
from tests.contract.test_annotator import spec, task_data
from tests.faults.stub import certificate as own_certificate

HOP_BY_HOP = {"connection", "content-length", "host", "transfer-encoding", "content-encoding"}


@contextmanager
def front(server: LabelStudio, *, path: str = "", tls: Path | None = None) -> Iterator[int]:
    """The port of a server that hands on to Label Studio what is below `path`, or sent to a proxy."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            asked.append(self.path)
            parts = urlsplit(self.path)
            if not parts.path.startswith(f"{path}/"):
                self.send_error(404)
                return
            target = parts.path.removeprefix(path) + (f"?{parts.query}" if parts.query else "")
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            headers = {k: v for k, v in self.headers.items() if k.lower() not in HOP_BY_HOP}
            got = httpx.request(
                self.command,
                server.url + target,
                content=body,
                headers=headers,
                trust_env=False,
                timeout=120,
            )
            self.send_response(got.status_code)
            for name, value in got.headers.items():
                if name.lower() not in HOP_BY_HOP:
                    self.send_header(name, value)
            self.send_header("content-length", str(len(got.content)))
            self.end_headers()
            self.wfile.write(got.content)

        do_GET = do_POST = do_PATCH = do_DELETE = answer  # noqa: N815  named by http.server

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  named by http.server
            """Nothing: the test's output is enough."""

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if tls is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tls)
        listening.socket = context.wrap_socket(listening.socket, server_side=True)
    thread = threading.Thread(target=listening.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield listening.server_address[1]
    finally:
        listening.shutdown()
        thread.join()
        listening.server_close()
    assert asked


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate for 127.0.0.1 that its own key signed: with the key, in one file."""
    return own_certificate(tmp_path)


def labels(annotator: Annotator) -> None:
    """Everything that a loop does there."""
    assert annotator.facts().version.startswith("1.")
    project = annotator.create_project(spec())
    assert project in annotator.projects()
    given = task_data(3)
    ids = annotator.import_tasks(project.project_ref, given)
    assert [t.remote_id for t in annotator.find(project.project_ref, [given[1].task_key])] == [
        ids[1]
    ]
    assert annotator.replace_data(ids[0], given[0].data)
    annotator.delete_task(ids[2])
    pages = annotator.tasks(project.project_ref)
    assert [t.remote_id for page in pages for t in page] == list(ids[:2])


def test_below_a_path_with_a_ca_of_its_own(label_studio: LabelStudio, certificate: Path) -> None:
    with front(label_studio, path="/labels", tls=certificate) as port:
        url = f"https://127.0.0.1:{port}/labels/"
        key = label_studio.personal_access_token()
        annotator = LabelStudioAnnotator(url=url, api_key=key, ca_file=str(certificate))
        labels(annotator)
        assert annotator.project_url(7) == f"{url}projects/7/data"
        annotator.close()
        distrustful = LabelStudioAnnotator(url=url, api_key=key, sleep=lambda _s: None)
        with pytest.raises(AnnotatorUnavailable, match="certificate") as refused:
            distrustful.projects()
        assert "ca_file" in refused.value.remedy
        distrustful.close()


def test_through_a_proxy(label_studio: LabelStudio) -> None:
    with front(label_studio) as port:
        annotator = LabelStudioAnnotator(
            url="http://label-studio.invalid",
            api_key=label_studio.legacy_token,
            proxy=f"http://127.0.0.1:{port}",
        )
        labels(annotator)
        annotator.close()


def test_a_proxy_that_is_down_is_named() -> None:
    annotator = LabelStudioAnnotator(
        url="http://label-studio.invalid",
        api_key="0" * 40,
        proxy="http://user:hush@127.0.0.1:9",
        sleep=lambda _s: None,
    )
    with pytest.raises(AnnotatorUnavailable, match="through the proxy") as refused:
        annotator.projects()
    assert "[label_studio] proxy" in refused.value.remedy
    assert "hush" not in str(refused.value)
    annotator.close()
