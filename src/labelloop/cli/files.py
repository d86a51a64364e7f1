"""Pages and pictures as files."""

from importlib.util import find_spec
from pathlib import Path

from labelloop.errors import ReportError


def need_png(command: str) -> None:
    """Raise ReportError unless PNG files can be made here."""
    missing = [name for name in ("resvg_py", "font_roboto") if find_spec(name) is None]
    if missing:
        raise ReportError(
            f"PNG files need packages that aren't installed: {', '.join(missing)}",
            remedy=f"pip install 'labelloop[report]'; `labelloop {command} --html` works without them",
        )


def write_file(path: Path, content: bytes) -> None:
    """Write a file, and the folders above it.

    Raises:
        ReportError: it can't be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    except OSError as exc:
        raise ReportError(
            f"{path} can't be written: {exc.strerror or exc}",
            remedy="choose another file or folder",
        ) from exc
