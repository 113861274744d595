"""`convatlas visualize` of a network itself: filters, maps, receptive fields."""

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
import torch
from PIL import Image

import convatlas as ca


@pytest.mark.parametrize(
    ("method", "needs", "options", "told"),
    [
        ("filters", 0, ["--scaling", "together"], {"filters": 16}),
        ("activations", 1, ["--layer", "stem", "--maps", "3,0"], {"maps": 16}),
        ("activations", 1, ["--data", "digits", "--limit", "10"], {"dead": []}),
        ("patches", 0, ["--data", "digits", "--limit", "70", "--count", "3"], {"source": "digits"}),
        ("maximize", 0, ["--steps", "2", "--tv", "0.1"], {"units": list(range(10)), "layer": None}),
        ("maximize", 0, ["--steps", "2", "--label", "3", "--octaves", "2"], {"names": ["3"]}),
        ("maximize", 0, ["--steps", "1", "--layer", "stem"], {"units": list(range(12))}),
        ("invert", 1, ["--steps", "2", "--layer", "stem"], {"layer": "stem", "steps": 2}),
        ("mistakes", 0, ["--data", "digits", "--limit", "40"], {"count": 40}),
        (
            "embedding",
            0,
            ["--data", "digits", "--limit", "20", "--perplexity", "5", "--grid"],
            {"layer": "head.pool", "count": 20, "length": 64},
        ),
        ("randomization", 1, ["--every", "99"], {"of": "gradcam"}),
        ("randomization", 1, ["--of", "saliency", "--every", "99"], {"of": "saliency"}),
        ("erf", 0, ["--layer", "stem", "--samples", "2"], {"theoretical_size": 3}),
        ("erf", 2, ["--layer", "stem"], {"effective_size": 3.0}),
    ],
)
def test_a_method_draws_one_picture(
    call, run_folder: Path, pictures: list[Path], tmp_path: Path, method, needs, options, told
) -> None:
    out = tmp_path / "picture.png"
    ended = call(
        "visualize", method, run_folder, *pictures[:needs], *options, "--out", out, "--json"
    )
    assert json.loads(ended.out).items() >= {"method": method, **told}.items()
    with Image.open(out) as drawn:
        colours = drawn.convert("RGB").getcolors(maxcolors=10**6)
    assert colours is not None
    assert len(colours) > 20


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["filters", "MODEL", "IMAGE"], "they take no image"),
        (["filters", "MODEL", "--layer", "stage"], "no convolution named 'stage'"),
        (["filters", "MODEL", "--scaling", "eech"], "did you mean: each"),
        (["filters", "MODEL", "--parts", "3"], "16 filters can't be cut into 3 equal parts"),
        (["filters", "MODEL", "--parts", "2"], "colour is that of filters (K, 3, k, k)"),
        (["filters", "MODEL", "--label", "3"], "filters takes no --label; it takes --layer"),
        (["activations", "MODEL"], "activations needs an image"),
        (["activations", "MODEL", "IMAGE", "--maps", "3,x"], "no list of maps"),
        (["activations", "MODEL", "IMAGE", "--maps", "999"], "no map 999; there are 64"),
        (["activations", "MODEL", "IMAGE", "--data", "digits", "--split", "tost"], "mean: test"),
        (["activations", "MODEL", "IMAGE", "--data", "digits", "--limit", "0"], "at least 1"),
        (["patches", "MODEL"], "whose images? name them: --data digits"),
        (["patches", "MODEL", "IMAGE", "--data", "digits"], "not in single images"),
        (["patches", "MODEL", "--data", "digits", "--maps", "64"], "has no map 64; there are 64"),
        (["patches", "MODEL", "--data", "digits", "--count", "0"], "at least 1 patch"),
        (["maximize", "MODEL", "IMAGE"], "it takes no image"),
        (["maximize", "MODEL", "--maps", "1"], "--maps needs --layer"),
        (["maximize", "MODEL", "--layer", "stem", "--label", "1"], "give one of them"),
        (["maximize", "MODEL", "--layer", "stem", "--maps", "99"], "has no map 99"),
        (["maximize", "MODEL", "--decay", "1"], "decay must be at least 0 and below 1"),
        (["invert", "MODEL", "IMAGE", "--steps", "0"], "at least 1 step"),
        (["invert", "MODEL", "IMAGE", "--rate", "1"], "invert takes no --rate"),
        (["towers", "MODEL"], "ResNet has no two towers"),
        (["towers", "MODEL", "IMAGE"], "they take no image"),
        (["mistakes", "MODEL"], "can't read"),
        (["mistakes", "gone"], "whose images? name them, --data digits, or give the folder"),
        (["mistakes", "MODEL", "--weights", "x.pth"], "has weights of its own"),
        (["mistakes", "MODEL", "--split", "val"], "--split is of --data"),
        (["mistakes", "MODEL", "IMAGE"], "not in single images"),
        (["mistakes", "MODEL", "--data", "digits", "--count", "0"], "at least 1 mistake"),
        (["mistakes", "MODEL", "--data", "digits", "--limit", "0"], "--limit must be at least 1"),
        (["embedding", "MODEL"], "whose images? name them: --data digits"),
        (["embedding", "MODEL", "IMAGE", "--data", "digits"], "not of single images"),
        (["embedding", "MODEL", "--data", "digits", "--by", "tsme"], "did you mean: tsne"),
        (["embedding", "MODEL", "--data", "digits", "--limit", "9", "--perplexity", "9"], "9 imag"),
        (["embedding", "MODEL", "--data", "digits", "--layer", "hed"], "no layer of ResNet named"),
        (["randomization", "MODEL"], "randomization needs an image"),
        (["randomization", "MODEL", "IMAGE", "--of", "gradcma"], "did you mean: gradcam"),
        (["randomization", "MODEL", "IMAGE", "--every", "0"], "at least 1 further layer"),
        (
            ["randomization", "MODEL", "IMAGE", "--of", "saliency", "--layer", "stem"],
            "saliency takes no --layer",
        ),
        (["saliency", "MODEL", "IMAGE", "--boxes"], "saliency takes no --boxes"),
        (["erf", "MODEL", "IMAGE", "--samples", "3"], "--samples is of noise"),
        (["erf", "MODEL", "--samples", "0"], "at least 1 sample"),
        (["erf", "MODEL", "--layer", "head.fc"], "not maps"),
    ],
)
def test_what_is_wrong_is_one_line(refused, args: list[str], message: str) -> None:
    refused("visualize", args, message)


def test_several_networks_make_a_contact_sheet(
    call, run_folder: Path, pictures: list[Path], tmp_path: Path
) -> None:
    out, file = tmp_path / "sheet.png", run_folder / "model.safetensors"
    args = ["--with", "resnet8_cifar", "--with", file, "--weights", file, "--label", "3"]
    ended = call("visualize", "gradcam", run_folder, pictures[0], *args, "--out", out, "--json")
    told = json.loads(ended.out)
    assert [one["network"] for one in told["networks"]] == ["resnet8_cifar"] * 3
    assert [one["name"] for one in told["networks"]] == ["3"] * 3
    with Image.open(out) as drawn:
        assert drawn.width > 4 * 260


def test_a_contact_sheet_refuses_what_it_cant_pair(
    call, run_folder: Path, pictures: list[Path], tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for method, options, message in (
        ("gradcam", ["--with", "resnet8_cifar"], "resnet8_cifar is a network without weights"),
        ("gradcam", ["--with", "gone.safetensors"], "gone.safetensors"),
        ("activations", ["--with", run_folder], "activations takes no --with"),
    ):
        ended = call("visualize", method, run_folder, pictures[0], *options)
        assert ended.code == 2
        assert message in ended.err
        assert len(ended.err.splitlines()) == 1


def test_several_pictures_are_svg_where_that_is_asked_for(
    call, run_folder: Path, pictures: list[Path], tmp_path: Path
) -> None:
    ended = call(
        "visualize", "saliency", run_folder, *pictures, "--svg", "--out", tmp_path / "maps"
    )
    assert ended.code == 0
    names = {f"{picture.stem}-saliency.svg" for picture in pictures}
    assert {path.name for path in (tmp_path / "maps").iterdir()} == names


def test_random_weights_are_a_table_too(call, run_folder: Path, pictures: list[Path], tmp_path):
    out = tmp_path / "check.png"
    ended = call(
        "visualize", "randomization", run_folder, pictures[0], "--every", "9", "--out", out
    )
    lines = ended.out.splitlines()
    assert lines[0] == str(out)
    assert lines[1].split() == ["random", "down", "to", "rank", "SSIM"]
    assert lines[-2].split()[:4] == [
        lines[-2].split()[0],
        "of",
        lines[-2].split()[0],
        "stem.conv1.conv",
    ]
    assert lines[-1] in {
        f"gradcam is {kind} to the weights" for kind in ("sensitive", "insensitive")
    }


def test_boxes_are_on_the_picture_and_in_json(
    call, run_folder: Path, pictures: list[Path], tmp_path: Path
) -> None:
    shown = []
    for options in ([], ["--boxes"]):
        out = tmp_path / f"{len(options)}.png"
        args = ["gradcam", run_folder, pictures[0], *options, "--out", out, "--json"]
        shown.append((json.loads(call("visualize", *args).out), out.read_bytes()))
    assert "box" not in shown[0][0]
    top, left, bottom, right = shown[1][0]["box"]
    assert 0 <= top < bottom <= 8
    assert 0 <= left < right <= 8
    assert shown[0][1] != shown[1][1]


def test_the_towers_of_alexnet_are_compared(call, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = ca.create("alexnet_towers", num_classes=3, units=4, input_size=67)
    file, out = tmp_path / "towers.safetensors", tmp_path / "towers.png"
    seen = {"size": [67, 67], "mean": [0.5] * 3, "std": [0.25] * 3}
    ca.save(model, file, {"preprocessing": seen})
    told = json.loads(call("visualize", "towers", file, "--out", out, "--json").out)
    assert told["specialised"] is False
    assert told["colour"] == pytest.approx([2 / 3, 2 / 3], abs=0.02)
    assert (
        json.loads(call("visualize", "filters", file, "--out", out, "--json").out)["filters"] == 96
    )


@pytest.mark.parametrize(
    "args",
    [
        ["gradcam", "MODEL", "IMAGE"],
        ["activations", "MODEL", "IMAGE", "--layer", "stem"],
        ["mistakes", "MODEL", "--data", "digits", "--limit", "30"],
        ["erf", "MODEL", "--layer", "stem", "--samples", "2"],
    ],
)
def test_an_svg_has_what_its_png_has(
    call, run_folder: Path, pictures: list[Path], tmp_path: Path, args: list[str]
) -> None:
    given = {"MODEL": run_folder, "IMAGE": pictures[0]}
    for name in ("a.svg", "b.svg", "c.png"):
        assert (
            call("visualize", *(given.get(a, a) for a in args), "--out", tmp_path / name).code == 0
        )
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    root = ElementTree.parse(tmp_path / "a.svg").getroot()  # our own file
    with Image.open(tmp_path / "c.png") as picture:
        assert (root.get("width"), root.get("height")) == tuple(map(str, picture.size))
    assert len(list(root.iter("{http://www.w3.org/2000/svg}text"))) > 1
    assert len(list(root.iter("{http://www.w3.org/2000/svg}image"))) >= 1
