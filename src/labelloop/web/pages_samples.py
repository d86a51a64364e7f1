"""/samples: what people look for among millions; /samples/{id}: the whole story of one sample."""

import re
from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from labelloop.core.sighting import is_same_person
from labelloop.core.where import Where, instant
from labelloop.errors import AnnotatorError, ConfigError, WhereError
from labelloop.ledger import Transaction, seen
from labelloop.loop import Loop
from labelloop.views import lineage, samples
from labelloop.views.lineage import Lineage
from labelloop.views.samples import Among, SampleFilter, SamplePage, Verdict
from labelloop.web import links
from labelloop.web.access import needs
from labelloop.web.answers import Refused, whole
from labelloop.web.forms import form_of
from labelloop.web.html import page, url_of
from labelloop.web.images import Found, StoreImages
from labelloop.web.pages_overview import hidden_samples
from labelloop.web.site import Site

KNOWN_INPUTS = 20_000
"""So many samples' inputs are remembered between a page and its images."""
_FIELDS = (
    "among",
    "where",
    "class",
    "predicted",
    "confidence_from",
    "confidence_to",
    "outcome",
    "flagged",
    "queue",
    "round",
    "from",
    "to",
)
_NOBODY = "-"
"""What a form says whose sender gives no blind answers."""
_AFTER = re.compile(r"[0-9]{1,18}(\.[0-9]{1,19})?")
_LONGEST = 1000


@dataclass(slots=True)
class Asked:
    """What a request asks for: the filter, and beside each field that is wrong what is."""

    wanted: SampleFilter = field(default_factory=SampleFilter)
    said: dict[str, str] = field(default_factory=dict)
    wrong: dict[str, str] = field(default_factory=dict)


def asked_for(query: Mapping[str, str], timezone: str) -> Asked:
    """The filter that a query names; an empty field asks for nothing."""
    found = Asked(said={name: query.get(name, "")[:_LONGEST] for name in _FIELDS})
    readers: dict[str, tuple[str, Callable[[str], object]]] = {
        "among": ("among", Among),
        "where": ("where", Where.parse),
        "class": ("label", str),
        "predicted": ("predicted_class", str),
        "confidence_from": ("confidence_from", _share),
        "confidence_to": ("confidence_to", _share),
        "outcome": ("outcome", Verdict),
        "flagged": ("flagged", bool),
        "queue": ("queue", str),
        "round": ("round", _number),
        "from": ("since", lambda text: _moment(text, timezone)),
        "to": ("until", lambda text: _moment(text, timezone, end=True)),
    }
    values: dict[str, object] = {}
    for name, (to, read) in readers.items():
        text = query.get(name, "").strip()
        if not text:
            continue
        try:
            values[to] = read(text)
        except WhereError as exc:
            found.wrong[name] = _said(exc)
        except (ValueError, OverflowError):
            found.wrong[name] = f"{text[:100]!r} can't be used here: {_EXPECTED[name]}"
    found.wanted = replace(SampleFilter(), **values)  # type: ignore[arg-type]
    return found


_EXPECTED = {
    "among": "write traffic or picks",
    "confidence_from": "write a number from 0 to 1",
    "confidence_to": "write a number from 0 to 1",
    "outcome": "write right, wrong or open",
    "round": "write the number of a round",
    "from": "write a day, 2026-03-01, or an instant",
    "to": "write a day, 2026-03-01, or an instant",
}


def _share(text: str) -> float:
    found = float(text)
    if not 0 <= found <= 1:
        raise ValueError(text)
    return found


def _number(text: str) -> int:
    found = whole(text)
    if found is None:
        raise ValueError(text)
    return found


def _moment(text: str, timezone: str, *, end: bool = False) -> datetime:
    """An instant; a day is one of the project, and `end` its end."""
    if re.fullmatch(r"\d{4}-\d\d-\d\d", text) is None:
        return instant(text)
    day = datetime.fromisoformat(text) + timedelta(days=1 if end else 0)
    return day.replace(tzinfo=ZoneInfo(timezone)).astimezone(UTC)


class SamplePages:
    """The pages of samples of one project, and their images."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._images = StoreImages(site)
        self._inputs: OrderedDict[str, tuple[str, str]] = OrderedDict()

    async def list(self, request: Request) -> Response:
        """A page of samples."""
        needs(request, "read")
        asked = asked_for(request.query_params, self._site.settings.project.timezone)
        after = request.query_params.get("after")
        if after is not None and _AFTER.fullmatch(after) is None:
            raise Refused(400, f"after = {after[:100]!r} is no place of a page", "begin anew")
        found = None if asked.wrong else await run_in_threadpool(self._found, asked, after)
        return page(
            request,
            "samples.html",
            find=asked,
            found=found,
            is_text=self._site.settings.input.kind == "text",
            classes=sorted(self._site.settings.answers().kinds),
            queue_options=[(q.name, q.name) for q in self._site.settings.queue],
            says="" if found is None else says(found),
            first=urlencode({k: v for k, v in asked.said.items() if v}),
            status=400 if asked.wrong else 200,
            path=links.sample,
            older=None if found is None or found.after is None else _next(request, found.after),
            is_first=after is None,
        )

    def _found(self, asked: Asked, after: str | None) -> SamplePage | None:
        project = self._site.loop().project
        log = project.log_to_read
        try:
            found = samples.samples(project.ledger_to_read, log, asked.wanted, after=after)
        except WhereError as exc:
            asked.wrong["where"] = _said(exc)
            return None
        except ValueError as exc:
            raise Refused(400, "this place belongs to another list", "begin anew") from exc
        for sample_id, uri in found.uris.items():
            self._remember(sample_id, uri, "")
        if self._site.settings.input.kind == "text":
            return samples.with_texts(found, log)
        return found

    async def one(self, request: Request) -> Response:
        """The story of one sample, or its image."""
        who = needs(request, "read")
        sample_id: str = request.path_params["sample_id"]
        if "image" in request.query_params:
            may_look = "operate" in who.scopes
            return await self._images.answer(
                lambda: self._image_of(sample_id, who.name, may_look=may_look),
                small=request.query_params["image"] == "small",
            )
        found = await run_in_threadpool(self._story, sample_id)
        if found.open_tasks:
            if "operate" not in who.scopes:
                raise _unknown(sample_id)
            if not await run_in_threadpool(self._has_looked, found, who.name):
                return await run_in_threadpool(self._ask_first, request, sample_id, who.name)
        if "operate" in who.scopes:
            found = await run_in_threadpool(self._with_names, found)
        else:
            found = lineage.without_names(found)
        project = self._site.loop().project
        return page(
            request,
            "sample.html",
            found=found,
            is_text=self._site.settings.input.kind == "text",
            path=links.sample,
            may_open="operate" in who.scopes,
            task_page=lambda task: project.task_page(task.project_ref, task.remote_id),
            answers=list(self._site.settings.answers().kinds),
        )

    def _ask_first(self, request: Request, sample_id: str, account: str) -> Response:
        """Say what a look voids, and ask who the operator is where people answer."""
        names = self._names()
        own = [n for who, n in names.items() if is_same_person(account, who, n)]
        return page(
            request,
            "sample_hidden.html",
            sample_id=sample_id,
            path=links.sample,
            account=account,
            own=own,
            nobody=_NOBODY,
            others=() if own else sorted(names.items(), key=lambda each: each[1]),
        )

    async def look(self, request: Request) -> Response:
        """An operator looks at a sample that waits for a blind answer: that is recorded first."""
        who, fields = await form_of(request, "operate")
        sample_id: str = request.path_params["sample_id"]
        found = await run_in_threadpool(self._story, sample_id)
        if found.open_tasks:
            names = await run_in_threadpool(self._names)
            own = any(is_same_person(who.name, each, name) for each, name in names.items())
            said = fields.get("annotator", "")
            if not own and names and said not in {*names, _NOBODY}:
                raise Refused(
                    400,
                    "the form doesn't say whose answers are yours",
                    "open the sample again, and choose your name or that you answer nothing there",
                )
            annotator = "" if own or said not in names else said

            def record(tx: Transaction, at: datetime) -> None:
                seen.record_look(tx, found.open_tasks, by=who.name, annotator=annotator, at=at)

            await run_in_threadpool(self._site.write, record)
            self._site.journal.line("looked", sample=sample_id, by=who.name)
        return RedirectResponse(url_of(request, links.sample(sample_id)), 303)

    def _names(self) -> Mapping[str, str]:
        """The people where answers are given, by the ids that their answers carry.

        Raises:
            Refused: they can't be asked for, so nobody knows whose answers a look voids.
        """
        try:
            return self._site.kept("accounts", _accounts)
        except (AnnotatorError, ConfigError) as exc:
            raise Refused(
                503,
                "a sample that waits for a blind answer can't be looked at now, as the place where people "
                f"answer can't say who they are: {exc.args[0]}",
                "try again once it can be reached; nothing was shown or recorded",
            ) from exc

    def _has_looked(self, found: Lineage, name: str) -> bool:
        with self._site.loop().project.ledger_to_read.read() as tx:
            return seen.has_looked(tx, list(found.open_tasks), name)

    def _story(self, sample_id: str) -> Lineage:
        project = self._site.loop().project
        found = None
        if "\0" not in sample_id:
            found = lineage.lineage(project.ledger_to_read, project.log_to_read, sample_id)
        if found is None:
            if lineage.is_forgotten(project.ledger_to_read, sample_id):
                raise Refused(410, "this sample was forgotten on request: nothing of it is kept")
            raise _unknown(sample_id)
        return found

    def _with_names(self, found: Lineage) -> Lineage:
        try:
            return lineage.named(found, self._site.kept("accounts", _accounts))
        except (AnnotatorError, ConfigError):
            return found

    # --- images -----------------------------------------------------------------------------------

    def _image_of(self, sample_id: str, name: str, *, may_look: bool) -> Found:
        """Where the image of a sample lies, if this visitor may see it."""
        uri, content_hash = self._input_of(sample_id)
        hidden = hidden_samples(self._site)
        if hidden.has(sample_id, content_hash):
            story = self._story(sample_id)
            if not (may_look and self._has_looked(story, name)):
                raise _unknown(sample_id)
        return Found(uri, content_hash)

    def _input_of(self, sample_id: str) -> tuple[str, str]:
        held = self._inputs.get(sample_id)
        if held is None:
            story = self._story(sample_id)
            held = self._remember(sample_id, story.uri, story.content_hash)
        return held

    def _remember(self, sample_id: str, uri: str, content_hash: str) -> tuple[str, str]:
        self._inputs[sample_id] = uri, content_hash
        while len(self._inputs) > KNOWN_INPUTS:
            with suppress(KeyError):
                self._inputs.popitem(last=False)
        return uri, content_hash


def routes(site: Site) -> list[Route]:
    """The paths of the samples."""
    pages = SamplePages(site)
    one = "/samples/{sample_id:path}"
    return [
        Route("/samples", pages.list),
        Route(one, pages.one),
        Route(one, pages.look, methods=["POST"]),
    ]


def says(found: SamplePage) -> str:
    """How many samples there are."""
    number = f"{found.n.n:,}" + ("" if found.n.whole else "+")
    kind = "predictions in all traffic" if found.among is Among.TRAFFIC else "picks for people"
    return f"{number} {kind}, the newest first."


def _next(request: Request, after: str) -> str:
    kept = [(k, v) for k, v in request.query_params.multi_items() if k != "after" and v]
    return f"/samples?{urlencode([*kept, ('after', after)])}"


def _said(exc: WhereError) -> str:
    """What is wrong with a condition, and what to do."""
    return f"{exc.args[0]}. {exc.remedy[:1].upper()}{exc.remedy[1:]}."


def _unknown(sample_id: str) -> Refused:
    return Refused(
        404,
        f"no sample {sample_id[:200]!r} is known, or it waits for a blind answer",
        "check the sample_id; samples that wait for a blind answer are shown once it is in",
    )


def _accounts(loop: Loop) -> Mapping[str, str]:
    return loop.project.annotator.accounts()
