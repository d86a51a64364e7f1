"""Connections of clients that are slow to ask: they are ended, so that others always find room."""

import asyncio

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol


class Connection(H11Protocol):
    """A connection that is closed unless its request's head comes in time.

    Bytes that drip in win no time. Where there are too many connections, the one that has waited longest
    for a request goes first.
    """

    head_s = 10.0
    """How long a request's head may take, from the connection or from its first byte on."""
    at_most = 500
    """So many connections at a time: a process may open 1,024 files, and the rest need some."""

    _late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request."""
        super().connection_made(transport)
        self._await_head()
        if len(self.connections) > self.at_most:
            self._make_room()

    def data_received(self, data: bytes) -> None:
        """Take what came; a head that isn't whole by now is still waited for."""
        super().data_received(data)
        if self.conn.their_state is h11.IDLE and not self.transport.is_closing():
            self._await_head()
        else:
            self._came()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._came()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        """Be ready for the next request, whose head may have come in part with the last one."""
        super().on_response_complete()
        if self.conn.trailing_data[0] and not self.transport.is_closing():
            self._await_head()

    def _await_head(self) -> None:
        if self._late is None:
            self._late = self.loop.call_later(self.head_s, self.transport.abort)

    def _came(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _make_room(self) -> None:
        waiting = [
            each for each in self.connections if isinstance(each, Connection) and each is not self
        ]
        oldest = min(
            (each for each in waiting if each._late is not None),
            key=lambda each: each._late.when() if each._late else 0.0,
            default=self,
        )
        oldest.transport.abort()
