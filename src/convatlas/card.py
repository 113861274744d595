"""The nouns of the atlas: a paper, a network of it, and the family that they make."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class Paper:
    """Where a network was published."""

    title: str
    authors: str
    year: int
    url: str


@dataclass(frozen=True, slots=True)
class Variant(Generic[S]):
    """One named network: its spec, and the input and classes it was published with."""

    spec: S
    input_shape: tuple[int, int, int] = (3, 224, 224)  # channels, height, width
    num_classes: int = 1000
    deviation: str = ""  # how it differs from the network of the paper; empty: it does not
    depth: str = "path"  # the paper counts weight layers on the longest path, or "convolutions"


@dataclass(frozen=True, slots=True)
class Architecture(Generic[S]):
    r"""A published family of networks.

    Attributes:
        paper: Where it was published.
        net: Builds one: `net(spec, num_classes=..., in_channels=...)`, an `nn.Module`.
        variants: The networks that the paper (or a named deviation) prints.
        deviations: Known differences from the paper that hold for every variant.
        parse: Reads a name given by a formula, such as `resnet62_cifar`, or returns None.
        forms: The shapes of such names, for messages and docs: `("resnet<6n+2>_cifar",)`.
        layer_names: Where a layer has another name in the claims than in our network: a regular
            expression that the whole of that name matches -> our dotted name, in which `\1` is
            its first group: `{r"block(\d)_pool": r"stages.block\1.pool\1"}`.
        builds_on: Families whose ideas the paper takes without sharing code: name -> what it
            takes, and where it says so. What it imports is read from the code: see `lineage`.
    """

    paper: Paper
    net: Callable[..., Any]
    variants: Mapping[str, Variant[S]]
    deviations: tuple[str, ...] = ()
    parse: Callable[[str], Variant[S] | None] | None = None
    forms: tuple[str, ...] = ()
    layer_names: Mapping[str, str] = field(default_factory=dict)
    builds_on: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The name of the family's file in every room: `resnet`."""
        return self.net.__module__.rpartition(".")[2]
