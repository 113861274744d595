"""How attributions are scaled for pictures."""

import torch

from convatlas.cli.attributions import shown_heat


def test_the_99th_percentile_is_the_end_of_the_scale() -> None:
    values = torch.arange(-100.0, 101.0).repeat(10, 1)
    signed, plain = shown_heat(values, signed=True), shown_heat(values.abs(), signed=False)
    assert signed.min() == -1
    assert signed.max() == 1
    torch.testing.assert_close(signed[0, 150], torch.tensor(50 / 99).double())
    assert plain.min() == 0
    assert plain.max() == 1


def test_channels_are_added_up_and_nothing_stays_nothing() -> None:
    values = torch.stack([torch.ones(4, 4), -torch.ones(4, 4)])
    assert shown_heat(values, signed=True).eq(0).all()
    assert shown_heat(values[:1], signed=True).eq(1).all()


def test_a_single_pixel_is_seen() -> None:
    values = torch.zeros(20, 20)
    values[3, 4] = 5.0
    assert shown_heat(values, signed=False)[3, 4] == 1
