"""Clients that never finish asking are let go, and hold up nobody."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import httpx
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from labelloop.web.connections import Connection

HALF = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-A: "


class Brief(Connection):
    head_s = 1.5
    at_most = 60


async def hello(_request: Request) -> PlainTextResponse:
    return PlainTextResponse("hello")


@pytest.fixture
def address() -> Iterator[tuple[str, int]]:
    """Where a server listens."""
    at = socket.create_server(("127.0.0.1", 0), backlog=512)
    app = Starlette(routes=[Route("/", hello, methods=["GET", "POST"])])
    server = uvicorn.Server(uvicorn.Config(app, http=Brief, log_config=None, lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [at]})
    thread.start()
    yield at.getsockname()
    server.should_exit = True
    thread.join()


def is_closed(client: socket.socket) -> bool:
    client.settimeout(5)
    with contextlib.suppress(ConnectionError):
        return client.recv(1) == b""
    return True


def answer_of(client: socket.socket) -> bytes:
    """A whole answer; its body may come by itself."""
    said = b""
    while not said.endswith(b"hello") and (part := client.recv(1000)):
        said += part
    return said


def get(address: tuple[str, int]) -> str:
    return httpx.get(f"http://127.0.0.1:{address[1]}/", trust_env=False, timeout=5).text


def test_fifty_slow_clients_hold_up_nobody_and_are_let_go(address: tuple[str, int]) -> None:
    slow = [socket.create_connection(address) for _ in range(50)]
    began = time.monotonic()
    for each in slow:
        each.send(HALF)
    while time.monotonic() - began < 0.8:
        for each in slow:
            with contextlib.suppress(ConnectionError):
                each.send(b"a")  # a byte now and then wins no time
        assert get(address) == "hello"
    assert all(is_closed(each) for each in slow)
    for each in slow:
        each.close()
    assert get(address) == "hello"


def test_the_oldest_that_wait_make_room(address: tuple[str, int]) -> None:
    slow = [socket.create_connection(address) for _ in range(150)]
    assert get(address) == "hello"
    assert is_closed(slow[0])
    for each in slow:
        each.close()


def test_connections_at_work_stay(address: tuple[str, int]) -> None:
    with socket.create_connection(address) as client:
        client.settimeout(5)
        for _ in range(4):
            client.send(HALF + b"a\r\n\r\n")
            assert answer_of(client).endswith(b"hello")
            time.sleep(0.5)
        client.send(HALF)  # a second request that never ends, on a connection that was good
        assert is_closed(client)


def test_a_request_s_body_has_limits_of_its_own(address: tuple[str, int]) -> None:
    with socket.create_connection(address) as client:
        client.send(b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 2\r\n\r\na")
        time.sleep(1.6)
        client.send(b"b")
        client.settimeout(5)
        assert answer_of(client).endswith(b"hello")
