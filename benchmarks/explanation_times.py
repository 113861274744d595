"""Time `convatlas visualize` on one image of 224 x 224 by ResNet-50, per method.

Run: python benchmarks/explanation_times.py [--repeats 3]

Each call is what a user waits for but for the start of Python: weights are opened, the image is
read, the network runs, the picture is drawn and written. Weights are fresh, for they don't change
the time. Methods of one or two passes have to take less than LIMIT seconds on two cores; the best
of the repeats counts. The result is a file in benchmarks/results/.
"""

import argparse
import contextlib
import io
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from record import write_record

import convatlas as ca
from convatlas.cli import convatlas

LIMIT = 3.0  # seconds
NETWORK, SIDE = "resnet50", 224
# the methods of one or two passes, forwards or back, and what they need beside network and image
IMAGE, NONE = ("image.png",), ()
METHODS: dict[str, tuple[str, ...]] = {
    "gradcam": IMAGE,
    "gradcam++": IMAGE,
    "cam": IMAGE,
    "saliency": IMAGE,
    "guided": IMAGE,
    "deconvnet": IMAGE,
    "guided-gradcam": IMAGE,
    "activations": (*IMAGE, "--layer", "stages.conv2_x"),
    "filters": NONE,
    "erf": (*IMAGE, "--layer", "stages.conv2_x"),
}


def prepare(folder: Path) -> None:
    """Write a network and an image."""
    torch.manual_seed(0)
    pixels = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(folder / "image.png")
    seen = {"size": [SIDE, SIDE], "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
    ca.save(ca.create(NETWORK), folder / "net.safetensors", {"preprocessing": seen})


def seconds(method: str, options: tuple[str, ...]) -> tuple[float, float]:
    """Time one call of the verb: by the clock, and of all processors together."""
    args = ["visualize", method, "net.safetensors", *options, "--out", "picture.png"]
    with contextlib.redirect_stdout(io.StringIO()):
        begun, spent = time.perf_counter(), time.process_time()
        convatlas.main(args, prog_name="convatlas", standalone_mode=False)
        return time.perf_counter() - begun, time.process_time() - spent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=3)
    repeats = parser.parse_args().repeats
    rows = {}
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        prepare(Path(folder))
        seconds("filters", NONE)  # what is imported is imported once
        for method, options in METHODS.items():
            taken, spent = min(seconds(method, options) for _ in range(repeats))
            rows[method] = {"seconds": taken, "cpu_seconds": spent, "reached": taken < LIMIT}
            print(f"{method:16} {taken:6.2f} s, {spent:.2f} s of processors", flush=True)
    missed = [method for method, row in rows.items() if not row["reached"]]
    print(f"over {LIMIT} s: {', '.join(missed) or 'none'}")
    more = {"network": NETWORK, "side": SIDE, "limit_seconds": LIMIT}
    print(write_record("explanation-times", rows, threads=torch.get_num_threads(), **more))


if __name__ == "__main__":
    main()
