"""A page that an annotator opens: do images reach that browser?

It lies where blind copies lie, at a name of its own, with a copy of one image beside it. The next page
replaces it, and the first examination a day later removes both.
"""

from collections.abc import Iterator
from datetime import timedelta
from html import escape

from labelloop.doctor.browser import origin_of
from labelloop.doctor.finding import Check, Finding, ok
from labelloop.doctor.subject import Subject
from labelloop.errors import ArgumentError, StoreUnavailable

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
            "images travel inside the tasks: whoever can open a task sees its image",
            remedy="nothing to test",
        )
    if place is None:
        raise ArgumentError(
            "there is no place for the page: [store] blind_uri is not set",
            remedy='add blind_uri = "s3://a-writable-bucket" to [store]',
        )
    if not subject.glimpse.objects:
        raise ArgumentError(
            f"{subject.settings.store.uri} holds no image to show",
            remedy="upload one, then run this again",
        )
    page, copy = uris(place)
    input_uri = subject.glimpse.objects[0].uri
    store = subject.store
    store.copy_blind(input_uri, copy)
    images = [("as blind queues show it", store.presign(copy, LIFE))]
    if subject.any_open:
        images.insert(0, ("as training queues show it", store.presign(input_uri, LIFE)))
    html = _html(subject.settings.project.name, images)
    store.write(page, html.encode(), "text/html; charset=utf-8")
    return store.presign(page, LIFE)


def checks(subject: Subject) -> list[Check]:
    """The check for a page whose link has lapsed."""
    needs = ("store", "access", "blind copies")
    return [Check("old page", lambda: _remove_old(subject), needs=needs)]


def _remove_old(subject: Subject) -> Iterator[Finding]:
    place = subject.settings.store.blind_uri
    if place is None or subject.store.inline:
        return
    page, copy = uris(place)
    url = subject.store.presign(page, timedelta(minutes=1))
    try:
        seen = subject.store.view(url, origin=origin_of(subject.label_studio_url))
    except StoreUnavailable:  # this machine can't open the public endpoint, and needn't
        return
    old = seen.modified_at is not None and subject.clock.now() - seen.modified_at > LIFE
    if seen.status == 200 and old:
        subject.store.delete(page)
        subject.store.delete(copy)
        yield ok("old page", f"the test page in {place} had lapsed, and was removed")


def uris(place: str) -> tuple[str, str]:
    """Where below a place the page and its image lie."""
    folder = f"{place.rstrip('/')}/{FOLDER}"
    return f"{folder}/page.html", f"{folder}/image"


def _html(project: str, images: list[tuple[str, str]]) -> str:
    figures = "\n".join(
        f"""<figure>
<img src="{escape(url)}" alt="This image did not arrive." width="320"
 onload="said(this, 'arrived')" onerror="said(this, 'did not arrive')">
<figcaption>An image, {escape(how)}: <strong>no answer yet</strong></figcaption>
</figure>"""
        for how, url in images
    )
    return PAGE.format(project=escape(project), figures=figures)


PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="robots" content="noindex">
<title>Do the images of {project} arrive?</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 44rem; padding: 0 1rem;
  color-scheme: light dark; }}
figure {{ display: inline-block; vertical-align: top; margin: 0 1.5rem 1.5rem 0; width: 320px; }}
img {{ display: block; background: #8882; min-height: 4rem; }}
.arrived strong {{ color: #188038; }} .failed strong {{ color: #d93025; }}
</style>
<script>
function said(image, what) {{
  const figure = image.parentNode;
  figure.className = what === "arrived" ? "arrived" : "failed";
  figure.querySelector("strong").textContent = what;
}}
</script>
<h1>Do the images of {project} arrive?</h1>
<p>Tell whoever sent you this link what it says below each picture.</p>
{figures}
</html>
"""
