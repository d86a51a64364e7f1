"""How long after a key the next input is painted: `python -m bench.label_keys`.

A real Chromium without a screen labels 40 images on the labelling page of a project in memory.
"""

import shutil
import tempfile
from pathlib import Path

import numpy as np
from playwright.sync_api import sync_playwright
from tests.browser.conftest import CHROMIUM, QUIET
from tests.browser.people import SHOWN, person, sent
from tests.labelling import LabellingService

N = 40


def main() -> None:
    """Print the line."""

    found = next(filter(None, map(shutil.which, CHROMIUM)))
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        service = LabellingService(Path(folder))
        service.queue("fruit", ("fig", "plum", "pear"))
        service.pictures("fruit", N + 1)
        browser = playwright.chromium.launch(executable_path=found, args=list(QUIET))
        page = person(browser, service, "ann@example.com").new_page()
        page.goto("/label/fruit")
        page.evaluate(SHOWN)
        for n in range(N):
            page.keyboard.press("123"[n % 3])
            page.wait_for_timeout(60)
        sent(page)
        painted = page.evaluate("labelled")
        browser.close()
        service.close()
    p50, p95 = np.quantile(painted, [0.5, 0.95])
    print(f"{len(painted)} inputs painted: p50 {p50:.0f} ms, p95 {p95:.0f} ms after the key")


if __name__ == "__main__":
    main()
