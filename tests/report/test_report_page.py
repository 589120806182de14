"""The page: whole, escaped, honest about what is generated, and readable by machines that read to people."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spectroflow.metrics import MEASURES, Reliability
from spectroflow.modality import builtin
from spectroflow.report import (
    Calibration,
    Column,
    Counts,
    Curve,
    Curves,
    Fact,
    Failure,
    MetricRow,
    Metrics,
    Notice,
    Overlay,
    Overlays,
    Page,
    Quarantine,
    Section,
    Series,
    Table,
    Value,
    plots,
    render_page,
)
from spectroflow.report.text import cell, number

MODALITY = builtin()
VOID = {"meta", "br", "link", "img", "input", "hr"}
AXIS = np.linspace(400, 1800, 200)


class Tree(HTMLParser):
    """Checks that elements close in order, and collects them."""

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.open, self.elements, self.words, self.scripts = [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        (self.scripts if self.open and self.open[-1] in {"script", "style"} else self.words).append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


def parse(html):
    tree = Tree()
    tree.feed(html)
    tree.close()
    assert tree.open == []
    return tree


def page_of(*blocks, **about):
    return Page(title=about.pop("title", "A run"), sections=[Section("Part", list(blocks))], **about)


def example(**change):
    rng = np.random.default_rng(0)
    measured = np.exp(-(((AXIS - 900) / 20) ** 2)) + 0.01 * rng.standard_normal(len(AXIS))
    settings_ = {
        "title": "Quartz R040031",
        "modality": MODALITY["ir"],
        "generated": Series(AXIS, np.exp(-(((AXIS - 905) / 20) ** 2))),
        "measured": Series(AXIS, measured),
        "source_modality": MODALITY["raman"],
        "source": Series(np.linspace(100, 1300, 300), np.ones(300)),
        "figures": {"r": Value(0.91)},
    }
    return Overlay(**{**settings_, **change})


def everything(text="text"):
    reliability = Reliability.of([0.1, 0.9, 0.95], [0, 1, 1])
    rows = [
        MetricRow("raman → ir", text, {"r": Value(0.7, low=0.6, high=0.8), "w1": 12.0}, axis_unit="cm-1"),
        MetricRow("raman → ir", "mean spectrum", {"r": 0.5, "w1": 10.0}, "baseline", "cm-1", 10, 20),
        MetricRow("raman → ir", "ceiling", {"r": 0.9, "w1": 1.0}, "bound", "cm-1"),
    ]
    return Page(
        title=text,
        subtitle=text,
        facts=[Fact(text, Value(text, text), text)],
        sections=[
            Section(text, [Notice(text, "warning"), Counts({text: {"OK": 3, "BAD_NUMBER": 1}}, 5, text)], text),
            Section("Two", [Metrics(rows, ["r", "w1"], text, text), Overlays([example(title=text, text=text)], text)]),
            Section("Three", [Calibration({text: reliability}, text, text)]),
            Section("Four", [Curves(text, [Curve(text, [1, 2], [3, np.nan])], text, text, source=text)]),
            Section("Five", [Quarantine([Failure("BAD_NUMBER", text, text, text, text, 3)], 7, text)]),
            Section(
                "Six", [Table(text, [Column(text, text), Column("n", "", True)], [[text, 3], [None, Value(2.5, "s")]])]
            ),
        ],
    )


def test_the_page_is_one_whole_file_that_loads_nothing():
    html = render_page(everything())
    tree = parse(html)
    assert html.startswith("<!DOCTYPE html>")
    assert not [a for name in ("script", "img", "iframe") for a in tree.all(name) if "src" in a]
    assert not tree.all("link")
    assert all(a["href"].startswith("#") for a in tree.all("a"))
    assert html.count("plotly.js v") == 1
    policy = next(a["content"] for a in tree.all("meta") if a.get("http-equiv") == "Content-Security-Policy")
    assert "default-src 'none'" in policy
    assert "form-action 'none'" in policy
    assert not re.search(r"@import|url\(", "".join(s for s in tree.scripts if ":root" in s))


def test_a_page_without_plots_is_small():
    html = render_page(page_of(Notice("done")))
    assert len(html) < 30_000
    assert "plotly" not in html.lower()


HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(1)>\"' & \u2028 </td></style>"


@settings(max_examples=15, deadline=None)
@given(st.one_of(st.just(HOSTILE), st.text(max_size=40)))
def test_text_from_files_is_never_markup(text):
    plain, hostile = parse(render_page(everything())), parse(render_page(everything(text)))
    kinds = [tag for tag, _ in plain.elements if tag not in {"p", "small", "h3", "span"}]
    assert [tag for tag, _ in hostile.elements if tag not in {"p", "small", "h3", "span"}] == kinds or not text
    assert not [a for _, a in hostile.elements if any(key.startswith("on") for key in a)]
    for script in hostile.scripts:
        if script.startswith('{"data"'):
            json.loads(script)


def test_a_generated_spectrum_is_dashed_and_says_so_in_every_plot():
    for one in (example(), example(measured=None), example(source=None, source_modality=None)):
        figure = plots.overlay(one)
        generated = [trace for trace in figure["data"] if trace["name"].startswith("generated")]
        assert len(generated) == 1
        assert generated[0]["line"]["dash"] == "dash"
        others = [t for t in figure["data"] if t["name"] and not t["name"].startswith("generated")]
        assert all(t["line"]["dash"] == "solid" for t in others)
    labels = [
        a["aria-label"] for a in parse(render_page(page_of(Overlays([example()])))).all("div") if a.get("role") == "img"
    ]
    assert len(labels) == 1
    assert "generated" in labels[0]
    assert "never measured" in render_page(page_of(Overlays([example(measured=None)])))


def test_no_button_sends_data_away():
    html = render_page(page_of(Overlays([example()])))
    script = next(s for s in parse(html).scripts if "Plotly.react" in s)
    buttons = re.search(r"var buttons=(\[\[.*?\]\]);", script).group(1)
    assert set(re.findall(r'"(\w+)"', buttons)) == {
        "toImage",
        "zoom2d",
        "pan2d",
        "zoomIn2d",
        "zoomOut2d",
        "resetScale2d",
    }
    assert "modeBarButtons:buttons" in script


def test_infrared_is_drawn_from_high_to_low_and_raman_is_not():
    layout = plots.overlay(example())["layout"]
    assert layout["xaxis"]["autorange"] == "reversed"
    assert "autorange" not in layout["xaxis2"]
    assert layout["xaxis"]["title"]["text"] == MODALITY["ir"].axis_label


def test_residual_is_the_difference_of_what_is_drawn():
    data = {trace["name"]: trace for trace in plots.overlay(example())["data"]}
    shown = [np.array(data[name]["y"]) for name in ("measured", "generated", "measured − generated")]
    assert np.allclose(shown[0] - shown[1], shown[2], atol=2e-4)
    assert shown[0].max() == shown[1].max() == 1.0


def test_gaps_stay_gaps():
    gappy = np.where((AXIS > 700) & (AXIS < 800), np.nan, 1.0)
    trace = next(t for t in plots.overlay(example(measured=Series(AXIS, gappy)))["data"] if t["name"] == "measured")
    assert sum(y is None for y in trace["y"]) == int(np.isnan(gappy).sum()) > 0


def test_counts_add_up_or_the_page_says_so():
    good = parse(
        render_page(page_of(Counts({"raman": {"OK": 5, "BAD_NUMBER": 2}, "ir": {"OK": 4, "DUPLICATE": 1}}, 12)))
    ).text
    assert "12 records 9 ok 2 failed 1 skipped" in good
    assert "accounted for" not in good
    assert "BAD_NUMBER 2" in good
    bad = parse(render_page(page_of(Counts({"raman": {"OK": 5}}, 6)))).text
    assert "6 records were planned and 5 are accounted for" in bad


def test_the_best_of_each_group_is_marked_bounds_excepted():
    html = render_page(everything("ours"))
    best = re.findall(r'<span class="best"[^>]*>([^<]*)', html)
    assert [text.strip() for text in best] == ["0.700", "10.00"], "highest r, lowest distance"
    assert "12.00" in html
    assert "cm⁻¹" in html
    assert "0.600 to 0.800" in html


def test_one_method_alone_is_not_called_best():
    html = render_page(page_of(Metrics([MetricRow("raman → ir", "ours", {"r": 0.7})], ["r"])))
    assert 'class="best"' not in html


def test_every_measure_can_be_shown():
    values = dict.fromkeys(MEASURES, 0.5)
    text = parse(render_page(page_of(Metrics([MetricRow("a → b", "m", values, axis_unit="deg")], list(MEASURES))))).text
    assert all(measure.title in text for measure in MEASURES.values())


def test_tables_have_headers_and_captions_for_those_who_cannot_see():
    tree = parse(render_page(everything()))
    assert len(tree.all("caption")) == len(tree.all("table"))
    assert all("scope" in a for a in tree.all("th"))
    assert all(a.get("aria-label") for a in tree.all("div") if a.get("role") in {"img", "region"})
    levels = [int(tag[1]) for tag, _ in tree.elements if re.fullmatch(r"h\d", tag)]
    assert levels[0] == 1
    assert all(two - one <= 1 for one, two in pairwise(levels)), "no level is skipped"
    identifiers = [a["id"] for _, a in tree.elements if "id" in a]
    assert len(identifiers) == len(set(identifiers))


def test_quarantine_says_how_many_are_not_listed():
    failure = Failure("EMPTY_FILE", "a.txt", "the file is empty", "Delete it.")
    text = parse(render_page(page_of(Quarantine([failure], 40)))).text
    assert "1 of 40" in text
    assert "EMPTY_FILE a.txt – the file is empty Delete it." in text
    assert "No record failed" in parse(render_page(page_of(Quarantine([], 0)))).text


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (1234567, "1\u2009234\u2009567"),
        (-0.5, "−0.500"),
        (0.0, "0.000"),
        (1.5e-7, "1.500 × 10^−7"),
        (float("inf"), "∞"),
        (float("nan"), "–"),
    ],
)
def test_numbers(value, shown):
    assert number(value) == shown


def test_cells():
    assert cell(Value(3.25, "cm-1", digits=1)) == '3.2\u202f<span class="unit">cm⁻¹</span>'
    assert "0.100 to 0.300" in cell(Value(0.2, low=0.1, high=0.3))
    assert "interval" not in cell(Value(0.2, low=float("nan"), high=0.3))
    assert "not known" in cell(None)
    assert "not known" in cell(float("nan"))
    assert cell("<b>") == "&lt;b&gt;"
