"""What the methods of `convatlas visualize` are given, and what they give."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from convatlas.visualize.page import Page


@dataclass(frozen=True, slots=True)
class Method:
    """A row of the table of methods.

    Attributes:
        title: What a picture is called, in its heading.
        about: What it shows and who found it, for the help.
        drawing: File of `convatlas.cli` whose `draw(request)` gives the pictures.
        function: "file:function" of `convatlas.visualize` that computes them.
        kind: Of heat, as `convatlas.visualize.draw.figure` takes it.
        options: Those it knows, beside the ones that every method has.
        needs_image: It explains images; else it looks at the network alone.
        one_picture: All its images make one picture, not one each.
    """

    title: str
    about: str
    drawing: str
    function: str = ""
    kind: Any = "evidence"
    options: tuple[str, ...] = ()
    needs_image: bool = True
    one_picture: bool = False

    @property
    def known(self) -> tuple[str, ...]:
        """Name all options of the method: every attribution can compare networks."""
        return (*self.options, *(("with",) if self.drawing == "attributions" else ()))


@dataclass(frozen=True, slots=True)
class Request:
    """What a user asked for.

    Attributes:
        name: Of the method, as the user wrote it.
        method: Its row.
        model: A run folder, a file, or a network's name with `weights`.
        weights: Of a network's name.
        source: Which library wrote them.
        images: Paths, at least one where the method needs images.
        options: The method's own options that were given.
        others: More networks to set beside the first, each with its weights.
    """

    name: str
    method: Method
    model: str
    weights: Path | None = None
    source: str | None = None
    images: tuple[Path, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    others: tuple[tuple[str, Path | None], ...] = ()


@dataclass(frozen=True, slots=True)
class Drawn:
    """A picture and what is told of it.

    Attributes:
        stem: The name of its file, without the ending.
        picture: The picture.
        facts: What is on it, for JSON.
        table: The same as text, where numbers say more than a picture.
    """

    stem: str
    picture: "Page"
    facts: dict[str, Any]
    table: str = ""
