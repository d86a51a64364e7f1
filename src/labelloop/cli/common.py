"""What every command shares: the config option, --json, progress, and times on a screen."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from labelloop.errors import DatasetError

if TYPE_CHECKING:
    from labelloop.loop import Loop

F = TypeVar("F", bound=Callable[..., Any])


def with_config(command: F) -> F:
    """Add --config and --json."""
    return with_config_alone(
        click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")(command)
    )


def with_config_alone(command: F) -> F:
    """Add --config."""
    return click.option(
        "--config",
        "config",
        type=click.Path(path_type=Path),
        default=Path("labelloop.toml"),
        envvar="LABELLOOP_CONFIG",
        show_default=True,
        help="The settings file.",
    )(command)


@contextmanager
def opened(
    config: Path,
    *,
    quiet: bool = False,
    watch: "Watch | None" = None,
    parse_conditions: bool = True,
) -> Iterator["Loop"]:
    """The loop of a config, with progress on standard error.

    `parse_conditions`: whether each `where` is checked, which takes longer than the rest.

    A bar stays until this is left: print results afterwards, or clear `watch` before.
    """
    from labelloop.loop import Loop
    from labelloop.ports.clock import silent
    from labelloop.project import Project

    with watch or Watch() as shown:
        progress = silent if quiet else shown
        project = Project.open(
            config,
            progress=progress,
            warn=lambda text: click.secho(f"warning: {text}", err=True),
            parse_conditions=parse_conditions,
        )
        with Loop(project) as loop:
            yield loop


class Watch:
    """A Progress: a bar on a terminal, a line every few seconds elsewhere. Short work shows nothing."""

    FIRST_AFTER_S = 1.0
    LINE_EVERY_S = 5.0

    def __init__(self) -> None:
        self._what = ""
        self._started_s = self._said_s = 0.0
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> "Watch":
        return self

    def __exit__(self, *_: object) -> None:
        self.clear()

    def __call__(self, what: str, done: int, total: int | None) -> None:
        """Hear how far a step is."""
        now_s = time.monotonic()
        if what != self._what:
            self.clear()
            self._what, self._started_s, self._said_s = what, now_s, now_s
        if sys.stderr.isatty():
            self._show_bar(what, done, total, now_s)
        elif now_s - self._said_s >= self.LINE_EVERY_S:
            self._said_s = now_s
            click.echo(f"  {what}: {done:,}{f' of {total:,}' if total else ''}", err=True)

    def clear(self) -> None:
        """Take the bar off the screen."""
        if self._bar is not None:
            self._bar.stop()
        self._bar, self._what = None, ""

    def _show_bar(self, what: str, done: int, total: int | None, now_s: float) -> None:
        if self._bar is None:
            if now_s - self._started_s < self.FIRST_AFTER_S:
                return
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                TextColumn("{task.fields[count]}"),
                TimeElapsedColumn(),
                console=Console(stderr=True),
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._bar.start()
            self._task = self._bar.add_task(what, total=total, count="")
        count = f"{done:,} of {total:,}" if total else f"{done:,}"
        self._bar.update(self._task, completed=done, total=total, count=count)


def print_json(kind: str, result: object) -> None:
    """Print a result as the JSON document of its kind; `kinds` lists them."""
    from labelloop.views.json_form import document

    click.echo(document(kind, result))


def name_and_version(text: str) -> tuple[str, int | None]:
    """The dataset and the version that `training@3` names; None where it names none.

    >>> name_and_version("training@v3"), name_and_version("training")
    (('training', 3), ('training', None))
    >>> name_and_version("training@²")
    Traceback (most recent call last):
    labelloop.errors.DatasetError: 'training@²' isn't a dataset version...
    """
    name, at, number = text.partition("@")
    number = number.removeprefix("v")
    if at and not number.isdecimal():
        raise DatasetError(
            f"{text!r} isn't a dataset version", remedy="write training or training@3"
        )
    return name, int(number) if at else None
