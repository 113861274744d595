"""One measurement: a case, a seed, and the file that keeps what came out."""

import hashlib
import json
import re
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from convatlas.errors import FileError, InputError
from convatlas.files import write_text
from convatlas.studies.images import Choice
from convatlas.studies.lab import Lab
from convatlas.studies.study import Case

FOLDER = "measurements"
UNFINISHED = "unfinished"  # folder of what a stopped measurement goes on from


@dataclass(frozen=True, slots=True)
class Place:
    """Where the measurements of a study lie, and what they were measured on.

    Attributes:
        folder: Of the study.
        choice: Where images are read from.
        images: What is known of them; a measurement on others is not taken up again.
    """

    folder: Path
    choice: Choice
    images: str

    def file(self, case: Case, seed: int) -> Path:
        """Name the file of a measurement."""
        return self.folder / FOLDER / f"{slug(case.name)}-seed{seed}.json"

    def known(self, case: Case, seed: int) -> dict[str, Any] | None:
        """Give a measurement that is there and was made with these settings; else None."""
        path = self.file(case, seed)
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            same = content["settings"] == self.settings(case)
            return (
                {"measured": content["measured"], "seconds": content["seconds"]} if same else None
            )
        except FileNotFoundError:
            return None
        except OSError as error:
            raise FileError(f"can't read {path}: {error.strerror or error}") from error
        except (ValueError, LookupError, TypeError) as error:
            raise FileError(f"{path} is damaged ({error}): remove it, then --resume") from error

    def settings(self, case: Case) -> str:
        """Give a checksum of all that decides a measurement besides its seed."""
        text = json.dumps([case.name, case.settings, self.images], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def measure(
    place: Place,
    case: Case,
    seed: int,
    *,
    stop: Callable[[], bool] = lambda: False,
    told: Callable[[int, int], None] = lambda *_: None,
) -> dict[str, Any]:
    """Measure a case for one seed and write its file, whole or not at all.

    Returns:
        `measured` and the `seconds` that it took, those of former processes not counted.

    Raises:
        StoppedError: `stop` said so; the next call goes on from there.
    """
    work = place.folder / UNFINISHED / f"{slug(case.name)}-{place.settings(case)}-seed{seed}"
    begun = time.perf_counter()
    measured = dict(case.measure(Lab(seed, work, place.choice, stop, told)))
    found = {"measured": measured, "seconds": round(time.perf_counter() - begun, 2)}
    try:
        text = json.dumps(
            {
                "case": case.name,
                "seed": seed,
                "settings": place.settings(case),
                "decided_by": case.settings,
                **found,
            },
            indent=1,
            allow_nan=False,
        )
    except ValueError as error:
        raise InputError(f"{case.name}, seed {seed}: {error}: {measured}") from error
    write_text(place.file(case, seed), text + "\n")
    shutil.rmtree(work, ignore_errors=True)
    return found


def slug(name: str) -> str:
    """Give a name that any file system takes."""
    return re.sub(r"[^A-Za-z0-9._]+", "-", name).strip("-")
