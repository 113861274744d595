"""Make the gallery: a picture by each method of `convatlas visualize`, and their page.

Run: make gallery    # trains two small networks on the digits that convatlas brings, if need be
     python docs/gallery.py --page     # renews the page alone

Every picture is drawn by the command that stands above it.
"""

import os
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

from convatlas.cli import convatlas
from convatlas.files import write_text

REPOSITORY = Path(__file__).resolve().parent.parent
PAGE = REPOSITORY / "docs" / "gallery.md"
PICTURES = REPOSITORY / "docs" / "images" / "gallery"
RUNS = Path("runs") / "gallery"
LENET, RESNET = RUNS / "lenet5_modern", RUNS / "resnet20_cifar"
TRAININGS = (
    f"train lenet5_modern --data digits --out {LENET}",
    f"train resnet20_cifar --data digits --epochs 5 --out {RESNET}",
)
TOWERS = RUNS / "alexnet_towers.safetensors"
DIGIT = "examples/images/digit-7.png"
FRESH = f"""import torch

import convatlas as ca

torch.manual_seed(0)
model = ca.create("alexnet_towers", num_classes=10, units=64)
seen = {{"size": [227, 227], "mean": [0.5] * 3, "std": [0.25] * 3}}
ca.save(model, "{TOWERS}", {{"preprocessing": seen}})
"""


@dataclass(frozen=True, slots=True)
class Shown:
    """A picture of the gallery.

    Attributes:
        name: Of its file.
        command: Behind `convatlas visualize`, without --out.
        text: What to see in it.
    """

    name: str
    command: str
    text: str


LOOKS = (
    Shown(
        "filters",
        f"filters {LENET} --scaling together",
        "The six filters of LeNet-5's first layer on one scale, grey is zero: the second answers "
        "to light above dark, others are still near the noise that they began with.",
    ),
    Shown(
        "towers",
        f"towers {TOWERS}",
        "The filters of AlexNet's two towers before any training, which show no specialisation: "
        "noise is coloured alike in both. In the paper's network, trained on ImageNet, one tower "
        "came to look for colour and the other not, in every run. `filters --parts 2` cuts the "
        "layer of any network.",
    ),
    Shown(
        "activations",
        f"activations {LENET} {DIGIT} --layer stages.act3",
        "What the sixteen maps of C3 answer to a 7, each scaled by itself. A map that says nothing "
        "would be called silent; `--data` tells which are silent for a whole data set.",
    ),
    Shown(
        "patches",
        f"patches {LENET} --data digits --layer stages.C3 --maps 0,1,2,3,4,5",
        "Six maps of C3, and the nine digits of the test split that excite each of them most, cut "
        "out with the 14 pixels that one of its values sees.",
    ),
    Shown(
        "erf",
        f"erf {RESNET} --layer stages.stage1",
        "The blue frame is what one value could see, the light is what it does see: fewer than "
        "half of the pixels in the frame count, those at its border hardly (Luo et al. 2016).",
    ),
)
DATA = (
    Shown(
        "embedding",
        f"embedding {LENET} --data digits",
        "The test digits, laid out by t-SNE so that those lie near each other that LeNet-5's F6 "
        "finds alike. Frames tell the true classes; odd ones out are worth a look. What is far "
        "apart is different, but not by how much.",
    ),
    Shown(
        "embedding-grid",
        f"embedding {LENET} --data digits --grid",
        "The same with a cell for each image, so that none hides another.",
    ),
    Shown(
        "mistakes",
        f"mistakes {RESNET}",
        "What a ResNet-20 takes for what after five epochs, and its worst mistakes with their "
        "probability. A finished run knows them; with `--data` any network is tested.",
    ),
)
EXPLANATIONS = (
    Shown(
        "gradcam",
        f"gradcam {LENET} {DIGIT}",
        "The maps of a layer, each weighed by what the class score gains from it.",
    ),
    Shown(
        "boxes",
        f"gradcam {LENET} {DIGIT} --boxes",
        "The largest region that is hotter than a fifth of the peak, framed: how a class "
        "activation map becomes a place (Zhou et al. 2016). `--json` gives its pixels.",
    ),
    Shown(
        "gradcam++",
        f"gradcam++ {LENET} {DIGIT}",
        "Other weights, which count every occurrence of an object.",
    ),
    Shown(
        "scorecam",
        f"scorecam {LENET} {DIGIT}",
        "No gradients: each map is weighed by the score of the image that it lets through.",
    ),
    Shown(
        "cam",
        f"cam {RESNET} {DIGIT}",
        "What global average pooling adds up; only networks that end with it have this map.",
    ),
    Shown(
        "saliency",
        f"saliency {LENET} {DIGIT}",
        "The gradient of the class score, as it is: noisy.",
    ),
    Shown(
        "smoothgrad",
        f"smoothgrad {LENET} {DIGIT}",
        "The same, averaged over fifty noisy copies of the image.",
    ),
    Shown(
        "integrated",
        f"integrated {LENET} {DIGIT}",
        "The score shared out among the pixels: what speaks for a 7 and what against it. The sum "
        "over all pixels is the difference to the score of an empty image.",
    ),
    Shown(
        "guided",
        f"guided {LENET} {DIGIT}",
        "Only what excites. It is sharp because it recovers edges of the image, and it hardly "
        "depends on the class: see [what passes the checks](explain.md).",
    ),
    Shown(
        "deconvnet",
        f"deconvnet {LENET} {DIGIT}",
        "The score projected back by Zeiler and Fergus' rule for ReLUs.",
    ),
    Shown(
        "guided-gradcam",
        f"guided-gradcam {LENET} {DIGIT}",
        "Guided backpropagation, kept where Grad-CAM looks.",
    ),
    Shown(
        "occlusion",
        f"occlusion {LENET} {DIGIT}",
        "How the score drops when a square is hidden: slow, and the easiest to believe.",
    ),
    Shown(
        "randomization",
        f"randomization {RESNET} {DIGIT} --of guided",
        "A check of an explanation: the layers forget what they learned, from the top downwards, "
        "and the picture of guided backpropagation hardly changes. So it shows the image more than "
        "the network. The same numbers are printed as a table.",
    ),
    Shown(
        "contact",
        f"gradcam {LENET} {DIGIT} --with {RESNET}",
        "A contact sheet: `--with` sets the answers of more networks beside the first.",
    ),
)
SYNTHESES = (
    Shown(
        "maximize",
        f"maximize {LENET} --steps 100 --blur 1 --jitter 1",
        "For each class the image that it finds ideal, climbed from faint noise under decay, blur "
        "and jitter. Some look like digits, all of them score higher than any digit of the test "
        "split.",
    ),
    Shown(
        "invert",
        f"invert {LENET} {DIGIT} --layer stages.S2",
        "An image made of the maps of S2 alone. Little is lost so early; the checks at the top "
        "have the same averages of 2x2 pixels as the white that was there.",
    ),
    Shown(
        "invert-deep",
        f"invert {LENET} {DIGIT} --layer stages.act5",
        "The same from the 120 values of C5: an image that nobody would have written meets them "
        "almost exactly. What the network has forgotten is what it need not know.",
    ),
)
SECTIONS = {
    "What the network looks for": LOOKS,
    "What it makes of a data set": DATA,
    "What decides about one image": EXPLANATIONS,
    "Images made from a network": SYNTHESES,
}

FUNCTIONS = """## From Python

The functions give tensors and drawing is apart. Each takes any network of the catalog or any
`nn.Module` of yours, finds layers by their dotted names, and leaves the network as it was. Those
that explain an image stand in [explain.md](explain.md); these look at the network:

| function of `convatlas.visualize` | gives |
|---|---|
| `filters.filters(model, layer)` | (K, C, k, k), in [0, 1] |
| `filters.colour_share(weights)` | (K,): how much of each filter looks for colour |
| `towers.specialisation(model)` | the colour of two towers, and what chance makes of it |
| `activations.activations(model, images, layer)` | (N, K, h, w) |
| `activations.dead_maps(model, batches, layer)` | numbers of the maps that no image wakes |
| `patches.top_patches(model, batches, layer)` | for each map: image, value, place, box |
| `layers.last_features(model, images)` | the layer before the classifier |
| `embedding.embed(vectors)` | (N, 2): t-SNE or UMAP of what `evaluate.descriptors` gives |
| `image_map.image_map(pictures, places, title)` | one picture of many |
| `confusion.confusion_page(confusion, classes, title)` | one picture |
| `erf.effective_field(model, images, layer)` | (H, W), and the box that could count |
| `maximize.maximize(model, input_shape, units)` | images (N, C, H, W) and their scores |
| `invert.invert(model, images, layer)` | images (N, C, H, W) and the errors of their maps |
| `contact.contact_sheet(views, title)` | one picture of several networks |

A picture is a `page.Page`: `.image()` draws its pixels, `.svg()` writes it with words, lines and
colour bars as vectors. `convatlas visualize ... --out x.svg` does that for every method.

```python
import torch

import convatlas as ca
from convatlas.visualize.erf import effective_field
from convatlas.visualize.maximize import Ascent, maximize

model = ca.create("resnet8_cifar")
field = effective_field(model, torch.randn(4, 3, 32, 32), "stages.stage2")
print(field.effective_size, field.theoretical_size)

best = maximize(model, (3, 32, 32), [3, 5], ascent=Ascent(steps=4))
assert best.images.shape == (2, 3, 32, 32)
```
"""


def page() -> str:
    """Write the page: each picture below its command."""
    parts = [
        "# Gallery\n\n"
        "One picture by each method of `convatlas visualize`; how to read and to trust them, and "
        "the functions behind them: [explain.md](explain.md). `make gallery` makes this page and "
        "its pictures from two small networks, trained on the 8x8 digits that convatlas brings:\n",
        _console([f"convatlas {training}" for training in TRAININGS]),
        f"and from a third that has learned nothing yet:\n\n```python\n{FRESH}```\n",
    ]
    for title, section in SECTIONS.items():
        parts.append(f"## {title}\n")
        for shown in section:
            command = _console([f"convatlas visualize {shown.command}"])
            picture = f"![{shown.name}](images/gallery/{shown.name}.png)\n"
            parts.append(f"{shown.text}\n\n{command}\n{picture}")
    return "\n".join([*parts, FUNCTIONS])


def draw(shown: Shown) -> None:
    """Draw one picture."""
    call(f"visualize {shown.command} --out {shlex.quote(str(PICTURES / shown.name))}.png")


def call(command: str) -> None:
    """Run a command of convatlas in the repository."""
    convatlas.main(shlex.split(command), prog_name="convatlas", standalone_mode=False)


def _console(commands: list[str]) -> str:
    return "```console\n" + "".join(f"$ {command}\n" for command in commands) + "```\n"


def main() -> None:
    """Train what is missing, draw everything, write the page."""
    os.chdir(REPOSITORY)  # the commands name its files
    if sys.argv[1:] != ["--page"]:
        for training, run in zip(TRAININGS, (LENET, RESNET), strict=True):
            if not (run / "model.safetensors").is_file():
                call(training)
        exec(FRESH)  # what the page shows is what runs
        for section in SECTIONS.values():
            for shown in section:
                draw(shown)
    write_text(PAGE, page())


if __name__ == "__main__":
    main()
