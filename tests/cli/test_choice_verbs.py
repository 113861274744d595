"""`diff`, `budget`, `compare` and `show --set`, called as a user calls them."""

import json
from pathlib import Path
from typing import NamedTuple

import pytest

from convatlas.cli import main
from convatlas.cli.options import parse_value


class Ended(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]):
    def run(*args: str | Path) -> Ended:
        with pytest.raises(SystemExit) as ended:
            main([str(arg) for arg in args])
        return Ended(int(ended.value.code or 0), *capsys.readouterr())

    return run


def test_diff_shows_what_moves_and_what_it_costs(call) -> None:
    code, out, err = call("diff", "resnet50", "resnet50_v1_5")
    assert (code, err) == (0, "")
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert "MACs 3,857,973,248 4,089,184,256 +231,211,008" in lines
    assert "receptive field 483 427 -56" in lines
    assert "stages.conv5_x.0.conv.conv stride 1x1 -> 2x2 355 -> 299" in lines
    assert len(lines) < 30
    whole = call("diff", "resnet50", "resnet50_v1_5", "--whole").out
    assert len(whole.splitlines()) > 170


def test_diff_as_json_and_on_another_input(call) -> None:
    done = call("diff", "resnet20_cifar", "plain20_cifar", "--input", "1x40x40", "--json")
    found = json.loads(done.out)
    assert found["a"] == {"name": "resnet20_cifar", "input_shape": [1, 40, 40]}
    assert found["totals"]["weight_layers"] == {"a": 20, "b": 20, "delta": 0}
    removed = [layer["a"] for layer in found["layers"] if layer["change"] == "removed"]
    assert "stages.stage1.0.add" in removed


def test_show_with_changes_tells_what_they_cost(call) -> None:
    done = call("show", "mobilenet_v1", "--set", "width_mult=0.5")
    lines = [" ".join(line.split()) for line in done.out.splitlines()]
    assert lines[0] == "mobilenet_v1 with width_mult=0.5 on 3x224x224"
    assert "mobilenet_v1 width_mult=0.5 change" in lines
    assert "parameters 4,231,976 1,331,592 -2,900,384" in lines
    found = json.loads(call("show", "lenet5", "--set", "act=tanh", "--json").out)
    assert found["diff"]["totals"]["params"]["delta"] == 0
    assert "diff" not in json.loads(call("show", "lenet5", "--json").out)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        ("-0.5", -0.5),
        ("1e-4", 1e-4),
        ("true", True),
        ("False", False),
        ("none", None),
        ("null", None),
        ("A", "A"),
        ("'3'", "3"),
        ("3,4,6,3", (3, 4, 6, 3)),
        ("(3, 3)", (3, 3)),
        ("[3]", (3,)),
        ("3x3", "3x3"),
        ("", ""),
        ("a b", "a b"),
        ("1_000", 1000),
        ("((((", "(((("),
        ("x" * 9999, "x" * 9999),
    ],
)
def test_values_are_read_as_python_writes_them(text: str, value: object) -> None:
    read = parse_value(text)
    assert read == value
    assert type(read) is type(value)


def test_budget_names_batches_and_what_takes_the_memory(call) -> None:
    done = call("budget", "lenet5", "--memory", "8MB")
    assert done.code == 0
    lines = [" ".join(line.split()) for line in done.out.splitlines()]
    assert lines[0] == "lenet5 on 1x32x32 in 8.00 MB"
    assert any(line.startswith("training, momentum ") for line in lines)
    assert any(line.startswith("bfloat16, checkpointing ") for line in lines)
    assert any(line.startswith("activations ") and line.endswith("%") for line in lines)
    assert lines[-1].startswith("Not counted: Python")


def test_budget_as_json_takes_every_option(call) -> None:
    options = ["--optimizer", "adam", "--precision", "bfloat16", "--checkpointing"]
    where = ["--input", "1x32x32", "--device", "cuda", "--json"]
    found = json.loads(call("budget", "lenet5", "--memory", "4MiB", *options, *where).out)
    assert found["memory"] == 4 * 2**20
    training = found["training"]
    assert (training["precision"], training["checkpointing"]) == ("bfloat16", True)
    assert training["peak"]["workspace"] == 0
    assert found["savings"] == []


def test_a_budget_for_inference_alone_says_what_training_needs(call) -> None:
    done = call("budget", "lenet5", "--memory", "500kB")
    assert done.code == 0
    assert "none" in done.out
    assert "a batch of 1 needs 919 kB" in done.out


def test_compare_cites_and_draws(call, tmp_path: Path) -> None:
    chart = tmp_path / "chart.png"
    done = call("compare", "lenet5", "cnn_gap", "--batch", "2", "--plot", chart)
    assert done.code == 0
    assert chart.stat().st_size > 10_000
    assert "lenet5: LeCun et al. 1998" in done.out
    assert "cnn_gap: nobody prints any" in done.out
    assert "0.80" in done.out
    assert done.err == "not drawn: cnn_gap, no top-1 error is printed\n"
    found = json.loads(call("compare", "cnn_gap", "--json").out)
    assert [network["name"] for network in found["networks"]] == ["cnn_gap"]


@pytest.mark.parametrize(
    ("args", "line"),
    [
        (["diff", "resnet50"], "NAME"),
        (["diff", "resnet50", "resnet5O"], "did you mean: resnet50"),
        (["diff", "lenet5", "cnn_gap", "--input", "32"], "CxHxW"),
        (["show", "resnet50", "--set", "shortcut"], "KEY=VALUE"),
        (["show", "resnet50", "--set", "shortcutt=A"], "did you mean: shortcut"),
        (["budget", "lenet5"], "--memory"),
        (["budget", "lenet5", "--memory", "much"], "such as 8GB, 8GiB or 512MB"),
        (["budget", "lenet5", "--memory", "1kB"], "a batch of 1 needs 443 kB for inference"),
        (["budget", "lenet5", "--memory", "1GB", "--optimizer", "adan"], "did you mean: adam"),
        (["compare"], "NAME"),
        (["compare", "lenet6"], "did you mean: lenet5"),
        (["compare", "lenet5", "--plot", "chart.gif"], ".png or .svg"),
    ],
)
def test_a_mistake_is_one_line(args: list[str], line: str, call) -> None:
    done = call(*args)
    assert (done.code, done.out) == (2, "")
    assert done.err.count("\n") == 1
    assert line in done.err
