"""The contrast of text on what is behind it, measured in pixels.

axe-core leaves undecided what it cannot compute: text in drawings and charts, on gradients, under
pseudo-elements, and very short text.
"""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
from browser_pages import COLORS, UNFRAMED, lasting, violations
from PIL import Image
from playwright.sync_api import Page

#: Least contrast of text, and of large text, which has 24 pixels, or 18.66 in bold.
LEAST, LEAST_LARGE = 4.5, 3.0
#: Share of a text's pixels that may have less, where it crosses a mark or a line.
CROSSED = 25  # percent
#: Playwright's own screenshots take a third longer, to compress them well.
SCREENSHOT = {"format": "png", "optimizeForSpeed": True, "captureBeyondViewport": True}
PART = 6000  # pixels of a page's height in one screenshot
#: Elements that show a value.
FIELDS = "textarea, select, input:is([type=text], [type=number], [type=search], :not([type]))"
#: A function of all open shadow trees.
EVERYWHERE = """const everywhere = (root, act) => { act(root);
  for (const element of root.querySelectorAll('*'))
    if (element.shadowRoot) everywhere(element.shadowRoot, act); };"""
HIDE = f"""() => {{ {EVERYWHERE}
  everywhere(document, (root) => {{
    const style = document.createElement('style');
    style.className = 'hidden-text';
    style.textContent = `* {{ -webkit-text-fill-color: transparent !important }}
      text:not(#a#b#c), tspan:not(#a#b#c) {{ fill: transparent !important }}`;
    (root.head ?? root).append(style);
  }}) }}"""
SHOW = f"""() => {{ {EVERYWHERE}
  everywhere(document, (root) =>
    root.querySelectorAll('.hidden-text').forEach((style) => style.remove())) }}"""
#: Ends what moves, and stops what moves endlessly.
STOP = """() => document.getAnimations().forEach((each) =>
  each.effect.getComputedTiming().endTime === Infinity ? each.pause() : each.finish())"""
#: Each visible text, fields' values among them, that is not of a disabled control: its words,
#: color, opacity and boxes.
TEXTS = f"""() => {{ {EVERYWHERE}
  const found = [];
  const around = (element) => element.parentElement ?? element.getRootNode().host;
  const add = (words, element, rects) => {{
    if (!words || element.closest('style, script, title, desc')) return;
    if (element.closest('[disabled], [aria-disabled=true]')) return;
    if (!element.checkVisibility({{ visibilityProperty: true, opacityProperty: true }})) return;
    const style = getComputedStyle(element), drawn = element.closest('svg');
    if (style.position === 'absolute' && element.offsetWidth === 1) return; // is read aloud
    const boxes = [...rects()].filter((box) => box.width > 1 && box.height > 1)
      .map((box) => [box.left + scrollX, box.top + scrollY, box.width, box.height]);
    if (!boxes.length) return;
    let opacity = drawn ? parseFloat(style.fillOpacity) : 1;
    for (let each = element; each; each = around(each))
      opacity *= parseFloat(getComputedStyle(each).opacity);
    found.push({{ words: words.slice(0, 40), boxes, opacity,
      color: drawn ? style.fill : style.webkitTextFillColor,
      large: parseFloat(style.fontSize) >= (style.fontWeight >= 700 ? 18.66 : 24),
      element: element.outerHTML.slice(0, 120) }});
  }};
  everywhere(document.body, (root) => {{
    const texts = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) {{
      const text = texts.currentNode, range = document.createRange();
      range.selectNodeContents(text);
      add(text.data.trim(), text.parentElement ?? text.getRootNode().host,
        () => range.getClientRects());
    }}
    for (const field of root.querySelectorAll('{FIELDS}'))
      add(field.value.trim(), field, () => field.getClientRects());
  }});
  return found; }}"""


def unreadable_at_rest(page: Page) -> list[str]:
    """``unreadable_texts`` that last."""
    return lasting(page, unreadable_texts)


def faint_at_rest(page: Page) -> list[str]:
    """``faint_texts`` that last."""
    return lasting(page, faint_texts)


def unreadable_texts(page: Page) -> list[str]:
    """``faint_texts``, and what axe-core computes if some text is on no picture of the page, such
    as one that must be scrolled into its frame. axe-core takes four times as long."""
    found = _contrasts(page)
    hidden = any(contrast is None for contrast, _ in found)
    return [*_faint(found), *(violations(page, COLORS) if hidden else [])]


def faint_texts(page: Page) -> list[str]:
    """Return a line per text with too little contrast, of those that the whole page shows."""
    return _faint(_contrasts(page))


def _faint(contrasts: list[tuple[float | None, dict[str, Any]]]) -> list[str]:
    return [
        f"contrast {contrast:.2f}: {text['words']} {text['element']}"
        for contrast, text in contrasts
        if contrast is not None and contrast < (LEAST_LARGE if text["large"] else LEAST)
    ]


def _contrasts(page: Page) -> list[tuple[float | None, dict[str, Any]]]:
    """Return the contrast of each text."""
    frame = page.add_style_tag(content=UNFRAMED)
    for _ in range(100):
        page.evaluate(STOP)
        texts = page.evaluate(TEXTS)
        shown = _pixels(page)
        page.evaluate(HIDE)
        behind = _pixels(page)
        page.evaluate(SHOW)
        if shown.shape == behind.shape:
            break
        page.wait_for_timeout(300)  # charts still follow a change of size
    frame.evaluate("(style) => style.remove()")
    return [(_contrast(text, shown, behind), text) for text in texts]


def _pixels(page: Page) -> np.ndarray:
    """The whole page in its colors."""
    width, height = page.evaluate(
        "[document.documentElement.clientWidth, document.documentElement.scrollHeight]"
    )
    parts = []
    tools = page.context.new_cdp_session(page)
    for top in range(0, height, PART):
        clip = {"x": 0, "y": top, "width": width, "height": min(PART, height - top), "scale": 1}
        taken = tools.send("Page.captureScreenshot", SCREENSHOT | {"clip": clip})
        image = Image.open(io.BytesIO(base64.b64decode(taken["data"])))
        parts.append(np.asarray(image.convert("RGB")))
    tools.detach()
    return np.concatenate(parts)


def _contrast(text: dict[str, Any], shown: np.ndarray, behind: np.ndarray) -> float | None:
    """Of most of a text's pixels, which are where the page with and without text differ; None for a
    text without any."""
    grounds = []
    for rows, columns in _places(text["boxes"]):
        ground = behind[rows, columns]
        grounds.append(ground[(shown[rows, columns] != ground).any(axis=-1)])
    ground = np.concatenate([*grounds, np.zeros((0, 3))])
    if not len(ground):
        return None
    *color, alpha = _color(text["color"])
    alpha *= text["opacity"]
    light, dark = _luminance(alpha * np.array(color) + (1 - alpha) * ground), _luminance(ground)
    ratios = (np.maximum(light, dark) + 0.05) / (np.minimum(light, dark) + 0.05)
    return float(np.percentile(ratios, CROSSED))


def _places(boxes: list[list[float]]) -> Iterator[tuple[slice, slice]]:
    for left, top, width, height in boxes:
        ends = max(int(top + height) + 1, 0), max(int(left + width) + 1, 0)  # 0: outside
        yield slice(max(int(top), 0), ends[0]), slice(max(int(left), 0), ends[1])


def _color(text: str) -> tuple[float, float, float, float]:
    """Red, green and blue from 0 to 255, and the opacity, of a computed color."""
    red, green, blue, *alpha = map(float, re.findall(r"[\d.]+(?:e-?\d+)?", text))
    scale = 255 if text.startswith("color(srgb") else 1
    return scale * red, scale * green, scale * blue, *(alpha or [1.0])


def _luminance(colors: np.ndarray) -> np.ndarray:
    """Relative luminance as WCAG defines it."""
    shares = colors / 255
    linear = np.where(shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4)
    return linear @ np.array([0.2126, 0.7152, 0.0722])
