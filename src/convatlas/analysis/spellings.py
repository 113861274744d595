"""Networks as papers write them: "VGG-16", "WRN-28-10", "0.50 MobileNet-160"."""

import re
from collections.abc import Iterator
from typing import Any

from convatlas import catalog
from convatlas.errors import UnknownNameError, unknown

# how papers begin a name -> how ours begins
_SHORT = {
    r"wrn|wide_res_?net": "wide_resnet",
    r"pre_?(?:act(?:ivation)?_?)?res_?net": "preact_resnet",
    r"inception(?:_?v1)?(?=_|$)": "googlenet",
    r"mobile_?net(?!_?v)": "mobilenet_v1",
    r"squeeze_?net(?!_?\d)": "squeezenet1_0",
}
# what papers leave out of a name
_COMPLETIONS = ("{}", "{}_cifar", "preact_{}", "preact_{}_cifar")
_SIZED = re.compile(
    r"(?:(?P<width>\d(?:\.\d+)?)x? )?(?P<name>.*?)(?:(?: ?@ ?|-| at )(?P<size>\d{2,4}))?"
)


def find_network(words: str, own: str) -> tuple[str, dict[str, Any]]:
    """Tell which network is meant, and on which width and input.

    Args:
        words: A name of the catalog; or as a paper may write it, perhaps with the width before
            it and the size of the image after it: "0.50 MobileNet-160".
        own: The network that the claim is about: "wrn28" can mean "wide_resnet28_10_cifar".

    Returns:
        Its name in the catalog, and what a claim's config would say: `width_mult`, `input_size`.

    Raises:
        UnknownNameError: No network, or more than one, can be meant.
    """
    words = words.strip().removeprefix("~")
    name = _name(words, own)
    if name is not None:
        return name, {}
    match = _SIZED.fullmatch(words)
    name = None if match is None else _name(match["name"], own)
    if match is None or name is None:
        raise unknown("network", words, catalog.variants())
    config: dict[str, Any] = {}
    if match["width"]:
        config["width_mult"] = float(match["width"])
    if match["size"]:
        config["input_size"] = int(match["size"])
    return name, config


def is_known(name: str) -> bool:
    """Tell whether the catalog has a network of this name."""
    try:
        catalog.find(name)
    except UnknownNameError:
        return False
    return True


def _name(words: str, own: str) -> str | None:
    """Give the network that a name without width and size means."""
    if is_known(words):
        return words
    forms = list(_forms(words))
    names = [template.format(form) for template in _COMPLETIONS for form in forms]
    listed = {name.replace("_", ""): name for name in catalog.variants()}
    for name in names:  # what a paper prints, before what only a formula gives
        if name.replace("_", "") in listed:
            return listed[name.replace("_", "")]
    by_formula = next((name for name in names if is_known(name)), None)
    abbreviates = any(own.startswith(f"{form}_") for form in forms)
    return by_formula or (own if abbreviates else None)


def _forms(words: str) -> Iterator[str]:
    """Write a name as the catalog does: "Wide ResNet-28-10" -> "wide_resnet28_10"."""
    form = re.sub(r"[^a-z0-9]+", "_", words.lower()).strip("_")
    yield form
    for pattern, ours in _SHORT.items():
        short = re.match(pattern, form)
        if short is not None:
            form = ours + form[short.end() :]
            break
    yield form
    yield re.sub(r"(?<=[a-z])_(?=\d)", "", form)
