"""/people: what each person did, how fast, how far they agree, and how often they err."""

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from labelloop.measuring.people import named
from labelloop.views.people import people as people_table
from labelloop.views.tables.labels import agreement
from labelloop.web.access import needs
from labelloop.web.background import Background
from labelloop.web.html import page
from labelloop.web.pages_overview import report_of
from labelloop.web.site import Site

_NAMES_LAST_S = 300.0
_WAIT_S = 0.3
"""How long a page waits for the annotator to name its accounts, the first time."""


def routes(site: Site) -> list[Route]:
    """The path of the people."""
    names: Background[dict[str, str]] = Background()

    def ask() -> dict[str, str]:
        with site.own_loop() as loop:
            return dict(loop.project.annotator.accounts())

    def answer(request: Request) -> Response:
        q = report_of(site)
        found = (
            names.look("names", ask, fresh_s=_NAMES_LAST_S, wait_s=_WAIT_S) if q.people else None
        )
        status = site.lately("status", lambda loop: loop.status())
        known = found.result if found is not None else None
        return page(
            request,
            "people.html",
            people=people_table(named(q.people, known or {})),
            named=known is not None,
            agreement=agreement(q.measured.agreement),
            wasted={(known or {}).get(who, who): n for who, n in status.n_wasted.items()},
            void={(known or {}).get(who, who): n for who, n in status.n_void.items()},
            made_at=q.made_at,
        )

    async def everybody(request: Request) -> Response:
        needs(request, "operate")
        return await run_in_threadpool(answer, request)

    return [Route("/people", everybody)]
