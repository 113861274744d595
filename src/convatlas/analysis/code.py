"""A digest of the code that builds and counts networks, without running any of it."""

import hashlib
import importlib.util
from collections.abc import Sequence
from pathlib import Path


def code_digest(*more: str) -> str:
    """Digest the code that numbers of the catalog depend on, and the version of torch.

    Args:
        more: Further folders of the package, such as "weights/registry".
    """
    digest = hashlib.sha256()
    for file in _files(more):
        digest.update(file.name.encode() + file.read_bytes())
    return digest.hexdigest()


def _files(more: Sequence[str]) -> list[Path]:
    package = Path(__file__).parent.parent
    files = [package / "card.py", package / "catalog.py"]
    for room in ("layers", "architectures", "analysis", *more):
        files += sorted((package / room).glob("*.py"))
    torch = importlib.util.find_spec("torch")  # found, not imported: that takes a second
    if torch is not None and torch.origin is not None:
        files.append(Path(torch.origin).with_name("version.py"))
    return files
