"""Reads of the store for visitors: a store that hangs holds up images alone."""

from collections.abc import Callable
from typing import TypeVar

import anyio
from anyio import CapacityLimiter, to_thread

from labelloop.errors import ConfigError, InputDenied, InputGone, StoreError
from labelloop.web.answers import Refused

T = TypeVar("T")

STORE_S = 20.0
"""How long the store may take for one read, and an image may wait for its turn."""


class StoreReads:
    """Reads with labelloop's own rights, so many at a time, each in a thread of its own."""

    def __init__(self, at_once: int) -> None:
        self._turns = CapacityLimiter(at_once)

    async def read(self, ask: Callable[[], T]) -> T:
        """Ask the store.

        Raises:
            Refused: it doesn't answer, or says that the object is gone.
        """
        try:
            with anyio.fail_after(STORE_S):
                return await to_thread.run_sync(ask, limiter=self._turns, abandon_on_cancel=True)
        except TimeoutError:
            raise _later(504, f"the store didn't answer within {STORE_S:g} s") from None
        except (InputGone, InputDenied):
            raise Refused(404, "the image is gone, or can't be read") from None
        except (StoreError, ConfigError):
            raise _later(503, "the store can't be reached, or refuses") from None


def _later(status: int, error: str) -> Refused:
    return Refused(
        status, error, "the image is there again once the store is", {"Retry-After": "10"}
    )
