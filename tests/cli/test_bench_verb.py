"""`convatlas bench`, called as a user calls it."""

import json

import pytest

from convatlas.cli import main
from convatlas.engines import machine
from convatlas.engines.bench import Row, plan
from convatlas.engines.timing import Timing
from convatlas.engines.worker import opened


@pytest.mark.slow
def test_engines_are_compared(call, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("CONVATLAS_CACHE", str(tmp_path))
    args = ("bench", "lenet5_modern", "--engine=eager", "--batch=1", "--batch=8", "--rounds=2")
    ended = call(*args, "--threads=1")
    assert ended.code == 0
    told, head, *rows = ended.out.splitlines()
    assert told == "lenet5_modern, float32"
    assert head.split() == ["batch", "engine", "img/s", "ratio", "ms", "spread", "MB", "error"]
    assert [row.split()[:2] for row in rows] == [[batch, "eager"] for batch in "18"]
    assert max(map(len, ended.out.splitlines())) <= 80
    document = json.loads(call(*args, "--json", "--input=1x32x32").out)
    assert set(document) == {"machine", "rows"}
    first = document["rows"][0]
    assert first["ratio"] == 1.0
    assert first["latency"]["least_ms"] <= first["latency"]["median_ms"]
    assert first["images_per_second"] == pytest.approx(1000 / first["latency"]["median_ms"])
    assert first["peak_bytes"] > 10e6


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["runs/none"], "no weights file runs/none"),
        (["none.safetensors"], "no weights file none.safetensors"),
        (["resnet5O"], "no variant named 'resnet5O'; did you mean"),
        (["lenet5", "--engine", "tensorrt"], "no engine named 'tensorrt'; there are: eager"),
        (["lenet5", "--precision", "float16"], "no precision named 'float16'"),
        (["lenet5", "--engine", "eager", "--precision", "int8"], "float32, bfloat16, not in int8"),
        (["lenet5", "--batch", "0"], "0 is not in the range x>=1"),
        (["lenet5", "--input", "3x2"], "is no CxHxW"),
        ([], "Missing argument 'MODEL...'"),
    ],
)
def test_what_can_not_be_is_one_line(refused, args, message) -> None:
    refused("bench", args, message)


def test_a_precision_that_the_machine_lacks_is_one_line(refused, monkeypatch) -> None:
    monkeypatch.setattr(machine, "has_bfloat16", lambda _: False)
    args = ["lenet5", "--precision", "bfloat16"]
    refused("bench", args, "the cpu of this machine has no bfloat16 arithmetic")


@pytest.mark.slow
def test_images_that_no_engine_can_take_are_one_line(refused) -> None:
    args = ["lenet5_modern", "--input", "1x20x20", "--engine", "eager", "--rounds", "1"]
    refused("bench", args, "lenet5_modern: ")


def test_a_trained_network_is_measured_with_its_own_images(run_folder) -> None:
    for place in (run_folder, run_folder / "model.safetensors"):
        [[job]] = plan([str(place)], ["eager"])
        model, shape = opened(job.network)
        assert shape == (1, 8, 8)
        assert model.created_as["name"] == "resnet8_cifar"
        assert opened(job.network, (1, 16, 16))[1] == (1, 16, 16)


def test_a_wide_table_stays_within_80_columns(capsys, monkeypatch) -> None:
    def measured(jobs, *_, **__):
        latency = Timing(1234.5, 1134.5, 1334.5, 9)
        return [Row(job, latency, 1234.5, 10.25, 12_345_000_000, 9.0, 1e-4) for job in jobs[:2]]

    monkeypatch.setattr("convatlas.engines.bench.bench", measured)
    args = ["bench", "efficientnet_b0", "resnext50_32x4d", "--engine", "eager", "--batch", "1"]
    with pytest.raises(SystemExit) as ended:
        main([*args, "--batch", "16"])
    assert ended.value.code == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "float32"
    assert lines[2].split() == [
        "efficientnet_b0", "1", "eager", "1,234", "10.25", "1,234", "±8%", "12,345", "1e-04"
    ]  # fmt: skip
    assert max(map(len, lines)) <= 80
