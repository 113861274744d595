"""Pages as PNG and as SVG: the same words and pictures in both."""

import base64
import io
from xml.etree import ElementTree

import numpy as np
import torch
from PIL import Image

from convatlas.visualize.draw import colours, figure, signed_colours
from convatlas.visualize.page import Page

SVG = "{http://www.w3.org/2000/svg}"


def drawn(kind="evidence", title: str = "A “title” with <marks> & more") -> Page:
    heat = torch.linspace(-1 if kind == "signed" else 0, 1, 64).reshape(8, 8)
    image = Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8))
    return figure(image, heat, title, "network, layer", kind)


def read(page: Page) -> ElementTree.Element:
    return ElementTree.fromstring(page.svg())  # our own words, nobody else's


def test_the_words_of_an_svg_are_text_and_say_what_is_shown() -> None:
    root = read(drawn())
    words = [element.text for element in root.iter(f"{SVG}text")]
    assert words[:2] == ["A “title” with <marks> & more", "network, layer"]
    assert words[-5:] == ["0", "0.25", "0.5", "0.75", "1"]
    assert root.findtext(f"{SVG}title") == "A “title” with <marks> & more"
    assert root.findtext(f"{SVG}desc") == "network, layer"


def test_the_pictures_of_an_svg_are_those_of_the_png() -> None:
    page = drawn()
    canvas = page.image()
    assert read(page).get("viewBox") == f"0 0 {canvas.width} {canvas.height}"
    found = list(read(page).iter(f"{SVG}image"))
    assert len(found) == 2
    for element in found:
        held = base64.b64decode(element.get("href", "").partition(",")[2])
        x, y = int(element.get("x", "")), int(element.get("y", ""))
        with Image.open(io.BytesIO(held)) as picture:
            box = (x, y, x + picture.width, y + picture.height)
            assert canvas.crop(box).tobytes() == picture.convert("RGB").tobytes()


def test_the_colour_bar_of_an_svg_has_the_colours_of_the_map() -> None:
    for kind, low, table in (("evidence", 0.0, colours), ("signed", -1.0, signed_colours)):
        stops = [stop.get("stop-color") for stop in read(drawn(kind)).iter(f"{SVG}stop")]
        wanted = table(np.linspace(1.0, low, len(stops)))
        assert stops == ["#" + bytes(colour).hex() for colour in wanted.tolist()]


def test_equal_pages_are_equal_files() -> None:
    assert drawn().svg() == drawn().svg()
    assert drawn().svg() != drawn(title="Another").svg()
    assert drawn().image().tobytes() == drawn().image().tobytes()


def test_a_box_lies_on_the_pixels_that_it_names() -> None:
    page = Page(10, 8)
    page.box((2, 1, 6, 4), (1, 2, 3))
    page.box((8, 6, 8, 6), None, fill=(4, 5, 6))
    pixels = np.asarray(page.image())
    assert (pixels == (1, 2, 3)).all(axis=2).sum() == 2 * 5 + 2 * 2
    assert pixels[1, 2].tolist() == pixels[4, 6].tolist() == [1, 2, 3]
    assert pixels[6, 8].tolist() == [4, 5, 6]
    line, point = list(read(page).iter(f"{SVG}rect"))[1:]
    assert [line.get(key) for key in ("x", "y", "width", "height")] == ["2.5", "1.5", "4", "3"]
    assert [point.get(key) for key in ("x", "y", "width", "height")] == ["8", "6", "1", "1"]


def test_words_that_are_too_long_end_in_an_ellipsis() -> None:
    page = Page(200, 40)
    page.write("short", (0, 0), width=100)
    page.write("a long caption " * 9, (0, 20), width=100)
    short, long = (element.text or "" for element in read(page).iter(f"{SVG}text"))
    assert short == "short"
    assert long.startswith("a long")
    assert long.endswith("…")
    assert (np.asarray(page.image())[:, 101:] == 255).all()
