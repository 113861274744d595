"""`--device`: where there is no such device, one line and nothing done; else it computes there."""

import json

import pytest
import torch

IMAGE = "examples/images/digit-3.png"


@pytest.mark.parametrize(
    "args",
    [
        ("train", "lenet5_modern", "--data", "digits"),
        ("evaluate", "RUN", "--data", "digits"),
        ("predict", "RUN", IMAGE),
        ("segment", "RUN", IMAGE),
        ("features", "RUN", "--data", "digits", "--at", "head.act6", "--probe"),
    ],
    ids=lambda args: args[0],
)
@pytest.mark.parametrize(
    ("device", "message"),
    [
        ("cuda:99", "there is no cuda:99 here, only cpu"),
        ("gpu", "no device named 'gpu'; there are: auto, cpu, cuda"),
    ],
)
def test_a_device_that_is_not_there_is_one_line(
    call, run_folder, tmp_path, monkeypatch, args, device, message
):
    given = [str(run_folder) if arg == "RUN" else arg for arg in args]
    monkeypatch.chdir(tmp_path)
    ended = call(*given, "--device", device)
    assert ended.code == 2
    assert ended.out == ""
    assert ended.err.startswith(f"convatlas: {message}")
    assert ended.err.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_card_that_is_taken_unasked_is_told(call, run_folder, monkeypatch):
    from convatlas.cli import model_options
    from convatlas.evaluate import devices

    monkeypatch.setattr(devices, "find_device", lambda *_: torch.device("meta"))
    with pytest.MonkeyPatch.context() as patch:
        told = []
        patch.setattr(model_options.click, "echo", lambda text, **_: told.append(text))
        assert model_options.chosen("auto") == "meta"
        assert model_options.chosen("meta") == "meta"
    assert told == ["computing on meta"]


def test_the_processor_is_not_worth_a_line(call, run_folder):
    ended = call("evaluate", str(run_folder), "--data", "digits", "--device", "cpu", "--json")
    assert (ended.code, ended.err) == (0, "")
    assert json.loads(ended.out)["count"] == 360
