"""A small HTTP server that answers as it is told, and one whose answers drip."""

import json
import socketserver
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.in_a_thread import in_a_thread
from tests.programs import output_of


@dataclass(frozen=True)
class Reply:
    status: int
    body: bytes
    kind: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)
    cut: bool = False

    @classmethod
    def of(cls, status: int, body: object, **headers: str) -> "Reply":
        return cls(status, json.dumps(body).encode(), headers=headers)


@dataclass(frozen=True)
class Asked:
    method: str
    path: str
    token: str
    body: bytes
    query: str = ""
    headers: dict[str, str] = field(default_factory=dict)


class QuietServer(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of a client that stopped waiting: that is what is tested."""


class Stub:
    """A server that answers each request as `answer` says, and remembers it; `tls`: key and certificate."""

    def __init__(self, tls: Path | None = None) -> None:
        self.asked: list[Asked] = []
        self.answer: Callable[[Asked], Reply] = lambda _: Reply(200, b"")
        stub = self

        class Handler(BaseHTTPRequestHandler):
            def handle_any(self) -> None:
                length = int(self.headers.get("Content-Length", 0))
                token = self.headers.get("Authorization", "")
                path, _, query = self.path.partition("?")
                body = self.rfile.read(length)
                headers = {name.lower(): value for name, value in self.headers.items()}
                asked = Asked(self.command, path, token, body, query, headers)
                stub.asked.append(asked)
                reply = stub.answer(asked)
                self.send_response_only(reply.status)
                self.send_header("Content-Type", reply.kind)
                extra = 10 if reply.cut else 0
                self.send_header("Content-Length", str(len(reply.body) + extra))
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(reply.body)

            do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any  # noqa: N815  as the base asks

            def log_message(self, *args: object) -> None:
                pass

        self.server = QuietServer(("127.0.0.1", 0), Handler)
        if tls is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(tls)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,))
        self.thread.start()
        scheme = "http" if tls is None else "https"
        self.url = f"{scheme}://127.0.0.1:{self.server.server_port}"

    def stop(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


def certificate(folder: Path) -> Path:
    """A certificate for 127.0.0.1 that its own key signed: with the key, in one file."""
    file = folder / "own.pem"
    command = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
        " -subj /CN=own -addext subjectAltName=IP:127.0.0.1 -keyout own.pem -out cert.pem"
    )
    output_of(command.split(), cwd=folder)
    file.write_bytes(file.read_bytes() + (folder / "cert.pem").read_bytes())
    return file


def authority(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 with its key in one file, and the authority's that signed it."""
    key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
    signed = "-CA ca.pem -CAkey ca.key -set_serial 7 -days 2 -extfile extensions"
    extensions = "subjectAltName=IP:127.0.0.1\nbasicConstraints=CA:FALSE\n"
    (folder / "extensions").write_text(extensions)
    for command in (
        f"openssl req -x509 {key} -days 2 -subj /CN=authority -keyout ca.key -out ca.pem",
        f"openssl req {key} -subj /CN=leaf -keyout leaf.key -out leaf.csr",
        f"openssl x509 -req -in leaf.csr {signed} -out leaf.pem",
    ):
        output_of(command.split(), cwd=folder)
    own = folder / "leaf and key.pem"
    own.write_bytes((folder / "leaf.key").read_bytes() + (folder / "leaf.pem").read_bytes())
    return own, folder / "ca.pem"


@contextmanager
def dripping(header: bytes, body: bytes, *, every_s: float, size: int = 1) -> Iterator[str]:
    """The URL of a server whose answers come a few bytes at a time."""

    class Drip(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            while self.rfile.readline().strip():
                pass
            length = f"Content-Length: {len(body)}".encode()
            self.wfile.write(b"HTTP/1.1 200 OK\r\n" + header + b"\r\n" + length + b"\r\n\r\n")
            with suppress(ConnectionError):
                for start in range(0, len(body), size):
                    self.wfile.write(body[start : start + size])
                    time.sleep(every_s)

    with in_a_thread(socketserver.ThreadingTCPServer(("127.0.0.1", 0), Drip)) as url:
        yield url
