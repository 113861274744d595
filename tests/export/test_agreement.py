"""How two answers are compared."""

import math

import pytest
import torch

from convatlas.errors import InputError
from convatlas.export.agreement import Agreement, compare, worst

EXPECTED = torch.tensor([[4.0, 0.0, 1.0], [0.0, 2.0, 1.999]])


def test_the_error_is_a_part_of_the_largest_logit():
    found = compare(EXPECTED, EXPECTED + torch.tensor([0.0, 0.4, 0.0]), 0.2)
    assert found.relative_error == pytest.approx(0.1)
    assert (found.top1, found.decided_top1) == (1.0, 1.0)


def test_a_close_call_may_turn_where_rounding_may_turn_it():
    turned = EXPECTED.clone()
    turned[1] = torch.tensor([0.0, 1.999, 2.0])
    found = compare(EXPECTED, turned, 0.001)
    assert (found.top1, found.decided_top1) == (0.5, 1.0)
    assert found.misfit(0.001) == ""
    assert found.misfit(0.001, strict=True) == "the same class for 50.0% of the answers only"
    assert compare(EXPECTED, turned, 1e-6).decided_top1 == 0.5


def test_a_map_of_logits_is_compared_pixel_by_pixel():
    expected = EXPECTED[:, :, None, None].expand(2, 3, 2, 2).contiguous()
    found = expected.clone()
    found[0, :, 0, 0] = torch.tensor([0.0, 4.0, 1.0])
    assert compare(expected, found, 1e-4).top1 == 7 / 8


def test_what_is_not_finite_is_beyond_every_tolerance():
    found = compare(EXPECTED, EXPECTED * float("nan"), 1.0)
    assert "beyond" in found.misfit(1e9)
    assert math.isnan(worst([Agreement(0.0, 1.0, 1.0), found]).relative_error)


def test_another_shape_is_told():
    with pytest.raises(InputError, match=r"has the shape \(2, 2\), not \(2, 3\)"):
        compare(EXPECTED, EXPECTED[:, :2], 1e-4)


def test_the_worst_of_several():
    several = [Agreement(0.1, 1.0, 0.5), Agreement(0.2, 0.75, 1.0)]
    assert worst(several) == Agreement(0.2, 0.75, 0.5)
