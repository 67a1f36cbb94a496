"""The report in a real browser with the network off."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from actlab import _language, report
from test_report_runs import KINDS

CHROMIUM = "/usr/bin/chromium"
try:
    from playwright.sync_api import sync_playwright
except ImportError:
    sync_playwright = None

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(sync_playwright is None, reason="playwright is not installed"),
    pytest.mark.skipif(not Path(CHROMIUM).exists(), reason=f"no browser at {CHROMIUM}"),
]
PICTURES = """() => [...document.querySelectorAll("img, svg")].map(picture => {
  const box = picture.getBoundingClientRect(), loaded = picture.tagName !== "IMG" || picture.naturalWidth > 0;
  return [box.width > 10 && box.height > 10 && loaded, picture.alt || picture.getAttribute("aria-labelledby")];
})"""
CLIPPED = """() => [...document.querySelectorAll("svg.chart")].flatMap(chart => {
  const whole = chart.getBoundingClientRect();
  return [...chart.querySelectorAll("text")].filter(text => {
    const box = text.getBoundingClientRect();
    return box.left < whole.left - 1 || box.right > whole.right + 1 || box.top < whole.top - 1 || box.bottom > whole.bottom + 1;
  }).map(text => text.textContent);
})"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    assert sync_playwright is not None
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


class Visit:
    """An open page that remembers everything that went wrong and everything it asked for."""

    def __init__(self, browser: Any, path: Path, **context: Any):
        _language.choose("en")
        self.page = browser.new_context(offline=True, **context).new_page()
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.address = report.write(path).as_uri()
        _language.choose(None)
        self.page.goto(self.address)

    def check(self) -> None:
        assert self.complaints == []
        assert [url for url in self.requests if not url.startswith("data:")] == [self.address]
        assert [name for visible, name in self.page.evaluate(PICTURES) if not visible] == []
        assert self.page.evaluate(CLIPPED) == []
        assert self.page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("kind", KINDS)
def test_page_is_whole_in_both_languages(browser: Any, tmp_path: Path, kind: str, width: int, scheme: str):
    visit = Visit(browser, KINDS[kind](tmp_path), viewport={"width": width, "height": 800}, color_scheme=scheme)
    visit.check()
    english = visit.page.inner_text("main")
    visit.page.get_by_role("button", name="中文").click()
    visit.page.wait_for_function("document.documentElement.lang === 'zh'")
    visit.check()
    chinese = visit.page.inner_text("main")
    assert "Settings" in english
    assert "设置" not in english
    assert "设置" in chinese
    assert "Settings" not in chinese
    visit.page.context.close()


def test_language_of_the_address_wins(browser: Any, tmp_path: Path):
    visit = Visit(browser, KINDS["fast"](tmp_path))
    visit.page.goto(visit.address + "#zh")
    visit.page.reload()
    assert visit.page.evaluate("document.documentElement.lang") == "zh"
    assert visit.page.get_by_role("button", name="中文").get_attribute("aria-pressed") == "true"
    assert "被认作" in visit.page.locator(".mistakes img").first.get_attribute("alt")
    visit.page.go_back()
    visit.page.wait_for_function("document.documentElement.lang === 'en'")
    visit.page.context.close()


def test_works_without_javascript(browser: Any, tmp_path: Path):
    visit = Visit(browser, KINDS["fast"](tmp_path), java_script_enabled=False)
    assert "Test accuracy" in visit.page.inner_text("main")
    assert "测试准确率" not in visit.page.inner_text("main")
    assert not visit.page.locator(".switch").is_visible()
    visit.page.context.close()


def test_dark_scheme_changes_charts_too(browser: Any, tmp_path: Path):
    colours = set()
    for scheme in ("light", "dark"):
        visit = Visit(browser, KINDS["fast"](tmp_path), color_scheme=scheme)
        colours.add(visit.page.evaluate("getComputedStyle(document.querySelector('svg.chart text')).fill"))
        visit.page.context.close()
    assert len(colours) == 2
