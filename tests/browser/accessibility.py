"""What a person without a mouse, or without eyes, meets on a page."""

from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

WIDTHS = (1440, 390)
SCHEMES = ("light", "dark")
_GRAVE = ("serious", "critical")

# What a finger of the keyboard rests on: its name, whether it can be seen, and whether a line
# round it or another ground says that it is here.
_FOCUSED = """() => {
  const e = document.activeElement;
  if (!e || e === document.body) return null;
  const style = getComputedStyle(e);
  const box = e.getBoundingClientRect();
  const ring = (s) => (s.outlineStyle !== "none" && parseFloat(s.outlineWidth) > 0)
    || s.boxShadow !== "none";
  const near = [e, e.parentElement, e.nextElementSibling, e.labels && e.labels[0],
    e.closest(".block, .wrap, .container, label")].filter(Boolean);
  return {
    tag: e.tagName.toLowerCase(),
    name: (e.getAttribute("aria-label") || e.textContent || e.value || "").trim().slice(0, 60),
    at: [Math.round(box.left + scrollX), Math.round(box.top + scrollY)],
    ring: near.some((one) => ring(getComputedStyle(one))),
    shown: box.width > 0 && box.height > 0 && style.visibility === "visible",
  };
}"""


def findings(page: Page) -> list[str]:
    """Serious and critical findings of axe on what is shown now: rule, and where."""
    found = Axe().run(page).response["violations"]
    return [
        f"{one['impact']}: {one['id']} at {node['target']}"
        for one in found
        if one["impact"] in _GRAVE
        for node in one["nodes"]
    ]


def walked(page: Page, steps: int) -> list[dict[str, Any]]:
    """What the tab key comes to, one after the other, from the top of the page."""
    seen: list[dict[str, Any]] = []
    for _ in range(steps):
        page.keyboard.press("Tab")
        focused = page.evaluate(_FOCUSED)
        if focused is None:
            break
        seen.append(focused)
    return seen


def unfold(page: Page) -> None:
    """Open everything that is folded."""
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
