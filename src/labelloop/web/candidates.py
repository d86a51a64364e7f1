"""/api/v1/candidates: a pipeline that retrained asks whether its model may be shipped."""

import asyncio
import math

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from labelloop.steps.compare.compare import Compared
from labelloop.steps.compare.limited import BODY_BYTES
from labelloop.web.access import needs
from labelloop.web.answers import Refused, body_of, json_answer, whole
from labelloop.web.site import Site

PATH = "/api/v1/candidates"
SAMPLES = f"{PATH}/samples"
NOTHING = "nothing"
"""What `trained_on` says of a candidate that learned from no dataset version."""
_NAME_AT_MOST = 100


def routes(site: Site) -> list[Route]:
    """The samples that a candidate must answer, and where it is judged."""
    judging = asyncio.Lock()

    async def samples(request: Request) -> Response:
        needs(request, "operate")
        found = await run_in_threadpool(lambda: site.loop().judges())
        return await run_in_threadpool(json_answer, "judges", found)

    async def judge(request: Request) -> Response:
        who = needs(request, "operate")
        name, trained_on, min_gain = _name(request), _trained_on(request), _min_gain(request)
        if judging.locked():
            raise Refused(
                503,
                "another candidate is being judged",
                "send it again in a few seconds",
                {"Retry-After": "5"},
            )
        async with judging:
            body = await body_of(request, at_most=BODY_BYTES)
            site.journal.line("asked", command="judge", candidate=name, by=who.name)

            def work() -> Compared:
                with site.own_loop() as loop:
                    return loop.judge(body, name, min_gain=min_gain, trained_on=trained_on)

            found = await run_in_threadpool(work)
        return await run_in_threadpool(json_answer, "compare", found)

    return [Route(SAMPLES, samples), Route(PATH, judge, methods=["POST"])]


def _name(request: Request) -> str:
    name = request.query_params.get("name", "")
    if not 0 < len(name) <= _NAME_AT_MOST or not name.isprintable():
        raise Refused(
            400,
            f"name = {name[:_NAME_AT_MOST]!r}: expected 1 to {_NAME_AT_MOST} characters",
            "name the candidate: ?name=v4",
        )
    return name


def _trained_on(request: Request) -> list[tuple[str, int]]:
    said = request.query_params.getlist("trained_on")
    if said == [NOTHING]:
        return []
    found = []
    for text in said:
        name, _, number = text.partition("@")
        version = whole(number.removeprefix("v"), digits=9)
        if version is None:
            said = []
            break
        found.append((name, version))
    if not said:
        raise Refused(
            400,
            "trained_on names no dataset versions",
            f"say what the candidate learned from: trained_on=training@3, or trained_on={NOTHING}",
        )
    return found


def _min_gain(request: Request) -> float:
    said = request.query_params.get("min_gain", "0")
    try:
        found = float(said)
    except ValueError:
        found = math.nan
    if not -1 <= found <= 1:
        raise Refused(
            400, f"min_gain = {said[:100]!r}: expected a number from -1 to 1", "0.01 is 1 point"
        )
    return found
