"""/login and /logout: a browser shows a token once, and has a cookie from then on."""

from urllib.parse import urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from labelloop.ledger import sessions
from labelloop.ledger.accounts import token_hash
from labelloop.pages.texts import texts
from labelloop.web.access import LOGIN, SAFE, by_session, client_address, cookie_name, is_alone
from labelloop.web.attempts import Attempts
from labelloop.web.forms import back_to, fields_of, form_of, see
from labelloop.web.html import language_for, page
from labelloop.web.site import Site


def routes(site: Site) -> list[Route]:
    """The paths of logging in and out."""
    attempts = Attempts("wrong tokens")

    async def login(request: Request) -> Response:
        if request.method == "POST":
            return await _log_in(request, site, attempts)
        held = await run_in_threadpool(site.accounts)
        if is_alone(site.settings.service, held) or by_session(request, site):
            return see(request, back_to(request, request.query_params.get("next", "")))
        return form(request)

    async def logout(request: Request) -> Response:
        """End the session of this browser."""
        who, _ = await form_of(request, "")
        if who.session is not None:
            ended = who.session
            await run_in_threadpool(site.write, lambda tx, at: sessions.end(tx, ended, at=at))
            site.look_again()
        answer = see(request, LOGIN)
        answer.delete_cookie(cookie_name(site), path=site.outer_prefix or "/")
        return answer

    return [
        Route(LOGIN, login, methods=["GET", "POST"]),
        Route("/logout", logout, methods=["POST"]),
    ]


def form(request: Request, *, status: int = 200, error: str = "", remedy: str = "") -> Response:
    """The form that asks for a token, and leads on to what the visitor wanted."""
    prefix = request.scope.get("root_path", "")
    wanted = _wanted(request)
    if wanted.startswith(f"{prefix}{LOGIN}"):
        wanted = request.query_params.get("next", "")
    said = {"error": error, "remedy": remedy, "next": wanted, "t": texts(language_for(request))}
    return page(request, "login.html", status=status, **said)


def _wanted(request: Request) -> str:
    """The page that a visitor wanted; of a form the page with the form, not what it was sent to."""
    asked = str(request.url) if request.method in SAFE else request.headers.get("referer", "")
    try:
        parts = urlsplit(asked)
    except ValueError:
        return ""
    return parts.path + (f"?{parts.query}" if parts.query else "")


async def _log_in(request: Request, site: Site, attempts: Attempts) -> Response:
    address = client_address(request, site.settings.service)
    attempts.refuse_many(address)
    fields = await fields_of(request)
    held = await run_in_threadpool(site.accounts)
    account = held.get(token_hash(fields.get("token", "").strip()))
    if account is None or account.excluded_at is not None:
        attempts.note(address)
        site.journal.line("login refused", level="warning", address=address)
        t = texts(language_for(request))
        said = {"error": t["login"]["wrong"], "remedy": t["login"]["remedy"], "t": t}
        return page(request, "login.html", status=401, next=fields.get("next", ""), **said)
    answer = see(request, back_to(request, fields.get("next", "")))
    await run_in_threadpool(log_in, answer, site, account.name)
    return answer


def log_in(answer: Response, site: Site, account: str) -> None:
    """Begin a session of an account, whose cookie the answer brings."""
    cookie = site.write(lambda tx, at: sessions.begin(tx, account, at=at))
    site.look_again()
    answer.set_cookie(
        cookie_name(site),
        cookie,
        max_age=int(sessions.LIFE.total_seconds()),
        # the list of several projects shows those that the visitor is logged in to
        path=site.outer_prefix or "/",
        secure=(site.settings.service.public_url or "").startswith("https:"),
        httponly=True,
        samesite="lax",
    )
