"""A proxy on loopback that holds back whatever the server says: a network that takes its time.

python -m bench.delay PORT MILLISECONDS   prints its own port, and runs until it is ended
"""

import asyncio
import sys
from typing import cast


class Ours(asyncio.Protocol):
    """A client's connection, and the one to the server behind it."""

    def __init__(self, server_port: int, delay_s: float) -> None:
        self._server_port = server_port
        self._delay_s = delay_s
        self._early: list[bytes] = []
        self._server: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._client = cast("asyncio.Transport", transport)
        self._connecting = asyncio.ensure_future(self._connect())

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        server, _ = await loop.create_connection(
            lambda: Theirs(self._client, self._delay_s), "127.0.0.1", self._server_port
        )
        for data in self._early:
            server.write(data)
        self._server = server

    def data_received(self, data: bytes) -> None:
        if self._server is None:
            self._early.append(data)
        else:
            self._server.write(data)

    def connection_lost(self, _exc: Exception | None) -> None:
        if self._server is not None:
            self._server.close()


class Theirs(asyncio.Protocol):
    """The server's side: each piece goes on after the delay."""

    def __init__(self, client: asyncio.Transport, delay_s: float) -> None:
        self._client = client
        self._delay_s = delay_s

    def data_received(self, data: bytes) -> None:
        asyncio.get_running_loop().call_later(self._delay_s, self._client.write, data)

    def connection_lost(self, _exc: Exception | None) -> None:
        asyncio.get_running_loop().call_later(self._delay_s, self._client.close)


async def serve(server_port: int, delay_ms: float) -> None:
    """Run until ended."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: Ours(server_port, delay_ms / 1000), "127.0.0.1", 0, backlog=1024
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), float(sys.argv[2])))
