"""Stores what a model in production sees and says, so that labelloop can ask people about it.

>>> import labelloop_capture as capture                                   # doctest: +SKIP
>>> capture.configure("s3://production", model="v3")                      # doctest: +SKIP
>>> sample_id = capture.log(image, "Bread", 0.93, attributes={"site": "Bern"})   # doctest: +SKIP
>>> capture.correct(sample_id, "Dessert")                                 # doctest: +SKIP
"""

from typing import Any

from labelloop_capture.capture import Capture
from labelloop_capture.middleware import AsgiCapture, WsgiCapture
from labelloop_capture.record import Prediction

__all__ = [
    "AsgiCapture",
    "Capture",
    "Prediction",
    "WsgiCapture",
    "configure",
    "correct",
    "counts",
    "flag",
    "flush",
    "log",
]

_default: Capture | None = None


def configure(target: str, **settings: Any) -> Capture:
    """Say once where predictions go; the settings are those of `Capture`.

    Raises:
        ValueError: a value can't be meant.
    """
    global _default
    if _default is not None:
        _default.close()
    _default = Capture(target, **settings)
    return _default


def _own() -> Capture:
    if _default is None:
        raise RuntimeError(
            'nothing is configured: call labelloop_capture.configure("s3://BUCKET") once at the start'
        )
    return _default


def log(
    data: bytes | str, predicted_class: str, confidence: float | None = None, **more: Any
) -> str | None:
    """`Capture.log` of what `configure` made."""
    return _own().log(data, predicted_class, confidence, **more)


def flag(sample_id: str, flagged: bool = True) -> bool:
    """`Capture.flag` of what `configure` made."""
    return _own().flag(sample_id, flagged)


def correct(sample_id: str, correct_class: str) -> bool:
    """`Capture.correct` of what `configure` made."""
    return _own().correct(sample_id, correct_class)


def counts() -> dict[str, int]:
    """`Capture.counts` of what `configure` made."""
    return _own().counts()


def flush(timeout_s: float = 10.0) -> bool:
    """`Capture.flush` of what `configure` made."""
    return _own().flush(timeout_s)
