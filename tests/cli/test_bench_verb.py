"""`convatlas bench`, called as a user calls it."""

import json

import pytest

from convatlas.engines import machine


@pytest.mark.slow
def test_engines_are_compared(call, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("CONVATLAS_CACHE", str(tmp_path))
    args = ("bench", "lenet5_modern", "--engine=eager", "--batch=1", "--batch=8", "--rounds=2")
    ended = call(*args, "--threads=1")
    assert ended.code == 0
    head, *rows = ended.out.splitlines()
    assert head.split() == [
        "network",
        "batch",
        "engine",
        "precision",
        "img/s",
        "ratio",
        "ms",
        "spread",
        "MB",
        "error",
    ]
    assert [row.split()[:4] for row in rows] == [
        ["lenet5_modern", batch, "eager", "float32"] for batch in "18"
    ]
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
        (["resnet5O"], "no variant named 'resnet5O'; did you mean"),
        (["lenet5", "--engine", "tensorrt"], "no engine named 'tensorrt'; there are: eager"),
        (["lenet5", "--precision", "float16"], "no precision named 'float16'"),
        (["lenet5", "--engine", "eager", "--precision", "int8"], "float32, bfloat16, not in int8"),
        (["lenet5", "--batch", "0"], "0 is not in the range x>=1"),
        (["lenet5", "--input", "3x2"], "is no CxHxW"),
        ([], "Missing argument 'NAME...'"),
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
