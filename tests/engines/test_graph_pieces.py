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
def test_a_piece_is_the_largest_part_of_the_batch_that_fits(images, size):
    image = (4 + 4) * 8 * 8 * 4  # bytes that the convolution reads and writes
    net, x = model(), torch.randn(6, 4, 8, 8)
    found, facts = rewritten_in_pieces(Order(net, x), cache_bytes=images * image)
    assert facts["images_at_a_time"] == size
    assert isinstance(found, Pieces) == (size < 6)
    torch.testing.assert_close(found(x), net(x))


@pytest.mark.parametrize("is_quicker", [True, False])
def test_a_batch_is_cut_only_where_that_is_quicker(monkeypatch, is_quicker):
    monkeypatch.setattr(graph_pieces, "quicker", lambda *_: is_quicker)
    found, facts = rewritten_in_pieces(Order(model(), torch.randn(4, 4, 8, 8)), cache_bytes=0)
    assert isinstance(found, Pieces) == is_quicker
    assert facts["images_at_a_time"] == (1 if is_quicker else 4)


def test_one_image_is_not_cut():
    found, facts = rewritten_in_pieces(Order(model(), torch.randn(1, 4, 8, 8)), cache_bytes=0)
    assert not isinstance(found, Pieces)
    assert facts["images_at_a_time"] == 1


def test_images_that_depend_on_each_other_stay_together():
    by_batch = nn.Sequential(nn.BatchNorm2d(4, track_running_stats=False), *model()).eval()
    x = torch.randn(4, 4, 8, 8) * torch.arange(1, 5).view(4, 1, 1, 1)
    found, facts = rewritten_in_pieces(Order(by_batch, x), cache_bytes=0)
    assert facts["images_at_a_time"] == 4
    torch.testing.assert_close(found(x), by_batch(x))


@pytest.mark.parametrize(
    ("seconds", "first", "rounds"),
    [
        ([2.0, 3.0], True, 1),  # clearly
        ([3.0, 2.0], False, 1),
        ([10.0, 11.0, 10.5, 9.5, 10.0, 11.0], False, 3),
        ([10.0, 9.5, 9.0, 11.0, 9.6, 9.5], True, 3),
    ],
)
def test_the_least_time_tells_what_is_quicker(monkeypatch, seconds, first, rounds):
    monkeypatch.undo()
    times = [time for second in seconds for time in (0.0, second)]
    monkeypatch.setattr(graph_pieces.time, "perf_counter", lambda: times.pop(0))
    assert graph_pieces.quicker(nn.Identity(), nn.Identity(), torch.ones(1)) == first
    assert len(times) == 0
    assert len(seconds) == 2 * rounds
