"""Regenerates the screenshots of the explorer in this folder.

python docs/screenshots.py
"""

from __future__ import annotations

import argparse
import io
import sys
from pathlib import Path

from PIL import Image

DOCS = Path(__file__).resolve().parent
sys.path.insert(0, str(DOCS.parent / "benchmarks"))

from browser import ROOT, chromium, served  # noqa: E402

#: File, address, theme, and the height in pixels at which a section of the page ends.
PICTURES = (
    ("roadmap", "?roadmap=resnet50&step=inverted_bottleneck", "light", 1080),
    ("path", "?roadmap=resnet50&step=kernel_7&view=path", "dark", 1080),
    ("inside", "inside?roadmap=resnet50&step=kernel_7", "light", 960),
    ("builder", "builder?a=resnet50.inverted_bottleneck~kernel_size.9~norm.layer", "light", 1420),
    ("sizes", "sizes", "light", 955),
    ("recipes", "recipes", "light", 975),
    ("effects", "effects?data=digits&epochs=5", "light", 1080),
    ("ablations", "ablations", "light", 990),
    ("method", "method", "dark", 770),
)
#: Whether all elements have replaced their placeholders and all charts are drawn.
COMPLETE = """() => !document.querySelector('[data-testid=stSkeleton]')
  && [...document.querySelectorAll('[data-testid=stPlotlyChart]')]
    .every(chart => chart.querySelector('.main-svg'))"""


def main() -> None:
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    with served(ROOT / "app.py") as url, chromium() as browser:
        for name, path, scheme, height in PICTURES:
            context = browser.new_context(
                viewport={"width": 1440, "height": height}, color_scheme=scheme
            )
            page = context.new_page()
            page.goto(f"{url}/{path}")
            page.locator("[data-test-script-state=notRunning]").wait_for(state="attached")
            page.wait_for_function(COMPLETE, timeout=60_000)
            page.wait_for_timeout(3000)  # fonts, and the last layout of charts
            image = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
            image.save(DOCS / f"{name}.png", optimize=True)
            context.close()


if __name__ == "__main__":
    main()
