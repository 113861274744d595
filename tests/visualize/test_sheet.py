"""Sheets of pictures and contact sheets: what their pixels must say."""

import numpy as np
import pytest
import torch
from PIL import Image

from convatlas.errors import InputError
from convatlas.visualize.contact import View, contact_sheet
from convatlas.visualize.draw import colours
from convatlas.visualize.page import Page
from convatlas.visualize.pictures import (
    filters_picture,
    maps_picture,
    patches_picture,
    plain_picture,
    silent_maps,
)
from convatlas.visualize.sheet import Tile, in_rows, sheet


def counted(page: Page, colour: tuple[int, int, int]) -> int:
    return int((np.asarray(page.image()) == np.array(colour)).all(axis=2).sum())


def flat(colour: tuple[int, int, int], size: tuple[int, int] = (8, 8)) -> Image.Image:
    return Image.new("RGB", size, colour)


def test_every_tile_is_there_in_its_size() -> None:
    red, blue = (250, 0, 0), (0, 0, 250)
    found = sheet([[Tile(flat(red), "one"), Tile(flat(blue, (8, 4)))]], "Title", "under", side=64)
    assert counted(found, red) == 64 * 64
    assert counted(found, blue) == 64 * 32


def test_rows_of_unequal_length_do_not_overlap() -> None:
    tiles = [Tile(flat((250, 10 * n, 0)), str(n)) for n in range(7)]
    found = sheet(in_rows(tiles, 3), "Title", labels=["a", "b", "c"], side=50)
    assert [counted(found, (250, 10 * n, 0)) for n in range(7)] == [2500] * 7


@pytest.mark.parametrize("count", [1, 5, 64, 100, 1000])
def test_rows_hold_every_tile_and_are_not_higher_than_wide(count: int) -> None:
    rows = in_rows([Tile(flat((0, 0, 0)))] * count)
    assert sum(map(len, rows)) == count
    assert count > 576 or len(rows) <= len(rows[0])


def test_an_empty_sheet_is_refused() -> None:
    with pytest.raises(InputError, match="a sheet of 0 rows"):
        sheet([], "Title")
    with pytest.raises(InputError, match="1 labels"):
        sheet([[Tile(flat((0, 0, 0)))]] * 2, "Title", labels=["one"])
    with pytest.raises(InputError, match="at least one network"):
        contact_sheet([], "Title")


def test_a_contact_sheet_shows_each_heat() -> None:
    views = [
        View(name, "a class", flat((255, 255, 255), (20, 20)), torch.full((20, 20), value))
        for name, value in (("first", 0.25), ("second", 1.0))
    ]
    found = contact_sheet(views, "Saliency", kind="pixels")
    for value in (0.25, 1.0):
        red, green, blue = colours(torch.tensor(value)).tolist()
        assert counted(found, (red, green, blue)) >= 260 * 260


def test_filters_maps_and_patches_make_sheets() -> None:
    values = torch.rand(6, 3, 5, 5)
    halves = filters_picture(values, "Filters", labels=["one", "two"])
    assert halves.height > filters_picture(values, "Filters").height
    maps = torch.rand(3, 4, 4)
    maps[1] = 0
    assert silent_maps(maps) == (1,)
    assert maps_picture(maps, "Maps", numbers=[1]).width < maps_picture(maps, "Maps").width
    assert patches_picture({3: [(flat((9, 9, 9)), 1.5)]}, "Patches").width > 500


def test_a_plain_picture_keeps_its_values() -> None:
    assert plain_picture(torch.tensor([[[0.0, 1.0, 0.5]]])).tobytes() == bytes([0, 255, 128])
    assert plain_picture(torch.rand(3, 4, 5)).size == (5, 4)
    with pytest.raises(InputError, match="1 or 3 channels"):
        plain_picture(torch.rand(2, 4, 4))
