"""The verdicts on ledgers made by hand, and what is no ledger."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

import convatlas as ca
from convatlas.analysis.claims import equals, within
from convatlas.analysis.expressions import evaluate
from convatlas.errors import FileError, InputError, UnknownNameError

PAPER_FIGURES = {"layer": "reduction_a", "variant": "paper figures"}
FOUR_CONVS = {"convs_per_block": 4}

Ledger = Callable[..., Path]


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    def write(*claims: dict[str, Any], name: str = "any.yaml") -> Path:
        (tmp_path / name).write_text(yaml.safe_dump(list(claims)), encoding="utf-8")
        return tmp_path

    return write


def a_claim(**changes: Any) -> dict[str, Any]:
    claim = {
        "id": "test.params",
        "architecture": "lenet5_modern",
        "quantity": "params",
        "config": {},
        "value": 61706,
        "tolerance": "exact",
        "source": {"ref": "A paper", "where": "Table 1"},
        "kind": "derivable",
    }
    return claim | changes


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({}, "pass"),
        ({"value": 61707}, "fail"),
        ({"value": 61707, "tolerance": {"abs": 1}}, "pass"),
        ({"value": 60000, "tolerance": {"rel": 0.05}}, "pass"),
        ({"value": 60000, "tolerance": {"rel": 0.01}}, "fail"),
        ({"value": 61706, "tolerance": "upper_bound"}, "pass"),
        ({"value": 61705, "tolerance": "upper_bound"}, "fail"),
        ({"value": 60000, "tolerance": "lower_bound"}, "pass"),
        ({"value": 70000, "tolerance": "lower_bound"}, "fail"),
        ({"reference_value": 61706, "agrees": True}, "pass"),
        ({"value": 62000, "reference_value": 61706, "agrees": False}, "erratum"),
        ({"value": 62000, "reference_value": 61706, "agrees": True}, "fail"),
        ({"value": 62000, "reference_value": 62000, "agrees": True}, "fail"),
        ({"value": 61706, "reference_value": 61707, "agrees": False}, "fail"),
        ({"value": [61706]}, "fail"),
        ({"architecture": "resnet5O"}, "not derivable"),
        ({"architecture": "lenet5+vgg16"}, "not derivable"),
        ({"architecture": "~lenet5_modern"}, "pass"),
        ({"quantity": "beauty"}, "not derivable"),
        ({"config": {"colour": "red"}}, "not derivable"),
        ({"config": {"num_classes": "ten"}}, "not derivable"),
        ({"config": {"num_classes": 20}, "value": 62556}, "pass"),
        ({"config": {"in_channels": 3}, "value": 62006}, "pass"),
        ({"config": {"year": 1998}}, "pass"),
        ({"kind": "historical"}, "not derivable"),
        ({"kind": "trainable_small", "quantity": "test_error"}, "not derivable"),
    ],
)
def test_the_verdict(ledger: Ledger, changes: dict[str, Any], verdict: str):
    (result,) = ca.check_claims(ledger=ledger(a_claim(**changes)))
    assert result.verdict == verdict, result
    assert (result.recomputed is None) == (verdict == "not derivable")
    assert bool(result.reason) == (verdict not in ("pass", "erratum"))


def recompute(folder: Path) -> Any:
    (result,) = ca.check_claims(ledger=folder)
    assert result.recomputed is not None, result.reason
    return result.recomputed


@pytest.mark.parametrize(
    ("architecture", "quantity", "config", "value"),
    [
        ("alexnet", "conv_params", {"groups": 1}, 3747200),
        ("alexnet", "conv_params", {}, 2334080),
        ("alexnet", "fc_params", {}, 58631144),
        ("alexnet", "params_share", {"part": "fc"}, 58631144 / 60965224),
        ("alexnet", "neurons", {}, 659272),
        ("alexnet", "neurons", {"layer": "input", "input_size": 224}, 150528),
        ("alexnet", "output_shape", {"layer": "conv1", "per": "tower"}, [48, 55, 55]),
        ("alexnet", "output_shape", {"layer": "conv1"}, [96, 55, 55]),
        ("alexnet", "kernel_shape", {"layer": "conv4"}, [384, 192, 3, 3]),
        ("alexnet", "hyperparameter", {"name": "groups", "layer": "conv2"}, 2),
        ("alexnet", "hyperparameter", {"name": "stride", "layer": "conv1"}, 4),
        ("alexnet", "layer_count", {"count": "conv layers"}, 5),
        ("alexnet", "layer_count", {"count": "pooling layers"}, 3),
        ("alexnet", "model_bytes", {"dtype": "float16"}, 2 * 60965224),
        ("lenet5", "connections", {}, 340908),
        ("lenet5", "layer_connections", {"layer": "C3"}, 151600),
        ("lenet5", "layer_connections", {"layer": "S4"}, 2000),
        ("lenet5", "layer_params", {"layer": "C3"}, 1516),
        ("lenet5", "macs", {"input_size": 32}, 325680),
        ("lenet5_modern", "layer_params", {"layer": "C1", "bias": False}, 150),
        ("lenet5_modern", "flops", {}, 833040),
        ("lenet5_modern", "nonlinearities", {}, 4),
        ("lenet5_modern", "activation_bytes", {"count": "fc outputs", "batch": 3}, 3 * 4 * 94),
        ("vgg16", "params", {"part": "non-trainable"}, 0),
        ("vgg16", "layer_params", {"layer": "block3_conv2"}, 590080),
        ("vgg16", "layer_macs", {"layer": "fc1"}, 102760448),
        ("vgg16", "macs_share", {"part": "fully connected"}, 123633664 / 15470264320),
        ("vgg16", "receptive_field", {"layer": "block5_pool"}, 212),
        ("resnet50", "params", {"bn": False}, 25503912),
        ("resnet50", "conv_params", {}, 23454912),
        ("resnet50", "block_params", {"block": "bottleneck 256-64-64-256", "bn": False}, 69632),
        ("resnet50", "block_params", {"block": "1 x 64d", "bn": False}, 69632),
        ("resnet50", "channels", {"layer": "conv3_x 3x3"}, 128),
        ("resnet50", "channels", {"layer": "conv3_x input"}, 256),
        ("resnet34", "params", {"shortcut": "A", "difference_to": "plain34"}, 0),
        ("resnet34", "params", {"shortcut": "C", "difference_to": "resnet34"}, 919168),
        ("resnet34", "layer_count", {"count": "blocks in conv4_x"}, 6),
        ("resnet18", "macs", {"input_size": [112, 224]}, 936652800),
        ("mobilenet_v1", "params", {"width_mult": 0.5}, 1331592),
        ("mobilenet_v1", "macs", {"variant": "shallow"}, 307323392),
        ("densenet121", "layer_count", {"count": "dense layers in block 3"}, 24),
        ("squeezenet1_0", "params", {"bypass": "complex"}, 1589672),
        ("wide_resnet28_10_cifar", "weight_layers", {}, 28),
        ("googlenet", "layer_count", {"count": "inception modules"}, 9),
        ("googlenet", "layer_count", {"count": "layers with pooling"}, 27),
        ("googlenet", "layer_count", {"count": "auxiliary classifiers"}, 2),
        ("googlenet", "output_shape", {"layer": "aux1.pool"}, [512, 4, 4]),
        ("googlenet", "layer_count", {"count": "conv+pool blocks before the modules"}, 2),
        ("googlenet", "layer_count", {"count": "branches of inception_4a"}, 4),
        ("googlenet", "layer_count", {"count": "max pooling layers"}, 13),
        ("squeezenet1_0", "layer_count", {"count": "conv+pool blocks before the fire modules"}, 1),
        ("densenet121", "layer_count", {"count": "dense blocks"}, 4),
        ("resnet18", "layer_count", {"count": "basic blocks"}, 8),
        ("inception_v4", "hyperparameter", {"name": "Reduction-A k"}, 192),
        ("inception_resnet_v1", "hyperparameter", {"name": "Reduction-A n"}, 384),
        ("densenet40_k12_cifar", "hyperparameter", {"name": "growth rate"}, 12),
        ("inception_resnet_v1", "channels", PAPER_FIGURES, 896),
        ("inception_resnet_v2", "channels", PAPER_FIGURES, 1152),
        ("wide_resnet16_2_cifar", "params", {"convs_per_block": 2}, 691_674),
        ("wide_resnet16_2_cifar", "layer_count", {"count": "blocks in conv3", **FOUR_CONVS}, 1),
        ("resnet50", "cost_ratio", {"of": "params resnet152 / resnet50"}, 60192808 / 25557032),
        ("resnet50", "cost_ratio", {"of": "macs / macs resnet18"}, 3857973248 / 1814073344),
        ("resnet50", "cost_ratio", {"of": "weight layers resnet152 / resnet50"}, 152 / 50),
        ("resnet50", "cost_ratio", {"of": "params net (2.5M) / lenet5"}, 2.5e6 / 60000),
        ("vgg16", "cost_ratio", {"of": "activation memory training / forward"}, 2.0),
        ("anything", "cost_ratio", {"of": "49C^2 / 27C^2"}, 49 / 27),
        ("conv_stack", "receptive_field", {"layers": [3, 3, 3], "stride": 1}, 7),
        ("conv_stack", "receptive_field", {"layers": [3, 3], "stride": 2}, 7),
        ("conv_stack", "layer_params", {"layers": [7], "channels": 4, "bias": False}, 784),
        ("conv_stack", "layer_params", {"layers": [3, 3], "channels": 2}, 76),
        ("conv_stack", "nonlinearities", {"layers": [3, 3, 3]}, 3),
        ("conv_stack", "macs", {"layers": [3], "channels": 2, "input_size": 5}, 9 * 36),
    ],
)
def test_the_recomputed_value(
    ledger: Ledger, architecture: str, quantity: str, config: dict[str, Any], value: Any
):
    claim = a_claim(architecture=architecture, quantity=quantity, config=config, value=value)
    assert recompute(ledger(claim)) == pytest.approx(value)


def test_an_order_is_that_of_the_networks(ledger: Ledger):
    names = ["alexnet", "lenet5", "resnet18"]
    config = {"metric": "params"}
    folder = ledger(a_claim(quantity="ordering", config=config, value=names))
    (result,) = ca.check_claims(ledger=folder)
    assert result.recomputed == ["lenet5", "resnet18", "alexnet"]
    assert result.verdict == "fail"


@pytest.mark.parametrize(
    ("quantity", "config"),
    [
        ("layer_params", {"layer": "C9"}),
        ("layer_params", {"layer": 3}),
        ("output_shape", {"layer": "C1", "input_size": "big"}),
        ("output_shape", {"layer": "C1", "input_size": 8}),
        ("output_shape", {"layer": "C1", "per": "tower"}),
        ("kernel_shape", {"layer": "stages"}),
        ("params", {"groups": 1}),
        ("params", {"part": "the good ones"}),
        ("params", {"difference_to": "nothing"}),
        ("macs", {"variant": "wide"}),
        ("layer_count", {"count": "all the stars"}),
        ("layer_count", {"count": "blocks in stage9"}),
        ("layer_count", {"count": "inception modules"}),
        ("layer_count", {"count": "auxiliary classifiers"}),
        ("activation_bytes", {"count": "weights"}),
        ("model_bytes", {"dtype": "float7"}),
        ("hyperparameter", {"name": "luck"}),
        ("hyperparameter", {"name": "Reduction-A k"}),
        ("hyperparameter", {"name": "positions averaged on a 7x7 map"}),
        ("layer_count", {"count": "conv+pool blocks before the modules"}),
        ("layer_count", {"count": "branches"}),
        ("layer_count", {"count": "conv blocks"}),
        ("layer_count", {"count": "lucky blocks"}),
        ("params", {"convs_per_block": 2}),
        ("params", {"variant": "paper figures", "input": []}),
        ("model_bytes", {"dtype": ["float32"]}),
        ("block_params", {"block": "32 x 4d"}),
        ("block_params", {"block": "round"}),
        ("ordering", {"metric": "params"}),
        ("cost_ratio", {"of": "effort / gain"}),
        ("cost_ratio", {"of": "C^2"}),
        ("cost_ratio", {}),
    ],
)
def test_what_has_no_rule_is_not_derivable(ledger: Ledger, quantity: str, config: dict[str, Any]):
    (result,) = ca.check_claims(ledger=ledger(a_claim(quantity=quantity, config=config)))
    assert result.verdict == "not derivable"
    assert result.reason
    assert "\n" not in result.reason


@pytest.mark.parametrize("config", [{}, {"layers": []}, {"layers": ["3"]}, {"layers": 3}])
def test_a_stack_without_sizes_is_not_derivable(ledger: Ledger, config: dict[str, Any]):
    claim = a_claim(architecture="conv_stack", quantity="receptive_field", config=config)
    (result,) = ca.check_claims(ledger=ledger(claim))
    assert result.verdict == "not derivable"


def test_claims_are_chosen_by_network_by_family_and_by_file(ledger: Ledger):
    ledger(a_claim(), a_claim(id="test.conv", architecture="conv_stack"), name="blocks.yaml")
    folder = ledger(a_claim(id="test.two", architecture="resnet18+vgg16"), name="results.yml")

    def ids(*names: str) -> list[str]:
        return [result.id for result in ca.check_claims(names, folder)]

    assert ids("lenet5_modern") == ids("lenet5") == ["test.params"]
    assert ids("vgg") == ids("resnet18") == ids("results") == ["test.two"]
    assert ids("blocks") == ids("lenet5", "conv_stack") == ["test.params", "test.conv"]
    assert ids("alexnet") == []
    with pytest.raises(UnknownNameError, match="no network or family named 'vg16'; did you mean"):
        ids("vg16")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- id: [", r"bad.yaml is not YAML: line \d: "),
        ("claims: []", "bad.yaml is no ledger: it must be a list"),
        ("- 3", "bad.yaml, entry 1: a claim is a mapping"),
        ("- {id: a.b}", r"bad.yaml, entry 1 \(a.b\): the claim has no architecture, quantity"),
    ],
)
def test_a_file_that_is_no_ledger_is_one_clear_error(tmp_path: Path, text: str, message: str):
    (tmp_path / "bad.yaml").write_text(text, encoding="utf-8")
    with pytest.raises((FileError, InputError), match=message) as caught:
        ca.check_claims(ledger=tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tolerance": "about"}, "tolerance is exact, upper_bound, lower_bound"),
        ({"tolerance": {"abs": -1}}, "tolerance is"),
        ({"tolerance": {"abs": "1"}}, "tolerance is"),
        ({"kind": "nice"}, "kind is one of derivable, trainable_small"),
        ({"source": "a paper"}, "source must have a ref"),
        ({"config": [1]}, "config must be a mapping"),
        ({"quantity": 3}, "quantity must be text"),
        ({"agrees": "yes"}, "agrees is true or false"),
    ],
)
def test_an_entry_that_is_no_claim_is_named(ledger: Ledger, changes: dict[str, Any], message: str):
    folder = ledger(a_claim(id="test.other"), a_claim(**changes))
    with pytest.raises(InputError, match=rf"any.yaml, entry 2 \(test.params\): {message}"):
        ca.check_claims(ledger=folder)


def test_an_id_may_come_once(ledger: Ledger):
    ledger(a_claim(), name="first.yaml")
    folder = ledger(a_claim(), name="second.yaml")
    with pytest.raises(InputError, match=r"second.yaml, entry 1: the id test.params is already"):
        ca.check_claims(ledger=folder)


def test_a_folder_without_claims_is_an_error(tmp_path: Path):
    with pytest.raises(FileError, match=r"has no \.yaml file"):
        ca.check_claims(ledger=tmp_path)
    with pytest.raises(FileError, match="no folder of claims"):
        ca.check_claims(ledger=tmp_path / "none")


@pytest.mark.parametrize(
    ("recomputed", "reference", "same"),
    [
        (3, 3, True),
        (3, 4, False),
        (1.8148, 1.81, True),  # the last printed digit, rounded
        (0.000206, 0.00021, True),
        (0.0109, 0.0119, False),
        (2.0, 2, True),
        ([1, 2], [1, 2], True),
        ([1, 2], [1, 2, 3], False),
        (["a"], ["b"], False),
        (3, "3", False),
    ],
)
def test_a_reference_value_is_met_as_it_is_rounded(recomputed: Any, reference: Any, same: bool):
    assert equals(recomputed, reference) is same


def test_a_tolerance_holds_for_each_number_of_a_list():
    assert within([1.0, 2.0], [1.1, 2.1], {"abs": 0.11})
    assert not within([1.0, 2.0], [1.1, 2.2], {"abs": 0.11})


@pytest.mark.parametrize(
    ("text", "value"),
    [("1 - 18/25", 0.28), ("2^3^2", 512), ("-2^2", -4), ("2(1 + 3)", 8), ("12 K C / 4 C K", 3)],
)
def test_arithmetic_is_read_as_papers_print_it(text: str, value: float):
    assert float(evaluate(text)) == pytest.approx(value)


def test_letters_of_an_expression_can_have_values():
    assert float(evaluate("1/N + 1/D_K^2", {"N": 4, "D_K": 2})) == 0.5
    assert float(evaluate("(N + C) / (C + 0.5)", {"N": 0.5})) == 1
    with pytest.raises(InputError, match="depends on a letter"):
        evaluate("1/N + 1/D_K", {"N": 4})


@pytest.mark.parametrize("text", ["", "1 +", "(1", "1)", "1/0", "0^-1", "9^99", "C", "K / C", "ab"])
def test_what_is_no_arithmetic_is_refused(text: str):
    with pytest.raises(InputError):
        evaluate(text)
