"""What an annotator's browser needs: addresses it can resolve, links that open, CORS that lets it read."""

from collections.abc import Iterator
from datetime import timedelta
from secrets import token_hex
from urllib.parse import urlsplit

from labelloop.core.loopback import is_loopback
from labelloop.doctor.finding import Finding, fail, ok, warn, you
from labelloop.doctor.subject import Subject
from labelloop.errors import InputTooLarge, StoreUnavailable
from labelloop.ports.store import BrowserView

LIFE = timedelta(minutes=5)
AWS = "https://s3.amazonaws.com"


def origin_of(url: str) -> str:
    """The origin that a page at `url` has.

    >>> origin_of("https://labels.example.com:8443/team/")
    'https://labels.example.com:8443'
    """
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


# --- addresses --------------------------------------------------------------------------------


def addresses(subject: Subject) -> Iterator[Finding]:
    """Whether browsers can resolve and open the addresses of tasks and images."""
    own = subject.settings.store
    pages = subject.annotator_url
    # what travels inside the tasks comes from where the tasks do
    inside = subject.by_text or (own.is_folder and own.public_endpoint_url is None)
    images = pages if inside else own.public_endpoint_url or own.endpoint_url or AWS
    faults = [
        *_host_faults(images, "public_endpoint_url in [store]", pages),
        *_host_faults(pages, "public_url in [label_studio]", pages),
    ]
    if pages.startswith("https://") and images.startswith("http://"):
        faults.append(
            fail(
                f"tasks are opened at {origin_of(pages)} and images at {origin_of(images)}: "
                "browsers block http images in https pages",
                "serve the bucket over https, and set public_endpoint_url in [store] to that "
                "address",
            )
        )
    also = "; images travel inside the tasks" if inside else f", and images at {images}"
    also = "" if subject.by_text else also
    yield from faults or [ok(f"browsers open {pages}{also}")]


def _host_faults(url: str, setting: str, pages: str) -> Iterator[Finding]:
    host = urlsplit(url).hostname or ""
    if is_loopback(url):
        if not is_loopback(pages):
            yield warn(
                f"{origin_of(url)} is an address of this machine only: browsers on other machines "
                "can't open it",
                f"set {setting} to the address that annotators' browsers reach",
            )
    elif "_" in host:
        yield fail(
            f"{host} contains an underscore, which isn't allowed in host names: browsers may "
            "refuse it",
            "give the host another name, for example with a hyphen",
        )
    elif "." not in host and ":" not in host:
        yield warn(
            f"{host} is a name without a dot: containers of one network can use it, annotators' "
            "browsers usually can't",
            f"set {setting} to the address that annotators' browsers reach",
        )


# --- links ------------------------------------------------------------------------------------


def image_links(subject: Subject) -> Iterator[Finding]:
    """Whether a training queue's image opens by its link."""
    if subject.store.inline and subject.glimpse.objects:
        yield from _inside(subject)
    elif subject.any_open and subject.glimpse.objects:
        yield from _link(subject, subject.glimpse.objects[0].uri)


def _inside(subject: Subject) -> Iterator[Finding]:
    """Whether images can travel inside the tasks: the largest are tried first."""
    found = subject.glimpse.objects
    refusals: list[InputTooLarge] = []
    for largest in sorted(found, key=lambda o: -o.size_bytes):
        try:
            subject.store.presign(largest.uri, LIFE)
            break
        except InputTooLarge as exc:
            refusals.append(exc)
    if refusals:
        yield fail(
            f"{len(refusals):,} of {len(found):,} checked images can't be shown to annotators: "
            f"{refusals[0].args[0]}",
            refusals[0].remedy,
        )
    else:
        yield ok("not needed: images are inside the tasks")


def blind_links(subject: Subject) -> Iterator[Finding]:
    """Whether a blind copy opens by its link."""
    place = subject.settings.store.blind_uri
    if not subject.any_blind or place is None or subject.store.inline:
        return
    uri = f"{place.rstrip('/')}/labelloop-check-{token_hex(8)}"
    try:
        subject.store.write(uri, PIXEL, "image/gif")
        yield from _link(subject, uri)
    finally:
        subject.store.delete(uri)


def _link(subject: Subject, uri: str) -> Iterator[Finding]:
    own = subject.settings.store
    origin = origin_of(subject.annotator_url)
    url = subject.store.presign(uri, LIFE)
    try:
        seen = subject.store.view(url, origin=origin)
    except StoreUnavailable as exc:
        if own.public_endpoint_url in {None, own.endpoint_url}:
            raise
        yield you(
            f"this machine can't open the public endpoint ({exc.args[0]}); browsers may",
            "open the page that `labelloop doctor --page` prints in an annotator's browser",
        )
        return
    yield from _seen(seen, url, origin, untyped=own.is_folder)
    if "X-Amz-Security-Token" in url:
        yield warn(
            "links are signed with temporary credentials, and expire with them, long before "
            "presign_life",
            "give labelloop a key of its own that doesn't expire",
        )


def _seen(seen: BrowserView, url: str, origin: str, *, untyped: bool) -> Iterator[Finding]:
    """What a link gave. `untyped`: copies in a folder have no ending; browsers look into them."""
    where = origin_of(url)
    if seen.status in {302, 401, 403} and where == origin:
        yield you(
            f"images are served by the annotator itself at {where}, to people who are logged in",
            "open a task there; docs/how-to/folder.md says what to check if its image is missing",
        )
    elif seen.status != 200:
        yield fail(
            f"a link to an image answers {seen.status} at {where}",
            "check that public_endpoint_url in [store] is the bucket's own server: a proxy "
            "that changes host or path breaks signatures",
        )
    elif seen.allowed_origin not in {"*", origin}:
        yield fail(
            f"images open at {where}, but CORS keeps the labelling page at {origin} from reading "
            "them: annotators see a red box",
            f"let the bucket's CORS rules allow GET from {origin}; docs/how-to/doctor.md has a rule to copy",
        )
    elif not seen.content_type.startswith("image/") and not untyped:
        yield warn(
            f"an image is served as {seen.content_type or 'nothing in particular'} at {where}",
            "upload images with their content type, for example image/jpeg",
        )
    else:
        yield ok(f"a link opens at {where} ({seen.content_type}), for pages of {origin} too")


def only_people_see(subject: Subject) -> Iterator[Finding]:
    """A word on what only a person's browser can show."""
    if subject.settings.store.blind_uri is not None and subject.glimpse.objects:
        yield you(
            "only a browser of an annotator can show whether images arrive",
            "run `labelloop doctor --page`, and ask an annotator to open the URL that it prints",
        )


PIXEL = bytes.fromhex(
    "47494638396101000100800000000000ffffff21f90401000000002c00000000010001000002024401003b"
)
"""A GIF of one transparent pixel."""
