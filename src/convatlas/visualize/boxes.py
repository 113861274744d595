"""Boxes around what a heat map finds: where in the image an object is said to be.

Zhou, Khosla, Lapedriza, Oliva, Torralba 2016, section 3.2: https://arxiv.org/abs/1512.04150
"""

import numpy as np
import torch
from torch import Tensor

from convatlas.data.components import components
from convatlas.errors import InputError
from convatlas.visualize.layers import Box

SHARE = 0.2  # of the greatest value, as in the paper


def heat_boxes(heat: Tensor, share: float = SHARE) -> list[Box | None]:
    """Give the box around the largest region of each map that is hotter than a share of its peak.

    The paper takes the places above 20 % of the greatest value and the box that covers the largest
    connected component of them. Places that touch at a corner are connected.

    Args:
        heat: Evidence as `grad_cam` and its kin give it, not negative, (N, H, W).
        share: Of the greatest value, above 0 and below 1.

    Returns:
        For each map top, left, bottom, right, the last two just outside; of regions of one size
        the first in reading order. None where a map is zero everywhere.

    Raises:
        InputError: Another shape, values below 0 or that are not finite, no such share.
    """
    if heat.dim() != 3:
        raise InputError(f"heat maps are (N, H, W); got {tuple(heat.shape)}")
    if not 0 < share < 1:
        raise InputError(f"a share of the greatest heat is above 0 and below 1, not {share:g}")
    if not torch.isfinite(heat).all() or bool((heat < 0).any()):
        raise InputError("boxes are drawn around evidence: values that are finite and not negative")
    return [_box_of_one(values, share) for values in heat.detach().cpu().double().numpy()]


def _box_of_one(values: np.ndarray, share: float) -> Box | None:
    peak = values.max(initial=0)
    if peak == 0:
        return None
    regions = components((values > share * peak).astype(np.uint8), diagonal=True)
    largest = regions == 1 + np.bincount(regions[regions > 0] - 1).argmax()
    rows, columns = (np.flatnonzero(largest.any(axis=axis)) for axis in (1, 0))
    return int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1
