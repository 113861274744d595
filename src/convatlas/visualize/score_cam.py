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
    strongest: int | None = None,
    batch_size: int = 32,
) -> Tensor:
    """Weigh each map by the score of the image that only shows where the map is strong.

    Algorithm 1: each map, resized to the image and scaled to [0, 1], masks the image; the softmax
    over the maps of the class scores (logits) of the masked images are the weights. The score of
    a black image, which the paper subtracts, cancels there. A map that is the same everywhere
    masks nothing and counts nothing.

    It costs one forward pass for each map: Grad-CAM costs one and a half in all. With `strongest`
    only the maps that vary most over the image take part, as if the layer had no others.

    Args:
        model: A classifier; left as it was.
        images: Preprocessed, (N, C, H, W).
        labels: Class to explain: one, or one for each image; the top class of each when not given.
        layer: Dotted name of a layer that gives maps; `model.cam_layer` when not given.
        strongest: How many maps take part, those with the largest variance; all when not given.
        batch_size: Masked images at a time.

    Returns:
        Heat maps in [0, 1], (N, H, W).

    Raises:
        UnknownNameError: `model` has no such layer.
        InputError: No such class, or a layer that gives no maps.
    """
    if batch_size < 1:
        raise InputError(f"a batch holds at least 1 masked image, not {batch_size}")
    if strongest is not None and strongest < 1:
        raise InputError(f"at least 1 map takes part, not {strongest}")
    maps, logits = maps_and_logits(model, images, layer)
    chosen = chosen_labels(logits, labels)
    clean = prepared(model, images)
    alone = zip(clean, maps, chosen.tolist(), strict=True)
    weights = torch.stack([_weights(model, *each, strongest, batch_size) for each in alone])
    heat = torch.relu((weights[:, :, None, None] * maps).sum(dim=1))
    return peak_of_one(resized(heat, images.shape[2:]))


def _weights(
    model: nn.Module,
    image: Tensor,
    maps: Tensor,
    label: int,
    strongest: int | None,
    batch_size: int,
) -> Tensor:
    """Give the weight of each map (K, h, w) of one image (C, H, W): (K,)."""
    spread = maps.var(dim=(1, 2), correction=0)
    tells = spread.topk(min(strongest or len(maps), len(maps))).indices
    tells = tells[spread[tells] > 0].sort().values
    weights = maps.new_zeros(len(maps))
    if len(tells):
        parts = [
            scores_of(model, image * _masks(maps[part], image)[:, None], label)[0]
            for part in tells.split(batch_size)
        ]
        weights[tells] = torch.cat(parts).softmax(dim=0)
    return weights


def _masks(maps: Tensor, image: Tensor) -> Tensor:
    """Resize maps that are not flat to an image, each from 0 to 1: (K, h, w) -> (K, H, W)."""
    masks = resized(maps, image.shape[1:])
    low = masks.amin(dim=(1, 2), keepdim=True)
    span = masks.amax(dim=(1, 2), keepdim=True) - low
    return ((masks - low) / span).to(image.dtype)
