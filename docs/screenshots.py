"""Regenerates the screenshots of the explorer in this folder.

python docs/screenshots.py
"""

from __future__ import annotations

import argparse
import io
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page

DOCS = Path(__file__).resolve().parent
sys.path.insert(0, str(DOCS.parent / "benchmarks"))

from browser import ROOT, chromium, served  # noqa: E402

from roadmap.steps import ROADMAPS  # noqa: E402

#: The network in the picture of the builder.
BUILT = "builder?a=resnet50.inverted_bottleneck~kernel_size.9~norm.layer"
#: File, address, theme, and the height in pixels at which a section of the page ends.
PICTURES = (
    ("roadmap", "?roadmap=resnet50&step=inverted_bottleneck", "light", 1080),
    ("path", "?roadmap=resnet50&step=kernel_7&view=path", "dark", 1080),
    ("inside", "inside?roadmap=resnet50&step=kernel_7", "light", 960),
    ("operation", "inside?roadmap=resnet50&step=depthwise_conv&tab=operation", "light", 1180),
    ("picture", "picture", "light", 1000),
    ("lecture", "?roadmap=resnet50&step=gelu&present=1", "light", 900),
    ("builder", f"{BUILT}&part=stage1.spatial", "light", 1000),
    ("sizes", "sizes", "light", 955),
    ("recipes", "recipes", "light", 975),
    ("effects", "effects?data=tiny-imagenet-100&view=orders", "light", 1080),
    ("ablations", "ablations", "light", 990),
    ("method", "method", "dark", 770),
)
#: Frames of the moving picture: size, seconds that a slide stays, frames of each change, quality.
FRAME, STAYS, CHANGING, QUALITY = (1008, 630), 1.4, 6, 55
START, END = "stage_ratio", "separate_downsampling"
MORPH = 0.7  # seconds; the lecture's change takes 0.6
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
        moving_picture(browser, url)


def moving_picture(browser: Browser, url: str) -> None:
    """Save the lecture's change from step to step, over the adopted steps of ResNet-50."""
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    page.goto(f"{url}/?roadmap=resnet50&step={START}&present=1")
    page.locator(".lecture-slide .lecture-title").wait_for()
    page.wait_for_timeout(2000)
    page.add_style_tag(content=".lecture-tools { visibility: hidden; }")
    frames, seconds = [frame(page)], [STAYS]
    roadmap = ROADMAPS["resnet50"]
    for key in roadmap.keys[roadmap.keys.index(START) + 1 :]:
        page.keyboard.press("ArrowRight")
        for _ in range(CHANGING):
            frames.append(frame(page))
            seconds.append(MORPH / CHANGING)
        page.wait_for_timeout(700)
        frames.append(frame(page))
        seconds.append(STAYS)
        if key == END:
            break
    frames[0].save(
        DOCS / "lecture.webp",
        save_all=True,
        append_images=frames[1:],
        duration=[round(1000 * each) for each in seconds],
        loop=0,
        quality=QUALITY,
        method=6,
    )
    page.close()


def frame(page: Page) -> Image.Image:
    image = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    return image.resize(FRAME, Image.Resampling.LANCZOS)


if __name__ == "__main__":
    main()
