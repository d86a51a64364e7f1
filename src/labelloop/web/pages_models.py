"""/models: how good each version is, by class and by slice, what it confuses, and which may be shipped."""

from collections.abc import Mapping, Sequence
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from labelloop.charts import by_class as class_charts
from labelloop.charts import reliability, slices
from labelloop.ledger import verdicts
from labelloop.loop import Loop
from labelloop.measuring.measured import Confusion
from labelloop.views.quality import Quality
from labelloop.views.samples import quoted
from labelloop.views.table import Table
from labelloop.views.tables.accuracy import accuracies
from labelloop.views.tables.classes import by_class
from labelloop.views.tables.confusion import classes_of, confusion, is_matrix
from labelloop.views.tables.slices import worse
from labelloop.views.verdicts import shippable
from labelloop.web import links
from labelloop.web.access import needs
from labelloop.web.html import page
from labelloop.web.pages_overview import counted, report_of
from labelloop.web.site import Site

_OF = "last 7 days"


def routes(site: Site) -> list[Route]:
    """The path of the models."""

    async def models(request: Request) -> Response:
        needs(request, "read")
        return await run_in_threadpool(_models, site, request)

    return [Route("/models", models)]


def _models(site: Site, request: Request) -> Response:
    q = report_of(site)
    held = site.lately("models", lambda loop: _pictures(q, loop))
    m = q.measured
    classes, pairs = by_class(m.by_class, _OF), confusion(m.confusion, _OF)
    blind = counted(site, q)
    return page(
        request,
        "models.html",
        **held,
        trend=m.trend,
        by_model=accuracies(f"Accuracy by version, {_OF}", m.by_model, of="version"),
        version_links={
            (i, 0): links.samples(where=f"model = {quoted(a.name)}", **blind)
            for i, a in enumerate(m.by_model)
        },
        by_class=classes,
        class_links=_of_classes(classes, blind),
        confusion=pairs,
        cells=_cells(m.confusion, pairs, blind),
        worse=worse(m.worst_slices, _OF),
        worse_links={
            (i, 0): links.samples(
                where=f"{s.attribute} = {quoted(s.name)}", outcome="wrong", **blind
            )
            for i, s in enumerate(m.worst_slices.found)
        },
        gate=m.gate,
        made_at=q.made_at,
    )


def _of_classes(shown: Table, blind: Mapping[str, str]) -> dict[tuple[int, int], str]:
    """Where the numbers of a class lead: shares to their labels, precision and recall to the mistakes."""
    at = {column.name: i for i, column in enumerate(shown.columns)}
    found: dict[tuple[int, int], str] = {}
    for i, (name, *_) in enumerate(shown.rows):
        if name == "(mean)":
            continue
        people_said = links.samples(class_=name, **blind)
        found |= {
            (i, at["class"]): people_said,
            (i, at["model said"]): links.samples(predicted=name, **blind),
            (i, at["precision"]): links.samples(predicted=name, outcome="wrong", **blind),
            (i, at["recall"]): links.samples(class_=name, outcome="wrong", **blind),
            (i, at["blind labels"]): people_said,
        }
    return found


def _cells(
    found: Sequence[Confusion], shown: Table, blind: Mapping[str, str]
) -> dict[tuple[int, int], str]:
    """Where each cell of the matrix, or each pair, leads: to its samples."""
    if not is_matrix(found):
        return {
            (i, 2): links.samples(predicted=row[0], class_=row[1], **blind)
            for i, row in enumerate(shown.rows)
        }
    labels = classes_of(found)
    there = {(c.predicted_class, c.label) for c in found}
    said = [
        name for name in labels if len(shown.rows) == len(labels) or name in {p for p, _ in there}
    ]
    return {
        (i, j): links.samples(predicted=predicted, class_=label, **blind)
        for i, predicted in enumerate(said)
        for j, label in enumerate(labels, 1)
        if (predicted, label) in there
    }


def _pictures(q: Quality, loop: Loop) -> dict[str, Any]:
    with loop.project.ledger_to_read.read() as tx:
        shown = shippable(verdicts.every(tx))
    return {
        "class_chart": class_charts.by_class(q),
        "matrix": class_charts.confusion(q),
        "slices": slices.worst(q),
        "reliability": reliability.reliability(q),
        "verdicts": shown,
    }
