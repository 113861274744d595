"""Networks that lie in repositories of the hub of Hugging Face. Needs the extra `hub`."""

import importlib
import re
from pathlib import Path
from typing import Any

from convatlas.errors import FileError, InputError

PREFIX = "hf:"
_NAME = re.compile(r"[\w.-]+/[\w.-]+")


def repository(text: str) -> str:
    """Give USER/NAME of "hf:USER/NAME".

    Raises:
        InputError: It has another form.
    """
    name = text.removeprefix(PREFIX)
    if not text.startswith(PREFIX) or not _NAME.fullmatch(name):
        raise InputError(f"a repository of the hub is hf:USER/NAME, not {text!r}")
    return name


def hub_library() -> Any:
    """Give the module huggingface_hub.

    Raises:
        InputError: It is missing; the message names the extra.
    """
    try:
        return importlib.import_module("huggingface_hub")
    except ImportError as error:
        raise InputError("the hub needs its library: pip install 'convatlas[hub]'") from error


def from_hub(text: str, file: str) -> Path:
    """Bring a file of a repository into the hub's cache and give its path there.

    Args:
        text: "hf:USER/NAME".
        file: Its name in the repository.

    Raises:
        InputError: Another form of name, or the extra is missing.
        FileError: No such repository or file, or the hub can't be reached.
    """
    name, library = repository(text), hub_library()
    try:
        return Path(library.hf_hub_download(name, file))
    except Exception as error:  # the library's own kinds: none there, no right, no network
        reason = " ".join(str(error).split())
        raise FileError(f"can't read {file} of {text}: {reason}") from error
