"""Find a layer by the name that somebody gives it."""

import re
from collections.abc import Mapping

from convatlas.analysis.record import LayerRecord
from convatlas.analysis.report import Report
from convatlas.errors import unknown


def find_layer(
    report: Report, name: str, layer_names: Mapping[str, str] | None = None
) -> LayerRecord:
    """Find a layer or a container by the name that a paper or a ledger gives it.

    Args:
        report: Of the network.
        name: A dotted name of the model; else a name that a pattern of `layer_names` matches
            whole; else the end of a dotted name ("conv1" for "stem.conv1"), the one nearest to
            the model's root. "input" is the image.
        layer_names: `Architecture.layer_names`: a regular expression for names -> a template of
            the dotted name, as for `re.Match.expand`.

    Raises:
        UnknownNameError: No layer, or more than one, can be meant; the message lists near names.
    """
    if name == "input":
        shape = report.input_shape
        return LayerRecord("input", "input", "other", shape, shape)
    records = {layer.name: layer for layer in report.layers} | dict(report.containers)
    for pattern, template in (layer_names or {}).items():
        match = None if name in records else re.fullmatch(pattern, name)
        if match is not None:
            name = match.expand(template)
    if name in records:
        return records[name]
    ends = [full for full in records if full.endswith(f".{name}")]
    nearest = min((full.count(".") for full in ends), default=0)
    meant = [full for full in ends if full.count(".") == nearest]
    if len(meant) != 1:
        raise unknown(f"layer of {report.name}", name, meant or records)
    return records[meant[0]]
