"""labelloop closes the feedback loop of machine-learning models in production."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from labelloop import sampling, statistics
    from labelloop.errors import LabelloopError
    from labelloop.loop import Loop
    from labelloop.loop import open_loop as open  # noqa: A004  labelloop.open is the public name

__version__ = "0.1.0"
__all__ = ["LabelloopError", "Loop", "open", "sampling", "statistics"]

_HOME = {
    "open": ("labelloop.loop", "open_loop"),
    "Loop": ("labelloop.loop", "Loop"),
    "LabelloopError": ("labelloop.errors", "LabelloopError"),
    "sampling": ("labelloop.sampling", None),
    "statistics": ("labelloop.statistics", None),
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'labelloop' has no attribute {name!r}")
    module, attribute = _HOME[name]
    found = import_module(module)
    return found if attribute is None else getattr(found, attribute)
