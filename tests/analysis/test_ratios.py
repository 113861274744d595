"""Ratios in the words of papers: which networks are meant, and what comes out."""

from pathlib import Path
from typing import Any

import pytest
import yaml

import convatlas as ca
from convatlas.analysis.claims import ClaimResult
from convatlas.analysis.ratios import printed_ratio, read_ratio
from convatlas.analysis.spellings import find_network
from convatlas.errors import UnknownNameError

VGG16, MOBILENET, ALEXNET, GOOGLENET = 15_470_264_320, 568_740_352, 60_965_224, 6_998_552


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ("vgg16", "vgg16"),
        ("~vgg16", "vgg16"),
        ("VGG-16", "vgg16"),
        ("AlexNet", "alexnet"),
        ("GoogleNet", "googlenet"),
        ("Inception v1", "googlenet"),
        ("Inception-v3", "inception_v3"),
        ("Inception-ResNet-v2", "inception_resnet_v2"),
        ("U-Net", "unet"),
        ("LeNet-5", "lenet5"),
        ("SqueezeNet", "squeezenet1_0"),
        ("SqueezeNet 1.1", "squeezenet1_1"),
        ("MobileNet", "mobilenet_v1"),
        ("ResNet-152", "resnet152"),
        ("ResNet-110", "resnet110_cifar"),
        ("resnet1001", "preact_resnet1001_cifar"),
        ("ResNet-200", "preact_resnet200"),
        ("Pre-activation ResNet-164", "preact_resnet164_cifar"),
        ("WRN-28-10", "wide_resnet28_10_cifar"),
        ("wrn22_8", "wide_resnet22_8_cifar"),
        ("Wide ResNet-50-2", "wide_resnet50_2"),
        ("ResNeXt-50 (32x4d)", "resnext50_32x4d"),
        ("DenseNet-BC-190-k40", "densenet_bc190_k40_cifar"),
        ("EfficientNet-B7", "efficientnet_b7"),
    ],
)
def test_a_network_is_found_as_papers_write_it(words: str, name: str):
    assert find_network(words, "lenet5") == (name, {})


@pytest.mark.parametrize(
    ("words", "config"),
    [
        ("0.50 MobileNet-160", {"width_mult": 0.5, "input_size": 160}),
        ("1.0 MobileNet-224", {"width_mult": 1.0, "input_size": 224}),
        ("0.75 MobileNet", {"width_mult": 0.75}),
        ("mobilenet_v1@128", {"input_size": 128}),
        ("MobileNet at 192", {"input_size": 192}),
    ],
)
def test_width_and_resolution_are_read(words: str, config: dict[str, Any]):
    assert find_network(words, "lenet5") == ("mobilenet_v1", config)


def test_a_short_name_can_mean_the_network_itself():
    assert find_network("wrn28", "wide_resnet28_12_cifar") == ("wide_resnet28_12_cifar", {})
    with pytest.raises(UnknownNameError):
        find_network("wrn28", "wide_resnet40_4_cifar")


@pytest.mark.parametrize(
    "words", ["", "ResNet", "NiN", "Inception-v2", "0.5", "VGG-17", "the rest"]
)
def test_what_no_network_is_called_is_refused(words: str):
    with pytest.raises(UnknownNameError, match="no network named"):
        find_network(words, "lenet5")


Check = Any


@pytest.fixture
def check(tmp_path: Path) -> Check:
    def run(of: str, value: float, config: dict[str, Any], **changes: Any) -> ClaimResult:
        claim = {
            "id": "a.ratio",
            "architecture": "mobilenet_v1",
            "quantity": "cost_ratio",
            "config": {"of": of, **config},
            "value": value,
            "tolerance": {"rel": 0.001},
            "source": {"ref": "A paper"},
            "kind": "derivable",
        }
        text = yaml.safe_dump([claim | changes])
        (tmp_path / "ledger.yaml").write_text(text, encoding="utf-8")
        (result,) = ca.check_claims(ledger=tmp_path)
        return result

    return run


@pytest.mark.parametrize(
    ("architecture", "of", "config", "value"),
    [
        ("mobilenet_v1", "27 times less compute than VGG16", {}, VGG16 / MOBILENET),
        ("mobilenet_v1", "about 3x less compute than VGG-16", {}, VGG16 / MOBILENET),
        ("mobilenet_v1", "45x smaller than AlexNet (0.50 MobileNet-160)", {}, ALEXNET / 1_331_592),
        ("googlenet", "12x fewer parameters than AlexNet", {}, ALEXNET / GOOGLENET),
        ("googlenet", "x12 less parameters than AlexNet", {}, ALEXNET / GOOGLENET),
        ("alexnet", "9 times larger than GoogLeNet", {}, ALEXNET / GOOGLENET),
        ("alexnet", "9 times more parameters than GoogLeNet", {}, ALEXNET / GOOGLENET),
        ("resnet152", "8x deeper than VGG nets (8)", {}, None),
        ("vgg16", "2x deeper than AlexNet", {}, 2.0),
        ("alexnet", "2 times less layers than VGG16", {}, 2.0),
        ("efficientnet_b7", "8.4x smaller than GPipe (557M)", {}, 557e6 / 66_347_960),
        ("wide_resnet16_8_cifar", "depth resnet20 / wrn16", {}, 20 / 16),
        ("resnet20_cifar", "params ResNet-56 / resnet20", {}, 853_018 / 269_722),
        ("mobilenet_v1", "macs / 0.50 MobileNet-160", {"input_size": 224}, MOBILENET / 76_524_800),
        ("depthwise_separable", "separable / standard multiply-adds", {"N": 8, "D_K": 5}, 0.165),
        ("depthwise_separable", "1/N + 1/D_K^2", {"N": 8, "D_K": 5}, 0.165),
        ("mobilenet_v1", "less compute than VGG16", {}, None),
        ("mobilenet_v1", "27 times less than VGG16", {}, None),
        ("mobilenet_v1", "27 times nicer than VGG16", {}, None),
        ("mobilenet_v1", "27 times less compute than VGG-17", {}, None),
        ("mobilenet_v1", "separable / standard multiply-adds", {"N": 8, "D_K": 5}, None),
        ("depthwise_separable", "separable / twisted multiply-adds", {"N": 8}, None),
        ("mobilenet_v1", "1/N + 1/D_K^2", {"N": 8}, None),
        ("mobilenet_v1", "1/N", {"N": float("nan")}, None),
        ("mobilenet_v1", "params / gap", {}, None),
    ],
)
def test_the_ratio_that_the_words_mean(
    check: Check, architecture: str, of: str, config: dict[str, Any], value: float | None
):
    result = check(of, value or 1.0, config, architecture=architecture)
    if value is None:
        assert result.verdict == "not derivable"
        assert result.reason
        assert "\n" not in result.reason
    else:
        assert result.recomputed == pytest.approx(value)
        assert result.verdict == "pass"
        assert check(of, value * 1.01, config, architecture=architecture).verdict == "fail"


def test_the_number_in_the_words_proves_nothing(check: Check):
    result = check("27 times less compute than VGG16", 35.0, {}, tolerance={"rel": 0.1})
    assert (result.verdict, round(result.recomputed, 1)) == ("fail", 27.2)


def test_the_ledger_tells_how_a_comparison_counts(check: Check):
    """With or without batch norm and linear layers; nothing else is a way to count."""
    words, convolutions = (
        "3 times less compute than VGG16",
        15_346_630_656 / (MOBILENET - 1_024_000),
    )
    for reference, verdict in (
        (27.2, "pass"),
        (convolutions, "pass"),
        (27.5, "fail"),
        (26, "fail"),
    ):
        result = check(words, 27, {}, tolerance={"rel": 0.04}, reference_value=reference)
        assert (reference, result.verdict) == (reference, verdict)
    params = "params resnet20 / lenet5"
    for reference, verdict in ((269_722 / 6e4, "pass"), (268_346 / 6e4, "pass"), (4.4, "fail")):
        result = check(params, 4.5, {}, tolerance={"abs": 0.1}, reference_value=reference)
        assert (reference, result.verdict) == (reference, verdict)
    strict = check("macs vgg16 / mobilenet_v1", 27, {}, reference_value=convolutions)
    assert strict.verdict == "fail"


@pytest.mark.parametrize(
    ("words", "reference", "value"),
    [
        ("model bytes", "240 MB / 0.47 MB", 240 / 0.47),
        ("model bytes", "1 GB / 500 MB", 2.0),
        ("ops of Table 3", "3.8 / 1.5 Bn ops of Table 3", 3.8 / 1.5),
        ("rows of Figure 12", "3 / 4", 0.75),
        ("ops of Table 3", "", None),
        ("ops of Table 3", "counts of both nets", None),
        ("ops of Table 3", "3.8 / 0", None),
        ("ops of Table 3", "27", None),
        ("effort / gain", "3 / 4", None),
    ],
)
def test_a_ratio_of_prints_is_that_of_the_values_given(
    check: Check, words: str, reference: str, value: float | None
):
    assert printed_ratio(words, reference) == (None if value is None else pytest.approx(value))
    result = check(words, value or 1.0, {}, reference=reference)
    assert result.verdict == ("not derivable" if value is None else "pass")
    if value is not None:
        assert check(words, value * 1.01, {}, reference=reference).verdict == "fail"


def test_words_that_are_no_ratio_are_none():
    assert read_ratio("49C^2 / 27C^2", "lenet5") is None
    assert read_ratio("better than VGG16", "lenet5") is None
