"""What the demonstration shows while it works: bars on a terminal, plain lines elsewhere."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from labelloop.ports.clock import Progress

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

LINE_EVERY_S = 5.0
WORTH_A_LINE_S = 2.0


class Screen:
    """Shows steps, several at once where they overlap; may be used from several threads."""

    def __init__(self, console: "Console") -> None:
        self._console = console
        self._lock = threading.Lock()
        self._bars: Bars | None = None
        self._n_open = 0

    def say(self, text: "RenderableType" = "") -> None:
        """Print a line, or anything that rich can show."""
        self._console.print(text, highlight=False)

    @contextmanager
    def step(self, title: str) -> Iterator[Progress]:
        """A step that is under way until the block ends; the value hears how far it is."""
        shown = self._bar(title) if self._console.is_terminal else self._lines(title)
        with shown as progress:
            yield progress

    @contextmanager
    def _lines(self, title: str) -> Iterator[Progress]:
        started = spoken = time.monotonic()
        self.say(f"{title} ...")

        def hear(what: str, done: int, total: int | None) -> None:
            nonlocal spoken
            if time.monotonic() - spoken >= LINE_EVERY_S:
                spoken = time.monotonic()
                self.say(" ".join(filter(None, (f"  {title}:", what, _counted(done, total)))))

        yield hear
        taken_s = time.monotonic() - started
        if taken_s >= WORTH_A_LINE_S:
            self.say(f"  {title}: done in {taken_s:.0f} s")

    @contextmanager
    def _bar(self, title: str) -> Iterator[Progress]:
        bars, bar = self._open(title)
        last = ""

        def hear(what: str, done: int, total: int | None) -> None:
            nonlocal last
            last = "" if what or total is None else _counted(done, total)
            bars.update(
                bar,
                description=_described(title, what),
                completed=done,
                total=total,
                count=_counted(done, total),
            )

        try:
            yield hear
            bars.update(
                bar, description=f"[green]✓[/green] {title}", total=1, completed=1, count=last
            )
        except BaseException:
            bars.update(bar, description=f"[red]✗[/red] {title}", visible=False)
            raise
        finally:
            self._close()

    def _open(self, title: str) -> "tuple[Bars, TaskID]":
        from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Bars

        with self._lock:
            if self._bars is None:
                self._bars = Bars(
                    SpinnerColumn(finished_text=" "),
                    TextColumn("{task.description}"),
                    BarColumn(bar_width=24),
                    TextColumn("{task.fields[count]}"),
                    TimeElapsedColumn(),
                    console=self._console,
                )
                self._bars.start()
            self._n_open += 1
            return self._bars, self._bars.add_task(title, total=None, count="")

    def _close(self) -> None:
        with self._lock:
            self._n_open -= 1
            if self._n_open == 0 and self._bars is not None:
                self._bars.stop()
                self._bars = None


def _described(title: str, what: str) -> str:
    return f"{title} · {what}" if what else title


def _counted(done: int, total: int | None) -> str:
    if total is None:
        return f"{done:,}" if done else ""
    return f"{done:,}/{total:,}"
