"""The nouns of conversion: a network of another library, and the library.

Names are written with placeholders: `stages.conv2_x.{block}.conv1.conv`, where `{block}` stands
for letters and digits, the same in our name and in theirs.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from torch import Tensor

from convatlas.data.preprocess import Preprocessing

Rules = tuple[tuple[str, str], ...]  # (name, other name)
Reorder = Callable[[Mapping[str, Tensor], bool], dict[str, Tensor]]


@dataclass(frozen=True, slots=True)
class KeyMap:
    """A network of another library that computes what one of ours does.

    Attributes:
        theirs: Its name there.
        rules: Our name of a layer -> theirs; the first rule that matches holds.
        overrides: Fields of our spec without which our network would be another function.
        norm_eps: What their batch norm adds to the variance; None: the same as ours.
        as_convs: Linear layers of ours that are convolutions there: our name -> channels, height
            and width of a kernel.
        bgr: Our name of the first convolution, which sees blue, green, red there.
        reorder: Brings channels from their order into ours, or back where its second argument is
            true; both by our names.
        nonnegative: Tensors of ours without whose sign theirs would be another function.
        preprocessing: Of the weights that the library itself publishes.
    """

    theirs: str
    rules: Rules
    overrides: Mapping[str, Any] = field(default_factory=dict)
    norm_eps: float | None = None
    as_convs: Mapping[str, tuple[int, int, int]] = field(default_factory=dict)
    bgr: str | None = None
    reorder: Reorder | None = None
    nonnegative: tuple[str, ...] = ()
    preprocessing: Preprocessing | None = None


@dataclass(frozen=True, slots=True)
class Source:
    """A library whose weights can be converted.

    Attributes:
        name: As users write it.
        networks: Our network -> the one there that computes the same.
        refused: Our network -> why none there computes the same, where one seems to.
        suffixes: Our name of a tensor in a layer -> what follows the layer's name there; None:
            the same name after a dot.
        aliases: Regular expressions of keys in older files -> the keys of today.
        training_only: Keys that evaluation does not need, a regular expression of their start.
    """

    name: str
    networks: Mapping[str, KeyMap]
    refused: Mapping[str, str] = field(default_factory=dict)
    suffixes: Mapping[str, str] | None = None
    aliases: Rules = ()
    training_only: str | None = None


def translate(name: str, pattern: str, template: str) -> str | None:
    """Write `template` with what the placeholders of `pattern` stand for in `name`.

    None: `pattern` does not match the whole of `name`.
    """
    found = _compiled(pattern).fullmatch(name)
    return None if found is None else template.format_map(found.groupdict())


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    literals = re.split(r"\{(\w+)\}", pattern)  # every other one is a placeholder
    parts = [
        f"(?P<{part}>[0-9a-z]+)" if i % 2 else re.escape(part) for i, part in enumerate(literals)
    ]
    return re.compile("".join(parts))
