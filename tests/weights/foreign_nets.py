"""Networks of other libraries, written down plainly: a function of images and of tensors by name.

Each function names a tensor as the library does and draws it where it is first used, so that one
description gives the names, the shapes and what they compute. Sources: pytorch/vision and
huggingface/pytorch-image-models, models of the same names.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

CLASSES = 7


class Foreign:
    """A state_dict that grows while a network runs for the first time."""

    def __init__(self, device: str = "cpu", seed: int = 0) -> None:
        self.tensors: dict[str, Tensor] = {}
        self.device = device
        self.random = torch.Generator().manual_seed(seed)

    def uniform(self, name: str, shape: tuple[int, ...], low: float, high: float) -> Tensor:
        if name not in self.tensors:
            tensor = torch.empty(shape, device=self.device)
            if self.device != "meta":
                tensor.uniform_(low, high, generator=self.random)
            self.tensors[name] = tensor
        return self.tensors[name]

    def weight(self, name: str, shape: tuple[int, ...]) -> Tensor:
        bound = math.sqrt(6 / math.prod(shape[1:]))  # He et al. 2015, so that nothing vanishes
        return self.uniform(f"{name}.weight", shape, -bound, bound)

    def bias(self, name: str, size: int) -> Tensor:
        return self.uniform(f"{name}.bias", (size,), -0.5, 0.5)

    def conv(
        self, x: Tensor, name: str, out: int, kernel, stride=1, padding=0, *, groups=1, bias=False
    ) -> Tensor:
        size = (kernel, kernel) if isinstance(kernel, int) else kernel
        weight = self.weight(name, (out, x.shape[1] // groups, *size))
        offset = self.bias(name, out) if bias else None
        return F.conv2d(x, weight, offset, stride, padding, groups=groups)

    def norm(self, x: Tensor, name: str, eps: float = 1e-5) -> Tensor:
        size = (x.shape[1],)
        weight = self.uniform(f"{name}.weight", size, 0.1, 0.6)  # deep sums must not overflow
        bias = self.uniform(f"{name}.bias", size, -0.5, 0.5)
        mean = self.uniform(f"{name}.running_mean", size, -0.5, 0.5)
        var = self.uniform(f"{name}.running_var", size, 0.05, 1.5)
        self.tensors.setdefault(f"{name}.num_batches_tracked", torch.tensor(1, device=self.device))
        return F.batch_norm(x, mean, var, weight, bias, eps=eps)

    def linear(self, x: Tensor, name: str, out: int) -> Tensor:
        return F.linear(x, self.weight(name, (out, x.shape[1])), self.bias(name, out))


def resnet(net: Foreign, x: Tensor, blocks, *, bottleneck=True, groups=1, base_width=64) -> Tensor:
    """ResNet, ResNeXt and Wide ResNet of torchvision and timm: the stride is on the 3x3."""
    x = F.relu(net.norm(net.conv(x, "conv1", 64, 7, 2, 3), "bn1"))
    x = F.max_pool2d(x, 3, 2, 1)
    for i, count in enumerate(blocks):
        for j in range(count):
            at, width = f"layer{i + 1}.{j}", 64 * 2**i
            stride = 2 if i > 0 and j == 0 else 1
            inner = width * base_width // 64 * groups
            steps = (
                [(inner, 1, 1, 1), (inner, 3, stride, groups), (4 * width, 1, 1, 1)]
                if bottleneck
                else [(width, 3, stride, 1), (width, 3, 1, 1)]
            )
            y = x
            for k, (out, kernel, step, parts) in enumerate(steps, start=1):
                y = net.conv(y, f"{at}.conv{k}", out, kernel, step, kernel // 2, groups=parts)
                y = net.norm(y, f"{at}.bn{k}")
                y = F.relu(y) if k < len(steps) else y
            if x.shape != y.shape:
                x = net.norm(
                    net.conv(x, f"{at}.downsample.0", y.shape[1], 1, stride),
                    f"{at}.downsample.1",
                )
            x = F.relu(x + y)
    return net.linear(x.mean((2, 3)), "fc", CLASSES)


def alexnet(net: Foreign, x: Tensor) -> Tensor:
    rows = {0: (64, 11, 4, 2), 3: (192, 5, 1, 2), 6: (384, 3, 1, 1), 8: (256, 3, 1, 1)}
    for i, row in (rows | {10: (256, 3, 1, 1)}).items():
        x = F.relu(net.conv(x, f"features.{i}", *row, bias=True))
        x = F.max_pool2d(x, 3, 2) if i in (0, 3, 10) else x
    x = F.adaptive_avg_pool2d(x, 6).flatten(1)
    x = F.relu(net.linear(x, "classifier.1", 4096))
    x = F.relu(net.linear(x, "classifier.4", 4096))
    return net.linear(x, "classifier.6", CLASSES)


def vgg(net: Foreign, x: Tensor, blocks: list[int], *, norm=False, timm=False) -> Tensor:
    place = 0
    for width, count in zip((64, 128, 256, 512, 512), blocks, strict=True):
        for _ in range(count):
            x = net.conv(x, f"features.{place}", width, 3, 1, 1, bias=True)
            x = F.relu(net.norm(x, f"features.{place + 1}") if norm else x)
            place += 3 if norm else 2
        x, place = F.max_pool2d(x, 2, 2), place + 1
    if timm:
        x = F.relu(net.conv(x, "pre_logits.fc1", 4096, 7, bias=True))
        x = F.relu(net.conv(x, "pre_logits.fc2", 4096, 1, bias=True))
        return net.linear(x.mean((2, 3)), "head.fc", CLASSES)
    x = F.adaptive_avg_pool2d(x, 7).flatten(1)
    x = F.relu(net.linear(x, "classifier.0", 4096))
    x = F.relu(net.linear(x, "classifier.3", 4096))
    return net.linear(x, "classifier.6", CLASSES)


def squeezenet(net: Foreign, x: Tensor, version: str) -> Tensor:
    pools, stem = {"1_0": ((2, 6, 11), (96, 7)), "1_1": ((2, 5, 8), (64, 3))}[version]
    x = F.relu(net.conv(x, "features.0", *stem, 2, bias=True))
    sizes = iter((16, 16, 32, 32, 48, 48, 64, 64))
    for i in range(2, 13):
        if i in pools:
            x = F.max_pool2d(x, 3, 2, ceil_mode=True)
            continue
        squeeze = next(sizes)
        x = F.relu(net.conv(x, f"features.{i}.squeeze", squeeze, 1, bias=True))
        one = net.conv(x, f"features.{i}.expand1x1", 4 * squeeze, 1, bias=True)
        three = net.conv(x, f"features.{i}.expand3x3", 4 * squeeze, 3, 1, 1, bias=True)
        x = F.relu(torch.cat([one, three], 1))
    return F.relu(net.conv(x, "classifier.1", CLASSES, 1, bias=True)).mean((2, 3))


def densenet(net: Foreign, x: Tensor, blocks, growth: int = 32) -> Tensor:
    x = F.relu(net.norm(net.conv(x, "features.conv0", 2 * growth, 7, 2, 3), "features.norm0"))
    x = F.max_pool2d(x, 3, 2, 1)
    for b, count in enumerate(blocks, start=1):
        for i in range(1, count + 1):
            at = f"features.denseblock{b}.denselayer{i}"
            y = net.conv(F.relu(net.norm(x, f"{at}.norm1")), f"{at}.conv1", 4 * growth, 1)
            y = net.conv(F.relu(net.norm(y, f"{at}.norm2")), f"{at}.conv2", growth, 3, 1, 1)
            x = torch.cat([x, y], 1)
        if b < len(blocks):
            at = f"features.transition{b}"
            x = net.conv(F.relu(net.norm(x, f"{at}.norm")), f"{at}.conv", x.shape[1] // 2, 1)
            x = F.avg_pool2d(x, 2, 2)
    x = F.relu(net.norm(x, "features.norm5")).mean((2, 3))
    return net.linear(x, "classifier", CLASSES)


B0 = ((1, 3, 1, 16, 1), (6, 3, 2, 24, 2), (6, 5, 2, 40, 2), (6, 3, 2, 80, 3), (6, 5, 1, 112, 3))
B0 = (*B0, (6, 5, 2, 192, 4), (6, 3, 1, 320, 1))


def efficientnet(net: Foreign, x: Tensor, eps: float = 1e-5) -> Tensor:
    """EfficientNet-B0 by torchvision's names; its eps is 1e-3 from B5 on."""

    def normed(x, name, *args, groups=1):
        return net.norm(net.conv(x, f"{name}.0", *args, groups=groups), f"{name}.1", eps)

    x = F.silu(normed(x, "features.0", 32, 3, 2, 1))
    for i, (expand, kernel, stride, out, count) in enumerate(B0, start=1):
        for j in range(count):
            at, entering, place, step = f"features.{i}.{j}.block", x.shape[1], 0, stride
            y, wide, step = x, entering * expand, stride if j == 0 else 1
            if expand > 1:
                y, place = F.silu(normed(y, f"{at}.0", wide, 1)), 1
            y = F.silu(normed(y, f"{at}.{place}", wide, kernel, step, kernel // 2, groups=wide))
            s = F.silu(
                net.conv(
                    y.mean((2, 3), keepdim=True),
                    f"{at}.{place + 1}.fc1",
                    entering // 4,
                    1,
                    bias=True,
                )
            )
            y = y * net.conv(s, f"{at}.{place + 1}.fc2", wide, 1, bias=True).sigmoid()
            y = normed(y, f"{at}.{place + 2}", out, 1)
            x = x + y if x.shape == y.shape else y
    x = F.silu(normed(x, "features.8", 1280, 1)).mean((2, 3))
    return net.linear(x, "classifier.1", CLASSES)


def timm_efficientnet_keys() -> list[str]:
    """List the layers of timm's efficientnet_b0 in the order of its forward pass."""
    layers = ["conv_stem", "bn1"]
    for i, (expand, *_, count) in enumerate(B0):
        names = ["conv_dw", "bn2", "se.conv_reduce", "se.conv_expand", "conv_pwl", "bn3"]
        names = ["conv_pw", "bn1", *names]
        if expand == 1:
            names = ["conv_dw", "bn1", "se.conv_reduce", "se.conv_expand", "conv_pw", "bn2"]
        layers += [f"blocks.{i}.{j}.{name}" for j in range(count) for name in names]
    return [*layers, "conv_head", "bn2", "classifier"]


def preact_resnet(net: Foreign, x: Tensor, blocks=(3, 4, 6, 3)) -> Tensor:
    """timm's resnetv2: no batch norm before the pooling, and a convolution as classifier."""
    x = F.max_pool2d(net.conv(x, "stem.conv", 64, 7, 2, 3), 3, 2, 1)
    for i, count in enumerate(blocks):
        for j in range(count):
            at, width, stride = f"stages.{i}.blocks.{j}", 64 * 2**i, 2 if i > 0 and j == 0 else 1
            y = F.relu(net.norm(x, f"{at}.norm1"))
            if j == 0:
                x = net.conv(y, f"{at}.downsample.conv", 4 * width, 1, stride)
            y = F.relu(net.norm(net.conv(y, f"{at}.conv1", width, 1), f"{at}.norm2"))
            y = F.relu(net.norm(net.conv(y, f"{at}.conv2", width, 3, stride, 1), f"{at}.norm3"))
            x = x + net.conv(y, f"{at}.conv3", 4 * width, 1)
    x = F.relu(net.norm(x, "norm")).mean((2, 3), keepdim=True)
    return net.conv(x, "head.fc", CLASSES, 1, bias=True).flatten(1)


def googlenet(net: Foreign, x: Tensor) -> Tensor:
    def basic(x, name, out, kernel=1, stride=1, padding=0):
        x = net.conv(x, f"{name}.conv", out, kernel, stride, padding)
        return F.relu(net.norm(x, f"{name}.bn", eps=1e-3))

    def module(x, at, one, three_in, three, five_in, five, pool):
        return torch.cat(
            [
                basic(x, f"{at}.branch1", one),
                basic(basic(x, f"{at}.branch2.0", three_in), f"{at}.branch2.1", three, 3, 1, 1),
                basic(basic(x, f"{at}.branch3.0", five_in), f"{at}.branch3.1", five, 3, 1, 1),
                basic(F.max_pool2d(x, 3, 1, 1), f"{at}.branch4.1", pool),
            ],
            1,
        )

    x = F.max_pool2d(basic(x, "conv1", 64, 7, 2, 3), 3, 2, ceil_mode=True)
    x = basic(basic(x, "conv2", 64), "conv3", 192, 3, 1, 1)
    x = F.max_pool2d(x, 3, 2, ceil_mode=True)
    x = module(x, "inception3a", 64, 96, 128, 16, 32, 32)
    x = module(x, "inception3b", 128, 128, 192, 32, 96, 64)
    x = F.max_pool2d(x, 3, 2, ceil_mode=True)
    x = module(x, "inception4a", 192, 96, 208, 16, 48, 64)
    x = module(x, "inception4b", 160, 112, 224, 24, 64, 64)
    x = module(x, "inception4c", 128, 128, 256, 24, 64, 64)
    x = module(x, "inception4d", 112, 144, 288, 32, 64, 64)
    x = module(x, "inception4e", 256, 160, 320, 32, 128, 128)
    x = F.max_pool2d(x, 2, 2, ceil_mode=True)
    x = module(x, "inception5a", 256, 160, 320, 32, 128, 128)
    x = module(x, "inception5b", 384, 192, 384, 48, 128, 128)
    return net.linear(x.mean((2, 3)), "fc", CLASSES)


def cifar_resnet(tensors: dict[str, Tensor], x: Tensor) -> Tensor:
    """akamaster/pytorch_resnet_cifar10: a shortcut puts zero channels on both sides."""

    def normed(x, conv, norm, stride=1):
        x = F.conv2d(x, tensors[f"{conv}.weight"], None, stride, 1)
        parts = (tensors[f"{norm}.{p}"] for p in ("running_mean", "running_var", "weight", "bias"))
        return F.batch_norm(x, *parts)

    x = F.relu(normed(x, "conv1", "bn1"))
    for key in tensors:
        if key.endswith("conv1.weight") and key.startswith("layer"):
            at, stride = key.removesuffix(".conv1.weight"), len(tensors[key]) // x.shape[1]
            y = F.relu(normed(x, f"{at}.conv1", f"{at}.bn1", stride))
            y = normed(y, f"{at}.conv2", f"{at}.bn2")
            side = (y.shape[1] - x.shape[1]) // 2
            x = F.relu(y + F.pad(x[:, :, ::stride, ::stride], (0, 0, 0, 0, side, side)))
    return F.linear(x.mean((2, 3)), tensors["linear.weight"], tensors["linear.bias"])
