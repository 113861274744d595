"""Score-CAM: class activation maps without gradients.

Wang, Wang, Du, Yang, Zhang, Ding, Mardziel, Hu 2020, "Score-CAM: Score-Weighted Visual Explanations
for Convolutional Neural Networks": https://arxiv.org/abs/1910.01279
"""

import torch
from torch import Tensor, nn

from convatlas.errors import InputError
from convatlas.visualize.labels import Labels, chosen_labels
from convatlas.visualize.scores import maps_and_logits, peak_of_one, prepared, resized, scores_of


@torch.no_grad()
def score_cam(
    model: nn.Module,
    images: Tensor,
    labels: Labels = None,
    *,
    layer: str | None = None,
    batch_size: int = 32,
) -> Tensor:
    """Weigh each map by the score of the image that only shows where the map is strong.

    Algorithm 1: each map, resized to the image and scaled to [0, 1], masks the image; the softmax
    over the maps of the class scores (logits) of the masked images are the weights. The score of
    a black image, which the paper subtracts, cancels there. A map that is the same everywhere
    masks nothing and counts nothing.

    It costs one forward pass for each map: Grad-CAM costs one and a half in all.

    Args:
        model: A classifier; left as it was.
        images: Preprocessed, (N, C, H, W).
        labels: Class to explain: one, or one for each image; the top class of each when not given.
        layer: Dotted name of a layer that gives maps; `model.cam_layer` when not given.
        batch_size: Masked images at a time.

    Returns:
        Heat maps in [0, 1], (N, H, W).

    Raises:
        UnknownNameError: `model` has no such layer.
        InputError: No such class, or a layer that gives no maps.
    """
    if batch_size < 1:
        raise InputError(f"a batch holds at least 1 masked image, not {batch_size}")
    maps, logits = maps_and_logits(model, images, layer)
    chosen = chosen_labels(logits, labels)
    clean = prepared(model, images)
    alone = zip(clean, maps, chosen.tolist(), strict=True)
    weights = torch.stack([_weights(model, *each, batch_size) for each in alone])
    heat = torch.relu((weights[:, :, None, None] * maps).sum(dim=1))
    return peak_of_one(resized(heat, images.shape[2:]))


def _weights(model: nn.Module, image: Tensor, maps: Tensor, label: int, batch_size: int) -> Tensor:
    """Give the weight of each map (K, h, w) of one image (C, H, W): (K,)."""
    masks = resized(maps, image.shape[1:])
    low = masks.amin(dim=(1, 2), keepdim=True)
    span = masks.amax(dim=(1, 2), keepdim=True) - low
    tells = span[:, 0, 0] > 0
    masks = ((masks - low) / span)[tells].to(image.dtype)
    weights = maps.new_zeros(len(maps))
    if len(masks):
        parts = [
            scores_of(model, image * part[:, None], label)[0] for part in masks.split(batch_size)
        ]
        weights[tells] = torch.cat(parts).softmax(dim=0)
    return weights
