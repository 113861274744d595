"""Where published weights are kept on this machine."""

from pathlib import Path

from convatlas.files import cache_folder


def weights_file(network: str, name: str) -> Path:
    """Give the file in which weights are kept once they are here, in the form of `save`."""
    return cache_folder("weights") / f"{network}-{name}.safetensors"
