"""What a fit may do: resolved once from a modality and a configuration, then passed to every kernel."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, NamedTuple

from spectroflow.config import FitConfig
from spectroflow.errors import UsageError

if TYPE_CHECKING:
    from spectroflow.modality import Modality

Shape = Literal["gaussian", "lorentzian", "pseudo-voigt", "voigt", "thompson-cox-hastings"]
SHAPES: tuple[Shape, ...] = ("gaussian", "lorentzian", "pseudo-voigt", "voigt", "thompson-cox-hastings")
Effort = Literal["fast", "standard", "precise"]
Baseline = Literal["spline", "arpls", "none"]


class Plan(NamedTuple):
    """The settings as the compiled row fitter takes them."""

    shape: int
    eta_low: float
    eta_high: float
    companion_ratio: float
    companion_intensity: float
    fwhm_low: float
    fwhm_high: float
    slots: int
    threshold: float
    baseline: int
    rounds: int
    split: int
    drop: int
    window: float
    ftol: float
    xtol: float
    max_iterations: int
    polish: int
    model_error: float
    noise: int


@dataclass(frozen=True, slots=True)
class FitSettings:
    """Everything that decides a fit besides the data.

    Attributes
    ----------
    shape
        Line profile during the fit.
    effort
        ``fast``: looks once for lines that the first pass missed. ``standard``: several times, and splits and drops
        lines. ``precise``: tight tolerances and a Voigt polish for the shapes of the Voigt family besides.
    baseline
        ``spline`` is fitted together with the lines; ``arpls`` is subtracted first; ``none``.
    fwhm
        Least and most full width at half maximum in axis units; None: 1.5 to 60 points.
    slots
        Most lines that are kept.
    detection_sigma
        Least significance of a line in the first pass.
    wavelengths
        K-alpha-1, K-alpha-2 (angstrom) and their intensity ratio, or None.
    noise
        ``auto``: counting statistics where the data are evidently counts, else second differences;
        ``counts`` or ``differences`` to insist.
    model_error
        How far the model may miss the data, as a share of the signal nearby: no real line has exactly the
        shape that is fitted. It adds to the noise in quadrature.
    """

    shape: Shape = "pseudo-voigt"
    effort: Effort = "standard"
    baseline: Baseline = "spline"
    fwhm: tuple[float, float] | None = None
    slots: int = 64
    detection_sigma: float = 5.0
    wavelengths: tuple[float, float, float] | None = None
    noise: Literal["auto", "counts", "differences"] = "auto"
    model_error: float = 0.01

    def __post_init__(self) -> None:
        if self.shape not in SHAPES:
            raise UsageError(f"there is no line shape {self.shape!r}", remedy=f"Use one of {', '.join(SHAPES)}.")
        if self.effort not in ("fast", "standard", "precise"):
            raise UsageError(f"there is no effort {self.effort!r}", remedy="Use fast, standard or precise.")
        if self.baseline not in ("spline", "arpls", "none"):
            raise UsageError(f"there is no baseline {self.baseline!r}", remedy="Use spline, arpls or none.")
        if self.fwhm is not None and not 0 < self.fwhm[0] < self.fwhm[1]:
            raise UsageError("the bounds of the width must be positive and ascend", remedy="Give fwhm=(least, most).")
        if self.slots < 1:
            raise UsageError("at least one line must be kept", remedy="Give slots >= 1.")

    @property
    def rendered_shape(self) -> Shape:
        """The profile that the resulting lines describe: precise fits of a pseudo-Voigt end as Voigt."""
        if self.effort == "precise" and self.shape in ("pseudo-voigt", "thompson-cox-hastings"):
            return "voigt"
        return self.shape

    def plan(self) -> Plan:
        """Return the settings as numbers."""
        lowest, highest = {"gaussian": (0.0, 0.0), "lorentzian": (1.0, 1.0)}.get(self.shape, (0.0, 1.0))
        first, second, share = self.wavelengths or (1.0, 1.0, 0.0)
        fast, precise = self.effort == "fast", self.effort == "precise"
        return Plan(
            shape=1 if self.shape == "voigt" else 0,
            eta_low=lowest,
            eta_high=highest,
            companion_ratio=second / first,
            companion_intensity=share,
            fwhm_low=self.fwhm[0] if self.fwhm else 0.0,
            fwhm_high=self.fwhm[1] if self.fwhm else 0.0,
            slots=self.slots,
            threshold=self.detection_sigma,
            baseline={"none": 0, "arpls": 1, "spline": 2}[self.baseline],
            rounds=1 if fast else 3,
            split=0 if fast else 1,
            drop=0 if fast else 1,
            window={"fast": 5.0, "standard": 8.0, "precise": 16.0}[self.effort],
            ftol={"fast": 3e-3, "standard": 1e-4, "precise": 1e-6}[self.effort],
            xtol={"fast": 3e-2, "standard": 1e-3, "precise": 1e-6}[self.effort],
            max_iterations=100 if precise else 30,
            polish=1 if self.rendered_shape == "voigt" and self.shape != "voigt" else 0,
            model_error=self.model_error,
            noise={"auto": 0, "counts": 1, "differences": 2}[self.noise],
        )

    def with_effort(self, effort: Effort) -> FitSettings:
        """Return the same settings with another effort."""
        return replace(self, effort=effort)


def settings_for(modality: Modality, config: FitConfig | None = None) -> FitSettings:
    """Return the settings for spectra of a modality.

    Parameters
    ----------
    modality
        Gives the line shape, the bounds of the width, the slots and the X-ray wavelengths.
    config
        Gives effort, baseline, noise and detection threshold. The defaults where None.
    """
    config = config or FitConfig()
    return FitSettings(
        shape=modality.line_shape,
        effort=config.effort,
        baseline=config.baseline,
        fwhm=modality.fwhm,
        slots=modality.line_slots,
        detection_sigma=config.detection_sigma,
        wavelengths=modality.wavelengths if modality.line_shape == "thompson-cox-hastings" else None,
        noise=config.noise,
        model_error=config.model_error,
    )
