"""Looking until nothing changes any more: what was asked of an annotator may be carried out late."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from labelloop.ports.clock import Clock, Progress

_LOOK_EVERY_S = 1.0

T = TypeVar("T")


def settled(
    look: Callable[[], Sequence[T]],
    complete: Callable[[Sequence[T]], bool],
    *,
    timeout_s: float,
    clock: Clock,
    progress: Progress,
) -> Sequence[T]:
    """What `look` finds once it is complete, or has not changed for one full time-out."""
    found = look()
    unchanged_s = 0.0
    while unchanged_s < timeout_s and not complete(found):
        progress("waiting for the annotator to settle", int(unchanged_s), int(timeout_s))
        clock.sleep(_LOOK_EVERY_S)
        unchanged_s += _LOOK_EVERY_S
        again = look()
        if len(again) != len(found):
            unchanged_s = 0.0
        found = again
    return found
