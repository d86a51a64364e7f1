"""/doctor: is everything connected and allowed? The examination goes on while the page is read."""

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from labelloop.doctor.finding import Diagnosis, Outcome
from labelloop.web.access import needs
from labelloop.web.background import Background
from labelloop.web.html import page
from labelloop.web.site import Site

_FRESH_S = 60.0
_WAIT_S = 0.5
_WORST_FIRST = (Outcome.FAIL, Outcome.YOU, Outcome.WARN, Outcome.FIXED, Outcome.OK)


def routes(site: Site) -> list[Route]:
    """The path of the doctor."""
    examinations: Background[Diagnosis] = Background()

    def examine() -> Diagnosis:
        with site.own_loop() as loop:
            return loop.doctor()

    def answer(request: Request) -> Response:
        made = examinations.look("doctor", examine, fresh_s=_FRESH_S, wait_s=_WAIT_S)
        found = made.result.findings if made.result is not None else ()
        return page(
            request,
            "doctor.html",
            made=made,
            findings=sorted(found, key=lambda f: _WORST_FIRST.index(f.outcome)),
            bad=(Outcome.FAIL, Outcome.WARN),
        )

    async def doctor(request: Request) -> Response:
        needs(request, "operate")
        return await run_in_threadpool(answer, request)

    return [Route("/doctor", doctor)]
