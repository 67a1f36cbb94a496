"""A matplotlib figure as SVG for the inside of a page: text stays text, colours follow the page, ids are its own."""

import io
import re

import matplotlib
from matplotlib.figure import Figure

# The light palette. On a page each colour is a CSS variable of the same name, so that the dark scheme can replace it.
# Series colours: Okabe & Ito 2008, "Color Universal Design", readable with every kind of colour blindness.
PALETTE = {
    "ink": "#1f2329",
    "muted": "#667080",
    "grid": "#dde1e6",
    "training": "#0072b2",
    "validation": "#d55e00",
    "test": "#009e73",
}


def svg(figure: Figure, name: str) -> str:
    """The figure as one <svg> element without size, whose ids all start with `name`."""
    page = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": f"actlab {name}"}):
        figure.savefig(page, format="svg", transparent=True, metadata={"Date": None})
    text = page.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"\s*<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"\s*<style[^>]*>.*?</style>", "", text, flags=re.DOTALL)
    text = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', text)
    text = re.sub(r'(url\(|href=")#([^)"]+)', rf"\1#{name}-\2", text)
    text = re.sub(r"font: ([^;\"]*?px) [^;\"]*", r"font: \1 var(--font)", text)
    for colour, value in PALETTE.items():
        text = re.sub(rf"{value}\b", f"var(--{colour})", text, flags=re.IGNORECASE)
    box = re.search(r'viewBox="[^"]+"', text)
    head = f'<svg class="chart" role="img" aria-labelledby="{name}-title" {box.group() if box else ""}>'
    return head + text[text.index(">") + 1 :].strip()
