"""A network of the catalog with other values in its spec: what if?"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from convatlas import catalog
from convatlas.analysis.meta import build_on_meta
from convatlas.analysis.report import Report, analyze, analyze_name
from convatlas.errors import InputError, UserError


def altered(
    name: str,
    changes: Mapping[str, Any],
    input_shape: Sequence[int] | None = None,
    num_classes: int | None = None,
) -> Report:
    """Report on a network that differs from the paper's in fields of its spec.

    Args:
        name: As for `catalog.find`.
        changes: Field of the variant's spec -> value, such as `{"shortcut": "A"}`.
        input_shape: (channels, height, width); the network's own by default.
        num_classes: Outputs of the last layer; the network's own by default.

    Raises:
        UnknownNameError: No such network.
        InputError: No such field, a value of another kind, or one that no network is built with.
    """
    if not changes:
        return analyze_name(name, input_shape, num_classes)
    own = catalog.input_shape_of(name, **changes)
    shape = tuple(own if input_shape is None else input_shape)
    channels = shape[0] if len(shape) == 3 else None  # else the trace says what is wrong
    title = f"{name} with {', '.join(f'{key}={value!r}' for key, value in changes.items())}"
    try:
        model = build_on_meta(name, num_classes=num_classes, in_channels=channels, **changes)
    except UserError:
        raise
    except Exception as error:  # whatever a constructor of layers may raise
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise InputError(f"{title} can't be built: {reason}") from error
    return replace(analyze(model, shape), name=title)
