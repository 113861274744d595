"""The pictures of the docs: each paper's main network, and the blocks that papers argue with."""

from collections.abc import Callable
from functools import cache
from html import unescape
from pathlib import Path

from convatlas.analysis.block_chart import describe_blocks, draw_blocks
from convatlas.analysis.block_studies import STUDIES
from convatlas.analysis.blocks import find_block
from convatlas.analysis.ledger import Claim, read_ledger
from convatlas.analysis.network_chart import describe_network, draw_network
from convatlas.analysis.report import Report, analyze

FOLDER = "docs/images/networks"
MAIN = {
    "lenet5": "lenet5",
    "alexnet": "alexnet",
    "zfnet": "zfnet",
    "nin": "nin_cifar10",
    "vgg": "vgg16",
    "googlenet": "googlenet",
    "bn_inception": "bn_inception",
    "unet": "unet",
    "inception_v3": "inception_v3",
    "resnet": "resnet50",
    "inception_v4": "inception_v4",
    "inception_resnet": "inception_resnet_v2",
    "squeezenet": "squeezenet1_0",
    "preact_resnet": "preact_resnet164_cifar",
    "wide_resnet": "wide_resnet28_10_cifar",
    "densenet": "densenet121",
    "resnext": "resnext50_32x4d",
    "mobilenet_v1": "mobilenet_v1",
    "efficientnet": "efficientnet_b0",
    "gap_study": "cnn_gap",
}
# paper -> title -> network, block
BLOCKS: dict[str, dict[str, tuple[str, str]]] = {
    "nin": {"mlpconv layer": ("nin_cifar10", "stages.mlpconv1")},
    "googlenet": {
        "Naive module": ("googlenet_naive", "stages.inception_3a"),
        "Module with reductions": ("googlenet", "stages.inception_3a"),
    },
    "bn_inception": {
        "Module": ("bn_inception", "stages.inception_3a"),
        "Module that halves": ("bn_inception", "stages.inception_3c"),
    },
    "inception_v3": {"Module of the 8x8 maps": ("inception_v3", "stages.Mixed_7b")},
    "inception_v4": {
        "Stem, second join": ("inception_v4", "stem.concat2"),
        "Inception-B": ("inception_v4", "stages.inception_b.inception_b1"),
    },
    "inception_resnet": {
        "Inception-ResNet-A": (
            "inception_resnet_v2",
            "stages.inception_resnet_a.inception_resnet_a1",
        ),
    },
    "resnet": {
        "Basic block": ("resnet34", "stages.conv2_x.1"),
        "Bottleneck": ("resnet50", "stages.conv2_x.1"),
        "Bottleneck that halves": ("resnet50", "stages.conv3_x.0"),
    },
    "squeezenet": {
        "Fire module": ("squeezenet1_0", "stages.fire3"),
        "With a bypass": ("squeezenet1_0_bypass", "stages.fire3"),
    },
    "preact_resnet": {
        "Original unit": ("resnet110_cifar", "stages.stage1.1"),
        "Pre-activation unit": ("preact_resnet110_cifar", "stages.stage1.1"),
    },
    "wide_resnet": {"Wide unit": ("wide_resnet28_10_cifar", "stages.conv2.1")},
    "densenet": {
        "Dense layer": ("densenet121", "stages.dense1.layer1"),
        "Transition": ("densenet121", "stages.transition1"),
    },
    "resnext": {
        "ResNet-50": ("resnet50", "stages.conv2_x.1"),
        "ResNeXt-50 (32x4d)": ("resnext50_32x4d", "stages.conv2_x.1"),
    },
    "mobilenet_v1": {
        "Full convolution": ("mobilenet_v1_full_convolutions", "stages.block3"),
        "Depthwise separable": ("mobilenet_v1", "stages.block3"),
    },
    "efficientnet": {"MBConv6": ("efficientnet_b0", "stages.stage3.1")},
}

Picture = tuple[Callable[[], str], Callable[[Path], None]]  # what it shows in words; draw it


@cache
def report_of(network: str) -> Report:
    """Analyze a network once."""
    return analyze(network)


@cache
def ledger() -> list[Claim]:
    """Read the ledger once."""
    return read_ledger()


def pictures() -> dict[str, Picture]:
    """Give every picture of the pages of the papers: path -> what it shows, how it is drawn."""
    found: dict[str, Picture] = {}
    for paper, network in MAIN.items():
        found[f"{FOLDER}/{paper}.svg"] = _network(network)
    for paper, blocks in BLOCKS.items():
        found[f"{FOLDER}/{paper}_block.svg"] = _blocks(blocks)
    found[f"{FOLDER}/googlenet_lecture.svg"] = (
        lambda: describe_blocks(_lecture()),
        lambda path: draw_blocks(_lecture(), path),
    )
    return found


@cache
def _lecture() -> dict[str, Report]:
    """Analyze the module that lectures take as their example."""
    studies = {"Naive": "inception_module_naive", "With reductions": "inception_module"}
    return {title: analyze(*STUDIES[name].build({})) for title, name in studies.items()}


def is_current(path: Path, told: str) -> bool:
    """Tell whether a picture shows what it should: its description stands in the file."""
    return path.exists() and told in unescape(path.read_text(encoding="utf-8"))


def _network(network: str) -> Picture:
    return (
        lambda: describe_network(report_of(network)),
        lambda path: draw_network(report_of(network), path),
    )


def _blocks(chosen: dict[str, tuple[str, str]]) -> Picture:
    @cache
    def reports() -> dict[str, Report]:
        return {
            title: find_block(report_of(network), block)
            for title, (network, block) in chosen.items()
        }

    return lambda: describe_blocks(reports()), lambda path: draw_blocks(reports(), path)
