"""Batches in pieces: how large they are, and that images have nothing to do with each other."""

import pytest
import torch
from installed import need
from torch import nn

from convatlas.engines import graph_pieces
from convatlas.engines.engine import Order
from convatlas.engines.graph_pieces import Pieces, rewritten_in_pieces


@pytest.fixture(autouse=True)
def there(monkeypatch):
    need("packed")
    monkeypatch.setattr(graph_pieces, "quicker", lambda *_: True)


def model() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(4, 4, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(256, 3)
    ).eval()


@pytest.mark.parametrize(("images", "size"), [(0, 1), (1, 1), (2, 2), (3.5, 3), (5, 3), (6, 6)])
def test_a_piece_is_the_largest_part_of_the_batch_that_fits(monkeypatch, images, size):
    image = (4 + 4) * 8 * 8 * 4  # bytes that the convolution reads and writes
    monkeypatch.setattr(graph_pieces, "CACHE_BYTES", images * image)
    net, x = model(), torch.randn(6, 4, 8, 8)
    found, facts = rewritten_in_pieces(Order(net, x))
    assert facts["images_at_a_time"] == size
    assert isinstance(found, Pieces) == (size < 6)
    torch.testing.assert_close(found(x), net(x))


@pytest.mark.parametrize("is_quicker", [True, False])
def test_a_batch_is_cut_only_where_that_is_quicker(monkeypatch, is_quicker):
    monkeypatch.setattr(graph_pieces, "CACHE_BYTES", 0)
    monkeypatch.setattr(graph_pieces, "quicker", lambda *_: is_quicker)
    found, facts = rewritten_in_pieces(Order(model(), torch.randn(4, 4, 8, 8)))
    assert isinstance(found, Pieces) == is_quicker
    assert facts["images_at_a_time"] == (1 if is_quicker else 4)


def test_one_image_is_not_cut(monkeypatch):
    monkeypatch.setattr(graph_pieces, "CACHE_BYTES", 0)
    found, facts = rewritten_in_pieces(Order(model(), torch.randn(1, 4, 8, 8)))
    assert not isinstance(found, Pieces)
    assert facts["images_at_a_time"] == 1


def test_images_that_depend_on_each_other_stay_together(monkeypatch):
    monkeypatch.setattr(graph_pieces, "CACHE_BYTES", 0)
    by_batch = nn.Sequential(nn.BatchNorm2d(4, track_running_stats=False), *model()).eval()
    x = torch.randn(4, 4, 8, 8) * torch.arange(1, 5).view(4, 1, 1, 1)
    found, facts = rewritten_in_pieces(Order(by_batch, x))
    assert facts["images_at_a_time"] == 4
    torch.testing.assert_close(found(x), by_batch(x))


def test_what_takes_longer_is_not_quicker(monkeypatch):
    monkeypatch.undo()
    clock = iter([0, 1, 1, 3, 3, 9, 9, 10])  # 1 and 6 of the first, 2 and 1 of the second
    monkeypatch.setattr(graph_pieces.time, "perf_counter", lambda: next(clock))
    assert not graph_pieces.quicker(nn.Identity(), nn.Identity(), torch.ones(1))
    clock = iter([0, 2, 2, 5, 5, 7, 7, 10])  # always 2 of the first, 3 of the second
    assert graph_pieces.quicker(nn.Identity(), nn.Identity(), torch.ones(1))
