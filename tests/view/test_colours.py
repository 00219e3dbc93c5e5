"""The panel's colours on light and dark pages, as colour-blind eyes see them.

References
----------
Machado, Oliveira, Fernandes: A Physiologically-based Model for Simulation of Color Vision Deficiency.
IEEE Transactions on Visualization and Computer Graphics 15(6), 2009; the matrices of severity 1.0.
Web Content Accessibility Guidelines 2.2, success criterion 1.4.11: 3:1 for graphics.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from numpy.typing import NDArray

from secnb.view.marks import BAND_OPACITY, BELOW_OPACITY, COLOURS, LINE, TEXT

# JupyterLab's light and dark themes, and the dark page of a saved panel.
PAGES = ("#ffffff", "#111111", "#1c1c1c")
VISION = {
    "usual": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "tritanopia": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}
# What stands side by side in one chart, and how faint it is drawn where it is.
CHARTS = {
    ("precision", "recall"): (1.0, BAND_OPACITY),
    ("true alarms", "false alarms", "unlabelled"): (1.0, BELOW_OPACITY),
}
# In CIELAB, of which 2.3 are just noticeable where the two lie side by side.
LEAST_DISTANCE = 20.0
LEAST_DISTANCE_FAINT = 10.0

# Linear sRGB to CIE XYZ (IEC 61966-2-1), where the white is D65.
_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


def srgb(colour: str) -> NDArray[np.float64]:
    return np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)]) / 255


def linear(colour: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(colour <= 0.04045, colour / 12.92, ((colour + 0.055) / 1.055) ** 2.4)


def lab(light: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the CIELAB colour of linear sRGB."""
    part = _XYZ @ light / _XYZ.sum(axis=1)
    f = np.where(part > (6 / 29) ** 3, np.cbrt(part), part / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def distance(one: str, other: str, *, page: str, opacity: float, vision: str) -> float:
    """Return how far two colours are from each other, drawn on a page, for one kind of eyes."""
    seen = [
        VISION[vision] @ linear(opacity * srgb(each) + (1 - opacity) * srgb(page)) for each in (one, other)
    ]
    first, second = (lab(light.clip(0, 1)) for light in seen)
    return float(np.linalg.norm(first - second))


def contrast(one: str, other: str) -> float:
    """Return the contrast ratio of WCAG 2, 1 to 21."""
    dark, light = sorted(_XYZ[1] @ linear(srgb(each)) for each in (one, other))
    return float((light + 0.05) / (dark + 0.05))


def test_the_measures_are_those_of_the_books():
    """White on black has 21:1; grey stays grey for all eyes; red and green run together for some."""
    assert contrast("#ffffff", "#000000") == pytest.approx(21)
    assert lab(linear(srgb("#ffffff"))) == pytest.approx([100, 0, 0], abs=0.01)
    assert lab(linear(srgb("#ff0000"))) == pytest.approx([53.24, 80.09, 67.20], abs=0.05)
    for matrix in VISION.values():
        assert matrix @ np.ones(3) == pytest.approx(np.ones(3), abs=1e-5)
    how = {"page": "#ffffff", "opacity": 1.0}
    one, other = "#a07000", "#609000"
    assert distance(one, other, **how, vision="deuteranopia") < 0.5 * distance(
        one, other, **how, vision="usual"
    )


@pytest.mark.parametrize("vision", VISION)
@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("names", CHARTS, ids="-".join)
def test_what_stands_side_by_side_is_told_apart(names, page, vision):
    for one, other in combinations(names, 2):
        for opacity in CHARTS[names]:
            least = LEAST_DISTANCE if opacity == 1 else LEAST_DISTANCE_FAINT
            found = distance(COLOURS[one], COLOURS[other], page=page, opacity=opacity, vision=vision)
            assert found >= least, (one, other, opacity)


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("colour", sorted({*COLOURS.values(), TEXT, LINE}))
def test_graphics_have_contrast_with_the_page(colour, page):
    assert contrast(colour, page) >= 3
