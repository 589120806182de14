"""Arrays in, arrays out: noise, background, spikes, grids, scales."""

from __future__ import annotations

from spectroflow.signal.baseline import arpls
from spectroflow.signal.despike import despike
from spectroflow.signal.noise import noise_sigma
from spectroflow.signal.normalise import normalise
from spectroflow.signal.resample import resample

__all__ = ["arpls", "despike", "noise_sigma", "normalise", "resample"]
