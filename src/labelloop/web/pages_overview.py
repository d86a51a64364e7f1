"""/: how good the model is, why, and what waits for whom; /report: the same as one file to keep."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from labelloop.charts import labels as label_charts
from labelloop.charts import over_time
from labelloop.core.estimate import Estimate
from labelloop.core.queue import Purpose
from labelloop.ledger import blindness, verdicts
from labelloop.ledger.blindness import Hidden
from labelloop.ledger.draw_pages import ShownDraw
from labelloop.loop import Loop
from labelloop.measuring.missing import WINDOW
from labelloop.measuring.mistakes import mistakes
from labelloop.pages import report
from labelloop.statistics.classes import ClassRow
from labelloop.views import sentences
from labelloop.views.headline import headline, worst_first
from labelloop.views.people import rests_on
from labelloop.views.progress import progress
from labelloop.views.quality import Quality
from labelloop.views.tables.classes import weakest_first
from labelloop.views.tables.plan import needs
from labelloop.views.verdicts import shippable
from labelloop.views.wording import estimated, percent, span
from labelloop.web import links
from labelloop.web.access import needs as must_have
from labelloop.web.answers import ALWAYS
from labelloop.web.html import page
from labelloop.web.site import Site
from labelloop.web.who import Who

REPORT_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""What the report may do: it runs no script, and asks nobody for anything."""
_SHOWN = 8
"""Mistakes of the weakest class that are shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Weakest:
    """The class with the lowest F1, and mistakes to look at; `texts` by sample, where inputs are texts."""

    row: ClassRow
    mistakes: tuple[ShownDraw, ...]
    texts: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """Blind and other labels that people gave so far, and those that are open."""

    n_blind: int
    n_training: int
    n_open: int


def routes(site: Site) -> list[Route]:
    """The paths of the first page, of what changes on it by itself, and of the report."""

    async def overview(request: Request) -> Response:
        must_have(request, "read")
        return await run_in_threadpool(_overview, site, request)

    async def now(request: Request) -> Response:
        must_have(request, "read")
        return await run_in_threadpool(
            lambda: page(request, "now.html", **_present(site), links=links)
        )

    async def whole(request: Request) -> Response:
        must_have(request, "read")
        html = await run_in_threadpool(
            site.kept, "page", lambda loop: report.page(loop.kept_report())
        )
        return HTMLResponse(html, headers={**ALWAYS, "Content-Security-Policy": REPORT_POLICY})

    return [Route("/", overview), Route("/now", now), Route("/report", whole)]


def report_of(site: Site) -> Quality:
    """The report that was kept last."""
    return site.lately("kept report", lambda loop: loop.kept_report())


def counted(site: Site, q: Quality) -> dict[str, str]:
    """The filter of samples that finds the blind labels of the last seven days, as the report did."""
    since = (q.made_at - WINDOW).isoformat(timespec="seconds")
    queue = next((own.name for own in site.loop().project.queues if own.evaluates), "")
    return {"among": "picks", "queue": queue, "from": since}


def hidden_from(site: Site, who: Who) -> Hidden | None:
    """The samples that this visitor doesn't see; None: all are shown."""
    return None if "operate" in who.scopes else hidden_samples(site)


def hidden_samples(site: Site) -> Hidden:
    """The samples of which nobody may learn by the way what the model said."""
    return site.kept("hidden", _hidden)


def _hidden(loop: Loop) -> Hidden:
    with loop.project.ledger_to_read.read() as tx:
        return blindness.hidden(tx)


def _present(site: Site) -> dict[str, Any]:
    status = site.lately("status", lambda loop: loop.status())
    service = site.service_state()
    return {
        "waiting": status,
        "service": service,
        "progress": progress(status, service),
        "on_page": bool(site.settings.on_page()),
    }


def _overview(site: Site, request: Request) -> Response:
    q = report_of(site)
    recent = q.measured.last_seven_days
    held = site.lately("overview", lambda loop: _pictures(q, loop))
    alarm = q.measured.trend.alarm
    e = recent.estimate
    wide = isinstance(e, Estimate) and worst_first(e)
    return page(
        request,
        "overview.html",
        **_present(site),
        **held,
        quality=q,
        recent=recent,
        estimate=e if isinstance(e, Estimate) else None,
        number=_number(e, wide=wide) if isinstance(e, Estimate) else None,
        wide=wide,
        warning=headline(recent, q.measured.missing).warning,
        summary=sentences.summary(q),
        worst=sentences.worst_case(q),
        people=rests_on(q.measured),
        cost=sentences.mean_cost(q.measured),
        alarm="" if alarm is None else f"{_upper(sentences.fallen(alarm))} points.",
        trend=list(sentences.over_time(q.measured.trend, q.timezone)),
        harder=list(sentences.looks_harder(q.measured.harder)),
        spent=_spent(q),
        blind=counted(site, q),
        needs=needs(q.plan),
        planned=[_upper(s) for s in sentences.assumptions(q.plan)],
        newest=q.training[-1] if q.training else None,
        estimated=estimated,
        percent=percent,
        links=links,
    )


def _number(e: Estimate, *, wide: bool) -> dict[str, str]:
    return {
        "value": percent(e.value),
        "span": span(e.worst_low, e.worst_high) if wide else span(e.low, e.high),
        "of": "at worst" if wide else f"{e.level:.0%} interval",
    }


def _pictures(q: Quality, loop: Loop) -> dict[str, Any]:
    """What takes longer than the rest, for everybody who asks within two seconds."""
    with loop.project.ledger_to_read.read() as tx:
        hidden = blindness.hidden(tx)
        shown = shippable(verdicts.every(tx))
        found = weakest_first([r for r in q.measured.by_class.rows if isinstance(r.f1, Estimate)])
        wrong = mistakes(tx, found[0].name, most=_SHOWN, hidden=hidden) if found else ()
    log = loop.project.log_to_read
    is_text = loop.settings.input.kind == "text"
    texts = log.texts([d.sample_id for d in wrong]) if is_text and log is not None else {}
    weak = Weakest(row=found[0], mistakes=wrong, texts=texts) if found else None
    return {
        "is_text": is_text,
        "by_round": over_time.by_round(q),
        "by_day": over_time.by_day(q),
        "asked": label_charts.asked(q),
        "training": label_charts.training(q),
        "verdicts": shown,
        "weakest": weak,
    }


def _spent(q: Quality) -> Spent:
    every = [each for r in q.labels for each in r.queues]
    blind = sum(e.n_answered for e in every if e.purpose is Purpose.EVALUATION)
    return Spent(
        n_blind=blind,
        n_training=sum(e.n_answered for e in every) - blind,
        n_open=sum(e.n_open for e in every),
    )


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]
