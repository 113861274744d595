"""Blocks that lectures argue with, against the arithmetic of the lectures."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

import convatlas as ca
from convatlas.analysis.block_studies import STUDIES
from convatlas.analysis.comparisons import measure
from convatlas.analysis.subjects import NotDerivable, Subjects
from convatlas.errors import InputError

EXAMPLE = {"input": [256, 28, 28], "c1": 128, "c3": 192, "c5": 96}
REDUCED = {**EXAMPLE, "r3": 64, "r5": 64, "pool_proj": 64}
LAYER = {"in": 512, "out": 512, "k": 3, "size": 14}

# subject, quantity, config, what pencil and paper give
ROWS: list[tuple[str, str, dict[str, Any], Any]] = [
    ("inception_module_naive", "macs", EXAMPLE, 28 * 28 * 256 * (128 + 192 * 9 + 96 * 25)),
    ("inception_module_naive", "macs", {**EXAMPLE, "c5": 1}, 28 * 28 * 256 * (128 + 1728 + 25)),
    ("inception_module", "macs", REDUCED, 28 * 28 * (256 * 320 + 64 * (192 * 9 + 96 * 25))),
    ("inception_module", "layer_macs", {"layer": "conv3x3.conv"}, 28 * 28 * 64 * 9 * 192),
    ("inception_module", "layer_count", {"count": "branches"}, 4),
    ("inception_module", "channels", {"layer": "pool.proj"}, 64),
    ("inception_mini", "params", {}, 78218),
    ("inception_mini", "params", {"num_classes": 100}, 78218 + 90 * 129),
    ("inception_mini", "layer_params", {"layer": "conv"}, 3 * 9 * 32 + 32),
    ("inception_mini", "layer_params", {"layer": "conv_1_1"}, 32 * 32 + 32),
    ("inception_mini", "layer_params", {"layer": "conv_2_1"}, 32 * 64 + 64),
    ("inception_mini", "layer_params", {"layer": "conv_2_2"}, 64 * 9 * 32 + 32),
    ("inception_mini", "layer_params", {"layer": "conv_3_2"}, 64 * 25 * 32 + 32),
    ("inception_mini", "layer_params", {"layer": "mp_4_1"}, 0),
    ("inception_mini", "layer_params", {"layer": "output_layer"}, 1290),
    ("inception_mini", "output_shape", {"layer": "mp", "input_size": 64}, [32, 32, 32]),
    ("inception_mini", "output_shape", {"layer": "mp_4_1"}, [32, 16, 16]),
    ("inception_mini", "output_shape", {"layer": "concat"}, [128, 16, 16]),
    ("inception_mini", "output_shape", {"layer": "gap"}, [128]),
    ("dense_block", "connections", {"layers": 5}, 15),
    ("dense_block", "channels", {"k0": 64, "k": 32, "l": 6}, 64 + 32 * 5),
    ("dense_block", "channels", {"k0": 64, "k": 32, "layers": 6}, 64 + 32 * 6),
    ("dense_block", "layer_params", {"layers": 1, "k0": 2, "k": 3, "bn": False}, 2 * 9 * 3),
    ("depthwise_separable", "layer_macs", {**LAYER, "step": "Convolution"}, 512 * 512 * 9 * 196),
    ("depthwise_separable", "layer_macs", LAYER, 512 * (9 + 512) * 196),
    ("depthwise_separable", "layer_macs", {**LAYER, "step": "alpha = 0.75"}, 384 * 393 * 196),
    ("depthwise_separable", "layer_macs", {**LAYER, "step": "rho = 0.714 (14 -> 10)"}, 15091200),
    (
        "depthwise_separable",
        "layer_macs",
        {**LAYER, "step": "rho = 0.5", "alpha": 1},
        512 * 521 * 49,
    ),
    ("depthwise_separable", "layer_params", {**LAYER, "step": "\u03b1 = 0.5"}, 256 * (9 + 256)),
    ("depthwise_separable", "params", {"M": 8, "N": 4, "D_K": 5}, 8 * 25 + 8 * 4),
    ("gap", "params", {}, 0),
    ("gap", "output_shape", {"layer": "pool", "input": [3, 7, 5]}, [3, 1, 1]),
    ("gap", "hyperparameter", {"name": "positions averaged on a 7x7 map"}, 49),
    ("gap", "hyperparameter", {"name": "positions averaged on an 8x4 map"}, 32),
]


def claim(number: int, row: tuple[str, str, dict[str, Any], Any], **changes: Any) -> dict[str, Any]:
    subject, quantity, config, value = row
    entry = {"id": f"row{number}", "architecture": subject, "quantity": quantity, "config": config}
    source = {"ref": "A lecture", "where": "a slide"}
    rest = {"value": value, "tolerance": "exact", "source": source, "kind": "derivable"}
    return entry | rest | changes


def wrong(value: Any) -> Any:
    return [wrong(part) for part in value] if isinstance(value, list) else value + 1


def verdicts(folder: Path, claims: list[dict[str, Any]]) -> list[str]:
    (folder / "ledger.yaml").write_text(yaml.safe_dump(claims), encoding="utf-8")
    return [result.verdict for result in ca.check_claims(ledger=folder)]


def test_the_arithmetic_of_the_lectures_holds(tmp_path: Path):
    claims = [claim(i, row) for i, row in enumerate(ROWS)]
    found = verdicts(tmp_path, claims)
    assert [row for row, verdict in zip(ROWS, found, strict=True) if verdict != "pass"] == []


def test_a_wrong_number_fails(tmp_path: Path):
    claims = [claim(i, row, value=wrong(row[3])) for i, row in enumerate(ROWS)]
    assert set(verdicts(tmp_path, claims)) == {"fail"}


def test_a_wrong_print_beside_a_right_reference_is_an_erratum(tmp_path: Path):
    claims = [
        claim(i, row, value=wrong(row[3]), reference_value=row[3], agrees=False)
        for i, row in enumerate(ROWS)
    ]
    assert set(verdicts(tmp_path, claims)) == {"erratum"}


@given(st.integers(1, 60), st.integers(1, 16), st.integers(1, 16))
@settings(max_examples=8, deadline=None)
def test_a_dense_block_has_a_connection_for_each_pair_of_layers(layers: int, k: int, k0: int):
    config = {"layers": layers, "k": k, "k0": k0}
    found = measure("dense_block", "connections", config, Subjects())
    assert found == layers * (layers + 1) // 2


@given(st.integers(1, 64), st.integers(1, 64), st.sampled_from([1, 3, 5, 7]), st.integers(1, 20))
@settings(max_examples=15, deadline=None)
def test_a_separable_layer_costs_what_the_formula_says(m: int, n: int, k: int, size: int):
    config = {"M": m, "N": n, "D_K": k, "D_F": size}
    subjects = Subjects()
    separable, standard = (
        measure("depthwise_separable", "macs", {**config, "step": step}, subjects)
        for step in ("separable", "standard convolution")
    )
    assert separable / standard == pytest.approx(1 / n + 1 / k**2)


@pytest.mark.parametrize(
    ("subject", "config"),
    [
        ("conv_stack", {"layers": [3], "colour": "red"}),
        ("conv_stack", {"layers": [0]}),
        ("conv_stack", {"layers": 3}),
        ("inception_module", {"c1": 0}),
        ("inception_module", {"c7": 64}),
        ("inception_module", {"input": [256, 28]}),
        ("inception_module_naive", {"r3": 64}),
        ("inception_mini", {"num_classes": "ten"}),
        ("dense_block", {}),
        ("dense_block", {"layers": 2.5}),
        ("depthwise_separable", {"step": "convolution", "in": -1}),
        ("depthwise_separable", {"step": "beta = 2"}),
        ("depthwise_separable", {"step": 3}),
        ("depthwise_separable", {"step": "rho = 0.5", "alpha": "wide"}),
        ("gap", {"input_size": True}),
        ("gap", {"input_size": 10**9}),
        ("conv_stack", {"layers": [3] * 1001}),
        ("conv_stack", {"layers": [10**6]}),
        ("conv_stack", {"layers": [3] * 20, "stride": 9}),  # an image of 10^19 pixels a side
        ("inception_module", {"c3": 2**40}),
        ("dense_block", {"layers": 10**6}),
        ("depthwise_separable", {"D_K": 2**11}),
    ],
)
def test_what_no_block_can_be_built_with_is_one_clear_error(subject: str, config: dict[str, Any]):
    with pytest.raises(InputError) as caught:
        STUDIES[subject].build(config)
    assert "\n" not in str(caught.value)
    with pytest.raises(NotDerivable):
        measure(subject, "params", config, Subjects())


def test_a_block_has_the_layers_that_it_has():
    with pytest.raises(NotDerivable, match="the block has 4 layers, not 5"):
        measure("dense_block", "channels", {"layers": 4, "l": 5}, Subjects())
