"""What a network answers about images, shown to it by a protocol."""

import math
from collections.abc import Iterator
from itertools import groupby
from typing import Literal, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from convatlas.data.loader import batches, num_batches
from convatlas.data.preprocess import Preprocessing
from convatlas.data.sources import Split
from convatlas.data.tolerant import TolerantSplit
from convatlas.data.workers import fetch
from convatlas.evaluate.modes import eval_mode
from convatlas.evaluate.protocols import CENTER, Center, ViewProtocol
from convatlas.evaluate.views import pictures
from convatlas.transfer.fcn import to_fcn

Precision = Literal["float32", "bf16"]


class Answers(NamedTuple):
    """What a network says of some images of a split.

    Attributes:
        log_probabilities: (N, classes), float64, on the CPU.
        labels: True classes, (N,).
        indices: Which images of the split these are, (N,).
    """

    log_probabilities: Tensor
    labels: Tensor
    indices: Tensor


class Answerer:
    """A network with its own preprocessing, asked by a protocol.

    Attributes:
        model: A classifier; runs on the device it is on, in evaluation mode, and is left as it
            was.
        preprocessing: Makes its input of an image.
        protocol: Which views it is shown.
        precision: `bf16` runs it in torch's automatic mixed precision.
    """

    def __init__(
        self,
        model: nn.Module,
        preprocessing: Preprocessing,
        protocol: ViewProtocol = CENTER,
        precision: Precision = "float32",
    ) -> None:
        """Make the network fully convolutional where the protocol needs it.

        Raises:
            InputError: It can't be.
        """
        self.model, self.preprocessing = model, preprocessing
        self.protocol, self.precision = protocol, precision
        self._run = model
        if protocol.dense:
            self._run = to_fcn(model, (len(preprocessing.mean), *preprocessing.size))

    def of_picture(self, image: Image.Image, batch_size: int = 256) -> Tensor:
        """Give the logarithm of each class's probability: (classes,), float64, on the CPU.

        Args:
            image: Any picture.
            batch_size: Views at a time that are as large as the network's input.

        Raises:
            InputError: The network can't run on a view, or gives no finite logits.
        """
        return self._combined(_drawn(image, self.protocol, self.preprocessing), batch_size)

    def through(
        self, split: Split, batch_size: int, workers: int, part: tuple[int, int] = (0, 1)
    ) -> Iterator[Answers]:
        """Go through a split once, in order.

        Args:
            split: Images and labels.
            batch_size: Views at a time; the answers don't depend on it but for rounding.
            workers: Processes that read images.
            part: (1, 4): only the second of four parts, for processes that share the images.
        """
        if isinstance(self.protocol, Center):  # the loader keeps small images it has resized
            device = next((p.device for p in self._run.parameters()), None)
            stream = batches(
                split, self.preprocessing, batch_size, workers=workers, part=part, device=device
            )
            for batch in stream:
                if not len(batch.labels):
                    continue  # the last batch has too few images for all parts
                found = self._logits(batch.images).log_softmax(dim=1)
                yield Answers(found, batch.labels, batch.indices)
            return
        reader = _Views(split, self.protocol, self.preprocessing)
        which = range(part[0], len(split), part[1])
        chunks = [np.array([i]) for i in which]
        stream = fetch(reader, chunks, workers) if workers else map(reader, chunks)
        for i, stacks in zip(which, stream, strict=True):
            if isinstance(split, TolerantSplit) and split.found_bad(np.array([i])).any():
                continue  # what stands in its place has its own turn
            found = self._combined(stacks, batch_size)
            yield Answers(found[None], torch.tensor([split.label(i)]), torch.tensor([i]))

    def steps(self, split: Split, batch_size: int) -> int:
        """Count what `through` gives."""
        central = isinstance(self.protocol, Center)
        return num_batches(split, batch_size) if central else len(split)

    def _combined(self, stacks: list[Tensor], batch_size: int) -> Tensor:
        """Answer from views: stacks of pixels (views, H, W, C), uint8, each of one size."""
        height, width = self.preprocessing.size
        logits = []
        for stack in stacks:
            views = self.preprocessing.normalized(stack.numpy())
            area = views.shape[2] * views.shape[3]
            at_a_time = max(1, batch_size * height * width // area)
            logits += [self._logits(part) for part in views.split(at_a_time)]
        found = torch.cat(logits)
        if self.protocol.average == "logits":
            return found.mean(dim=0).log_softmax(dim=0)
        return log_mean(found.log_softmax(dim=1))

    def _logits(self, images: Tensor) -> Tensor:
        """Run the network: (N, C, H, W) -> (N, classes), float64, on the CPU."""
        weight = next(self._run.parameters(), images)
        # convolutions are quickest where the channels of a pixel are neighbours
        images = images.to(weight).contiguous(memory_format=torch.channels_last)
        mixed = torch.autocast(weight.device.type, torch.bfloat16, enabled=self.precision == "bf16")
        with eval_mode(self._run), torch.inference_mode(), mixed:
            logits = self._run(images)
        if logits.dim() == 4 and self.protocol.dense:
            logits = logits.float().mean(dim=(2, 3))
        return logits.cpu().double()


class _Views:
    """Reads an image and draws its views; runs here or in a worker."""

    def __init__(self, split: Split, protocol: ViewProtocol, preprocessing: Preprocessing) -> None:
        self.split, self.protocol, self.preprocessing = split, protocol, preprocessing

    def __call__(self, indices: np.ndarray) -> list[Tensor]:
        """Give the views of one image; see `_drawn`."""
        image = self.split.image(int(indices[0]))
        return _drawn(image, self.protocol, self.preprocessing)


def log_mean(log_probabilities: Tensor) -> Tensor:
    """Give the logarithm of the mean probability over the first axis."""
    mean = log_probabilities.logsumexp(dim=0) - math.log(len(log_probabilities))
    return mean.clamp(max=0)  # rounding may lift it above the logarithm of 1


def _drawn(
    image: Image.Image, protocol: ViewProtocol, preprocessing: Preprocessing
) -> list[Tensor]:
    """Give the pixels of all views, stacked where neighbours have one size: (views, H, W, C)."""
    stacks = []
    if isinstance(protocol, Center):
        shown = iter([preprocessing.resized(image)])
    else:
        views = protocol.views((image.height, image.width), preprocessing)
        shown = pictures(image, views, preprocessing)
    for (width, height), group in groupby(shown, key=lambda picture: picture.size):
        pixels = [np.asarray(picture).reshape(height, width, -1) for picture in group]
        stacks.append(torch.from_numpy(np.stack(pixels)))
    return stacks
