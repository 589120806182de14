"""The page as one HTML file that needs nothing else."""

from __future__ import annotations

from functools import cache
from itertools import count

from spectroflow.report.blocks import facts_list, render_block
from spectroflow.report.page import Page, Section, SpectrumPlot
from spectroflow.report.style import CSS, SCRIPT
from spectroflow.report.text import escape, tag

# Nothing may be loaded from anywhere: the page shows what it holds.
_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data: blob:; font-src data:; "
    "form-action 'none'; base-uri 'none'"
)


def render_page(page: Page) -> str:
    """Return a page as one HTML document, plotly included; it opens without a network.

    All text is escaped. A generated spectrum is dashed and named as generated wherever it is drawn.
    """
    identifiers = count(1)
    sections, links = [], []
    for index, section in enumerate(page.sections, 1):
        text = tag("p", escape(section.text)) if section.text else ""
        # A block that is called what its section is called needs no second heading.
        heading = tag("h3", escape(section.title))
        blocks = "".join(render_block(block, identifiers).removeprefix(heading) for block in section.blocks)
        sections.append(
            f'<section id="part-{index}" aria-labelledby="title-{index}">'
            f'<h2 id="title-{index}">{escape(section.title)}</h2>{text}{blocks}</section>'
        )
        links.append(f'<li><a href="#part-{index}">{escape(section.title)}</a></li>')
    has_plots = next(identifiers) > 1
    scripts = f"<script>{_plotly()}</script><script>{SCRIPT}</script>" if has_plots else ""
    lead = tag("p", escape(page.subtitle), class_="lead") if page.subtitle else ""
    navigation = f'<nav aria-label="Parts of this page"><ul>{"".join(links)}</ul></nav>' if len(links) > 1 else ""
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(page.title)}</title><style>{CSS}</style></head><body>"
        '<a class="skip" href="#content">Skip to the content</a>'
        f"<header><h1>{escape(page.title)}</h1>{lead}{facts_list(page.facts)}</header>{navigation}"
        f'<main id="content">{"".join(sections)}</main>'
        "<footer>Made by SpectroFlow. This file holds all it shows and loads nothing.</footer>"
        f"{scripts}</body></html>\n"
    )


def render_spectrum(plot: SpectrumPlot) -> str:
    """Return one spectrum with lines, baseline, residual and flags as an HTML document of its own."""
    return render_page(Page(title=plot.title, sections=[Section("Spectrum", [plot])]))


@cache
def _plotly() -> str:
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs()).replace("</script", "<\\/script")
