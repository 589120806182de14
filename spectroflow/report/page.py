"""What a report page holds: plain descriptions, from which :func:`spectroflow.report.render_page` makes HTML.

Text is plain text everywhere; the renderer escapes it. Numbers carry their unit, and every block says
where its figures come from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy.typing as npt

from spectroflow.metrics import Reliability
from spectroflow.modality import Modality

Origin = Literal["measured", "generated", "simulated"]


@dataclass(frozen=True, slots=True)
class Value:
    """One figure.

    Attributes
    ----------
    number
        A number, a text, or None for what is not known; NaN is shown as not known.
    unit
        Its unit; empty for a bare number.
    low, high
        Limits of an interval, where there is one.
    digits
        Digits after the point for floats.
    """

    number: float | int | str | None
    unit: str = ""
    low: float | None = None
    high: float | None = None
    digits: int = 3


Cell: TypeAlias = Value | float | int | str | None


@dataclass(frozen=True, slots=True)
class Fact:
    """One line of the header: what, its value, and where that comes from."""

    label: str
    value: Cell
    source: str = ""


@dataclass(frozen=True, slots=True)
class Notice:
    """A sentence that the reader must see."""

    text: str
    level: Literal["note", "warning", "failure"] = "note"


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table; ``unit`` goes below its title."""

    title: str
    unit: str = ""
    numeric: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """Any table.

    Attributes
    ----------
    rows
        One cell for each column.
    source
        Where the figures come from.
    """

    title: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    source: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class Counts:
    """What became of the records: status names and their numbers for each modality.

    Attributes
    ----------
    codes
        ``{modality: {status name: rows}}``, ``OK`` among the names.
    planned
        Rows that were planned; the page says so where they do not add up.
    """

    codes: Mapping[str, Mapping[str, int]]
    planned: int | None = None
    source: str = ""
    title: str = "Records"


@dataclass(frozen=True, slots=True)
class MetricRow:
    """One method in one direction.

    Attributes
    ----------
    group
        The direction, such as ``raman → ir``; rows of one group stand together.
    method
        Such as ``generator``, ``nearest neighbour``, ``mean spectrum``.
    kind
        ``generator`` is what is judged, ``baseline`` what it must beat, ``bound`` what nothing can beat
        (a replicate measurement); bounds take no part in finding the best.
    values
        By the names of :data:`spectroflow.metrics.MEASURES`.
    axis_unit
        Unit of the target's axis, for measures in axis units.
    materials, spectra
        How many went in.
    """

    group: str
    method: str
    values: Mapping[str, Value | float | None]
    kind: Literal["generator", "baseline", "bound"] = "generator"
    axis_unit: str = ""
    materials: int | None = None
    spectra: int | None = None


@dataclass(frozen=True, slots=True)
class Metrics:
    """Generators and baselines side by side; the best of each group is marked.

    Attributes
    ----------
    measures
        Names of :data:`spectroflow.metrics.MEASURES`, in order.
    protocol
        What the test says, such as ``species: no material is in training and test``.
    """

    rows: Sequence[MetricRow]
    measures: Sequence[str]
    protocol: str = ""
    source: str = ""
    title: str = "How good"


@dataclass(frozen=True, slots=True)
class Series:
    """One spectrum on its axis; NaN where there is no data."""

    axis: npt.ArrayLike
    intensity: npt.ArrayLike
    name: str = ""


@dataclass(frozen=True, slots=True)
class Overlay:
    """One example: the input, what was generated, what was measured, and the residual.

    Attributes
    ----------
    modality
        Of the generated spectrum.
    generated
        Always drawn dashed and named as generated.
    measured
        None where the target was never measured; then there is no residual. It must share the axis of
        ``generated``.
    uncertainty
        Standard deviation of the generated intensity, same shape.
    source_modality, source
        What the generator was given.
    figures
        Figures to show beside the title, such as ``{"r": Value(0.93)}``.
    """

    title: str
    modality: Modality
    generated: Series
    measured: Series | None = None
    uncertainty: npt.ArrayLike | None = None
    source_modality: Modality | None = None
    source: Series | None = None
    figures: Mapping[str, Value] = field(default_factory=dict)
    text: str = ""


@dataclass(frozen=True, slots=True)
class Overlays:
    """Examples of one or more directions. Intensities are shares of each spectrum's own maximum."""

    examples: Sequence[Overlay]
    source: str = ""
    title: str = "Examples"
    text: str = ""


@dataclass(frozen=True, slots=True)
class Curve:
    """A line of a plot over steps, epochs or thresholds."""

    name: str
    x: npt.ArrayLike
    y: npt.ArrayLike
    dashed: bool = False


@dataclass(frozen=True, slots=True)
class Curves:
    """A plot of curves, such as training losses."""

    title: str
    curves: Sequence[Curve]
    x_title: str
    y_title: str
    log_y: bool = False
    source: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class Calibration:
    """Whether confidence means what it says, one reliability for each name (a direction, say).

    Attributes
    ----------
    outcome
        What the outcome is, such as ``share of spectra with r above 0.8``.
    """

    reliabilities: Mapping[str, Reliability]
    outcome: str
    source: str = ""
    title: str = "Calibration of confidence"


@dataclass(frozen=True, slots=True)
class Failure:
    """One record that could not be used."""

    code: str
    source: str
    reason: str
    remedy: str = ""
    modality: str = ""
    row: int | None = None


@dataclass(frozen=True, slots=True)
class Quarantine:
    """Records that failed, with the total where only some are listed."""

    failures: Sequence[Failure]
    total: int
    source: str = ""
    title: str = "Quarantine"


@dataclass(frozen=True, slots=True)
class SpectrumPlot:
    """One spectrum with its fit.

    Attributes
    ----------
    axis, intensity
        The measured points, shape ``(n,)``; NaN where masked.
    origin
        A generated spectrum is drawn dashed and named so.
    lines
        Fitted lines, shape ``(k, parameters)``, with ``parameters`` naming the columns; NaN rows are left out.
    baseline, model
        Baseline, and baseline plus lines, on the points of ``axis``.
    line_curves
        Each line's own profile without baseline, shape ``(k, n)``.
    flags
        Names of flags of the spectrum or the fit.
    """

    title: str
    modality: Modality
    axis: npt.ArrayLike
    intensity: npt.ArrayLike
    origin: Origin = "measured"
    lines: npt.ArrayLike | None = None
    parameters: Sequence[str] = ()
    baseline: npt.ArrayLike | None = None
    model: npt.ArrayLike | None = None
    line_curves: npt.ArrayLike | None = None
    flags: Sequence[str] = ()
    facts: Sequence[Fact] = ()
    source: str = ""


Block: TypeAlias = Notice | Table | Counts | Metrics | Overlays | Curves | Calibration | Quarantine | SpectrumPlot


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the page with a heading."""

    title: str
    blocks: Sequence[Block]
    text: str = ""


@dataclass(frozen=True, slots=True)
class Page:
    """A whole page.

    Attributes
    ----------
    title, subtitle
        What it is about, and one sentence that says the result.
    facts
        What, where, when, which versions, from which input: the header.
    """

    title: str
    sections: Sequence[Section]
    subtitle: str = ""
    facts: Sequence[Fact] = ()
