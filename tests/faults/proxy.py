"""A proxy that stands before a server and lets requests go wrong, as told; a process of its own.

`python -m tests.faults.proxy URL...` listens for each of the URLs on a port of its own, and on one more
for commands, a line of JSON each: a plan of faults, which also begins the count of requests anew, or
none, which is answered with what came since. A connection carries one request, so a plan may name it
by its number. The Host header passes as it is: S3 signs it.
"""

import asyncio
import json
import random
import socket
import struct
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from email.utils import formatdate
from time import time
from urllib.parse import urlsplit

PATIENCE_S = 2.0
"""The time-out of the clients behind."""
SKEWED = (
    b"<?xml version='1.0'?><Error><Code>RequestTimeTooSkewed</Code><Message>no</Message></Error>"
)
SLOW_DOWN = b"<?xml version='1.0'?><Error><Code>SlowDown</Code><Message>no</Message></Error>"
EXPIRED = b'{"detail": "Given token not valid for any token type", "code": "token_not_valid"}'
PAGE = b"<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>"


@dataclass(frozen=True)
class Fault:
    """What befalls `times` requests of a server, from its `at`-th on, 1 first."""

    server: int
    at: int
    kind: str
    times: int = 1


@dataclass(frozen=True)
class Seen:
    """A request that came, and what befell it."""

    server: int
    name: str
    kind: str = ""


@dataclass
class Answer:
    """A response of the server behind, its body whole and without transfer coding."""

    status: bytes
    headers: list[bytes]
    body: bytes
    is_head: bool

    def raw(self, body: bytes | None = None, *, longer: int = 0) -> bytes:
        """As it goes over the wire, with another body, and a length that exceeds it."""
        sent = self.body if body is None else body
        length = [] if self.is_head else [b"Content-Length: %d" % (len(sent) + longer)]
        return b"\r\n".join([self.status, *self.headers, *length, b"Connection: close", b"", sent])


@dataclass
class Client:
    """The two ends of a client's connection, and the whole request that came over it."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    head: bytes = b""
    body: bytes = b""

    def reset(self) -> None:
        """End the connection with a reset instead of a close."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()


running: set[asyncio.Task[None]] = set()


@dataclass
class Server:
    """One server behind the proxy, and the port that stands for it."""

    number: int
    url: str
    port: int = 0
    n: int = 0
    listener: asyncio.Server | None = None
    faults: list[Fault] = field(default_factory=list)

    def fault(self) -> str:
        """What befalls the request that just came."""
        self.n += 1
        for fault in self.faults:
            if fault.at <= self.n < fault.at + fault.times:
                return fault.kind
        return ""

    async def listen(self, serve: Callable[..., Awaitable[None]]) -> None:
        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            running.add(task)  # the loop itself holds them weakly
            task.add_done_callback(running.discard)
            await serve(self, Client(reader, writer))

        self.listener = await asyncio.start_server(accept, "127.0.0.1", self.port, limit=1 << 20)
        self.port = self.listener.sockets[0].getsockname()[1]

    async def ask(self, client: Client) -> Answer:
        """What the server behind answers."""
        where = urlsplit(self.url)
        reader, writer = await asyncio.open_connection(where.hostname, where.port)
        try:
            writer.write(client.head + client.body)
            await writer.drain()
            raw = await reader.read()
        finally:
            writer.close()
        head, _, body = raw.partition(b"\r\n\r\n")
        status, *headers = head.split(b"\r\n")
        if b"transfer-encoding: chunked" in head.lower():
            body = dechunked(body)
        is_head = client.head.startswith(b"HEAD")
        dropped = (
            (b"connection:",)
            if is_head
            else (b"content-length:", b"transfer-encoding:", b"connection:")
        )
        kept = [h for h in headers if not h.lower().startswith(dropped)]
        return Answer(status, kept, body, is_head)


def dechunked(body: bytes) -> bytes:
    whole = b""
    while True:
        size, _, rest = body.partition(b"\r\n")
        n = int(size.split(b";")[0] or b"0", 16)
        if n == 0:
            return whole
        whole, body = whole + rest[:n], rest[n + 2 :]


async def receive(client: Client) -> str:
    """Read the request whole; its method and path, without numbers and names."""
    head = await client.reader.readuntil(b"\r\n\r\n")
    first, *headers = head[:-4].split(b"\r\n")
    given = {k.lower(): v.strip() for k, _, v in (h.partition(b":") for h in headers)}
    if b"expect" in given:
        await client.send(b"HTTP/1.1 100 Continue\r\n\r\n")
    client.body = await client.reader.readexactly(int(given.get(b"content-length", b"0")))
    kept = [h for h in headers if not h.lower().startswith((b"expect:", b"connection:"))]
    client.head = b"\r\n".join([first, *kept, b"Connection: close", b"", b""])
    method, target, _ = first.decode().split(" ", 2)
    return name_of(method, target, copies=b"x-amz-copy-source" in given)


def name_of(method: str, target: str, *, copies: bool) -> str:
    path, _, query = target.partition("?")
    if path.startswith("/api/"):
        return f"{method} " + "/".join("N" if p.isdigit() else p for p in path.split("/"))
    what = "object" if path.strip("/").partition("/")[2] else "bucket"
    return f"{method} {what}" + (" tagging" if "tagging" in query else " copy" if copies else "")


# --- faults -------------------------------------------------------------------------------------


def told(status: str, body: bytes, kind: str, *headers: str) -> bytes:
    lines = [
        f"HTTP/1.1 {status}",
        f"Content-Type: {kind}",
        f"Content-Length: {len(body)}",
        *headers,
    ]
    return "\r\n".join([*lines, "Connection: close", "", ""]).encode() + body


async def refused(server: Server, client: Client) -> None:
    """Reset before any answer, and nobody listens for a while."""
    client.reset()
    listener = server.listener
    if listener is None or not listener.is_serving():
        return
    listener.close()
    await asyncio.sleep(0.3)
    await server.listen(serve)


async def reset(server: Server, client: Client) -> None:
    answer = (await server.ask(client)).raw()
    await client.send(answer[: max(20, len(answer) - 10)])
    await asyncio.sleep(0.05)
    client.reset()


async def late(server: Server, client: Client) -> None:
    """Carried out at once, answered when nobody listens any more."""
    answer = await server.ask(client)
    await asyncio.sleep(PATIENCE_S + 1)
    await client.send(answer.raw())


async def delayed(server: Server, client: Client) -> None:
    """Carried out when the client has stopped waiting."""
    await asyncio.sleep(PATIENCE_S + 0.5)
    await client.send((await server.ask(client)).raw())


async def busy(server: Server, client: Client) -> None:
    when = (
        "Retry-After: 1" if server.n % 2 else f"Retry-After: {formatdate(time() + 1, usegmt=True)}"
    )
    body, kind = (
        (b"{}", "application/json") if server.number == 0 else (SLOW_DOWN, "application/xml")
    )
    await client.send(told("429 Too Many Requests", body, kind, when))


async def failing(server: Server, client: Client) -> None:
    kind = "application/json" if server.number == 0 else "application/xml"
    await client.send(told("500 Internal Server Error", b"", kind))


async def gateway(server: Server, client: Client) -> None:
    """Carried out, and answered by what stands between with a page."""
    await server.ask(client)
    await client.send(told("502 Bad Gateway", PAGE, "text/html"))


async def truncated(server: Server, client: Client) -> None:
    answer = await server.ask(client)
    await client.send(answer.raw(answer.body[: len(answer.body) // 2]))


async def drip(server: Server, client: Client) -> None:
    raw = (await server.ask(client)).raw()
    start = raw.index(b"\r\n\r\n") + 4
    await client.send(raw[:start])
    for i in range(start, len(raw)):
        await client.send(raw[i : i + 1])
        await asyncio.sleep(0.3)


async def length(server: Server, client: Client) -> None:
    """A length that promises more than comes."""
    await client.send((await server.ask(client)).raw(longer=10))


async def expired(_: Server, client: Client) -> None:
    await client.send(told("401 Unauthorized", EXPIRED, "application/json"))


async def skewed(_: Server, client: Client) -> None:
    await client.send(told("403 Forbidden", SKEWED, "application/xml"))


KINDS: Mapping[str, Callable[[Server, Client], Awaitable[None]]] = {
    "refused": refused,
    "reset in mid-body": reset,
    "answered too late": late,
    "carried out late": delayed,
    "429 with Retry-After": busy,
    "500": failing,
    "502 with HTML": gateway,
    "cut short": truncated,
    "slow drip": drip,
    "wrong length": length,
    "token expired": expired,
    "clock skew": skewed,
}
ONLY = {"token expired": 0, "clock skew": 1}
"""Faults that one of the servers alone has: 0 is Label Studio, 1 is S3."""

# --- the process ----------------------------------------------------------------------------------

seen: list[Seen] = []


async def serve(server: Server, client: Client) -> None:
    """One connection, one request."""
    try:
        name = await receive(client)
        kind = server.fault()
        seen.append(Seen(server.number, name, kind))
        if kind:
            await KINDS[kind](server, client)
        else:
            await client.send((await server.ask(client)).raw())
    except (OSError, asyncio.IncompleteReadError):
        pass  # a client that stopped waiting
    finally:
        client.writer.close()


async def main(urls: Sequence[str]) -> None:
    servers = [Server(i, url) for i, url in enumerate(urls)]
    for server in servers:
        await server.listen(serve)

    async def command(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            plan = json.loads(line)
            answer = [asdict(s) for s in seen]
            if plan is not None:
                seen.clear()
                for server in servers:
                    server.n = 0
                    server.faults = [
                        Fault(**fault) for fault in plan if fault["server"] == server.number
                    ]
            writer.write(json.dumps(answer).encode() + b"\n")
            await writer.drain()
        writer.close()

    control = await asyncio.start_server(command, "127.0.0.1", 0)
    ports = [server.port for server in servers] + [control.sockets[0].getsockname()[1]]
    print(json.dumps(ports), flush=True)
    await control.serve_forever()


if __name__ == "__main__":
    random.seed(0)
    asyncio.run(main(sys.argv[1:]))
