"""`--max-bad`: how a part is written, and what an evaluation does with bad images."""

import click
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import convatlas as ca
from convatlas.cli import main
from convatlas.cli.options import max_bad_option


@click.command()
@max_bad_option
def shown(max_bad: float) -> None:
    click.echo(repr(max_bad))


@pytest.mark.parametrize(
    ("words", "part"),
    [([], 0.01), (["1%"], 0.01), (["0.5 %"], 0.005), (["0"], 0.0), (["0.2"], 0.2), (["100%"], 1.0)],
)
def test_a_part_is_a_percentage_or_a_fraction(words, part):
    done = CliRunner().invoke(shown, ["--max-bad", *words] if words else [])
    assert done.exit_code == 0
    assert float(done.output) == pytest.approx(part)


@pytest.mark.parametrize("text", ["1.5", "101%", "-1%", "few", "1%%", "", "nan"])
def test_refuses_what_is_no_part(text):
    done = CliRunner().invoke(shown, ["--max-bad", text])
    assert done.exit_code == 2
    assert "is no part such as 1% or 0.01" in done.output


@pytest.fixture
def trained(tmp_path):
    """A network with fresh weights and 30 pictures to test it on, one of them bad."""
    for split in ("train", "test"):
        for label, name in enumerate(("dark", "light")):
            folder = tmp_path / "pictures" / split / name
            folder.mkdir(parents=True)
            for i in range(15):
                pixels = np.full((8, 8), 100 * label + i, np.uint8)
                Image.fromarray(pixels).save(folder / f"{i:02}.png")
    (tmp_path / "pictures" / "test" / "dark" / "03.png").write_bytes(b"no picture")
    metadata = {
        "classes": ["dark", "light"],
        "preprocessing": {"size": [32, 32], "mean": [0.5], "std": [0.5]},
    }
    model = ca.create("lenet5_modern", num_classes=2)
    ca.save(model, tmp_path / "model.safetensors", metadata)
    return tmp_path


@pytest.mark.parametrize(("limit", "code"), [("1%", 2), ("4%", 0)])
def test_an_evaluation_leaves_bad_images_out_up_to_the_limit(capsys, trained, limit, code):
    words = ["evaluate", str(trained / "model.safetensors"), "--json", "--max-bad", limit]
    with pytest.raises(SystemExit) as caught:
        main([*words, "--data", f"folder:{trained}/pictures"])
    out, err = capsys.readouterr()
    assert (caught.value.code or 0) == code
    assert "test/dark/03.png is no picture" in err
    if code:
        assert "more images of the test split are bad than the limit of 0.01 of 30" in err
    else:
        assert '"count": 29' in out


@pytest.mark.parametrize(("limit", "code"), [("1%", 2), ("4%", 0)])
def test_features_leave_bad_images_out_up_to_the_limit(capsys, trained, limit, code):
    words = ["features", str(trained / "model.safetensors"), "--at", "head.F6", "--probe", "--json"]
    with pytest.raises(SystemExit) as caught:
        main([*words, "--max-bad", limit, "--data", f"folder:{trained}/pictures"])
    out, err = capsys.readouterr()
    assert (caught.value.code or 0) == code
    assert "test/dark/03.png is no picture" in err
    assert ('"count": 29' in out) == (not code)


@pytest.fixture
def masks(tmp_path):
    """A U-Net with fresh weights and 30 images with masks, one of them bad."""
    for split in ("train", "val", "test"):
        for kind in ("images", "masks"):
            (tmp_path / "cells" / split / kind).mkdir(parents=True)
        for i in range(30 if split == "test" else 2):
            for kind in ("images", "masks"):
                pixels = np.full((16, 16), 255, np.uint8)
                pixels[: 1 + i % 8] = 0
                Image.fromarray(pixels).save(tmp_path / "cells" / split / kind / f"{i:02}.png")
    (tmp_path / "cells" / "test" / "masks" / "03.png").write_bytes(b"no picture")
    metadata = {
        "classes": ["background", "foreground"],
        "preprocessing": {"size": [16, 16], "mean": [0.5], "std": [0.5]},
    }
    model = ca.create("unet_padded", num_classes=2, in_channels=1, width=2)
    ca.save(model, tmp_path / "unet.safetensors", metadata)
    return tmp_path


@pytest.mark.parametrize(("limit", "code"), [("1%", 2), ("4%", 0)])
def test_an_evaluation_leaves_bad_masks_out_up_to_the_limit(capsys, masks, limit, code):
    words = ["evaluate", str(masks / "unet.safetensors"), "--json", "--max-bad", limit]
    with pytest.raises(SystemExit) as caught:
        main([*words, "--data", f"segmentation:{masks}/cells"])
    out, err = capsys.readouterr()
    assert (caught.value.code or 0) == code
    assert "test/masks/03.png is no picture" in err
    if code:
        assert "more images with masks of the test split are bad than the limit of 0.01" in err
    else:
        assert '"count": 29' in out
