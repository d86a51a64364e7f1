"""What the training set consists of, and what became of the labels that were asked for."""

from collections import Counter
from collections.abc import Sequence

import altair as alt

from labelloop.charts.picture import (
    Chart,
    Picture,
    Row,
    data,
    layered,
    stacked,
    whole_ticks,
    words_axis,
)
from labelloop.charts.theme import WIDTH, Theme
from labelloop.core.queue import Purpose
from labelloop.views.quality import Quality, QueueLabels
from labelloop.views.training import TrainingVersion

_COUNTED = 14
"""Bars up to which each carries its total."""
_UNKNOWN = "queue not known"
_REST = "other queues"
_KEPT = ("the model, certified", "the model, no guarantee")


def training(q: Quality, theme: Theme) -> Picture:
    """People's labels by queue and the model's, over the versions of the training set."""
    name, title = "training-set", "What the training set consists of"
    if not q.training:
        return Picture(
            name=name,
            title=title,
            says="Nothing to show: no version of the training set has been released yet.",
            chart=None,
        )
    last = q.training[-1]
    says = (
        f"Each bar is a released version. The newest, v{last.version}, holds {last.n_human:,} labels by "
        f"people and {last.n_model:,} by the model"
    )
    says += f" ({last.guarantee})." if last.guarantee and last.n_model else "."
    if any(v.n_model for v in q.training):
        says += " The two parts have scales of their own."
    return Picture(name=name, title=title, says=says, chart=_training(q.training, theme))


def _training(versions: Sequence[TrainingVersion], theme: Theme) -> Chart:
    totals: Counter[str] = Counter()
    for v in versions:
        totals.update(v.human_by_queue or {})
    named = [queue for queue, _ in totals.most_common(len(theme.parts))]
    if len(totals) > len(theme.parts):
        named = named[:-1]
    rows: list[Row] = []
    for i, v in enumerate(versions):
        parts: Counter[str] = Counter()
        if v.human_by_queue is None:
            parts[_UNKNOWN] = v.n_human
        for queue, n in (v.human_by_queue or {}).items():
            parts[queue if queue in named else _REST] += n
        rows += [{"at": i, "part": part, "n": n} for part, n in parts.items() if n]
    present = {str(r["part"]) for r in rows}
    order = [*named, *(extra for extra in (_REST, _UNKNOWN) if extra in present)]
    colours = [*theme.parts[: len(named)], theme.other, theme.grid][: len(order)]
    names = {i: f"v{v.version}" for i, v in enumerate(versions)}
    sums: list[Row] = [{"at": i, "n": v.n_human} for i, v in enumerate(versions)]
    kept: list[Row] = [
        {"at": i, "n": n, "part": part}
        for i, v in enumerate(versions)
        for part, n in zip(_KEPT, (v.n_certified, v.n_model - v.n_certified), strict=True)
    ]
    model_sums: list[Row] = [{"at": i, "n": v.n_model} for i, v in enumerate(versions)]
    has_model = any(v.n_model for v in versions)
    people = _bars(
        rows,
        sums,
        names,
        theme,
        title="labels by people",
        colours=(order, colours),
        axis_title=None if has_model else "version",
    )
    if not has_model:
        return people
    model = _bars(
        kept,
        model_sums,
        names,
        theme,
        title="labels by the model",
        colours=(list(_KEPT), [theme.parts[3], theme.other]),
        axis_title="version",
    )
    return stacked(people, model, spacing=16)


_PARTS = ("answered, evaluation", "answered, training", "skipped or lost", "open")


def asked(q: Quality, theme: Theme) -> Picture:
    """Labels asked for in each round, by what became of them."""
    name, title = "labels", "Labels asked for, and answered"
    every = [queue for r in q.labels for queue in r.queues]
    if not every:
        return Picture(
            name=name,
            title=title,
            says="Nothing to show: no round has drawn anything yet.",
            chart=None,
        )
    n_asked = sum(queue.n_asked for queue in every)
    n_answered = sum(queue.n_answered for queue in every)
    n_open = sum(queue.n_open for queue in every)
    says = (
        f"Of {n_asked:,} labels asked for, {n_answered:,} are answered ({n_answered / n_asked:.0%}) and "
        f"{n_open:,} are open. Evaluation labels measure the model, training labels teach the next one."
    )
    rows: list[Row] = []
    sums: list[Row] = []
    for i, r in enumerate(q.labels):
        parts = _parts(r.queues)
        rows += [{"at": i, "part": part, "n": n} for part, n in parts.items() if n]
        sums.append({"at": i, "n": sum(parts.values())})
    colours = [theme.parts[0], theme.parts[2], theme.parts[3], theme.other]
    chart = _bars(
        rows,
        sums,
        {i: f"{r.round}" for i, r in enumerate(q.labels)},
        theme,
        title="labels",
        colours=(list(_PARTS), colours),
        axis_title="round",
    )
    return Picture(name=name, title=title, says=says, chart=chart)


def _parts(queues: Sequence[QueueLabels]) -> dict[str, int]:
    parts = dict.fromkeys(_PARTS, 0)
    for queue in queues:
        blind = queue.purpose is Purpose.EVALUATION
        parts["answered, evaluation" if blind else "answered, training"] += queue.n_answered
        parts["skipped or lost"] += queue.n_skipped
        parts["open"] += queue.n_open
    return parts


def _bars(
    rows: Sequence[Row],
    sums: Sequence[Row],
    names: dict[int, str],
    theme: Theme,
    *,
    title: str,
    colours: tuple[list[str], list[str]],
    axis_title: str | None,
) -> alt.LayerChart:
    """Stacked bars with their totals above."""
    wide = max(len(names), 4)
    domain = [-0.5 - (wide - len(names)) / 2, wide - 0.5 - (wide - len(names)) / 2]
    x = alt.X(
        "at:Q",
        scale=alt.Scale(domain=domain, nice=False, zero=False),
        axis=words_axis(names, most=16, title=axis_title),
    )
    counted = len(names) <= _COUNTED
    most = max((float(s["n"]) for s in sums), default=1.0)
    # a total above the highest bar would stand in the legend
    y_scale = alt.Scale(domain=[0, max(1.0, most * (1.12 if counted else 1))], nice=False)
    y_axis = alt.Axis(title=title, format=",d", values=whole_ticks(most, count=5))
    order, ranged = colours
    bars = (
        alt.Chart(data([{**r, "rank": order.index(str(r["part"]))} for r in rows]))
        .mark_bar(size=min(46.0, 0.76 * WIDTH / wide))
        .encode(
            x=x,
            y=alt.Y("n:Q", axis=y_axis, scale=y_scale, stack="zero"),
            color=alt.Color(
                "part:N",
                scale=alt.Scale(domain=order, range=ranged),
                legend=alt.Legend(title=None, orient="top") if len(order) > 1 else None,
            ),
            order=alt.Order("rank:Q"),
        )
    )
    layers = [bars]
    if counted:
        layers.append(
            alt.Chart(data(sums))
            .mark_text(dy=-8, color=theme.ink, fontSize=11)
            .encode(
                x=x, y=alt.Y("n:Q", axis=y_axis, scale=y_scale), text=alt.Text("n:Q", format=",d")
            )
        )
    return layered(*layers, width=WIDTH, height=170)
