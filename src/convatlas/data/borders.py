"""Weights of pixels that make a network learn the borders between cells that touch."""

import math

import numpy as np

from convatlas.data.components import components, two_nearest

REACH = 6  # in units of sigma: beyond, the term is below 2e-8 of its greatest value


def border_weights(classes: np.ndarray, w0: float = 10.0, sigma: float = 5.0) -> np.ndarray:
    """Give the border term of each pixel: w0 exp(-(d1 + d2)^2 / (2 sigma^2)).

    Ronneberger et al. 2015, equation 2, without the class balance w_c; d1 and d2 are the distances
    to the nearest and to the second nearest cell. A cell is a connected region of one class other
    than 0, by the 4 neighbours, so that cells that touch at a corner are two. Only background
    gets the term; the paper leaves open where it holds.

    Args:
        classes: Class of each pixel, (H, W); 0 is the background.
        w0: The term at a distance of 0.
        sigma: How far it reaches, in pixels; the paper says about 5.

    Returns:
        (H, W), float32; 0 where there is no second cell within reach.
    """
    nearest, second = two_nearest(components(classes), math.ceil(REACH * sigma))
    term = w0 * np.exp(-np.square(nearest + second) / (2 * sigma**2))
    return np.where(classes == 0, term, 0.0).astype(np.float32)
