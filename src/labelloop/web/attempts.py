"""How often an address may show a secret that is wrong."""

import time
from collections import OrderedDict

from labelloop.web.answers import Refused

N_ATTEMPTS, PER_S = 10, 300.0
"""So many wrong secrets may come from an address within so many seconds."""
N_ADDRESSES = 10_000
"""How many addresses are remembered."""


class Attempts:
    """Wrong secrets by address, in memory. They are 128 random bits or more, so this saves work alone."""

    def __init__(self, called: str) -> None:
        """`called`: what the secrets are, as in "wrong tokens"."""
        self._called = called
        self._wrong: OrderedDict[str, list[float]] = OrderedDict()

    def refuse_many(self, address: str) -> None:
        """Refuse an address that has shown too many wrong secrets.

        Raises:
            Refused: it has.
        """
        held = self._recent(address)
        if len(held) >= N_ATTEMPTS:
            wait_s = int(held[0] + PER_S - time.monotonic()) + 1
            raise Refused(
                429,
                f"{N_ATTEMPTS} {self._called} came from this address",
                f"wait {wait_s} seconds",
                {"Retry-After": str(wait_s)},
            )

    def note(self, address: str) -> None:
        """Remember a wrong secret."""
        self._wrong[address] = [*self._recent(address), time.monotonic()][-N_ATTEMPTS:]
        self._wrong.move_to_end(address)
        if len(self._wrong) > N_ADDRESSES:
            self._wrong.popitem(last=False)

    def _recent(self, address: str) -> list[float]:
        since = time.monotonic() - PER_S
        return [at for at in self._wrong.get(address, []) if at > since]
