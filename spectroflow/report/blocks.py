"""Each kind of block as HTML."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import count

import numpy as np

from spectroflow.metrics import MEASURES
from spectroflow.report import plots
from spectroflow.report.page import (
    Block,
    Calibration,
    Cell,
    Column,
    Counts,
    Curves,
    Fact,
    MetricRow,
    Metrics,
    Notice,
    Overlay,
    Overlays,
    Quarantine,
    SpectrumPlot,
    Table,
    Value,
)
from spectroflow.report.text import NOTHING, cell, escape, number, source_line, table, tag, unit_text
from spectroflow.status import code_of, outcome_of


def render_block(block: Block, identifiers: Iterator[int]) -> str:
    """Return a block as HTML; plots take their element names from ``identifiers``."""
    match block:
        case Notice():
            role = "alert" if block.level == "failure" else "note"
            return tag("p", escape(block.text), class_=f"notice {block.level}", role=role)
        case Table():
            return _heading(block.title, block.text) + _table(block) + source_line(block.source)
        case Counts():
            return _counts(block)
        case Metrics():
            return _metrics(block)
        case Overlays():
            examples = "".join(_example(example, identifiers) for example in block.examples)
            note = "Intensities are shares of each spectrum's own maximum. Dashed spectra are generated, not measured."
            return _heading(block.title, block.text or note) + examples + source_line(block.source)
        case Curves():
            label = f"{block.title}: {block.y_title} over {block.x_title} for {', '.join(c.name for c in block.curves)}"
            return (
                _heading(block.title, block.text)
                + _plot(plots.curves(block), label, identifiers)
                + source_line(block.source)
            )
        case Calibration():
            return _calibration(block, identifiers)
        case Quarantine():
            return _quarantine(block)
        case SpectrumPlot():
            return spectrum_block(block, identifiers)


def facts_list(facts: Sequence[Fact]) -> str:
    """Return facts as a grid of label, value and source."""
    items = [
        f"<div><dt>{escape(fact.label)}</dt><dd>{cell(fact.value)}"
        + (f"<small>{escape(fact.source)}</small>" if fact.source else "")
        + "</dd></div>"
        for fact in facts
    ]
    return f'<dl class="facts">{"".join(items)}</dl>' if items else ""


def spectrum_block(plot: SpectrumPlot, identifiers: Iterator[int] | None = None) -> str:
    """Return one spectrum with its fit, flags and table of lines."""
    identifiers = count(1) if identifiers is None else identifiers
    lines = _lines_table(plot)
    flags = "".join(tag("span", escape(flag), class_="flag") for flag in plot.flags)
    label = f"{plot.modality.title} spectrum, {plot.origin}: {plot.title}"
    drawn = _plot(plots.spectrum(plot), label, identifiers)
    warning = ""
    if plot.origin != "measured":
        warning = tag(
            "p", f"This spectrum is {escape(plot.origin)}, not measured.", class_="notice warning", role="note"
        )
    return (
        _heading(plot.title, "")
        + warning
        + facts_list(plot.facts)
        + (f"<p>Flags: {flags}</p>" if flags else "")
        + drawn
        + lines
        + source_line(plot.source)
    )


def _heading(title: str, text: str) -> str:
    return (tag("h3", escape(title)) if title else "") + (tag("p", escape(text)) if text else "")


def _plot(figure: plots.Figure, label: str, identifiers: Iterator[int]) -> str:
    return tag("div", plots.element(figure, label, f"plot-{next(identifiers)}"), class_="figure")


def _table(block: Table) -> str:
    rows = [[cell(value, with_unit=not column.unit) for column, value in _pairs(block, row)] for row in block.rows]
    return table(block.columns, rows, caption=block.title) if rows else tag("p", "There is nothing to list.")


def _pairs(block: Table, row: Sequence[Cell]) -> list[tuple[Column, Cell]]:
    return list(zip(block.columns, row, strict=True))


def _counts(block: Counts) -> str:
    outcomes = {modality: _outcomes(codes) for modality, codes in block.codes.items()}
    totals = {name: sum(row[name] for row in outcomes.values()) for name in ("total", "ok", "failed", "skipped")}
    tiles = "".join(
        f"<div><b{_class(name)}>{number(totals[name])}</b><span>{title}</span></div>"
        for name, title in (("total", "records"), ("ok", "ok"), ("failed", "failed"), ("skipped", "skipped"))
    )
    html = _heading(block.title, "") + f'<div class="tiles">{tiles}</div>'
    if block.planned is not None and block.planned != totals["total"]:
        text = f"{number(block.planned)} records were planned and {number(totals['total'])} are accounted for."
        html += tag("p", escape(text), class_="notice failure", role="alert")
    columns = [Column("Modality"), *(Column(name, "records", True) for name in ("total", "ok", "failed", "skipped"))]
    columns.append(Column("Why"))
    rows = [
        [
            escape(modality),
            *(number(row[name]) for name in ("total", "ok", "failed", "skipped")),
            _codes(block.codes[modality]),
        ]
        for modality, row in outcomes.items()
    ]
    return html + table(columns, rows, caption="By modality") + source_line(block.source)


def _outcomes(codes: Mapping[str, int]) -> dict[str, int]:
    result = {"total": 0, "ok": 0, "failed": 0, "skipped": 0}
    for name, rows in codes.items():
        try:
            outcome = outcome_of(code_of(name))
        except KeyError:
            outcome = "failed"
        result["total"] += rows
        result[outcome] = result.get(outcome, 0) + rows
    return result


def _codes(codes: Mapping[str, int]) -> str:
    shown = [
        f"<code>{escape(name)}</code> {number(rows)}" for name, rows in sorted(codes.items()) if name != "OK" and rows
    ]
    return "<br>".join(shown) or NOTHING


def _class(name: str) -> str:
    return f' class="{name}"' if name != "total" else ""


def _metrics(block: Metrics) -> str:
    measures = [MEASURES[name] for name in block.measures]
    columns = [Column("Method")]
    columns += [Column(measure.title, "" if measure.unit == "axis" else measure.unit, True) for measure in measures]
    columns += [Column("Materials", "", True), Column("Spectra", "", True)]
    html_rows: list[list[str]] = []
    classes: list[str] = []
    for group in dict.fromkeys(row.group for row in block.rows):
        rows = [row for row in block.rows if row.group == group]
        html_rows.append([escape(group)])
        classes.append("group")
        best = {measure.name: _best(rows, measure.name) for measure in measures}
        for row in rows:
            cells = [escape(row.method) + tag("span", escape(row.kind), class_="kind")]
            for measure in measures:
                winner = row.kind != "bound" and _number(row, measure.name) == best[measure.name]
                cells.append(_metric(row, measure.name, winner))
            cells += [cell(row.materials), cell(row.spectra)]
            html_rows.append(cells)
            classes.append(row.kind)
    arrows = ", ".join(f"{measure.title}: {measure.better} is better" for measure in measures)
    note = "The best of each group is marked; in brackets the interval. " + arrows + "."
    text = f"{block.protocol}. " if block.protocol else ""
    return (
        _heading(block.title, text + note)
        + table(columns, html_rows, caption=block.title, classes=classes)
        + source_line(block.source)
    )


def _metric(row: MetricRow, name: str, winner: bool) -> str:
    value = row.values.get(name)
    if value is not None and not isinstance(value, Value):
        value = Value(float(value))
    if value is not None and MEASURES[name].unit == "axis" and not value.unit:
        value = Value(value.number, row.axis_unit, value.low, value.high, 2 if value.digits == 3 else value.digits)
    shown = cell(value, with_unit=MEASURES[name].unit == "axis")
    if not winner:
        return shown
    figure, separator, interval = shown.partition(' <span class="interval">')
    return tag("span", figure, class_="best", title="best of this group") + separator + interval


def _number(row: MetricRow, name: str) -> float:
    value = row.values.get(name)
    plain = value.number if isinstance(value, Value) else value
    return float(plain) if isinstance(plain, int | float) else math.nan


def _best(rows: Sequence[MetricRow], name: str) -> float:
    numbers = [x for row in rows if row.kind != "bound" and not math.isnan(x := _number(row, name))]
    if len(numbers) < 2:
        return math.nan
    return max(numbers) if MEASURES[name].better == "higher" else min(numbers)


def _example(example: Overlay, identifiers: Iterator[int]) -> str:
    chips = "".join(f"<span>{escape(name)} {cell(value)}</span>" for name, value in example.figures.items())
    against = "with the measured one and the residual" if example.measured is not None else "which was never measured"
    label = f"{example.title}: generated {example.modality.title} spectrum, {against}"
    drawn = plots.element(plots.overlay(example), label, f"plot-{next(identifiers)}")
    text = tag("p", escape(example.text)) if example.text else ""
    head = tag("h4", escape(example.title)) + (f'<div class="chips">{chips}</div>' if chips else "") + text
    return tag("article", head + drawn, class_="example")


def _calibration(block: Calibration, identifiers: Iterator[int]) -> str:
    names = list(block.reliabilities.items())
    label = f"{block.outcome} against confidence for {', '.join(name for name, _ in names)}"
    columns = [Column(""), Column("Spectra", "", True), Column("Expected calibration error", "", True)]
    columns += [Column("Greatest error of a bin", "", True), Column("Brier score", "", True)]
    rows = [
        [
            escape(name),
            number(table_.n),
            *(cell(x) for x in (table_.expected_error, table_.greatest_error, table_.brier_score)),
        ]
        for name, table_ in names
    ]
    text = "On the dotted line a confidence means what it says; below it the generator boasts."
    return (
        _heading(block.title, text)
        + _plot(plots.calibration(names, block.outcome), label, identifiers)
        + table(columns, rows, caption=block.title)
        + source_line(block.source)
    )


def _quarantine(block: Quarantine) -> str:
    if not block.total:
        return _heading(block.title, "No record failed.") + source_line(block.source)
    columns = [Column("Code"), Column("Source"), Column("Row", "", True), Column("What happened"), Column("What to do")]
    rows = [
        [
            f"<code>{escape(one.code)}</code>",
            escape(one.source),
            cell(one.row),
            escape(one.reason),
            cell(one.remedy or None),
        ]
        for one in block.failures
    ]
    text = f"{number(len(rows))} of {number(block.total)} failed records are listed."
    return _heading(block.title, text) + table(columns, rows, caption=block.title) + source_line(block.source)


def _lines_table(plot: SpectrumPlot) -> str:
    if plot.lines is None or not plot.parameters:
        return ""
    lines = np.atleast_2d(np.asarray(plot.lines, dtype=np.float64))
    lines = lines[np.isfinite(lines[:, 0])] if lines.size else lines.reshape(0, len(plot.parameters))
    place = {name: index for index, name in enumerate(plot.parameters)}
    units = {"center": plot.modality.axis_unit, "fwhm": plot.modality.axis_unit, "height": plot.modality.intensity_unit}
    titles = {"center": "Center", "height": "Height", "fwhm": "FWHM", "shape": "Lorentzian share", "area": "Area"}
    shown = [name for name in titles if name in place]
    columns = [Column("Line", "", True), *(Column(titles[name], units.get(name, ""), True) for name in shown)]
    if "area" in shown:
        unit = f"{unit_text(plot.modality.intensity_unit)}·{unit_text(plot.modality.axis_unit)}"
        columns[1 + shown.index("area")] = Column("Area", unit, True)
    rows = [[str(n), *(_with_sigma(line, place, name) for name in shown)] for n, line in enumerate(lines, 1)]
    return table(columns, rows, caption=f"Fitted lines ({len(rows)})") if rows else tag("p", "No line was fitted.")


def _with_sigma(line: np.ndarray, place: Mapping[str, int], name: str) -> str:
    value = float(line[place[name]])
    sigma = float(line[place[f"{name}_sigma"]]) if f"{name}_sigma" in place else math.nan
    if not (math.isfinite(sigma) and sigma > 0 and math.isfinite(value)):
        return cell(Value(value, digits=4 if abs(value) < 10 else 2))
    # Two digits of the uncertainty decide how many digits of the value mean anything.
    digits = int(np.clip(1 - math.floor(math.log10(sigma)), 0, 6))
    return f'{escape(number(value, digits))} <span class="unit">± {escape(number(sigma, digits))}</span>'
