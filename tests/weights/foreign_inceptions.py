"""Inception networks of torchvision and timm, written down as in `foreign_nets`."""

import torch
from foreign_nets import CLASSES, Foreign
from torch import Tensor
from torch.nn import functional as F


def basic(net: Foreign, x: Tensor, name: str, out: int, kernel=1, stride=1, padding=0) -> Tensor:
    x = net.conv(x, f"{name}.conv", out, kernel, stride, padding)
    return F.relu(net.norm(x, f"{name}.bn", eps=1e-3))


def row(out: int, length: int = 7) -> tuple:
    return (out, (1, length), 1, (0, length // 2))


def column(out: int, length: int = 7) -> tuple:
    return (out, (length, 1), 1, (length // 2, 0))


def same(out: int, kernel: int) -> tuple:
    return (out, kernel, 1, kernel // 2)


def chain(net: Foreign, x: Tensor, name: str, *steps: tuple) -> Tensor:
    """timm's branches: layers counted from 0."""
    for i, step in enumerate(steps):
        x = basic(net, x, f"{name}.{i}", *step)
    return x


def average(net: Foreign, x: Tensor, name: str, out: int) -> Tensor:
    x = F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)
    return basic(net, x, f"{name}.branch3.1", out)


def inception_v4(net: Foreign, x: Tensor) -> Tensor:
    for i, step in enumerate(((32, 3, 2), (32, 3), (64, 3, 1, 1))):
        x = basic(net, x, f"features.{i}", *step)
    x = torch.cat([F.max_pool2d(x, 3, 2), basic(net, x, "features.3.conv", 96, 3, 2)], 1)
    one = chain(net, x, "features.4.branch0", (64,), (96, 3))
    two = chain(net, x, "features.4.branch1", (64,), row(64), column(64), (96, 3))
    x = torch.cat([one, two], 1)
    x = torch.cat([basic(net, x, "features.5.conv", 192, 3, 2), F.max_pool2d(x, 3, 2)], 1)
    for i in range(6, 10):
        at = f"features.{i}"
        one = basic(net, x, f"{at}.branch0", 96)
        two = chain(net, x, f"{at}.branch1", (64,), same(96, 3))
        three = chain(net, x, f"{at}.branch2", (64,), same(96, 3), same(96, 3))
        x = torch.cat([one, two, three, average(net, x, at, 96)], 1)
    one = basic(net, x, "features.10.branch0", 384, 3, 2)
    two = chain(net, x, "features.10.branch1", (192,), same(224, 3), (256, 3, 2))
    x = torch.cat([one, two, F.max_pool2d(x, 3, 2)], 1)
    for i in range(11, 18):
        at = f"features.{i}"
        one = basic(net, x, f"{at}.branch0", 384)
        two = chain(net, x, f"{at}.branch1", (192,), row(224), column(256))
        steps = ((192,), column(192), row(224), column(224), row(256))
        three = chain(net, x, f"{at}.branch2", *steps)
        x = torch.cat([one, two, three, average(net, x, at, 128)], 1)
    one = chain(net, x, "features.18.branch0", (192,), (192, 3, 2))
    two = chain(net, x, "features.18.branch1", (256,), row(256), column(320), (320, 3, 2))
    x = torch.cat([one, two, F.max_pool2d(x, 3, 2)], 1)
    for i in range(19, 22):
        at = f"features.{i}"
        y = basic(net, x, f"{at}.branch1_0", 384)
        two = [basic(net, y, f"{at}.branch1_1a", *row(256, 3))]
        two += [basic(net, y, f"{at}.branch1_1b", *column(256, 3))]
        y = basic(net, x, f"{at}.branch2_0", 384)
        y = basic(net, y, f"{at}.branch2_1", *column(448, 3))
        y = basic(net, y, f"{at}.branch2_2", *row(512, 3))
        three = [basic(net, y, f"{at}.branch2_3a", *row(256, 3))]
        three += [basic(net, y, f"{at}.branch2_3b", *column(256, 3))]
        one = basic(net, x, f"{at}.branch0", 256)
        x = torch.cat([one, *two, *three, average(net, x, at, 256)], 1)
    return net.linear(x.mean((2, 3)), "last_linear", CLASSES)


def inception_resnet_v2(net: Foreign, x: Tensor) -> Tensor:
    def residual(x, at, scale, first, *branches):
        parts = [basic(net, x, f"{at}.branch0", first)]
        parts += [chain(net, x, f"{at}.branch{i}", *b) for i, b in enumerate(branches, start=1)]
        y = net.conv(torch.cat(parts, 1), f"{at}.conv2d", x.shape[1], 1, bias=True)
        return x + scale * y

    x = basic(net, x, "conv2d_1a", 32, 3, 2)
    x = basic(net, basic(net, x, "conv2d_2a", 32, 3), "conv2d_2b", *same(64, 3))
    x = basic(net, F.max_pool2d(x, 3, 2), "conv2d_3b", 80)
    x = F.max_pool2d(basic(net, x, "conv2d_4a", 192, 3), 3, 2)
    one = basic(net, x, "mixed_5b.branch0", 96)
    two = chain(net, x, "mixed_5b.branch1", (48,), same(64, 5))
    three = chain(net, x, "mixed_5b.branch2", (64,), same(96, 3), same(96, 3))
    x = torch.cat([one, two, three, average(net, x, "mixed_5b", 64)], 1)
    for i in range(10):
        branches = (((32,), same(32, 3)), ((32,), same(48, 3), same(64, 3)))
        x = F.relu(residual(x, f"repeat.{i}", 0.17, 32, *branches))
    one = basic(net, x, "mixed_6a.branch0", 384, 3, 2)
    two = chain(net, x, "mixed_6a.branch1", (256,), same(256, 3), (384, 3, 2))
    x = torch.cat([one, two, F.max_pool2d(x, 3, 2)], 1)
    for i in range(20):
        x = F.relu(residual(x, f"repeat_1.{i}", 0.1, 192, ((128,), row(160), column(192))))
    one = chain(net, x, "mixed_7a.branch0", (256,), (384, 3, 2))
    two = chain(net, x, "mixed_7a.branch1", (256,), (288, 3, 2))
    three = chain(net, x, "mixed_7a.branch2", (256,), same(288, 3), (320, 3, 2))
    x = torch.cat([one, two, three, F.max_pool2d(x, 3, 2)], 1)
    branch = ((192,), row(224, 3), column(256, 3))
    for i in range(9):
        x = F.relu(residual(x, f"repeat_2.{i}", 0.2, 192, branch))
    x = basic(net, residual(x, "block8", 1.0, 192, branch), "conv2d_7b", 1536)
    return net.linear(x.mean((2, 3)), "classif", CLASSES)


def inception_v3(net: Foreign, x: Tensor) -> Tensor:
    def chain(x, name, *steps):
        for i, step in enumerate(steps, start=1):
            x = basic(net, x, f"{name}_{i}", *step)
        return x

    def pooled(x, at, out):
        return basic(net, F.avg_pool2d(x, 3, 1, 1), f"{at}.branch_pool", out)

    def forked(x, name):
        one = basic(net, x, f"{name}a", 384, (1, 3), 1, (0, 1))
        return torch.cat([one, basic(net, x, f"{name}b", 384, (3, 1), 1, (1, 0))], 1)

    x = basic(net, x, "Conv2d_1a_3x3", 32, 3, 2)
    x = basic(net, basic(net, x, "Conv2d_2a_3x3", 32, 3), "Conv2d_2b_3x3", 64, 3, 1, 1)
    x = basic(net, F.max_pool2d(x, 3, 2), "Conv2d_3b_1x1", 80)
    x = F.max_pool2d(basic(net, x, "Conv2d_4a_3x3", 192, 3), 3, 2)
    for at, out in (("Mixed_5b", 32), ("Mixed_5c", 64), ("Mixed_5d", 64)):
        one = basic(net, x, f"{at}.branch1x1", 64)
        five = chain(x, f"{at}.branch5x5", (48,), (64, 5, 1, 2))
        double = chain(x, f"{at}.branch3x3dbl", (64,), (96, 3, 1, 1), (96, 3, 1, 1))
        x = torch.cat([one, five, double, pooled(x, at, out)], 1)
    double = chain(x, "Mixed_6a.branch3x3dbl", (64,), (96, 3, 1, 1), (96, 3, 2))
    x = torch.cat(
        [basic(net, x, "Mixed_6a.branch3x3", 384, 3, 2), double, F.max_pool2d(x, 3, 2)], 1
    )
    for m, c in zip("bcde", (128, 160, 160, 192), strict=True):
        at = f"Mixed_6{m}"
        one = basic(net, x, f"{at}.branch1x1", 192)
        seven = chain(x, f"{at}.branch7x7", (c,), row(c), column(192))
        steps = ((c,), column(c), row(c), column(c), row(192))
        double = chain(x, f"{at}.branch7x7dbl", *steps)
        x = torch.cat([one, seven, double, pooled(x, at, 192)], 1)
    three = chain(x, "Mixed_7a.branch3x3", (192,), (320, 3, 2))
    seven = chain(x, "Mixed_7a.branch7x7x3", (192,), row(192), column(192), (192, 3, 2))
    x = torch.cat([three, seven, F.max_pool2d(x, 3, 2)], 1)
    for at in ("Mixed_7b", "Mixed_7c"):
        one = basic(net, x, f"{at}.branch1x1", 320)
        three = forked(basic(net, x, f"{at}.branch3x3_1", 384), f"{at}.branch3x3_2")
        double = chain(x, f"{at}.branch3x3dbl", (448,), (384, 3, 1, 1))
        double = forked(double, f"{at}.branch3x3dbl_3")
        x = torch.cat([one, three, double, pooled(x, at, 192)], 1)
    return net.linear(x.mean((2, 3)), "fc", CLASSES)
