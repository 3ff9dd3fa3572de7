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

#: File, address, theme.
PICTURES = (
    ("roadmap", "?roadmap=resnet50&step=inverted_bottleneck", "light"),
    ("path", "?roadmap=resnet50&step=kernel_7&view=path", "dark"),
    ("inside", "inside?roadmap=resnet50&step=kernel_7", "light"),
    ("builder", "builder?a=resnet50.inverted_bottleneck~kernel_size.9~norm.layer", "light"),
    ("sizes", "sizes", "light"),
    ("recipes", "recipes", "light"),
    ("effects", "effects?epochs=5", "light"),
    ("ablations", "ablations", "light"),
    ("method", "method", "dark"),
)


def main() -> None:
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    with served(ROOT / "app.py") as url, chromium() as browser:
        for name, path, scheme in PICTURES:
            context = browser.new_context(
                viewport={"width": 1440, "height": 900}, color_scheme=scheme
            )
            page = context.new_page()
            page.goto(f"{url}/{path}")
            page.locator("[data-test-script-state=notRunning]").wait_for(state="attached")
            page.wait_for_timeout(4000)  # fonts and charts
            image = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
            image.save(DOCS / f"{name}.png", optimize=True)
            context.close()


if __name__ == "__main__":
    main()
