"""`convatlas export`, called as a user calls it."""

import json
from pathlib import Path

import pytest
import torch

import convatlas as ca


def test_a_run_is_written_and_compared(call, run_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "digits.pt2"
    ended = call("export", run_folder, "--format", "torch", "--out", out)
    assert (ended.code, ended.err) == (0, "")
    first, *rest = ended.out.splitlines()
    assert first.startswith(f"{out}: resnet8_cifar, images batchx1xheightxwidth")
    assert any("over 8 real images: relative error 0.0e+00" in line for line in rest)
    module = torch.export.load(out).module()
    model, metadata = ca.load(run_folder)
    x = torch.randn(2, 1, *metadata["preprocessing"]["size"])
    torch.testing.assert_close(module(x), model(x))


def test_json_tells_what_was_compared(call, run_folder: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    args = ("export", run_folder, "--format=torch", "--fixed-size", "--data=digits", "--json")
    document = json.loads(call(*args).out)
    assert document["files"] == ["resnet8_cifar.pt2"]
    assert document["bytes"] == Path("resnet8_cifar.pt2").stat().st_size
    assert [check["images"] for check in document["checks"]] == ["1 random", "3 random", "8 real"]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["MODEL", "--format", "onx"], "no format named 'onx'; did you mean: onnx?"),
        (
            ["MODEL", "--format", "torch", "--out", "a.pth"],
            "a file of the format torch ends with .pt2, not 'a.pth'",
        ),
        (["resnet50", "--format", "torch"], "resnet50 is a network without weights: add --weights"),
        (["none.safetensors", "--format", "torch"], "no weights file none.safetensors"),
        (["MODEL", "--format", "torch", "--weights-from", "timm"], "there are none"),
        (["MODEL"], "Missing option '--format'"),
    ],
)
def test_what_can_not_be_is_one_line_and_no_file(refused, args, message) -> None:
    refused("export", args, message)
