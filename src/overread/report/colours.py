"""Colours for heatmaps: even to the eye, and never grey, so that they are not taken for the image."""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_LIGHTNESS, _HUE_DEGREES, _CHROMA = (0.42, 0.93), (305.0, 458.0), 0.17
"""from violet over red to yellow: lightness and hue go on in equal steps"""
# Ottosson 2020, "A perceptual color space for image processing": OKLab to cones, and these to linear sRGB
_TO_CONES = np.array(
    [[1, 0.3963377774, 0.2158037573], [1, -0.1055613458, -0.0638541728], [1, -0.0894841775, -1.291485548]]
)
_TO_RGB = np.array(
    [
        [4.0767416621, -3.3077115913, 0.2309699292],
        [-1.2684380046, 2.6097574011, -0.3413193965],
        [-0.0041960863, -0.7034186147, 1.707614701],
    ]
)


@functools.cache
def heat_colours() -> NDArray[np.uint8]:
    """256 colours (256, 3) sRGB from weak (dark violet) to strong (light yellow): equal steps in OKLab's lightness.

    The chroma is as large as a screen can show, up to 0.17, and lightness alone tells the order: it prints in grey,
    and no kind of colour blindness changes it.
    """
    steps = np.linspace(0, 1, 256)
    lightness = _LIGHTNESS[0] + (_LIGHTNESS[1] - _LIGHTNESS[0]) * steps
    hue = np.deg2rad(_HUE_DEGREES[0] + (_HUE_DEGREES[1] - _HUE_DEGREES[0]) * steps)
    low, high = np.zeros(256), np.full(256, _CHROMA)
    for _ in range(20):  # bisection: the largest chroma that is within sRGB
        middle = (low + high) / 2
        fits = _within(_linear_rgb(lightness, middle, hue))
        low, high = np.where(fits, middle, low), np.where(fits, high, middle)
    linear = _linear_rgb(lightness, low, hue).clip(0, 1)
    encoded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    colours: NDArray[np.uint8] = np.rint(255 * encoded).astype(np.uint8)
    colours.setflags(write=False)
    return colours


def _linear_rgb(lightness: Floats, chroma: Floats, hue: Floats) -> Floats:
    lab = np.stack([lightness, chroma * np.cos(hue), chroma * np.sin(hue)], axis=-1)
    return np.asarray((lab @ _TO_CONES.T) ** 3 @ _TO_RGB.T)


def _within(linear: Floats) -> NDArray[np.bool_]:
    return np.asarray(((linear >= -1e-6) & (linear <= 1 + 1e-6)).all(axis=-1))
