"""The folder of a packed data set, made ready: nothing in it is overwritten unasked."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from convatlas.data.card import Source
from convatlas.data.manifest import fingerprint
from convatlas.data.pack_format import (
    CLASSES,
    MANIFEST,
    SPLITS,
    PackOptions,
    card_to_dict,
    read_manifest,
    write_manifest,
)
from convatlas.errors import FileError, InputError
from convatlas.files import write_text

_OURS = (MANIFEST, CLASSES, *(f"{name}-*.{end}" for name in SPLITS for end in ("tar", "npz")))
_LEFT_BEHIND = tuple(f".{pattern}.*.tmp" for pattern in _OURS)  # where a process was killed

_DIFFERS = {
    "source": "the source is another one",
    "options": "the options are others",
    "given": "its pictures have changed",
    "card": "its classes or its card have changed",
}


def manifest_of(source: Source, text: str, options: PackOptions) -> dict[str, Any]:
    """Say what is to be packed, and how.

    Args:
        source: Three splits.
        text: What `open_source` was given for it.
        options: How pictures are stored.
    """
    splits = {name: getattr(source, name) for name in SPLITS}
    return {
        "source": text,
        "options": asdict(options),
        "card": card_to_dict(source.card),
        "given": {
            name: {"images": len(split), "fingerprint": fingerprint(split)}
            for name, split in splits.items()
        },
        "splits": {},
        "complete": False,
    }


def make_ready(
    folder: Path, manifest: Mapping[str, Any], *, resume: bool = False, overwrite: bool = False
) -> None:
    """Leave in a folder the manifest of a pack that is not finished, and its classes.

    Args:
        folder: Made if missing.
        manifest: Of `manifest_of`.
        resume: Keep what an earlier call with the same manifest has left.
        overwrite: Remove what any earlier call has left.

    Raises:
        InputError: It holds a pack and neither was asked for, another pack, or other files.
        FileError: It can't be read or written.
    """
    try:
        entries = sorted(entry.name for entry in folder.iterdir()) if folder.exists() else []
    except OSError as error:
        raise FileError(f"can't read {folder}: {error.strerror or error}") from error
    if MANIFEST in entries:
        if not resume and not overwrite:
            raise InputError(
                f"{folder} holds a pack: --resume goes on with it, --overwrite starts it again"
            )
        if resume:
            _check_same(folder, manifest)
    elif entries:
        raise InputError(f"{folder} holds other files, such as {entries[0]}: take a new folder")
    _remove(folder, _LEFT_BEHIND if resume else (*_LEFT_BEHIND, *_OURS))
    write_manifest(folder, manifest)
    # a name of several lines would shift those that follow
    names = [" ".join(name.split()) for name in manifest["card"]["classes"]]
    write_text(folder / CLASSES, "".join(f"{name}\n" for name in names))


def _check_same(folder: Path, manifest: Mapping[str, Any]) -> None:
    kept = read_manifest(folder)
    for key, words in _DIFFERS.items():
        if kept.get(key) != manifest[key]:
            raise InputError(
                f"{folder} holds a pack of {kept.get('source')} that can't be gone on with: "
                f"{words}; --overwrite starts again"
            )


def _remove(folder: Path, patterns: tuple[str, ...]) -> None:
    try:
        for pattern in patterns:
            for path in folder.glob(pattern):
                path.unlink(missing_ok=True)
    except OSError as error:
        raise FileError(f"can't write {folder}: {error.strerror or error}") from error
