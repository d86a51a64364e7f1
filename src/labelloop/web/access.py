"""Who asks, and what they may do. Without accounts and proxies only this machine is answered."""

from collections.abc import Callable, Iterable, Mapping
from ipaddress import ip_address, ip_network
from urllib.parse import urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from labelloop.core.loopback import is_loopback
from labelloop.errors import LabelloopError
from labelloop.ledger.accounts import Account, token_hash
from labelloop.settings.service import SCOPES, ServiceSettings
from labelloop.web.answers import Refused
from labelloop.web.site import Site
from labelloop.web.who import Who, refuse_unproven

FORWARDING = ("forwarded", "x-real-ip", "via")
"""Headers that say that a proxy stands between; so do those that begin with `x-forwarded-`."""
OPEN = ("/healthz", "/readyz")
"""Paths that need no account: they say nothing of the project."""
STATIC = "/static/"
"""Files of this program."""
LOGIN = "/login"
JOIN = "/join/"
BY_SECRET = ("/webhooks/", "/media/", "/s/")
"""Paths whose caller proves itself by a secret of their own."""
SAFE = ("GET", "HEAD", "OPTIONS")


class Access:
    """Lets requests through whose sender may ask at all, and notes who it is; `needs` asks for a scope."""

    def __init__(
        self, app: ASGIApp, site: Site, refused: Callable[[Request, Exception], Response]
    ) -> None:
        self._app = app
        self._site = site
        self._refused = refused

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or hand it on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope["site"] = self._site
        scope.update(placed(scope, self._site.prefix))
        request = Request(scope, receive)
        try:
            scope["who"] = who = await who_asks(request, self._site)
            if who.session and request.method not in SAFE and path_of(scope).startswith("/api/"):
                refuse_unproven(request)
        except (Refused, LabelloopError) as exc:
            await self._refused(request, exc)(scope, receive, send)
        else:
            await self._app(scope, receive, send)


async def who_asks(request: Request, site: Site) -> Who:
    """Who asks for a page of a project.

    Raises:
        Refused: they may not ask at all, or aren't known.
    """
    path = path_of(request.scope)
    if path in OPEN or path.startswith(STATIC):
        return Who("", frozenset())
    own = site.settings.service
    held = await run_in_threadpool(site.accounts)
    alone = is_alone(own, held)
    if alone:
        refuse_strangers(request)
    if request.method not in SAFE and not path.startswith(BY_SECRET):
        refuse_other_origins(request, own)
    if path.startswith(BY_SECRET):
        return Who("", frozenset())
    if alone:
        return Who("this machine", frozenset(SCOPES))
    who = by_token(request, held) or by_session(request, site) or by_proxy(request, own)
    if path == LOGIN or path.startswith(JOIN):
        return Who("", frozenset())
    return who or _nobody()


def placed(scope: Scope, prefix: str) -> dict[str, str]:
    """Where a request lies below a prefix: a proxy may have left it out."""
    path = scope["path"]
    if not prefix or path == prefix or path.startswith(f"{prefix}/"):
        return {"root_path": prefix, "path": path}
    return {"root_path": prefix, "path": prefix + path}


def path_of(scope: Scope) -> str:
    """The path of a request below the prefix at which the service lies."""
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", "")) or "/"


def is_alone(own: ServiceSettings, held: Mapping[str, Account]) -> bool:
    """Whether nobody has an account and no proxy is trusted, so that only this machine is answered."""
    return not held and not own.auth.trusted_proxies


def needs(request: Request, scope: str) -> Who:
    """Who asks, if they have this scope; "" asks for none.

    Raises:
        Refused: they haven't.
    """
    who: Who = request.scope["who"]
    if scope and scope not in who.scopes:
        raise Refused(
            403,
            f"{who.name} has no scope {scope!r}",
            "`labelloop people add` and [service.auth.users] give scopes",
        )
    return who


def _nobody() -> Who:
    raise Refused(
        401,
        "no token was sent",
        "send `Authorization: Bearer TOKEN`; `labelloop people add` makes tokens",
        {"WWW-Authenticate": "Bearer"},
    )


def by_token(request: Request, held: Mapping[str, Account]) -> Who | None:
    """The account whose token the request carries; None without a token.

    Raises:
        Refused: nobody has this token, or the account is excluded.
    """
    said = request.headers.get("authorization")
    if said is None:
        return None
    kind, _, token = said.partition(" ")
    account = held.get(token_hash(token.strip())) if kind.lower() == "bearer" else None
    if account is None or account.excluded_at is not None:
        raise Refused(
            401,
            "the token is unknown or excluded",
            "ask whoever runs labelloop for a new token",
            headers={"WWW-Authenticate": "Bearer"},
        )
    return Who(account.name, frozenset(account.scopes))


def by_session(request: Request, site: Site) -> Who | None:
    """The account that logged in with this browser; None without a session, or once it has ended."""
    cookie = request.cookies.get(cookie_name(site))
    if not cookie:
        return None
    known = token_hash(cookie)
    session = site.session(known)
    account = site.account(session.account) if session else None
    return Who(account.name, frozenset(account.scopes), known) if account else None


def cookie_name(site: Site) -> str:
    """The session's cookie. Cookies of one host are shared by its ports, hence the ledger in it."""
    return f"labelloop_{token_hash(site.ledger_id)[:8]}"


def client_address(request: Request, own: ServiceSettings) -> str:
    """Where a request comes from; a trusted proxy says it in the last place of X-Forwarded-For."""
    address = request.client.host if request.client else ""
    if _is_within(address, own.auth.trusted_proxies):
        said = request.headers.get("x-forwarded-for", "").rpartition(",")[2].strip()
        return said[:64] or address
    return address


def by_proxy(request: Request, own: ServiceSettings) -> Who | None:
    """The user whom a trusted proxy names; one that isn't listed has no scope.

    Raises:
        Refused: the header is there twice.
    """
    if not from_proxy(request, own):
        return None
    named = request.headers.getlist(own.auth.user_header)
    if len(named) > 1:
        raise Refused(400, f"the header {own.auth.user_header} is there {len(named)} times")
    if not named or not named[0].strip():
        return None
    user = named[0].strip()
    return Who(user, frozenset(own.auth.users.get(user, ())))


def from_proxy(request: Request, own: ServiceSettings) -> bool:
    """Whether a trusted proxy asks, itself or for others."""
    return _is_within(request.client.host if request.client else "", own.auth.trusted_proxies)


def from_here(request: Request) -> bool:
    """Whether a process of this machine asks, be it a proxy."""
    return _is_within(request.client.host if request.client else "", ("127.0.0.0/8", "::1/128"))


def _is_within(address: str, networks: Iterable[str]) -> bool:
    try:
        at = ip_address(address)
    except ValueError:
        return False
    mapped = getattr(at, "ipv4_mapped", None)
    return any((mapped or at) in ip_network(each) for each in networks)


def refuse_strangers(request: Request) -> None:
    """Refuse what doesn't come from this machine to this machine.

    A page in somebody's browser can reach a loopback port under a name of its own (DNS rebinding), and
    a proxy can make the whole world look like this machine.

    Raises:
        Refused: the Host is no loopback name, or a proxy stands between.
    """
    host = request.headers.get("host", "")
    if not is_loopback(f"http://{host}"):
        raise Refused(
            403,
            f"Host {host[:100]!r} isn't this machine, and nobody has an account yet",
            "`labelloop people add` makes the first; then others are answered too",
        )
    found = [
        name for name in request.headers if name in FORWARDING or name.startswith("x-forwarded-")
    ]
    if found:
        raise Refused(
            403,
            f"the request came through a proxy ({found[0]}), and nobody has an account yet",
            "`labelloop people add` makes the first; or name the proxy in [service.auth] trusted_proxies",
        )


def refuse_other_origins(request: Request, own: ServiceSettings) -> None:
    """Refuse a write that a page of another site sends with a visitor's rights.

    Raises:
        Refused: the origin isn't this service's.
    """
    site = request.headers.get("sec-fetch-site")
    if site not in {None, "same-origin", "none"}:
        raise Refused(403, "a page of another site sent this write")
    origin = request.headers.get("origin")
    if origin is None:
        return
    host = request.headers.get("host", "")
    ours = {f"http://{host}", f"https://{host}"} if is_loopback(f"http://{host}") else set()
    if own.public_url:
        parts = urlsplit(own.public_url)
        ours.add(f"{parts.scheme}://{parts.netloc}")
    if origin not in ours:
        raise Refused(403, f"Origin {origin[:100]!r} isn't this service's")
