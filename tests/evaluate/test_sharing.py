"""Processes that share the images find together what one finds alone."""

import numpy as np
import pytest
import torch
from torch import nn

from convatlas.data.preprocess import Preprocessing
from convatlas.data.splits import ArraySplit
from convatlas.evaluate.evaluation import evaluate
from convatlas.evaluate.protocols import CENTER, TenCrop
from rank_processes import TakingTurns

CLASSES = ("a", "b", "c")
PREPROCESSING = Preprocessing((6, 6), (0.5,), (0.25,), resize_shorter=8)


def split_of(count):
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 3, count)
    return ArraySplit(rng.integers(0, 255, (count, 9, 8), np.uint8), labels, np.arange(count), "x")


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(36, 3))


@pytest.mark.parametrize("protocol", [CENTER, TenCrop()], ids=["center", "10crop"])
@pytest.mark.parametrize("count", [1, 4, 11])
def test_together_they_are_one(protocol, count):
    settings = {"batch_size": 4, "protocol": protocol}
    split, model, board = split_of(count), network(), []
    alone = evaluate(model, split, PREPROCESSING, CLASSES, **settings)
    for rank in range(3):
        sharing = TakingTurns(rank, 3, board)
        shared = evaluate(model, split, PREPROCESSING, CLASSES, sharing=sharing, **settings)
    assert sum(len(part.predictions) for part in board) == count
    assert [p.index for p in shared.predictions] == list(range(count))
    assert [p.predicted for p in shared.predictions] == [p.predicted for p in alone.predictions]
    assert shared.loss == pytest.approx(alone.loss, rel=1e-6)
    assert shared.brier == pytest.approx(alone.brier, rel=1e-6)
    assert shared.confusion == alone.confusion
