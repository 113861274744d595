import numpy as np

from convatlas.data.components import components
from convatlas.studies.discs import PARTS, draw_discs, drawn


def test_discs_touch_and_are_parted():
    image, mask = drawn(96, np.random.default_rng(0))
    regions = components(mask)
    assert image.shape == mask.shape == (96, 96)
    assert regions.max() > 10
    parting = 0  # background pixels with two discs within two pixels
    for row, column in np.argwhere(mask == 0):
        around = regions[max(0, row - 2) : row + 3, max(0, column - 2) : column + 3]
        parting += len(set(around[around > 0].tolist())) > 1
    assert parting > 20
    assert image[mask == 1].mean() - image[mask == 0].mean() > 20


def test_equal_seeds_are_equal_images(tmp_path):
    source = draw_discs(tmp_path, 48)
    assert [len(part) for part in (source.train, source.val, source.test)] == list(PARTS.values())
    assert len(source.card.classes) == 2
    image, mask = source.train.pair(0)
    expected = drawn(48, np.random.default_rng(0))
    assert np.array_equal(image, expected[0])
    assert np.array_equal(mask, expected[1])
    assert not np.array_equal(source.train.mask(0), source.test.mask(0))
