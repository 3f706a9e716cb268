"""The pictures of the report in this documentation, made anew from a run: python docs/screenshots.py RUN_DIR

Of RUN_DIR/report.html (mapmpi report RUN_DIR), in a headless Chromium as the tests use it, 1280 and 390 pixels wide.
"""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "tests"))

from browser import Browser  # noqa: E402

PARTS = {
    "view": "#structure",
    "times": "#kinetics",
    "network": "#network",
    "training": "#training",
    "map": "#map",
}
"""Names of pictures, and the parts of the page that they show."""
TALLEST = 1100
"""Pixels of a picture: of longer parts the beginning is shown."""


def box(browser: Browser, selector: str) -> tuple[float, float, float, float]:
    """Return left, top, width and height in pixels of an element in the whole page."""
    script = f"""(() => {{
        const box = document.querySelector('{selector}').getBoundingClientRect();
        return [box.x + scrollX, box.y + scrollY, box.width, box.height];
    }})()"""
    x, y, width, height = browser.run(script)
    return x, y, width, height


def main() -> None:
    """Write docs/report-NAME.png."""
    page = Path(sys.argv[1]) / "report.html"
    with Browser(1280, 900) as browser:
        browser.open(page)
        (HERE / "report-top.png").write_bytes(browser.picture())
        for name, selector in PARTS.items():
            browser.place(selector)
            x, y, width, height = box(browser, selector)
            clip = {"x": x, "y": y, "width": width, "height": min(height, TALLEST), "scale": 1}
            (HERE / f"report-{name}.png").write_bytes(browser.picture(clip))
    with Browser(390, 844) as browser:
        browser.open(page)
        (HERE / "report-phone.png").write_bytes(browser.picture())


if __name__ == "__main__":
    main()
