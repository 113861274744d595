"""Set explanations against each other and against baselines that know nothing of the network.

Run: python benchmarks/explanations.py --data FOLDER --weights FILE [--images 12] [--mosaics 10]

FOLDER holds images/ and labels.txt (lines of "file index", ImageNet's 1,000 classes); FILE is
SqueezeNet 1.1 trained on ImageNet, of any library. Four questions:

- pointing: in a mosaic of 2 x 2 images of different classes, does the hottest pixel for a class
  lie in that class's image (Böhle, Fritz, Schiele 2021), and how much of the heat;
- insertion and deletion: does the probability rise and fall with the hottest pixels
  (Petsiuk, Das, Saenko 2018);
- randomization: do maps change when the upper half of the layers forgets what it learned
  (Adebayo et al. 2018);
- completeness: how far integrated gradients are from adding up to the change of the score.

The baselines are random numbers and a hill at the image's centre. Grad-CAM has to beat both by
MARGINS. Two things tell what deletion measures: `blobs`, random numbers as coarse as the maps of
SqueezeNet's last layer, and deletion into a blurred image, where no scattered grey pixels arise.
The result is a file in benchmarks/results/.
"""

import argparse
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from record import write_record
from torch import Tensor, nn

from convatlas.data.images import read_image
from convatlas.serve.predictor import Predictor
from convatlas.visualize.checks import (
    area,
    completeness_gap,
    deletion_curve,
    insertion_curve,
    pointing_hits,
    share_inside,
)
from convatlas.visualize.deconvnet import deconvnet
from convatlas.visualize.grad_cam import grad_cam
from convatlas.visualize.guided_backprop import guided_backprop
from convatlas.visualize.guided_grad_cam import guided_grad_cam
from convatlas.visualize.integrated_gradients import integrated_gradients
from convatlas.visualize.labels import Labels
from convatlas.visualize.randomization import is_sensitive, magnitudes, randomize_weights
from convatlas.visualize.saliency import saliency
from convatlas.visualize.scores import resized

Method = Callable[[nn.Module, Tensor, Labels], Tensor]

# what Grad-CAM must be better by than each baseline: points of pointing, and of the two areas
MARGINS = {"pointing": 0.40, "insertion": 0.05, "deletion": 0.02}
SIDE, STEPS = 224, 8


def random_map(_model: nn.Module, images: Tensor, _labels: Labels) -> Tensor:
    generator = torch.Generator().manual_seed(int(images.abs().sum()) % 2**31)
    return torch.rand(len(images), *images.shape[2:], generator=generator)


def random_blobs(_model: nn.Module, images: Tensor, _labels: Labels) -> Tensor:
    """Give random numbers as coarse as SqueezeNet's last maps, resized as those of Grad-CAM."""
    generator = torch.Generator().manual_seed(int(images.abs().sum()) % 2**31)
    coarse = [-(-side // 17) for side in images.shape[2:]]  # 224 pixels: 14, near its 13
    return resized(torch.rand(len(images), *coarse, generator=generator), images.shape[2:])


def centre_map(_model: nn.Module, images: Tensor, _labels: Labels) -> Tensor:
    rows, columns = (torch.linspace(-1, 1, side) ** 2 for side in images.shape[2:])
    return torch.exp(-(rows[:, None] + columns)).expand(len(images), -1, -1)


# SqueezeNet ends in one map a class, where CAM, Grad-CAM and Grad-CAM++ are the same
METHODS: dict[str, Method] = {
    "gradcam": grad_cam,
    "saliency": saliency,
    "integrated": partial(integrated_gradients, steps=4, batch_size=4),
    "guided": guided_backprop,
    "deconvnet": deconvnet,
    "guided-gradcam": guided_grad_cam,
}
BASELINES: dict[str, Method] = {"random": random_map, "centre": centre_map}
BLOBS: dict[str, Method] = {"blobs": random_blobs}


def open_images(folder: Path, predictor: Predictor) -> tuple[Tensor, Tensor, Tensor]:
    """Give the images (N, 3, 224, 224), their labels and what the network says of them."""
    lines = [line.split() for line in (folder / "labels.txt").read_text().splitlines() if line]
    images = torch.cat([predictor.prepare(read_image(folder / "images" / n)) for n, _ in lines])
    with torch.no_grad():
        said = torch.cat([predictor.model(part).argmax(1) for part in images.split(16)])
    return images, torch.tensor([int(label) for _, label in lines]), said


def mosaics(images: Tensor, labels: Tensor, count: int) -> list[tuple[Tensor, Tensor]]:
    """Give mosaics of 2 x 2 images of different classes, (1, 3, 448, 448), with their labels."""
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0)).tolist()
    made = []
    while len(made) < count and len(order) >= 4:
        four: list[int] = []
        for index in order:
            if len(four) < 4 and labels[index] not in [labels[i] for i in four]:
                four.append(index)
        if len(four) < 4:
            break
        order = [index for index in order if index not in four]
        rows = [torch.cat([images[i] for i in four[k : k + 2]], dim=2) for k in (0, 2)]
        made.append((torch.cat(rows, dim=1)[None], labels[four]))
    return made


def point(model: nn.Module, method: Method, games: list[tuple[Tensor, Tensor]]) -> dict[str, float]:
    corners = torch.tensor([[r, c, r + SIDE, c + SIDE] for r in (0, SIDE) for c in (0, SIDE)])
    hits, shares = [], []
    for mosaic, labels in games:
        for label, corner in zip(labels.tolist(), corners, strict=True):
            heat = magnitudes(method(model, mosaic, label))
            hits.append(pointing_hits(heat, corner[None]).float())
            shares.append(share_inside(heat, corner[None]).float())
    hit = torch.cat(hits)
    return {
        "pointing": float(hit.mean()),
        "pointing_error": float((hit.mean() * (1 - hit.mean()) / len(hit)).sqrt()),
        "share_inside": float(torch.cat(shares).mean()),
    }


def areas(model: nn.Module, method: Method, images: Tensor, labels: Tensor) -> dict[str, Tensor]:
    """Give the areas under the curves of each image, (N,) for each kind of curve."""
    kinds = {
        "insertion": insertion_curve,
        "deletion": deletion_curve,
        "deletion_blurred": partial(deletion_curve, sigma=5.0),
    }
    found: dict[str, list[Tensor]] = {kind: [] for kind in kinds}
    for part, chosen in zip(images.split(4), labels.split(4), strict=True):
        heat = magnitudes(method(model, part, chosen))
        for kind, curve in kinds.items():
            found[kind].append(area(curve(model, part, heat, chosen, steps=STEPS)))
    return {kind: torch.cat(values) for kind, values in found.items()}


def summary(found: dict[str, Tensor]) -> dict[str, float]:
    """Give means and their standard errors."""
    means = {kind: float(values.mean()) for kind, values in found.items()}
    errors = {f"{k}_error": float(v.std() / len(v) ** 0.5) for k, v in found.items()}
    return means | errors


def leads(under: dict[str, dict[str, Tensor]]) -> dict[str, dict[str, float]]:
    """Say by how much Grad-CAM beats each baseline, image by image, with the standard error."""
    found: dict[str, dict[str, float]] = {}
    for name in (*BASELINES, *BLOBS):
        found[name] = {}
        for kind, own in under["gradcam"].items():
            lead = (own - under[name][kind]) * (1 if kind == "insertion" else -1)
            found[name][kind] = float(lead.mean())
            found[name][f"{kind}_error"] = float(lead.std() / len(lead) ** 0.5)
    return found


def randomize(model: nn.Module, method: Method, images: Tensor) -> dict[str, Any]:
    found = randomize_weights(model, method, images, every=13)
    stops = [
        {"layers": one.layers, "of": one.of, "spearman": one.spearman, "ssim": one.ssim}
        for one in found
    ]
    return {"randomization": stops, "sensitive": is_sensitive(found)}


def verdicts(rows: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Say by how much Grad-CAM beats the better baseline, and whether by the margin."""
    found = {}
    for name, margin in MARGINS.items():
        sign = -1 if name == "deletion" else 1
        best = max(sign * rows[baseline][name] for baseline in BASELINES)
        lead = sign * rows["gradcam"][name] - best
        found[name] = {"margin": margin, "lead": lead, "reached": lead >= margin}
    return found


def completeness(model: nn.Module, images: Tensor) -> dict[str, float]:
    """Give the greatest gap over a few images for several numbers of steps."""
    return {
        str(steps): float(
            completeness_gap(
                model, images, integrated_gradients(model, images, steps=steps, batch_size=8)
            ).max()
        )
        for steps in (16, 32)
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="Folder of images/, labels.txt.")
    parser.add_argument("--weights", type=Path, required=True, help="Of SqueezeNet 1.1.")
    parser.add_argument("--images", type=int, default=12, help="For the curves.")
    parser.add_argument("--mosaics", type=int, default=10, help="Of four images each.")
    args = parser.parse_args()
    begun = time.process_time()
    predictor = Predictor.load("squeezenet1_1", args.weights)
    model = predictor.model
    images, labels, said = open_images(args.data, predictor)
    right = said == labels
    print(f"{int(right.sum())} of {len(right)} images are classified rightly", flush=True)
    games = mosaics(images[right], labels[right], args.mosaics)
    some, explained = images[right][: args.images], labels[right][: args.images]
    rows: dict[str, dict[str, Any]] = {}
    under: dict[str, dict[str, Tensor]] = {}
    for name, method in (BASELINES | BLOBS | METHODS).items():
        under[name] = areas(model, method, some, explained)
        rows[name] = point(model, method, games) | summary(under[name])
        if name in METHODS:
            rows[name] |= randomize(model, method, some[:3])
        print(name, rows[name], f"{time.process_time() - begun:.0f} s", flush=True)
    found = verdicts(rows)
    for name, lead in leads(under).items():
        print(f"Grad-CAM before {name}: {lead}")
    for name, verdict in found.items():
        print(f"{name}: Grad-CAM leads by {verdict['lead']:.3f}, margin {verdict['margin']}")
    more = {
        "network": "squeezenet1_1",
        "images": len(some),
        "pointing_trials": 4 * len(games),
        "verdicts": found,
        "leads_of_gradcam": leads(under),
        "completeness_gap": completeness(model, some[:1]),
        "cpu_seconds": time.process_time() - begun,
    }
    print(more["completeness_gap"])
    print(write_record("explanations", rows, **more))


if __name__ == "__main__":
    main()
