"""`convatlas visualize`, called as a user calls it."""

import json
from pathlib import Path

import pytest
from PIL import Image

import convatlas as ca


def test_visualize_draws_a_picture(
    call, run_folder: Path, pictures: list[Path], tmp_path: Path
) -> None:
    out = tmp_path / "new folder" / "cam.png"
    ended = call("visualize", "gradcam", run_folder, pictures[0], "--out", out)
    assert ended.code == 0
    assert ended.out == f"{out}\n"
    with Image.open(out) as drawn:
        assert drawn.format == "PNG"
        assert min(drawn.size) > 400
        colours = drawn.convert("RGB").getcolors(maxcolors=10**6)
    assert colours is not None
    assert len(colours) > 500
    assert [path.name for path in out.parent.iterdir()] == ["cam.png"]


def test_visualize_names_its_picture_after_the_image(
    call, run_folder: Path, pictures: list[Path], tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ended = call("visualize", "gradcam", run_folder, pictures[1])
    assert ended.out == "digit 1-gradcam.png\n"
    assert (tmp_path / "digit 1-gradcam.png").is_file()


def test_a_label_is_a_name_or_an_index(
    call, run_folder: Path, pictures: list[Path], tmp_path: Path
) -> None:
    model, metadata = ca.load(run_folder)
    names = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "9"]
    ca.save(model, tmp_path / "m.safetensors", metadata | {"classes": names})

    def drawn(label: str, layer: str = "stages.stage3") -> dict:
        out = tmp_path / "cam.png"
        options = ["--label", label, "--layer", layer, "--out", out, "--json"]
        return json.loads(
            call("visualize", "gradcam", tmp_path / "m.safetensors", pictures[0], *options).out
        )

    by_name = drawn("three")
    assert by_name["label"] == 3
    assert by_name == drawn("3")
    assert drawn("9")["name"] == "9"
    assert drawn("9", "stem")["layer"] == "stem"


def test_several_images_make_pictures_in_a_folder(
    call, run_folder: Path, pictures: list[Path], tmp_path: Path
) -> None:
    out = tmp_path / "maps"
    ended = call("visualize", "gradcam", run_folder, *pictures[:2], "--out", out, "--json")
    told = json.loads(ended.out)
    assert [Path(facts["file"]).name for facts in told] == [
        "digit 0-gradcam.png",
        "digit 1-gradcam.png",
    ]
    assert all(Path(facts["file"]).is_file() for facts in told)


@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("gradcam++", {}),
        ("scorecam", {"layer": "stages.stage3"}),
        ("cam", {}),
        ("guided-gradcam", {}),
        ("saliency", {}),
        ("smoothgrad", {"samples": 2, "noise": 0.1, "seed": 3}),
        ("integrated", {"steps": 4}),
        ("guided", {}),
        ("deconvnet", {}),
        ("occlusion", {"size": 4, "stride": 2}),
    ],
)
def test_a_method_draws_with_its_options(
    call, run_folder: Path, pictures: list[Path], tmp_path: Path, method: str, options: dict
) -> None:
    out = tmp_path / "picture.png"
    given = [str(part) for key, value in options.items() for part in (f"--{key}", value)]
    args = ["--label", "3", "--out", out, "--json"]
    ended = call("visualize", method, run_folder, pictures[0], *given, *args)
    assert json.loads(ended.out).items() >= {"method": method, "label": 3, **options}.items()
    with Image.open(out) as drawn:
        colours = drawn.convert("RGB").getcolors(maxcolors=10**6)
    assert colours is not None
    assert len(colours) > 100


def test_a_name_takes_its_weights(
    call, run_folder: Path, pictures: list[Path], tmp_path: Path
) -> None:
    file, out = run_folder / "model.safetensors", tmp_path / "cam.png"
    args = ["resnet8_cifar", pictures[0], "--weights", file, "--out", out]
    assert call("visualize", "gradcam", *args).code == 0
    assert out.is_file()


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["gradcamm", "MODEL", "IMAGE"], "no method named 'gradcamm'; did you mean: gradcam"),
        (["gradcam", "MODEL", "IMAGE", "--steps", "3"], "gradcam takes no --steps; it takes"),
        (["occlusion", "MODEL", "IMAGE", "--size", "9"], "a square of 9 pixels does not fit"),
        (["integrated", "MODEL", "IMAGE", "--steps", "0"], "at least 1 step"),
        (["gradcam", "MODEL"], "gradcam needs an image"),
        (["gradcam", "MODEL", "IMAGE", "IMAGE", "--out", "x.png"], "--out is a folder, not x.png"),
        (["gradcam", "MODEL", "IMAGE", "IMAGE"], "two images are called 'digit 0'"),
        (["gradcam", "MODEL", "IMAGE", "--weights-from", "timm"], "there are none"),
        (["gradcam", "MODEL", "IMAGE", "--layer", "stages.stage"], "did you mean: stages.stage"),
        (["gradcam", "MODEL", "IMAGE", "--label", "10"], "no class 10; there are 10, from 0 to 9"),
        (["gradcam", "MODEL", "IMAGE", "--label", "-1"], "no class -1; there are 10"),
        (["gradcam", "MODEL", "IMAGE", "--out", "cam.jpg"], "must end in .png or .svg"),
        (["gradcam", "MODEL", "IMAGE", "--out", "cam.png", "--svg"], "--svg contradicts --out"),
        (["gradcam", "MODEL", "gone.png"], "gone.png"),
        (["gradcam", "MODEL", "IMAGE", "--layer", "head.fc"], "not maps"),
    ],
)
def test_visualize_says_what_is_wrong_in_one_line(refused, args: list[str], message: str) -> None:
    refused("visualize", args, message)


def test_a_picture_that_cant_be_written_is_one_line(
    call, run_folder: Path, pictures: list[Path], tmp_path: Path
) -> None:
    (tmp_path / "folder").write_text("a file where a folder should be")
    ended = call(
        "visualize", "gradcam", run_folder, pictures[0], "--out", tmp_path / "folder" / "x.png"
    )
    assert ended.code == 2
    assert "can't write" in ended.err
    assert len(ended.err.splitlines()) == 1


@pytest.mark.parametrize("verb", ["evaluate", "predict", "visualize"])
def test_help_shows_an_example(call, verb: str) -> None:
    ended = call(verb, "--help")
    assert ended.code == 0
    assert f"Example: convatlas {verb} " in ended.out
