"""What tells a natural image from noise: neighbours are alike. Penalties and blurs for images."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from convatlas.errors import InputError


def total_variation(images: Tensor, beta: float = 2.0) -> Tensor:
    """Sum (dx^2 + dy^2)^(beta / 2) over the pixels of each image.

    Mahendran, Vedaldi 2015, section 2, for discrete images; differences at the right and lower
    border are zero.

    Args:
        images: (N, C, H, W).
        beta: 1 keeps edges sharp, 2 is smoother.

    Returns:
        (N,).
    """
    across = F.pad(images[..., :, 1:] - images[..., :, :-1], (0, 1))
    down = F.pad(images[..., 1:, :] - images[..., :-1, :], (0, 0, 0, 1))
    squared = across.square() + down.square()
    if beta != 2:
        # the root has no slope at zero
        squared = (squared + torch.finfo(images.dtype).eps) ** (beta / 2)
    return squared.sum(dim=(1, 2, 3))


def blurred(images: Tensor, sigma: float) -> Tensor:
    """Blur images (N, C, H, W) by a Gaussian; pixels beyond the border are those at it.

    Raises:
        InputError: `sigma` is negative or no number.
    """
    if not 0 <= sigma < math.inf:
        raise InputError(f"a blur has a width of 0 or more pixels, not {sigma}")
    radius = math.ceil(3 * sigma)
    if radius == 0:
        return images
    at = torch.arange(-radius, radius + 1, dtype=images.dtype, device=images.device)
    kernel = torch.exp(-at.square() / (2 * sigma**2))
    kernel = kernel / kernel.sum()
    count, channels, height, width = images.shape
    flat = images.reshape(count * channels, 1, height, width)
    flat = F.conv2d(F.pad(flat, (radius, radius, 0, 0), "replicate"), kernel.view(1, 1, 1, -1))
    flat = F.conv2d(F.pad(flat, (0, 0, radius, radius), "replicate"), kernel.view(1, 1, -1, 1))
    return flat.reshape(images.shape)
