"""Finding lines: Gaussian second-derivative filters at several widths, in units of the noise."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from spectroflow.signal.compiled import COMPILED, jit
from spectroflow.signal.ordering import ascending, kth_smallest

Array = npt.NDArray[np.float64]
Index = npt.NDArray[np.int64]

#: A filter reaches this many of its own standard deviations to each side.
FILTER_REACH = 4.0
#: Two maxima count as two lines where the response falls between them by this many noise units.
PROMINENCE = 4.0


@jit()
def filter_taps(scale: float) -> Array:
    """Return one half (centre first) of the negative second derivative of a Gaussian, of unit norm and zero sum."""
    half = int(np.ceil(FILTER_REACH * scale))
    taps = np.empty(half + 1)
    for k in range(half + 1):
        u = k / scale
        taps[k] = (1.0 - u * u) * np.exp(-0.5 * u * u)
    total = taps[0]
    for k in range(1, half + 1):
        total += 2.0 * taps[k]
    norm = 0.0
    for k in range(half + 1):
        taps[k] -= total / (2 * half + 1)
        norm += taps[k] * taps[k] * (1.0 if k == 0 else 2.0)
    for k in range(half + 1):
        taps[k] /= np.sqrt(norm)
    return taps


@jit()
def respond(r: Array, taps: Array) -> Array:
    """Return the filter's response to ``r``, mirrored at its ends."""
    n = r.size
    groups = (taps.size + 6) // 8
    half = 8 * groups
    own = np.zeros(half + 1)
    own[: taps.size] = taps
    padded = np.empty(n + 2 * half)
    for i in range(n):
        padded[half + i] = r[i]
    for k in range(1, half + 1):
        padded[half - k] = r[min(k, n - 1)]
        padded[half + n - 1 + k] = r[max(n - 1 - k, 0)]
    out = np.empty(n)
    for i in range(n):
        out[i] = own[0] * r[i]
    # Eight taps at a time, so that each sum is loaded and stored an eighth as often.
    for g in range(groups):
        k = 8 * g + 1
        t0, t1, t2, t3 = own[k], own[k + 1], own[k + 2], own[k + 3]
        t4, t5, t6, t7 = own[k + 4], own[k + 5], own[k + 6], own[k + 7]
        left, right = padded[half - k - 7 : half - k + n], padded[half + k : half + k + 7 + n]
        for i in range(n):
            out[i] += (
                t0 * (left[i + 7] + right[i])
                + t1 * (left[i + 6] + right[i + 1])
                + t2 * (left[i + 5] + right[i + 2])
                + t3 * (left[i + 4] + right[i + 3])
                + t4 * (left[i + 3] + right[i + 4])
                + t5 * (left[i + 2] + right[i + 5])
                + t6 * (left[i + 1] + right[i + 6])
                + t7 * (left[i] + right[i + 7])
            )
    return out


@jit()
def response_noise(response: Array, share: float, normal: float, least: float) -> float:
    """Return the noise of a filter's answers from one of their lower quantiles, which lines hardly reach.

    ``normal`` is the same quantile of the absolute value of a standard normal variable. Noise of up to ``least`` is
    not told apart: counting shows it, without looking for the quantile.
    """
    size = np.abs(response)
    before = int(share * size.size)
    small = 0
    for i in range(size.size):
        small += 1 if size[i] <= least * normal else 0
    return least if small > before else kth_smallest(size, before) / normal


@jit()
def maxima(response: Array, threshold: float, prominence: float, positions: Index) -> int:
    """Write the places of prominent maxima above ``threshold`` into ``positions``; return how many."""
    count = 0
    rising = True
    extreme = -np.inf
    place = 0
    for i in range(response.size):
        v = response[i]
        if rising:
            if v > extreme:
                extreme = v
                place = i
            elif v < extreme - prominence:
                if extreme > threshold and count < positions.size:
                    positions[count] = place
                    count += 1
                rising = False
                extreme = v
        elif v < extreme:
            extreme = v
        elif v > extreme + prominence:
            rising = True
            extreme = v
            place = i
    if rising and extreme > threshold and count < positions.size:
        positions[count] = place
        count += 1
    return count


@jit()
def candidates(r: Array, scales: Array, threshold: float, limit: int) -> tuple[Array, int]:
    """Find lines in ``r``, data in units of the noise on an even axis.

    Finer filters go first; a coarser one adds a line where no finer one saw any, and takes over a line
    that it sees better.

    Returns
    -------
    found : array
        Shape ``(limit, 4)``: place (points), height, FWHM (points), significance; ascending places.
    count : int
    """
    n = r.size
    levels = scales.size
    responses = np.empty((levels, n))
    norms = np.empty(levels)
    usable = 0
    for level in range(levels):
        taps = filter_taps(scales[level])
        if 2 * taps.size > n and level > 0:
            break
        responses[level] = respond(r, taps)
        norms[level] = taps[0]
        usable += 1
    places = np.empty(limit, np.int64)
    best = np.empty(limit, np.int64)
    count = 0
    fresh = np.empty(limit, np.int64)
    for level in range(usable):
        number = maxima(responses[level], threshold, PROMINENCE, fresh)
        before = count
        for f in range(number):
            nearest = -1
            distance = 2.0 * scales[level]
            near = 0
            for c in range(before):
                d = abs(float(places[c] - fresh[f]))
                if d <= 2.0 * scales[level]:
                    near += 1
                    if d <= distance:
                        distance = d
                        nearest = c
            if near == 0:
                if count < limit:
                    places[count] = fresh[f]
                    best[count] = level
                    count += 1
            elif (
                near == 1
                and distance <= scales[level]
                and responses[level, fresh[f]] > responses[best[nearest], places[nearest]]
            ):
                best[nearest] = level
    found = np.empty((limit, 4))
    order = ascending(places[:count].astype(np.float64))
    for k in range(count):
        c = order[k]
        place, level = places[c], best[c]
        width = estimated_width(responses, scales, norms, usable, level, place)
        s = scales[level]
        sigma = width / 2.3548
        answer = norms[level] * np.sqrt(2.0 * np.pi) * sigma * s**3 / (sigma * sigma + s * s) ** 1.5
        found[k, 0] = refined(responses[level], place)
        found[k, 1] = responses[level, place] / answer
        found[k, 2] = width
        found[k, 3] = responses[level, place]
    return found, count


@jit()
def estimated_width(responses: Array, scales: Array, norms: Array, usable: int, level: int, place: int) -> float:
    """Return a line's FWHM in points from how two filters answer to it.

    A Gaussian of standard deviation ``a`` gives a filter of scale ``s`` an answer proportional to
    ``norm * a s**3 / (a**2 + s**2)**1.5``, so the ratio of two answers gives ``a``.
    """
    other = level + 1 if level + 1 < usable else level - 1
    s1, s2 = scales[level], scales[other]
    sigma = s1
    if other >= 0:
        r1, r2 = responses[level, place], responses[other, place]
        if r1 > 0.0 and r2 > 0.0:
            ratio = (r1 / (norms[level] * s1**3) / (r2 / (norms[other] * s2**3))) ** (2.0 / 3.0)
            if abs(ratio - 1.0) > 1e-6:
                square = (s2 * s2 - ratio * s1 * s1) / (ratio - 1.0)
                sigma = np.sqrt(square) if square > 0.0 else (0.5 * s1 if ratio > 1.0 else 3.0 * s1)
        elif r2 <= 0.0:
            sigma = 0.7 * s1
    return float(2.3548 * min(max(sigma, 0.4 * s1), 3.0 * s1))


@jit()
def refined(response: Array, place: int) -> float:
    """Return the maximum of a parabola through three points."""
    if place == 0 or place == response.size - 1:
        return float(place)
    a, b, c = response[place - 1], response[place], response[place + 1]
    bend = a - 2.0 * b + c
    if bend >= 0.0:
        return float(place)
    return float(place + min(max(0.5 * (a - c) / bend, -0.5), 0.5))


if not COMPILED:
    from spectroflow.peaks import plain

    globals().update(
        respond=plain.respond,
    )
