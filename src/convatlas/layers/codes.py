"""Codes of the classes: what the last hidden layer of LeNet-5 should answer to each.

LeCun et al. 1998 shows them as a picture (Figure 3); these 7x12 digits are our own drawing.
"""

import random

import torch
from torch import Tensor

BITMAPS = """
.......  .......  .......  .......  .......  .......  .......  .......  .......  .......
..###..  ...#...  .#####.  #######  .....#.  #######  ...###.  #######  .#####.  .#####.
.##.##.  ..##...  ##...##  .....#.  ....##.  ##.....  ..##...  #.....#  ##...##  ##...##
##...##  .###...  ......#  ....#..  ...###.  ##.....  .##....  .....##  ##...##  #.....#
##...##  #.##...  ......#  ...#...  ..##.#.  ##.....  ##.....  .....#.  .##.##.  #.....#
##...##  ...##..  .....##  ..####.  .##..#.  ######.  ##.###.  ....##.  ..###..  ##...##
##...##  ...##..  ...###.  .....##  ##...#.  .....##  ###..##  ....#..  .##.##.  .######
##...##  ...##..  ..##...  ......#  #######  ......#  ##....#  ...##..  ##...##  .....##
##...##  ...##..  .##....  ......#  .....#.  ......#  ##....#  ...#...  ##...##  ....##.
.##.##.  ...##..  ##.....  #....##  .....#.  ##...##  .##..##  ..##...  ##...##  ...##..
..###..  .######  #######  .#####.  .....#.  .#####.  ..####.  ..##...  .#####.  .###...
.......  .......  .......  .......  .......  .......  .......  .......  .......  .......
"""
CODE_LENGTH = 7 * 12
CODE_DISTANCE = 20  # least number of differing signs between two codes that are no bitmaps


def class_codes(num_classes: int) -> Tensor:
    """Give what F6 should answer to each class, +1 or -1: (num_classes, 84).

    Up to ten classes have the digits' bitmaps, row by row. More have codes drawn from a fixed
    seed, each at least 20 signs away from all others.
    """
    rows = [row.split() for row in BITMAPS.strip().splitlines()]
    codes = ["".join(digit) for digit in zip(*rows, strict=True)]
    if num_classes > len(codes):
        codes = [f"{code:0{CODE_LENGTH}b}" for code in _distant_codes(num_classes)]
    values = {"#": 1.0, "1": 1.0, ".": -1.0, "0": -1.0}
    return torch.tensor([[values[pixel] for pixel in code] for code in codes[:num_classes]])


def _distant_codes(count: int) -> list[int]:
    """Keep each random code that is far enough from all before it."""
    draw = random.Random(1998)
    codes: list[int] = []
    while len(codes) < count:
        code = draw.getrandbits(CODE_LENGTH)
        if all((code ^ other).bit_count() >= CODE_DISTANCE for other in codes):
            codes.append(code)
    return codes
