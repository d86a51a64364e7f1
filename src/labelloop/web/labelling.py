"""/label: the pages where people label, and the requests of their script."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from secrets import token_hex
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit
from zoneinfo import ZoneInfo

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from labelloop.core.verdict import ACCEPTED, Outcome
from labelloop.errors import ArgumentError
from labelloop.pages.guidelines import guidelines_html
from labelloop.pages.labelling import (
    KEYS,
    REASONS,
    answer_words,
    choices,
    help_rows,
    item_form,
    shown,
)
from labelloop.pages.texts import LANGUAGES, Texts, texts
from labelloop.ports.desk import AHEAD, Answer, Desk, DeskQueue, Item, Past, Progress
from labelloop.web.access import needs
from labelloop.web.answers import ALWAYS, Refused, body_of, whole
from labelloop.web.html import LANGUAGE, language_for, page, url_of
from labelloop.web.site import Site
from labelloop.web.who import csrf_token, refuse_unproven

PATH = "/label"
AT_MOST = 50
"""How many items a browser is given at a time, whatever it asks for."""
NOTE_LENGTH = 2_000
BODY_BYTES = 65_536
HISTORY = 30
"""How many of their newest answers people see."""
FINAL = [each.name.lower() for each in Outcome if each not in ACCEPTED] + [
    "conflict",
    "bad_request",
]
"""What a browser may forget an answer for: asking again changes nothing."""
_SPOKEN = ("image", "confirm", "mine", "no_match")
"""Texts of an item that the script says."""
_MEDIA = re.compile(r"/media/[0-9a-f]{32}")
_ID = re.compile(r"[A-Za-z0-9-]{16,64}")
_Handler = Callable[["Visit"], Response]


class Visit:
    """One request of one person, who may label."""

    def __init__(self, request: Request, desk: Desk, body: Mapping[str, Any]) -> None:
        self.request = request
        self.desk = desk
        self.body = body
        self.site: Site = request.scope["site"]
        self.person = needs(request, "label").name
        self.code = language_for(request)
        self.t: Texts = texts(self.code)

    def queue(self) -> DeskQueue:
        """The queue that the path names.

        Raises:
            Refused: there is none, or this person may not label it: both look alike.
        """
        name = self.request.path_params["queue"]
        found = self.desk.queue(name, self.person)
        if found is None:
            raise Refused(
                404,
                f"there is no queue {name[:100]!r} that {self.person} may label",
                "open /label: it names your queues",
            )
        return found

    def progress(self, queue: str) -> Progress:
        """The person's work in a queue."""
        now = self.site.now().astimezone(ZoneInfo(self.site.settings.project.timezone))
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
        return self.desk.progress(queue, self.person, since=midnight)

    def item(self, item: Item, queue: DeskQueue) -> dict[str, object]:
        """An item as the browser gets it."""
        return item_form(item, queue, self.t, image=self.image(item))

    def image(self, item: Item) -> str | None:
        """Where the browser finds an image: the gateway's lie on this service, whatever name it goes by."""
        path = urlsplit(item.image or "").path
        found = _MEDIA.search(path)
        return url_of(self.request, found[0]) if found else item.image

    def page(
        self, template: str, *, config: Mapping[str, object] | None = None, **context: Any
    ) -> Response:
        """A page in the person's language; a chosen one is remembered."""
        own = {
            "who": self.person,
            "root": url_of(self.request, PATH),
            "session": url_of(self.request, f"{PATH}/session"),
            "final": FINAL,
            "texts": dict(self.t["status"]),
        }
        here = self.request.url.path
        answer = page(
            self.request,
            template,
            t=self.t,
            config=own | dict(config or {}),
            languages=[(code, texts(code)["page"]["language"]) for code in LANGUAGES],
            login=f"{url_of(self.request, '/login')}?next={quote(here)}",
            said=self._said(),
            **context,
        )
        answer.headers["Vary"] = "Accept-Language, Cookie"
        if self.request.query_params.get("lang") in LANGUAGES:
            answer.set_cookie(LANGUAGE, self.code, max_age=31_536_000, samesite="lax")
        return answer

    def _said(self) -> str:
        """What became of an answer that was sent without the script."""
        code = self.request.query_params.get("said", "")
        refusal = self.t["refused"].get(code, "")
        return refusal.format(answer=self.request.query_params.get("answer", "")[:200])


def routes(site: Site) -> list[Route]:
    """The paths of the labelling page."""

    def route(path: str, handle: _Handler, *, method: str = "GET") -> Route:
        async def answer(request: Request) -> Response:
            needs(request, "label")
            body = await _body(request) if method == "POST" else {}
            if method == "POST" and (unproven := _unproven(request, body)) is not None:
                return unproven
            said = await run_in_threadpool(lambda: handle(Visit(request, _desk(site), body)))
            if handle in {_answer, _undo}:
                site.hint()  # an answer counts within seconds
            return said

        return Route(f"{PATH}{path}", answer, methods=[method])

    return [
        route("", _queues),
        route("/me", _own),
        route("/session", _session),
        route("/{queue}", _queue),
        route("/{queue}/next", _next),
        route("/{queue}/answer", _answer, method="POST"),
        route("/{queue}/undo", _undo, method="POST"),
        route("/{queue}/release", _release, method="POST"),
    ]


def _desk(site: Site) -> Desk:
    desk = site.loop().project.desk
    if desk is None:
        raise Refused(
            404,
            "this project has no labelling page",
            "write [labelling_page] into labelloop.toml",
        )
    return desk


async def _body(request: Request) -> Mapping[str, Any]:
    """A form's fields or a JSON object; empty where it is neither."""
    raw = await body_of(request, at_most=BODY_BYTES)
    try:
        if request.headers.get("content-type", "").startswith("application/json"):
            held = json.loads(raw)
            return held if isinstance(held, dict) else {}
        return dict(parse_qsl(raw.decode()))
    except (ValueError, RecursionError):
        return {}


def _unproven(request: Request, body: Mapping[str, Any]) -> Response | None:
    """The refusal of a script's request without the proof of its session: it gets a new one and asks again.

    Raises:
        Refused: it is a form.
    """
    try:
        refuse_unproven(request, str(body.get("csrf", "")))
    except Refused as exc:
        if "who" not in body:
            raise
        return JSONResponse({"code": "csrf", "says": exc.error}, 403, headers=ALWAYS)
    return None


def _json(visit: Visit, status: int = 200, **held: object) -> Response:
    return JSONResponse({**held, "who": visit.person}, status, headers=ALWAYS)


# --- pages ----------------------------------------------------------------------------------------


def _queues(visit: Visit) -> Response:
    rows = []
    for each in visit.desk.queues(visit.person):
        progress, t = visit.progress(each.name), visit.t["queues"]
        left = progress.n_left
        rows.append(
            {
                "name": each.name,
                "path": f"{PATH}/{quote(each.name, safe='')}",
                "left": t["left"].format(n=left) if left else t["nothing_left"],
                "mine": t["mine"].format(n=_done(progress)),
            }
        )
    return visit.page("label_queues.html", queues=rows)


def _queue(visit: Visit) -> Response:
    queue, t = visit.queue(), visit.t
    mended = visit.request.query_params.get("item")
    if mended is None:
        held = visit.desk.next_items(queue.name, visit.person, n=AHEAD + 1)
    else:
        own = visit.desk.item(mended, visit.person)
        held = [own] if own is not None and own.queue == queue.name else []
    items = [visit.item(each, queue) for each in held]
    progress = visit.progress(queue.name)
    path = f"{PATH}/{quote(queue.name, safe='')}"
    made = choices(queue.classes)
    numbers = {"done": _done(progress), "left": progress.n_left}
    config = {
        "base": url_of(visit.request, path),
        "items": items,
        "preload": AHEAD,
        "page": token_hex(8),
        "reasons": {code: answer_words(None, code, t) for code in REASONS},
        "texts": {**t["status"], **{name: t["item"][name] for name in _SPOKEN}},
        **numbers,
    }
    return visit.page(
        "label_queue.html",
        config=config,
        queue=queue.guide.title or queue.name,
        description=queue.guide.description,
        path=path,
        kind=queue.kind,
        state=_state(items, progress),
        item=items[0] if items else None,
        answer_id=token_hex(16),
        choices=made,
        search=len(queue.classes) > len(KEYS),
        confirm=t["item"]["confirm"].format_map({"class": items[0]["model"] if items else ""}),
        progress=t["status"]["progress"].format_map(numbers),
        reasons=[(code, t["reasons"][code]) for code in REASONS],
        note_length=NOTE_LENGTH,
        help=help_rows(queue, t),
        guidelines=guidelines_html(
            queue.guide.guidelines, {c.name: c.key for c in made}, queue.guide.images
        ),
    )


def _own(visit: Visit) -> Response:
    t = visit.t["mine"]
    queues = visit.desk.queues(visit.person)
    progress = [visit.progress(each.name) for each in queues]
    paces = [each.per_hour for each in progress if each.per_hour is not None]
    pace = t["an_hour"].format(n=f"{max(paces):,.0f}") if paces else t["no_pace"]
    past = [each for q in queues for each in visit.desk.history(q.name, visit.person, n=HISTORY)]
    newest = sorted(past, key=lambda each: each.at, reverse=True)[:HISTORY]
    return visit.page(
        "label_me.html",
        figures=[
            (t["today"], f"{sum(each.n_today for each in progress):,}"),
            (t["all"], f"{sum(_done(each) for each in progress):,}"),
            (t["pace"], pace),
        ],
        history=[_past(visit, each) for each in newest],
    )


def _past(visit: Visit, past: Past) -> dict[str, object]:
    item = visit.desk.item(past.answer.item_id, visit.person)
    path = f"{PATH}/{quote(past.queue, safe='')}?item={quote(past.answer.item_id)}"
    return {
        "at": past.at,
        "queue": past.queue,
        "image": visit.image(item) if item else None,
        "text": (item.text or "")[:120] if item else "",
        "answer": answer_words(past.answer.choice, past.answer.reason, visit.t),
        "note": past.answer.note,
        "outcome": visit.t["outcomes"][past.outcome.name.lower()],
        "mend": path if past.mendable and item is not None else None,
    }


# --- what the script asks for ---------------------------------------------------------------------


def _session(visit: Visit) -> Response:
    """Who is logged in, and the token of their session."""
    return _json(visit, csrf=csrf_token(visit.request))


def _next(visit: Visit) -> Response:
    queue = visit.queue()
    asked = whole(visit.request.query_params.get("n", ""))
    n = AHEAD + 1 if asked is None else min(asked, AT_MOST)
    held = visit.desk.next_items(queue.name, visit.person, n=n)
    items = [visit.item(each, queue) for each in held]
    progress = visit.progress(queue.name)
    return _json(
        visit,
        items=items,
        state=_state(items, progress),
        done=_done(progress),
        left=progress.n_left,
    )


def _answer(visit: Visit) -> Response:
    """Take an answer of the script, or of the form where there is no script."""
    queue, body = visit.queue(), visit.body
    if (other := _other_person(visit)) is not None:
        return other
    answer = _read(body)
    if answer is None:
        return _refused(visit, "bad_request")
    try:
        reply = visit.desk.give(visit.person, answer)
    except ArgumentError:
        return _refused(visit, "conflict")
    if not reply.accepted:
        return _refused(visit, reply.outcome.name.lower())
    if "who" not in body:
        return _back(visit)
    reveals = queue.guide.reveal == "after" and not queue.blind
    held = visit.desk.item(answer.item_id, visit.person) if reveals else None
    after = None if held is None else shown(held.shown, visit.t)
    progress = visit.progress(queue.name)
    return _json(visit, saved=True, after=after, done=_done(progress), left=progress.n_left)


def _read(body: Mapping[str, Any]) -> Answer | None:
    """The answer that a request holds; None where it holds none."""
    choice, skip, seconds = body.get("choice"), body.get("skip"), body.get("seconds")
    held = [body.get("id"), body.get("task"), choice or skip, body.get("note") or ""]
    if not all(isinstance(each, str) for each in held) or not _ID.fullmatch(str(held[0])):
        return None
    took_s = seconds if isinstance(seconds, int | float) and 0 <= seconds < 86_400 else None
    return Answer(
        answer_id=str(body["id"]),
        item_id=str(body["task"])[:100],
        choice=str(choice) if choice else None,
        reason="" if choice else str(skip)[:200],
        note=str(body.get("note") or "")[:NOTE_LENGTH],
        took_ms=None if took_s is None else round(1000 * took_s),
    )


def _undo(visit: Visit) -> Response:
    """Take back the answer that the request names; one that was changed since stays."""
    queue = visit.queue()
    if (other := _other_person(visit)) is not None:
        return other
    task, answer_id = str(visit.body.get("task"))[:100], visit.body.get("answer")
    held = visit.desk.item(task, visit.person)
    if held is not None and held.answer is not None and held.answer.answer_id != answer_id:
        return _json(visit, saved=True)
    reply = visit.desk.undo(visit.person, task)
    if not reply.accepted:
        return _refused(visit, reply.outcome.name.lower())
    progress = visit.progress(queue.name)
    return _json(visit, saved=True, done=_done(progress), left=progress.n_left)


def _release(visit: Visit) -> Response:
    """Give back what a page held that was closed."""
    visit.queue()
    tasks = visit.body.get("tasks")
    named = [each for each in tasks if isinstance(each, str)] if isinstance(tasks, list) else []
    if _other_person(visit) is None:
        visit.desk.release(visit.person, named[:AT_MOST])
    return _json(visit, saved=True)


def _other_person(visit: Visit) -> Response | None:
    """The refusal of what somebody else did in this browser; the browser keeps it for them."""
    if visit.body.get("who", visit.person) == visit.person:
        return None
    return _json(visit, 409, code="other_person", says=visit.t["refused"]["other_person"])


def _refused(visit: Visit, code: str) -> Response:
    choice, skip = visit.body.get("choice"), visit.body.get("skip")
    words = answer_words(str(choice)[:200] if choice else None, str(skip or "")[:200], visit.t)
    if "who" not in visit.body and visit.body.get("id"):
        return _back(visit, said=code, answer=words)
    says = visit.t["refused"].get(code, code).format(answer=words)
    return _json(visit, 409, code=code, says=says)


def _back(visit: Visit, **said: str) -> Response:
    """The queue's page again, after a form was sent."""
    path = url_of(visit.request, f"{PATH}/{quote(visit.request.path_params['queue'], safe='')}")
    query = "&".join(f"{name}={quote(value, safe='')}" for name, value in said.items())
    return RedirectResponse(f"{path}?{query}" if query else path, 303, headers=ALWAYS)


def _done(progress: Progress) -> int:
    return progress.n_answered + progress.n_skipped


def _state(items: Sequence[object], progress: Progress) -> str:
    if items:
        return "labelling"
    if progress.n_left:
        return "waiting"
    return "done" if _done(progress) else "empty"
