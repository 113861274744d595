"""A task of which several processes each do a part: together they do what one does."""

import numpy as np
import pytest
import torch
from PIL import Image

from convatlas.catalog import build
from convatlas.data.preprocess import Preprocessing
from convatlas.data.segmentation import open_segmentation
from convatlas.data.tiles import TileReader, tile_batches
from convatlas.evaluate.segmentation import evaluate_segmentation
from rank_processes import TakingTurns


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """Five pictures of bright squares, and their masks."""
    folder = tmp_path_factory.mktemp("pairs")
    rng = np.random.default_rng(0)
    for kind in ("images", "masks"):
        (folder / kind).mkdir()
    for i in range(12):
        mask = np.zeros((20, 24), np.uint8)
        top, left = rng.integers(0, 12, 2)
        mask[top : top + 6, left : left + 8] = 255
        image = (mask // 2 + rng.integers(0, 90, mask.shape)).astype(np.uint8)
        Image.fromarray(image).save(folder / "images" / f"{i}.png")
        Image.fromarray(mask).save(folder / "masks" / f"{i}.png")
    return open_segmentation(f"segmentation:{folder}", root=None)


PREPROCESSING = Preprocessing((16, 16), (0.5,), (0.25,))
WHOLE = Preprocessing((208, 208), (0.5,), (0.25,))


def test_segmentations_are_counted_together(pairs):
    torch.manual_seed(0)
    model = build("unet_padded", 2, 1, width=2).eval()
    alone = evaluate_segmentation(model, pairs.train, WHOLE)
    board = []
    for rank in range(3):
        sharing = TakingTurns(rank, 3, board)
        shared = evaluate_segmentation(model, pairs.train, WHOLE, sharing=sharing)
    assert shared.confusion == alone.confusion
    assert shared.images == alone.images
    assert shared.loss == pytest.approx(alone.loss)


def test_tiles_are_shared(pairs):
    reader = TileReader(pairs.train, PREPROCESSING, border=0, seed=3, epoch=1)
    count = len(pairs.train)
    size = 4 if count % 4 in (1, 2) else 5  # the last batch has fewer tiles than there are parts
    assert 0 < count % size < 3
    whole = list(tile_batches(reader, size))
    shared = [list(tile_batches(reader, size, part=(rank, 3))) for rank in range(3)]
    for one, *parts in zip(whole, *shared, strict=True):
        for field in ("images", "labels", "indices", "weights"):
            found = torch.cat([getattr(part, field) for part in parts])
            assert torch.equal(found, getattr(one, field))
    assert len(shared[2][-1].labels) == 0
