"""Make the page of studies from what they have left: results, charts, verdicts.

Run: make studies    # does the studies, which takes hours of computing, then makes the page
     python docs/studies_page.py FOLDER    # takes the results of `convatlas study --out FOLDER`

`make tables` makes the page anew from the results that docs/studies/ keeps.
"""

import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from convatlas.files import write_text
from convatlas.report.study_page import check_words, images_words, read_result, rows
from convatlas.report.words import duration
from convatlas.studies.registry import STUDIES
from convatlas.studies.run import CHART, RESULT
from convatlas.studies.study import Study

DOCS = Path(__file__).resolve().parent
PAGE, KEPT, CHARTS = DOCS / "studies.md", DOCS / "studies", DOCS / "images" / "studies"

INTRODUCTION = """\
# Studies

The experiments behind the networks, done again in minutes: what the paper claims, what it
measured, what came out here, and whether the claim holds at this size. {passed} of {count}
passed.

```sh
convatlas study --list
convatlas study gap_shift
convatlas study --all --resume
```

A study measures its cases with three seeds each; networks are small, trained on some thousands of
images, and judged by the last epoch. A claim passes if every check holds: the mean difference of
the three seeds is as large as the margin, and each seed has the paper's sign. Margins were stated
first; where a trial showed that a protocol could not show the effect, such as too few epochs, it
was changed, and what was changed after a measurement had been seen stands with the study. A claim
that fails here is left as failed, with what is known of the reason: a small experiment is not the
paper's, and an effect that needs a million images is not refuted by five thousand. `--scale
paper` takes the paper's networks, recipes and images.

A study reads the images that it names, the official files from `--root` or downloaded; `--data
cifar10=folder:PATH` puts others in their place, and results say so. The figures on this page were
measured on MNIST and on a lossy JPEG copy of a part of CIFAR-10 (`cifar10-jpeg`), whose figures
are not CIFAR-10's: they compare networks with each other. In the folder of a study lie
`measurements/`, a file for each case and seed, `result.json`, `chart.svg` and `report.html`; one
that was stopped goes on with `--resume`. Code: `src/convatlas/studies/`, one study, one file.

"""


def take(folder: Path) -> None:
    """Copy the results and charts of a folder of studies into the docs."""
    for study in STUDIES:
        if (folder / study.name / RESULT).exists():
            _, content = read_result(folder / study.name)
            if content["images"]:
                kind, _, path = content["images"]["read"].partition(":")
                place = f":{Path(path).name}" if path else ""
                content["images"]["read"] = kind + place
            content["cases"] = {
                case: [_without_curves(row) for row in measured]
                for case, measured in content["cases"].items()
            }
            write_text(KEPT / f"{study.name}.json", json.dumps(content, indent=1) + "\n")
            chart = (folder / study.name / CHART).read_text(encoding="utf-8")
            write_text(CHARTS / f"{study.name}.svg", re.sub(r"[ \t]+$", "", chart, flags=re.M))


def studies_page() -> str:
    """Give the page of all results that the docs keep."""
    kept = [
        (study, json.loads((KEPT / f"{study.name}.json").read_text(encoding="utf-8")))
        for study in STUDIES
        if (KEPT / f"{study.name}.json").exists()
    ]
    passed = sum(content["verdict"] == "passed" for _, content in kept)
    seconds = sum(content["seconds"] for _, content in kept)
    listed = [
        (
            f"[{study.name}](#{_anchor(study.title)})",
            study.title,
            study.source,
            content["verdict"],
            duration(content["seconds"]),
        )
        for study, content in kept
    ]
    head = ("study", "what it asks", "source", "claim", "computing")
    where = "over all cases and seeds, on one thread of a busy machine"
    total = f"\nComputing: {where}; {duration(seconds)} in all.\n"
    introduction = INTRODUCTION.format(passed=passed, count=len(kept))
    return introduction + _table(head, listed) + total + "".join(_section(*one) for one in kept)


def _section(study: Study, content: dict[str, Any]) -> str:
    parts = [
        f"\n## {study.title}\n",
        f"*{study.source}.* {study.why}\n",
        f"**Claim: {content['verdict']}.** {study.claim}\n",
        _table(
            ("case", *study.shown.values()),
            [
                (
                    row.case,
                    *(mean + (f" ({spread})" if spread else "") for mean, spread in row.cells),
                )
                for row in rows(study, content)
            ],
        ),
        f"![{study.chart.title}](images/studies/{study.name}.svg)\n",
        _table(
            ("check", "differences, a seed each", "agree", ""),
            [
                (check["says"], check["found"], check["agreeing"], check["verdict"])
                for check in map(check_words, content["checks"])
            ],
        ),
    ]
    if content["verdict"] == "failed" and study.if_failed:
        parts.append(f"**Why it fails here.** {study.if_failed}\n")
    if study.revised:
        parts.append(f"Changed after a measurement had been seen: {study.revised}\n")
    published = [(n["case"], n["value"], n["source"]) for n in content["published"]]
    if published:
        parts.append(_table(("the paper measured", "", ""), published))
    differs = f" Otherwise than in the paper: {study.differs}" if study.differs else ""
    parts.append(f"Images: {images_words(content['images'])}.{differs}\n")
    return "\n".join(parts)


def _table(head: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *body]
    return "".join("| " + " | ".join(_cell(cell) for cell in line) + " |\n" for line in lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _anchor(title: str) -> str:
    """Name a heading as GitHub does."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def _without_curves(row: dict[str, Any]) -> dict[str, Any]:
    """Leave out what only the chart shows."""
    return {key: value for key, value in row.items() if not isinstance(value, list)}


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python docs/studies_page.py FOLDER-OF-STUDIES")
    take(Path(sys.argv[1]))
    write_text(PAGE, studies_page())
