"""Answers an hour on the labelling page and on Label Studio: `python -m bench.label_speed [ANSWERS]`.

The same scripted person labels the same images in the same Chromium, by keyboard on both: wait until the next
image is painted, think, answer. On the labelling page an answer is one key; in Label Studio's labelling
stream it is the class's key and Ctrl+Enter. The person thinks 0 s, which shows how long each page takes, or
1 s, as somebody who knows the classes does. With `--write` the table goes into the docs.
"""

import os
import shutil
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright
from tests.browser.conftest import CHROMIUM, PATIENCE_MS, QUIET
from tests.browser.people import person, sent
from tests.conftest import PASSWORD, USERNAME
from tests.labelling import LabellingService, picture

from labelloop.adapters.label_studio.annotator import LabelStudioAnnotator
from labelloop.demo.servers import LABEL_STUDIO_VERSION, LabelStudio, template_home
from labelloop.ports.annotator import ProjectSpec, TaskData

CLASSES = ("fig", "plum", "pear")
THINK_S = (0.0, 1.0)
DOCS = Path(__file__).parents[1] / "docs" / "how-to" / "labelling-page.md"
BEGIN, END = "<!-- bench.label_speed -->", "<!-- end -->"
WARM_UP = 3
"""Answers before the clock starts: both pages load their scripts at the first."""
NEXT = """last => {
  const shown = [...document.images].find(i => i.complete && i.naturalWidth === 300
    && i.getBoundingClientRect().width > 150 && i.src !== last);
  return shown ? shown.src : null;
}"""
"""The address of the image that is shown, once it is another one than the last."""


def main(n: int, *, writes: bool) -> None:
    """Print the table, or write it into the docs."""
    load = f"{os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}"
    found = next(filter(None, map(shutil.which, CHROMIUM)))
    ours: dict[float, float] = {}
    theirs: dict[float, float] = {}
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=list(QUIET))
        images = [picture(each) for each in range(WARM_UP + n + 1)]
        for think_s in THINK_S:
            with labelling_page(browser, Path(name), images) as (page, all_sent):
                ours[think_s] = label(page, (), n, think_s=think_s) / n
                all_sent()
        with label_studio(Path(name)) as server:
            for think_s in THINK_S:
                page = labelling_stream(browser, server, images)
                theirs[think_s] = label(page, ("Control+Enter",), n, think_s=think_s) / n
                page.context.close()
        browser.close()
    rows = [
        f"| {think_s:g} s | {3600 / ours[think_s]:,.0f} | {3600 / theirs[think_s]:,.0f} |"
        for think_s in THINK_S
    ]
    head = (
        f"| answers an hour, by think time | labelling page | Label Studio {LABEL_STUDIO_VERSION} |"
    )
    about = f"{n} answers each; {load} when it began."
    table = "\n".join([head, "| --- | --- | --- |", *rows, "", about])
    print(table)
    if writes:
        before, mark, rest = DOCS.read_text().partition(BEGIN)
        _, end, after = rest.partition(END)
        if not mark or not end:
            raise SystemExit(f"{DOCS} lacks {BEGIN} or {END}")
        DOCS.write_text(f"{before}{BEGIN}\n\n{table}\n\n{END}{after}")


def label(page: Page, keys: Sequence[str], n: int, *, think_s: float) -> float:
    """Answer `n` images after the first few; returns how long it took, in seconds."""
    shown, began = "", time.perf_counter()
    for each in range(WARM_UP + n):
        if each == WARM_UP:
            began = time.perf_counter()
        shown = page.wait_for_function(NEXT, arg=shown).json_value()
        time.sleep(think_s)
        for key in ("123"[each % 3], *keys):
            page.keyboard.press(key)
    page.wait_for_function(NEXT, arg=shown)
    return time.perf_counter() - began


@contextmanager
def labelling_page(
    browser: Browser, folder: Path, images: Sequence[str]
) -> Iterator[tuple[Page, Callable[[], None]]]:
    """The labelling page with these images, and what returns once every answer is sent."""
    own = folder / uuid.uuid4().hex
    own.mkdir()
    service = LabellingService(own)
    service.queue("fruit", CLASSES)
    service.put("fruit", [{"image": each} for each in images])
    page = person(browser, service, "ann@example.com").new_page()
    page.goto("/label/fruit")
    yield page, lambda: sent(page)
    page.context.close()
    service.close()


@contextmanager
def label_studio(folder: Path) -> Iterator[LabelStudio]:
    """A Label Studio that is ready."""
    own = folder / "label-studio"
    own.mkdir()
    account = {"username": USERNAME, "password": PASSWORD}
    with LabelStudio(own, **account, template=template_home()) as server:
        server.start()
        server.wait_ready()
        yield server


def labelling_stream(browser: Browser, server: LabelStudio, images: Sequence[str]) -> Page:
    """Label Studio's stream of a project with these images."""
    annotator = LabelStudioAnnotator(url=server.url, api_key=server.personal_access_token())
    spec = ProjectSpec(
        title="fruit",
        marker=f"labelloop:{uuid.uuid4().hex}/fruit",
        classes=CLASSES,
        show=(),
        blind=True,
    )
    project = annotator.create_project(spec)
    keys = [uuid.uuid4().hex for _ in images]
    annotator.import_tasks(
        project.project_ref,
        [
            TaskData(task_key=key, data={"image": image, "labelloop": key})
            for key, image in zip(keys, images, strict=True)
        ],
    )
    annotator.close()
    context = browser.new_context(viewport={"width": 1280, "height": 720})
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    page.goto(f"{server.url}/user/login")
    page.fill("#email", server.username)
    page.fill("#password", server.password)
    page.click("button[type=submit]")
    page.wait_for_url(lambda url: "login" not in url)
    page.goto(f"{server.url}/projects/{project.project_ref}/data?labeling=1")
    return page


if __name__ == "__main__":
    numbers = [int(each) for each in sys.argv[1:] if each.isdigit()]
    main(*(numbers or [40]), writes="--write" in sys.argv)
