"""Hand a trained network on: a folder as model hubs lay it out, or a repository of a hub."""

import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from convatlas import __version__
from convatlas.errors import FileError, InputError
from convatlas.report.model_card import card_text
from convatlas.report.runs import read_progress
from convatlas.weights.hub import PREFIX, hub_library, repository
from convatlas.weights.store import FILE_NAME

CARD, CONFIG = "README.md", "config.json"  # as the hub of Hugging Face calls them
_KEPT = ("architecture", "num_classes", "in_channels", "overrides", "preprocessing", "classes")


def push(
    run: str | Path,
    target: str,
    *,
    licence: str | None = None,
    private: bool = False,
    overwrite: bool = False,
) -> str:
    """Write the card, the config and the weights of a finished run to where others find them.

    Args:
        run: A run folder.
        target: A folder to make, or "hf:USER/NAME", a repository of the hub that is made if
            missing; needs the extra `hub` and a token of the hub (`hf auth login`).
        licence: Of the weights, such as "apache-2.0".
        private: Only for a repository: nobody else sees it.
        overwrite: Take the place of what a former push left in the folder.

    Returns:
        Where it lies: `convatlas.load` takes it.

    Raises:
        InputError: No such form of repository, the extra is missing, or the folder is in use.
        FileError: The run is not finished, or something can't be read, written or sent.
    """
    found = read_progress(run)
    if found.state != "finished":
        raise FileError(f"{found.path} is not finished: only a tested network can be handed on")
    if target.startswith(PREFIX):
        name = repository(target)
        with tempfile.TemporaryDirectory(prefix="convatlas-") as place:
            _lay_out(found.path, Path(place), licence)
            return _upload(name, Path(place), private)
    return str(_place(Path(target), overwrite, lambda aside: _lay_out(found.path, aside, licence)))


def _lay_out(run: Path, folder: Path, licence: str | None) -> None:
    config = read_progress(run).config
    kept = {key: config[key] for key in _KEPT if key in config}
    text = json.dumps({"convatlas": __version__, **kept}, indent=2, ensure_ascii=False)
    (folder / CARD).write_text(card_text(run, licence), encoding="utf-8")
    (folder / CONFIG).write_text(text + "\n", encoding="utf-8")
    shutil.copyfile(run / FILE_NAME, folder / FILE_NAME)


def _place(target: Path, overwrite: bool, fill: Callable[[Path], None]) -> Path:
    """Let `fill` make the folder aside, then give it its name: it appears whole."""
    if target.exists() and not target.is_dir():
        raise InputError(f"{target} is a file, not a folder")
    held = {path.name for path in target.iterdir()} if target.is_dir() else set()
    if held and not (overwrite and held <= {CARD, CONFIG, FILE_NAME}):
        hint = "add --overwrite" if held <= {CARD, CONFIG, FILE_NAME} else "choose another folder"
        raise InputError(f"{target} is not empty: {hint}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}-") as place:
            aside, old = Path(place) / "new", Path(place) / "old"
            aside.mkdir()
            fill(aside)
            if target.is_dir():
                target.rename(old)
            try:
                aside.rename(target)
            except OSError:
                if old.is_dir():
                    old.rename(target)
                raise
    except FileError:
        raise
    except OSError as error:
        raise FileError(f"can't write {target}: {error.strerror or error}") from error
    return target


def _upload(name: str, folder: Path, private: bool) -> str:
    api: Any = hub_library().HfApi()
    try:
        api.create_repo(name, private=private, exist_ok=True)
        api.upload_folder(repo_id=name, folder_path=folder, commit_message="Add the network")
    except Exception as error:  # the library's own kinds: no token, no right, no network
        raise FileError(f"can't push to {PREFIX}{name}: {' '.join(str(error).split())}") from error
    return f"{PREFIX}{name}"
