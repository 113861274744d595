"""What a run says of images that can't be read."""

from pathlib import Path

from convatlas.data.tolerant import Tell
from convatlas.errors import FileError
from convatlas.train.distributed import Ranks
from convatlas.train.events import Notice, Progress

TOLD = 10  # images: a line each on the terminal


class BadImages:
    """Adds a line for each bad image to a file, and tells of the first; for `TolerantSplit`.

    Attributes:
        path: The file; a run that is taken up again goes on in it, and no line comes twice.
        progress: Told of the first `TOLD` images, and then that there are more.
    """

    def __init__(self, path: Path, progress: Progress) -> None:
        self.path, self.progress = path, progress
        self._lines: set[str] | None = None
        self._count = 0

    def __call__(self, name: str, reason: str) -> None:
        """Tell of an image, by its name and by what is wrong with it.

        Raises:
            FileError: The file can't be written.
        """
        self._count += 1
        if self._count <= TOLD:
            self.progress(Notice(f"a bad image, in whose place another one is shown: {reason}"))
        elif self._count == TOLD + 1:
            self.progress(Notice(f"there are more bad images: see {self.path}"))
        line = "\t".join(" ".join(text.split()) for text in (name, reason))
        try:
            if self._lines is None:
                self._lines = _lines(self.path)
            if line not in self._lines:
                self._lines.add(line)
                with self.path.open("a", encoding="utf-8") as file:
                    file.write(f"{line}\n")
        except OSError as error:
            raise FileError(f"can't write {self.path}: {error.strerror or error}") from error


class SharedBadImages:
    """Brings to the first process what the others have found, for it is the one that writes.

    Attributes:
        tell: Told of each image, in the first process.
        ranks: The processes.
    """

    def __init__(self, tell: Tell, ranks: Ranks) -> None:
        self.tell, self.ranks = tell, ranks
        self._found: list[tuple[str, str]] = []
        self._told: set[str] = set()

    def __call__(self, name: str, reason: str) -> None:
        """Tell of an image once, though several processes find it; or remember it for the first."""
        if not self.ranks.first:
            self._found.append((name, reason))
        elif name not in self._told:
            self._told.add(name)
            self.tell(name, reason)

    def gather(self) -> None:
        """Tell of what was found meanwhile; all processes together."""
        found = self.ranks.gathered(self._found)
        self._found = []
        if self.ranks.first:
            for part in found:
                for name, reason in part:
                    self(name, reason)


def _lines(path: Path) -> set[str]:
    if not path.exists():
        return set()
    return set(path.read_text(encoding="utf-8", errors="replace").splitlines())
