"""People who label in Chromium with real keys."""

from typing import Any

from playwright.sync_api import Browser, BrowserContext, Page
from tests.browser.conftest import PATIENCE_MS
from tests.labelling import LabellingService

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
