"""The page of the lineage: who builds on whom, what each changed, and what it bought."""

from collections.abc import Sequence
from dataclasses import dataclass

from paper_pages import error_text
from pictures import FOLDER, MAIN, Picture, ledger, report_of
from winners import Entry, describe_winners, draw_winners, entries, human_error

from convatlas import catalog
from convatlas.analysis.boxes import short
from convatlas.analysis.budget import bytes_text
from convatlas.analysis.diff import Diff
from convatlas.analysis.lineage import Ancestor, Family, lineage
from convatlas.analysis.lineage_chart import describe_lineage, draw_lineage
from convatlas.analysis.published import Published, common_test, published_errors

TREE, WINNERS = f"{FOLDER}/lineage.svg", f"{FOLDER}/winners.svg"


@dataclass(frozen=True, slots=True)
class Step:
    """From a network to one of a paper that builds on it: what the paper changed."""

    a: str
    b: str
    changed: str


STEPS = {
    "alexnet": Step(
        "lenet5",
        "alexnet",
        "A thousand times larger, for photographs: ReLU instead of a squashing function, local "
        "response normalization, overlapping max pooling, dropout, two GPUs.",
    ),
    "zfnet": Step(
        "alexnet",
        "zfnet",
        "conv1 looks at 7x7 pixels with stride 2 instead of 11x11 with stride 4, and no layer is "
        "divided in groups: the first maps hold more detail, and cost more.",
    ),
    "nin": Step(
        "alexnet",
        "nin_imagenet",
        "1x1 convolutions behind each layer, and the average of the last maps instead of fully "
        "connected layers, which held most of the parameters.",
    ),
    "vgg": Step(
        "alexnet",
        "vgg16",
        "Only 3x3 filters, two or three in a row where AlexNet has one large one: twice the "
        "depth, and twenty times the operations.",
    ),
    "googlenet": Step(
        "vgg16",
        "googlenet",
        "Filters of several sizes side by side, 1x1 convolutions that narrow the maps before "
        "them, averaged maps at the end. Seen from VGG, which came in the same year.",
    ),
    "bn_inception": Step(
        "googlenet",
        "bn_inception",
        "Batch norm in every convolution, two 3x3 for each 5x5, one module more, no local "
        "response normalization.",
    ),
    "unet": Step(
        "vgg16",
        "unet",
        "No classifier: what the poolings took is brought back by up-convolutions and by copies "
        "of the earlier maps, for a label of each pixel. The images differ in size.",
    ),
    "inception_v3": Step(
        "bn_inception",
        "inception_v3",
        "Filters are factorized further (1x7 and 7x1, 1x3 and 3x1), maps are halved by strides "
        "side by side, images are larger, targets are smoothed.",
    ),
    "resnet": Step(
        "vgg19",
        "resnet34",
        "Shortcuts around pairs of 3x3 layers, batch norm, strides instead of poolings, an "
        "average instead of two large layers: nearly twice the depth at a fifth of the cost.",
    ),
    "inception_v4": Step(
        "inception_v3",
        "inception_v4",
        "More modules, all of one kind to a grid, and a stem with branches.",
    ),
    "inception_resnet": Step(
        "inception_v4",
        "inception_resnet_v2",
        "A shortcut around each module, whose branches are led back by a 1x1 convolution: as "
        "good, and faster to train.",
    ),
    "squeezenet": Step(
        "alexnet",
        "squeezenet1_0",
        "AlexNet's accuracy from a fiftieth of its parameters: 1x1 filters squeeze before 1x1 and "
        "3x3 filters expand, pooling comes late, no fully connected layer.",
    ),
    "preact_resnet": Step(
        "resnet110_cifar",
        "preact_resnet110_cifar",
        "Batch norm and ReLU come before each convolution, so nothing but additions stands in "
        "the way of a shortcut. The cost stays; a thousand layers train.",
    ),
    "wide_resnet": Step(
        "preact_resnet1001_cifar",
        "wide_resnet28_10_cifar",
        "Ten times the width instead of depth: more parameters and operations, in a thirty-sixth "
        "of the layers, which have to wait for each other.",
    ),
    "densenet": Step(
        "resnet101",
        "densenet201",
        "What a layer finds is appended, not added, and every later layer of the block sees it, so "
        "layers can be narrow: ResNet-101's error from less than half of its parameters.",
    ),
    "resnext": Step(
        "resnet50",
        "resnext50_32x4d",
        "The 3x3 of a bottleneck is split into 32 groups and made twice as wide: more of "
        "everything inside at about the same cost.",
    ),
    "mobilenet_v1": Step(
        "bn_inception",
        "mobilenet_v1",
        "Every 3x3 convolution becomes a filter a map and a 1x1 convolution: about a ninth of the "
        "operations.",
    ),
    "efficientnet": Step(
        "mobilenet_v1",
        "efficientnet_b0",
        "Inverted bottlenecks with squeeze-and-excitation, found by search; then depth, width and "
        "resolution grow together, B0 to B7.",
    ),
    "gap_study": Step(
        "cnn_flatten",
        "cnn_gap",
        "The lecture's pair: the average over each map instead of one long vector, so that a "
        "moved digit stays a digit.",
    ),
}


def lineage_page() -> str:
    """Write the page."""
    families = lineage()
    claims = ledger()
    parts = [_HEAD, _summary(), "## Step by step\n"]
    parts += [_section(family, claims) for family in families if family.name in STEPS]
    parts.append(_contest(entries(claims)))
    return "\n".join(parts)


def lineage_pictures() -> dict[str, Picture]:
    """Give the tree and the contests: path -> what it shows, how it is drawn."""
    return {
        TREE: (
            lambda: describe_lineage(lineage(), _remarks()),
            lambda path: draw_lineage(lineage(), path, _remarks()),
        ),
        WINNERS: (describe_winners, draw_winners),
    }


_HEAD = f"""\
# Lineage: what each network changed, and what it bought

This page and its pictures are made by `make tables`. A full line of the tree is code: the file of
the younger paper in `src/convatlas/architectures` imports from that of the older one. A broken line
is an idea that a paper takes without sharing code; `builds_on` in the file says which, and where
the paper says so. Below a name stand the parameters and the multiply-adds of the main network.

![The family tree of the networks]({TREE.removeprefix("docs/")})
"""


def _remarks() -> dict[str, str]:
    reports = {name: report_of(network) for name, network in MAIN.items()}
    return {name: f"{short(r.params)}, {short(r.macs)}" for name, r in reports.items()}


def _summary() -> str:
    """Put all steps into one table."""
    rows = [
        "## At a glance\n\nEach network against one that it grew from, as `convatlas diff` counts "
        "them; times are of the older one's cost.\n\n"
        "| year | from | to | parameters | MACs | activations | depth | field |\n"
        "|---|---|---|---|---|---|---|---|"
    ]
    for name, step in STEPS.items():
        a, b = report_of(step.a), report_of(step.b)
        costs = ((a.params, b.params), (a.macs, b.macs), (a.activation_bytes, b.activation_bytes))
        times = " | ".join(_times(old, new) for old, new in costs)
        depth = f"{a.weight_layers} to {b.weight_layers}"
        field = f"{a.receptive_field:,} to {b.receptive_field:,}"
        year = _year(name)
        rows.append(f"| {year} | `{step.a}` | `{step.b}` | {times} | {depth} | {field} |")
    return "\n".join(rows) + "\n"


def _year(name: str) -> int:
    return next(a.paper.year for a in catalog.ARCHITECTURES if a.name == name)


def _times(old: int, new: int) -> str:
    factor = new / old
    return f"x {factor:,.0f}" if factor >= 100 else f"x {factor:.2g}"


def _section(family: Family, claims: Sequence) -> str:
    step = STEPS[family.name]
    told = "".join(f"- {_ancestor(ancestor)}\n" for ancestor in family.ancestors)
    results = common_test({name: published_errors(name, claims) for name in (step.a, step.b)})
    title = next(a.paper.title for a in catalog.ARCHITECTURES if a.name == family.name)
    head = f"### {family.year}: [{title}](architectures/{family.name}.md)\n\n{step.changed}\n"
    errors, sources = _errors(step, results)
    rows = [*_cost_rows(step), *errors]
    table = "".join(f"| {' | '.join(row)} |\n" for row in rows)
    return f"{head}\n{told}\n{table}{sources}"


def _ancestor(ancestor: Ancestor) -> str:
    """Say what is taken of an older paper."""
    code = f"imports {', '.join(f'`{part}`' for part in ancestor.parts)}" if ancestor.parts else ""
    idea = ancestor.idea[:1].lower() + ancestor.idea[1:]
    words = "; ".join(filter(None, (code, idea))).rstrip(".")
    return f"[{ancestor.name}](architectures/{ancestor.name}.md): {words}."


def _cost_rows(step: Step) -> list[tuple[str, ...]]:
    found = Diff(report_of(step.a), report_of(step.b), ())  # the totals need no layers side by side
    rows: list[tuple[str, ...]] = [("", f"`{step.a}`", f"`{step.b}`", "change")]
    rows.append(("---",) * 4)
    for (what, *amounts), total in zip(found.total_rows(), _TOTALS, strict=True):
        old, new = (getattr(report, total) for report in (found.a, found.b))
        if total == "activation_bytes":
            change = "same" if old == new else f"x {new / old:.2f}"
            rows.append(("activations", bytes_text(old), bytes_text(new), change))
        else:
            rows.append((what, *amounts))
    return rows


_TOTALS = ("params", "macs", "activation_bytes", "weight_layers", "receptive_field")


def _errors(step: Step, results: dict[str, Published]) -> tuple[list[tuple[str, ...]], str]:
    """Give the row of published errors, and who prints them; a difference only of like tests."""
    if not results:
        return [], ""
    a, b = results.get(step.a), results.get(step.b)
    shown = [error_text(result) if result else "not printed" for result in (a, b)]
    change = ""
    if a is not None and b is not None and a.test == b.test:
        pairs = ((a.top1_error, b.top1_error), (a.top5_error, b.top5_error))
        deltas = [f"{y - x:+.2f}" if None not in (x, y) else "-" for x, y in pairs]
        change = " / ".join(deltas if a.top5_error and b.top5_error else deltas[:1])
    elif a is not None and b is not None:
        change = "tested differently"
    named = {step.a: a, step.b: b}
    cited = [f"{name}: {result.source}" for name, result in named.items() if result is not None]
    sources = f"\nPublished errors in percent; {'; '.join(cited)}.\n"
    return [("error", *shown, change)], sources


def _contest(found: Sequence[Entry]) -> str:
    human = human_error(ledger())
    rows = [
        f"| {entry.year} | {_network(entry)} | {entry.place + 1} | {entry.top5_error:g} | "
        f"{entry.depth or ''} | {entry.source} |"
        for entry in found
    ]
    return (
        "## The contest by year\n\n"
        "Top-5 error on the test images of the ImageNet Large Scale Visual Recognition Challenge, "
        "task of classification, from the [ledger](claims.md); entries are mostly ensembles. The "
        "depth is that of one network, recomputed: weight layers on the longest path. Full bars "
        f"won; blue ones are in the atlas. A trained person has {human.value:g} % ({human.source})."
        f"\n\n![Winners by year, and their depth]({WINNERS.removeprefix('docs/')})\n\n"
        "| year | entry | place | top-5 error, % | depth | printed in |\n"
        "|---|---|---|---|---|---|\n" + "\n".join(rows) + "\n"
    )


def _network(entry: Entry) -> str:
    return f"`{entry.name}`" if entry.depth else entry.name
