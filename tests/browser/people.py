"""Chromium, and people who label in it with real keys."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright
from tests.labelling import LabellingService

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
PATIENCE_MS = 30_000
"""How long a page may take: the machine may have more to do."""
AXE = Path(__file__).parents[2] / ".tools" / "axe.min.js"
"""What `make browse` fetches: rules of accessibility."""
SHOWN = """() => { const time = () => performance.now();
  window.labelled = [];
  addEventListener("keydown", () => { window.pressed = time(); }, true);
  new MutationObserver(() => requestAnimationFrame(() => {
    const channel = new MessageChannel(), pressed = window.pressed;
    channel.port1.onmessage = () => window.labelled.push(time() - pressed);
    channel.port2.postMessage(0);
  })).observe(document.getElementById("stage"), { childList: true, characterData: true, subtree: true });
}"""
"""Notes, after each change of the input, how long after the key it was painted, in milliseconds."""


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser without a screen."""
    found = next(filter(None, map(shutil.which, CHROMIUM)), None)
    assert found is not None, "Chromium is missing: install Debian's package chromium"
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=list(QUIET))
        yield browser
        browser.close()


def person(
    browser: Browser, service: LabellingService, name: str, **options: Any
) -> BrowserContext:
    """Somebody whose browser carries their token."""
    headers = {"Authorization": f"Bearer {service.add(name)}"}
    made = browser.new_context(
        base_url=service.url, extra_http_headers=headers, locale="en-GB", **options
    )
    made.set_default_timeout(PATIENCE_MS)
    return made


def sent(page: Page) -> None:
    """Wait until the browser keeps no answer that isn't sent."""
    page.wait_for_function(
        "() => !Object.keys(localStorage).some(k => k.startsWith('labelloop:answer:'))"
    )


def violations(page: Page) -> list[str]:
    """What axe finds wrong with a page."""
    page.evaluate(AXE.read_text("utf-8"))
    found = page.evaluate("() => axe.run()")
    return [
        f"{each['id']}: {node['html'][:200]}"
        for each in found["violations"]
        for node in each["nodes"]
    ]
