"""A page that an annotator opens: do images reach that browser?

It lies where blind copies lie, at a name of its own, with a copy of one image beside it. The next page
replaces it, and the first examination a day later removes both.
"""

from collections.abc import Iterator
from datetime import timedelta

from labelloop.doctor.browser import origin_of
from labelloop.doctor.finding import Finding, ok
from labelloop.doctor.subject import Subject
from labelloop.errors import ArgumentError, StoreUnavailable
from labelloop.pages.rendering import render

LIFE = timedelta(days=1)
FOLDER = "labelloop-page"


def write(subject: Subject) -> str:
    """The URL of a fresh page with an image by its own link and a blind copy; it works for a day.

    Raises:
        ArgumentError: there is no place for it, or no image to show.
    """
    place = subject.settings.store.blind_uri
    if subject.store.inline:
        raise ArgumentError(
            "no test page is needed: the images are inside the tasks, so whoever can open a "
            "task sees its image",
            remedy="open any task in Label Studio",
        )
    if place is None:
        raise ArgumentError(
            "[store] blind_uri is not set, so there is no bucket for the test page",
            remedy='add blind_uri = "s3://a-writable-bucket" to [store]',
        )
    if not subject.glimpse.objects:
        raise ArgumentError(
            f"{subject.settings.store.uri} contains no image that the page could show",
            remedy="upload an image, then run this again",
        )
    page, copy = uris(place)
    input_uri = subject.glimpse.objects[0].uri
    store = subject.store
    store.copy_blind(input_uri, copy)
    images = [("as blind queues show it", store.presign(copy, LIFE))]
    if subject.any_open:
        images.insert(0, ("as training queues show it", store.presign(input_uri, LIFE)))
    html = render("images.html", project=subject.settings.project.name, images=images)
    store.write(page, html.encode(), "text/html; charset=utf-8")
    return store.presign(page, LIFE)


def remove_lapsed(subject: Subject) -> Iterator[Finding]:
    """Remove a test page whose link has lapsed."""
    place = subject.settings.store.blind_uri
    if place is None or subject.store.inline:
        return
    page, copy = uris(place)
    url = subject.store.presign(page, timedelta(minutes=1))
    try:
        seen = subject.store.view(url, origin=origin_of(subject.annotator_url))
    except StoreUnavailable:  # this machine can't open the public endpoint, and needn't
        return
    old = seen.modified_at is not None and subject.clock.now() - seen.modified_at > LIFE
    if seen.status == 200 and old:
        subject.store.delete(page)
        subject.store.delete(copy)
        yield ok(f"the test page in {place} had lapsed, and was removed")


def uris(place: str) -> tuple[str, str]:
    """Where below a place the page and its image lie."""
    folder = f"{place.rstrip('/')}/{FOLDER}"
    return f"{folder}/page.html", f"{folder}/image"
