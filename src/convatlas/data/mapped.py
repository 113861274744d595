"""Files read through the system's memory: no call and no copy for each piece."""

import mmap
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from convatlas.errors import FileError

MOST_OPEN = 500  # files at once; many systems allow a process 1,024


class MappedFiles:
    """Pieces of files that do not change, by number of the file.

    A file is opened when it is first asked for, in each process. One that was cut short since its
    length was noted is refused then. While it is open, it may be replaced (as `whole_file` does)
    but must not be cut: the system ends a process that reads beyond the end of a file.

    Attributes:
        paths: The files.
        sizes: The length that each must have.
    """

    def __init__(self, paths: Sequence[Path], sizes: Sequence[int]) -> None:
        self.paths, self.sizes = paths, sizes
        self._maps: OrderedDict[int, mmap.mmap] = OrderedDict()

    def __getstate__(self) -> dict[str, Any]:
        """Give what another process needs: it opens the files itself."""
        return vars(self) | {"_maps": OrderedDict()}

    def piece(self, number: int, offset: int, size: int) -> memoryview:
        """Give `size` bytes of a file from `offset` on; they can't be written to.

        Raises:
            FileError: The file can't be read, or has another length than was noted.
        """
        found = self._maps.get(number)
        if found is None:
            found = self._mapped(number)
        return memoryview(found)[offset : offset + size]

    def _mapped(self, number: int) -> mmap.mmap:
        path, size = self.paths[number], self.sizes[number]
        try:
            with path.open("rb") as file:
                check_length(path, file.seek(0, 2), size)
                found = mmap.mmap(file.fileno(), size, prot=mmap.PROT_READ)
        except FileError:
            raise
        except (OSError, ValueError) as error:
            raise FileError(f"can't read {path}: {error}") from error
        if len(self._maps) >= MOST_OPEN:
            self._maps.popitem(last=False)  # pieces of it that are in use keep it open
        self._maps[number] = found
        return found


def check_length(path: Path, found: int, noted: int) -> None:
    """Refuse a file that has not the length it had.

    Raises:
        FileError: It has another one.
    """
    if found != noted:
        raise FileError(
            f"{path} has {found:,} bytes instead of {noted:,}: copy it again or pack anew"
        )
