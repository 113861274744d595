"""`convatlas visualize` of a network itself: filters, maps, receptive fields."""

import json
from pathlib import Path

import pytest
from PIL import Image


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
