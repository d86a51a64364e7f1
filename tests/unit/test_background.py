"""Work behind the visitors: what came in is there for whoever asks, and a fault isn't hidden."""

import threading
import time
from types import SimpleNamespace

import pytest

from labelloop.web import background
from labelloop.web.background import Background


def test_a_result_isnt_forgotten_by_who_asks_while_it_comes_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: Background[int] = Background()
    visitor = threading.current_thread()

    def look(wait_s: float) -> background.Made[int]:
        return made.look("n", lambda: 7, fresh_s=60, oldest_s=60, wait_s=wait_s)

    def now() -> float:
        if threading.current_thread() is not visitor:
            look(0)
        return time.monotonic()

    monkeypatch.setattr(background, "time", SimpleNamespace(monotonic=now))
    assert look(60).result == 7


def test_a_fault_reaches_who_asks() -> None:
    with pytest.raises(ZeroDivisionError):
        Background[float]().look("n", lambda: 1 / 0, wait_s=60)
