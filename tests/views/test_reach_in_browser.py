"""Pages can be reached by everyone: names, announcements, themes and print, in a browser."""

from __future__ import annotations

import re

from browser_pages import idle, violations
from playwright.sync_api import Page, expect

NARROW = {"width": 390, "height": 844}


def ready(page: Page) -> None:
    expect(page.locator(".title, .lecture-title").first).to_be_visible()
    idle(page)
    expect(page.locator("[data-testid=stSkeleton]")).to_have_count(0)


def test_a_changed_step_is_announced_once(open_path):
    page = open_path("?roadmap=resnet50&step=increase_width")
    ready(page)
    said = page.locator(".announced")
    expect(said).to_have_attribute("role", "status")
    expect(said).to_have_text(re.compile("^Increase width, step "))
    page.evaluate(
        """() => {
          window.said = [];
          window.region = document.querySelector(".announced").parentElement;
          new MutationObserver(() => window.said.push(window.region.textContent))
            .observe(window.region, { childList: true, subtree: true, characterData: true });
        }"""
    )
    page.get_by_role("button", name="Next", exact=True).click()
    expect(said).to_have_text(re.compile("^Inverted bottleneck, step "))
    ready(page)
    assert len(set(page.evaluate("said"))) == 1
    assert page.evaluate("region.isConnected")


def test_the_theme_is_chosen_from_a_menu_and_kept_on_the_next_page(open_path):
    page = open_path("sizes")
    ready(page)
    page.get_by_role("button", name="Theme").click()
    page.get_by_role("menuitemradio", name="Dark").click()
    app = page.locator(".stApp")
    expect(app).to_have_css("color-scheme", "dark")
    kept = "Object.keys(localStorage).filter((each) => each.startsWith('stActiveTheme-')).length"
    page.wait_for_function(f"{kept} > 5")
    page.goto(page.url.replace("sizes", "method"))
    ready(page)
    expect(app).to_have_css("color-scheme", "dark")


def test_the_menu_of_pages_has_a_name_in_a_narrow_window(open_path):
    page = open_path("method", NARROW)
    ready(page)
    page.get_by_role("button", name="Pages", exact=True).click()
    expect(page.get_by_role("link", name="Sizes")).to_be_visible()


def test_buttons_are_not_printed(open_path):
    page = open_path("?roadmap=resnet50&step=increase_width")
    ready(page)
    page.emulate_media(media="print")
    for each in (".stButton", ".downloads", "[data-testid=stHeader]"):
        expect(page.locator(each).first).to_be_hidden()
    expect(page.locator(".step")).to_be_visible()


def test_an_address_below_a_page_leads_home(open_path):
    page = open_path("inside/foo", NARROW, "dark")
    expect(page).to_have_title(re.compile("^Page not found"))
    assert violations(page) == []
    page.get_by_role("link", name="Go to the roadmap").click()
    ready(page)
    expect(page.locator("h1")).to_have_text("From ResNet to ConvNeXt")
    page.go_back()
    expect(page.get_by_role("heading", name="Page not found")).to_be_visible()
