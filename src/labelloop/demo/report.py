"""What the three days of the demonstration came to, as a table."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from labelloop.core.estimate import Estimate, Undefined
from labelloop.demo.annotators import PEOPLE
from labelloop.measuring.answers import RestsOn
from labelloop.views.wording import span

if TYPE_CHECKING:
    from rich.console import RenderableType


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What one queue drew: `n` of the `n_matching` that it could have."""

    queue: str
    blind: bool
    n: int
    n_matching: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Labels of one origin in a training set, and how many of them are wrong in truth."""

    n: int
    n_wrong: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Guaranteed:
    """The day's model labels that a guarantee keeps, the wrong among them, and what it allows."""

    n: int
    n_wrong: int
    max_error: float

    @property
    def held(self) -> bool:
        """Whether no more are wrong in truth than it says."""
        return self.n_wrong <= self.max_error * self.n


@dataclass(frozen=True, slots=True, kw_only=True)
class NextDay:
    """True accuracies on the day after: of the retrained model, and of the first one."""

    n: int
    retrained: float
    first: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """One day of the demonstration.

    rests_on
        the answers behind the estimate
    true_accuracy
        what labelloop cannot know
    n_given
        all answers that people gave, second looks included; None where they weren't counted
    """

    day: date
    drifted: bool
    model: str
    n_traffic: int
    asked: tuple[Asked, ...]
    answers: Part
    estimate: Estimate | Undefined
    true_accuracy: float
    by_model: Part
    by_people: Part
    next_day: NextDay
    guaranteed: Guaranteed
    rests_on: RestsOn | None = None
    n_given: int | None = None

    @property
    def covered(self) -> bool | None:
        """Whether the interval holds the true accuracy; None where there is no estimate."""
        if isinstance(self.estimate, Undefined):
            return None
        return self.estimate.low <= self.true_accuracy <= self.estimate.high


def table(days: Sequence[Day]) -> "RenderableType":
    """The days side by side."""
    from rich import box
    from rich.table import Table

    shown = Table(
        box=box.SIMPLE_HEAD,
        title="Three days in production",
        title_style="bold",
        pad_edge=False,
        show_edge=False,
    )
    shown.add_column("", no_wrap=True)
    for number, day in enumerate(days, 1):
        shown.add_column(f"day {number}, {day.day:%d %b}", justify="right", no_wrap=True)

    def head(title: str) -> None:
        shown.add_row(f"[bold]{title}[/bold]", *("" for _ in days))

    def row(title: str, cells: Sequence[str], *, last: bool = False) -> None:
        shown.add_row(f" {title}", *cells, end_section=last)

    head("Traffic")
    row("images", [f"{d.n_traffic:,}{' drifted' if d.drifted else ''}" for d in days])
    row("served by", [d.model for d in days], last=True)
    head("Labels asked for")
    for asked in days[0].asked if days else ():
        cells = [_asked(d, asked.queue) for d in days]
        row(f"{asked.queue}{', blind' if asked.blind else ''}", cells)
    row(
        "images answered",
        [_part(d.answers) for d in days],
        last=all(d.n_given is None for d in days),
    )
    if any(d.n_given is not None for d in days):
        row("answers in all", [f"{d.n_given or 0:,}" for d in days], last=True)
    head("Accuracy")
    row("estimated", [_estimated(d.estimate) for d in days])
    row("95% interval", [_interval(d.estimate) for d in days])
    if any(d.rests_on for d in days):
        row("suspected errors", [_confirmed(d.rests_on) for d in days])
    row("true accuracy", [_true(d) for d in days], last=True)
    head("Training set")
    row("labels", [f"{d.by_model.n + d.by_people.n:,}" for d in days])
    row("by the model", [_part(d.by_model) for d in days])
    row("by people", [_part(d.by_people) for d in days], last=True)
    head("Guarantee")
    row("labels it covers", [f"{d.guaranteed.n:,}" for d in days])
    row("of them wrong", [_held(d.guaranteed) for d in days], last=True)
    head("On the day after")
    row("retrained model", [f"[bold]{d.next_day.retrained:.1%}[/bold]" for d in days])
    row("first model", [f"{d.next_day.first:.1%}" for d in days])
    row("difference", [_difference(d.next_day) for d in days])
    return shown


def conclusion(days: Sequence[Day]) -> str:
    """What the table says, in words; every number is counted from it."""
    known = [d for d in days if d.covered is not None]
    answers = Part(n=sum(d.answers.n for d in days), n_wrong=sum(d.answers.n_wrong for d in days))
    last = days[-1].next_day
    counted = f"People answered {answers.n:,} of {sum(d.n_traffic for d in days):,} images"
    given = sum(d.n_given or 0 for d in days)
    with_looks = (
        f" They gave {given:,} answers, repeats by other people (second looks) included."
        if given
        else ""
    )
    lines = [f"{counted}, {answers.n_wrong:,} of them wrongly.{with_looks}"]
    if known:
        lines.append(
            f"The 95% interval contained the true accuracy on {sum(bool(d.covered) for d in known)} of "
            f"{len(known)} days (it misses one time in twenty)."
        )
    rests = [d.rests_on for d in days if d.rests_on is not None and d.rests_on.second_looks]
    if rests:
        wrong = ", ".join(f"{p.error_rate:.0%}" for p in PEOPLE)
        lines.append(
            f"The accuracy counts confirmed errors: {sum(r.n_differing for r in rests):,} blind answers "
            "differed from the prediction, and second looks found "
            f"{sum(r.n_refuted for r in rests):,} of them to be mistakes of people. The {len(PEOPLE)} "
            f"simulated people are wrong in {wrong} of images, respectively. Asking others again about "
            "confirmed errors shows how often people overlook one, if all are equally easy to overlook."
        )
    lines.append(_guarantees(days))
    for number, day in enumerate(days, 1):
        if isinstance(day.estimate, Undefined):
            lines.append(f"Day {number} has no estimate: {day.estimate.reason}.")
    lines.append(
        f"On the {last.n:,} images of day {len(days) + 1}, which is only a test, the retrained model is "
        f"right on {last.retrained:.1%}, and the first model on {last.first:.1%}."
    )
    return "\n".join(lines)


def _guarantees(days: Sequence[Day]) -> str:
    """When the first guarantee came, and whether each held."""
    kept = [(number, d.guaranteed) for number, d in enumerate(days, 1) if d.guaranteed.n]
    if not kept:
        return "No day's answers gave a guarantee on model labels."
    number, first = kept[0]
    held = sum(g.held for _, g in kept)
    if len(kept) == 1:
        verdict = "kept" if held else "broken"
    else:
        verdict = f"kept on {held} of the {len(kept)} days that had one"
    return (
        f"The answers of day {number} gave a guarantee: at most {first.max_error:.0%} of {first.n:,} "
        f"model labels are wrong, with 95% confidence. In truth {first.n_wrong:,} are wrong. The "
        f"guarantee was {verdict}. A new model needs a new guarantee."
    )


def _held(guaranteed: Guaranteed) -> str:
    if not guaranteed.n:
        return "-"
    mark = "[green]kept[/green]" if guaranteed.held else "[red]broken[/red]"
    return f"{guaranteed.n_wrong / guaranteed.n:.1%}, {mark}"


def _asked(day: Day, queue: str) -> str:
    for asked in day.asked:
        if asked.queue == queue:
            return f"{asked.n:,} of {asked.n_matching:,}"
    return "0"


def _estimated(estimate: Estimate | Undefined) -> str:
    if isinstance(estimate, Undefined):
        return "none"
    return f"[bold]{estimate.value:.1%}[/bold]"


def _interval(estimate: Estimate | Undefined) -> str:
    if isinstance(estimate, Undefined):
        return "-"
    return span(estimate.low, estimate.high)


def _confirmed(rests: RestsOn | None) -> str:
    return "-" if rests is None else f"{rests.n_differing:,}, {rests.n_confirmed:,} confirmed"


def _true(day: Day) -> str:
    mark = {True: ", [green]inside[/green]", False: ", [red]outside[/red]", None: ""}[day.covered]
    return f"{day.true_accuracy:.1%}{mark}"


def _part(part: Part) -> str:
    if not part.n:
        return "0"
    return f"{part.n:,}, {part.n_wrong / part.n:.1%} wrong"


def _difference(next_day: NextDay) -> str:
    points = 100 * (next_day.retrained - next_day.first)
    colour = "green" if points > 0 else "red"
    return f"[{colour}]{points:+.1f} points[/{colour}]"
