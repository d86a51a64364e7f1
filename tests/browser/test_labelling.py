"""A person labels in a real browser: sees the image, sees what the queue shows, and answers."""

import io
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    Page,
    Response,
    expect,
)
from tests.browser.conftest import PATIENCE_MS
from tests.odd_keys import ODD_KEYS

from labelloop.adapters.folder.store import FolderStore
from labelloop.adapters.label_studio.annotator import LabelStudioAnnotator
from labelloop.adapters.s3.access import Addressing
from labelloop.adapters.s3.store import S3Store
from labelloop.demo.servers import LabelStudio, SeaweedFS
from labelloop.ports.annotator import Project, ProjectSpec, TaskData

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

CLASSES = ("aubergine", "fig & date", "$predicted_class", 'x/y "quoted" <b>')
PREDICTED = "aubergine"
CONFIDENCE = 0.617
# Label Studio loads the image into a blob of its own; the list beside it has a thumbnail too.
LOADED = """() => Math.max(0, ...[...document.images]
    .filter(i => i.complete && i.naturalWidth === 640 && i.naturalHeight === 480)
    .map(i => i.getBoundingClientRect().width))"""


@dataclass(frozen=True)
class Visit:
    """A person who is logged in, and what Label Studio has sent them since."""

    page: Page
    responses: list[Response]
    screenshots: Path

    def open_task(self, server: LabelStudio, project: Project, remote_id: str) -> None:
        self.page.goto(f"{server.url}/projects/{project.project_ref}/data?task={remote_id}")
        expect(self.page.locator(".lsf-choices")).to_be_visible()

    def sees_the_image(self) -> None:
        shown = self.page.wait_for_function(f"() => ({LOADED})() > 200")
        shown.dispose()
        assert self.page.evaluate(LOADED) <= 500
        expect(self.page.locator(".lsf-choices label").last).to_be_in_viewport()

    def answers(self, name: str) -> None:
        # A hotkey follows the name, and a `$` is followed by a space of no width.
        wanted = self.page.locator(".lsf-choices label").nth(CLASSES.index(name))
        assert wanted.inner_text().replace("\u200b", "").startswith(name)
        wanted.click()
        with self.page.expect_response(
            lambda r: "/annotations" in r.url and r.request.method == "POST"
        ) as sent:
            self.page.get_by_role("button", name="Submit").click()
        assert sent.value.status == 201

    def screenshot(self, name: str) -> None:
        self.page.screenshot(path=self.screenshots / f"{name}.png")


@pytest.fixture(scope="module")
def person(label_studio: LabelStudio, browser: Browser) -> BrowserContext:
    """Somebody who is logged in, and whose browser keeps what it has loaded."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    page.goto(f"{label_studio.url}/user/login")
    page.fill("#email", label_studio.username)
    page.fill("#password", label_studio.password)
    page.click("button[type=submit]")
    page.wait_for_url(lambda url: "login" not in url)
    page.close()
    return context


@pytest.fixture
def visit(person: BrowserContext, tmp_path: Path) -> Iterator[Visit]:
    page = person.new_page()
    responses: list[Response] = []
    page.on("response", lambda response: responses.append(response))
    yield Visit(page, responses, tmp_path)
    page.close()


@pytest.fixture
def annotator(label_studio: LabelStudio) -> Iterator[LabelStudioAnnotator]:
    adapter = LabelStudioAnnotator(
        url=label_studio.url, api_key=label_studio.personal_access_token()
    )
    yield adapter
    adapter.close()


@pytest.fixture(scope="session")
def picture() -> bytes:
    from PIL import Image, ImageDraw

    image = Image.new("RGB", (640, 480), "#f4efe6")
    draw = ImageDraw.Draw(image)
    draw.ellipse((170, 90, 470, 390), fill="#5b2a86")
    draw.rectangle((305, 50, 335, 110), fill="#3c7a3c")
    png = io.BytesIO()
    image.save(png, "PNG")
    return png.getvalue()


@pytest.fixture
def image_url(seaweedfs: SeaweedFS, s3: "S3Client", blind_bucket: str, picture: bytes) -> str:
    name = f"{uuid.uuid4().hex}.png"
    s3.put_object(Bucket=blind_bucket, Key=name, Body=picture, ContentType="image/png")
    store = S3Store(f"s3://{blind_bucket}", seaweedfs.access)
    return store.presign(f"s3://{blind_bucket}/{name}", timedelta(hours=1))


def new_task(
    annotator: LabelStudioAnnotator, *, image_url: str, show: tuple[str, ...]
) -> tuple[Project, TaskData, int]:
    queue = "accuracy" if not show else "low-confidence"
    project = annotator.create_project(
        ProjectSpec(
            title=f"fruit / {queue}",
            marker=f"labelloop:{uuid.uuid4().hex}/{queue}",
            classes=CLASSES,
            show=show,
            blind=not show,
        )
    )
    key = uuid.uuid4().hex
    known = {"predicted_class": PREDICTED, "confidence": CONFIDENCE, "corrected_class": None}
    data = {"image": image_url, "labelloop": key} | {name: known[name] for name in show}
    task = TaskData(task_key=key, data=data)
    [remote_id] = annotator.import_tasks(project.project_ref, [task])
    return project, task, remote_id


def answer_of(annotator: LabelStudioAnnotator, project: Project, key: str) -> tuple[str, ...]:
    [found] = annotator.find(project.project_ref, [key])
    [annotation] = found.annotations
    assert not annotation.skipped
    return annotation.choices


def test_a_blind_task_shows_the_image_and_nothing_of_the_model(
    visit: Visit, label_studio: LabelStudio, annotator: LabelStudioAnnotator, image_url: str
) -> None:
    project, task, remote_id = new_task(annotator, image_url=image_url, show=())
    visit.open_task(label_studio, project, remote_id)
    visit.sees_the_image()
    visit.screenshot("blind")
    text = visit.page.locator("body").inner_text()
    assert "confidence" not in text.lower()
    assert "predicted class" not in text.lower()
    assert str(CONFIDENCE) not in visit.page.content()
    # The class stands among the choices, once, and nowhere else on the page.
    assert text.count(PREDICTED) == 1
    # Nor in what was sent to the browser about tasks (the project itself lists the choices).
    about_tasks = ("/api/tasks", "/api/dm/columns", "/api/dm/views")
    sent = [r.text() for r in visit.responses if any(part in r.url for part in about_tasks)]
    assert any(task.task_key in body for body in sent)
    assert not any(PREDICTED in body or "confidence" in body for body in sent)
    expect(visit.page.get_by_role("button", name="Submit")).to_be_disabled()
    visit.answers('x/y "quoted" <b>')
    assert answer_of(annotator, project, task.task_key) == ('x/y "quoted" <b>',)


def test_a_shown_task_tells_what_the_model_said(
    visit: Visit, label_studio: LabelStudio, annotator: LabelStudioAnnotator, image_url: str
) -> None:
    show = ("predicted_class", "confidence", "corrected_class")
    project, task, remote_id = new_task(annotator, image_url=image_url, show=show)
    visit.open_task(label_studio, project, remote_id)
    visit.sees_the_image()
    visit.screenshot("shown")
    for header in (
        f"Predicted class: {PREDICTED}",
        f"Model confidence: {CONFIDENCE}",
        "User's correction: —",
    ):
        expect(visit.page.get_by_text(header, exact=True)).to_be_visible()
    visit.answers("$predicted_class")
    assert answer_of(annotator, project, task.task_key) == ("$predicted_class",)


HOSTILE = (
    'Dear team,\n\n<script>document.title = "owned"</script><img src=x onerror="document.title=1">\n'
    "<b>bold?</b> &lt;i&gt; &amp; $text $labelloop {{labelloop}} ${1+1} <!-- gone? -->\n"
    "    indented,\ttabbed; Füchse 狐 🦊 \u202eright to left\u202c"
)


LONG = "\n".join(f"line {i} of a long letter" for i in range(200))
TEXTS = (HOSTILE, "s3://bucket/key.txt", "https://example.invalid/a page", LONG)


def test_a_text_is_shown_as_it_is(
    visit: Visit, label_studio: LabelStudio, annotator: LabelStudioAnnotator
) -> None:
    spec = ProjectSpec(
        title=f"texts {uuid.uuid4().hex[:8]}",
        marker=f"labelloop:{uuid.uuid4().hex}/accuracy",
        classes=CLASSES,
        show=(),
        blind=True,
        kind="text",
    )
    project = annotator.create_project(spec)
    tasks = [TaskData(task_key=uuid.uuid4().hex, data={"text": text}) for text in TEXTS]
    ids = annotator.import_tasks(project.project_ref, tasks)
    shown = visit.page.locator(
        ".lsf-main-content .lsf-htx-richtext, .lsf-richtext__container"
    ).first
    for remote_id, text in zip(ids, TEXTS, strict=True):
        visit.open_task(label_studio, project, remote_id)
        expect(shown).to_be_visible()
        visit.screenshot(f"text-{remote_id}")
        assert shown.inner_text().split() == text.split()
        assert shown.locator("script, img, b").count() == 0
        assert "owned" not in visit.page.title()
        expect(visit.page.locator(".lsf-choices label").last).to_be_in_viewport()
    visit.answers("fig & date")
    assert answer_of(annotator, project, tasks[-1].task_key) == ("fig & date",)


def test_an_image_of_a_folder_is_seen_without_a_name(
    visit: Visit,
    label_studio: LabelStudio,
    annotator: LabelStudioAnnotator,
    picture: bytes,
    tmp_path: Path,
) -> None:
    inputs = tmp_path / "inputs"
    inputs.mkdir()
    (inputs / "secretname.png").write_bytes(picture)
    store = FolderStore(inputs.as_uri())
    [[found]] = store.objects()
    url = store.presign(found.uri, timedelta(hours=1))
    project, _, remote_id = new_task(annotator, image_url=url, show=())
    visit.open_task(label_studio, project, remote_id)
    visit.sees_the_image()
    visit.screenshot("inline")
    assert "secretname" not in visit.page.content()
    sent = [r.text() for r in visit.responses if "/api/tasks" in r.url]
    assert sent
    assert not any("secretname" in body for body in sent)


@pytest.mark.parametrize("addressing", ["path", "virtual"])
def test_a_browser_opens_the_link_of_any_key(
    browser: Browser,
    seaweedfs: SeaweedFS,
    s3: "S3Client",
    bucket: str,
    picture: bytes,
    addressing: Addressing,
) -> None:
    for key in ODD_KEYS:
        s3.put_object(Bucket=bucket, Key=key, Body=picture, ContentType="image/png")
    access = seaweedfs.access
    if addressing == "virtual":  # browsers know *.localhost, where resolvers may not
        port = seaweedfs.endpoint_url.rpartition(":")[2]
        access = replace(access, endpoint_url=f"http://s3.localhost:{port}", addressing=addressing)
    store = S3Store(f"s3://{bucket}", access)
    urls = [store.presign(f"s3://{bucket}/{key}", timedelta(hours=1)) for key in ODD_KEYS]
    page = browser.new_page()
    page.set_default_timeout(PATIENCE_MS)
    page.set_content("".join(f'<img crossorigin src="{escape(url)}">' for url in urls))
    page.wait_for_function("() => [...document.images].every(i => i.complete)")
    widths = page.evaluate("() => [...document.images].map(i => i.naturalWidth)")
    assert dict(zip(ODD_KEYS, widths, strict=True)) == dict.fromkeys(ODD_KEYS, 640)
