"""Python pickles that hold arrays and plain values, read without running what else they say."""

import io
import pickle
from typing import Any

import numpy as np

from convatlas.errors import FileError

# What an array needs to be put together again; old pickles call numpy's modules by old names
_RECONSTRUCT = np.zeros(0).__reduce__()[0]
_ALLOWED = {
    ("numpy.core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy._core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
}


class _ArrayUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """Give what an array is made of; a pickle that calls anything else is refused."""
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"it calls {module}.{name}") from None


def read_arrays(content: bytes, name: str) -> dict[bytes, Any]:
    """Read a pickled dictionary of arrays, lists, texts and numbers.

    Args:
        content: The pickle; Python 2's texts become bytes.
        name: What errors call it.

    Raises:
        FileError: It is damaged, holds something else, or would run code; none of it is run.
    """
    try:
        found = _ArrayUnpickler(io.BytesIO(content), encoding="bytes").load()
    except Exception as error:  # a damaged pickle raises errors of any type
        reason = " ".join(str(error).split()) or type(error).__name__
        raise FileError(f"{name} is no pickle of arrays: {reason}") from error
    if not isinstance(found, dict):
        raise FileError(f"{name} holds a {type(found).__name__}, not a dictionary")
    return found
