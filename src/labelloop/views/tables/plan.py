"""What a narrower interval costs, and what a round would draw, as tables."""

from typing import TYPE_CHECKING

from labelloop.core.estimate import Undefined
from labelloop.views.table import NONE, Row, Table, names, numbers
from labelloop.views.wording import DASH, within

if TYPE_CHECKING:
    from labelloop.steps.select.select import Selected
    from labelloop.views.plan import Plan


def needs(plan: "Plan") -> Table:
    """Labels needed, by the way they are drawn."""
    return Table(
        title=f"Blind labels needed, for {plan.level:.0%} intervals",
        columns=(
            *names("at most"),
            *numbers(
                "plain, endless traffic",
                "plain, this round",
                "by risk, this round",
                "by a useless risk",
            ),
        ),
        rows=tuple(
            (
                within(need.half_width),
                *(
                    NONE if isinstance(n, Undefined) else f"{n:,}"
                    for n in (need.random_sample, need.uniform, need.uneven, need.at_worst)
                ),
            )
            for need in plan.needs
        ),
    )


def queues(selected: "Selected") -> Table:
    """How many match each queue, how many are drawn, and with which chance."""
    rows: list[Row] = []
    for p in selected.plans:
        chance = NONE if p.inclusion is None else f"{p.inclusion:.3g}"
        if p.chosen:
            chance = "chosen"
        if p.chances is not None:
            chance = f"{p.chances[0]:.3g}{DASH}{p.chances[1]:.3g}"
        rows.append(
            (p.queue, p.purpose.value, p.rule, f"{p.n_matching:,}", f"{p.n_drawn:,}", chance)
        )
    return Table(
        title="Queues, in the order of drawing",
        columns=(
            *names("queue", "purpose", "rule"),
            *numbers("match", "drawn", "chance of each"),
        ),
        rows=tuple(rows),
    )
