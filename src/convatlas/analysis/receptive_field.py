"""Which input pixels a value of a feature map depends on, exactly, along one axis.

A map position p sees the interval [low(p), high(p)] of input pixels. Both functions are periodic
up to a shift: low(p + P) = low(p) + S. Convolutions and pooling keep P = 1 and S is the product of
the strides; a transposed convolution or an upsampling has several phases, so P grows with it.

Image borders are ignored: padding counts as pixels, as in Araujo, Norris, Sim 2019 ("Computing
receptive fields of convolutional neural networks", https://distill.pub/2019/computing-receptive-fields).
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

Interval = tuple[int, int]  # first and last input pixel

_FAR = 1 << 60
NOTHING: Interval = (_FAR, -_FAR)  # the neutral element of `hull`
_LONGEST_PERIOD = 4096  # beyond it a map is taken to see its whole extent


def hull(intervals: Iterable[Interval]) -> Interval:
    """Give the smallest interval around all of them; NOTHING for none."""
    low, high = NOTHING
    for first, last in intervals:
        low, high = min(low, first), max(high, last)
    return low, high


@dataclass(frozen=True, slots=True)
class Taps:
    """Which positions of its input each output position of an operation reads.

    Attributes:
        rows: For each output position of one period, the input positions that it reads.
        advance: How many input positions further the next period reads.
    """

    rows: tuple[tuple[int, ...], ...]
    advance: int


@lru_cache(maxsize=1024)
def window(kernel: int, stride: int = 1, padding: int = 0, dilation: int = 1) -> Taps:
    """Taps of a convolution, a pooling, a strided slice (kernel 1) or a padding (kernel 1)."""
    return Taps((tuple(k * dilation - padding for k in range(kernel)),), stride)


@lru_cache(maxsize=1024)
def transposed_window(kernel: int, stride: int, padding: int, dilation: int) -> Taps:
    """Taps of a transposed convolution: a row for each of its `stride` phases."""
    rows = []
    for phase in range(stride):
        reached = [phase + padding - k * dilation for k in range(kernel)]
        rows.append(tuple(r // stride for r in reached if r % stride == 0))
    return Taps(tuple(rows), 1)


@lru_cache(maxsize=1024)
def adaptive_window(size: int, out: int) -> Taps:
    """Taps of an adaptive pooling from `size` to `out` positions, as torch cuts its bins."""
    common = math.gcd(size, out)
    rows = (tuple(range(p * size // out, -(-(p + 1) * size // out))) for p in range(out // common))
    return Taps(tuple(rows), size // common)


@lru_cache(maxsize=1024)
def resize_taps(ratio: Fraction, offset: Fraction, mode: str) -> Taps:
    """Taps of a resize whose output position p lies at p * ratio + offset of the input.

    Args:
        ratio: Input positions per output position.
        offset: Where output position 0 lies.
        mode: "nearest" reads the position below, "linear" the two around, "cubic" four.
    """
    rows = []
    for p in range(ratio.denominator):
        place = p * ratio + offset
        below = math.floor(place)
        if mode == "nearest" or place == below:
            rows.append((below,))
        elif mode == "linear":
            rows.append((below, below + 1))
        else:
            rows.append(tuple(range(below - 1, below + 3)))
    return Taps(tuple(rows), ratio.numerator)


@dataclass(frozen=True, slots=True)
class Reach:
    """The pixels that each position of a map sees, moving along one axis of the input.

    Attributes:
        low: First pixel, for the positions of one period.
        high: Last pixel, for the positions of one period.
        step: How many pixels further the next period sees.
    """

    low: tuple[int, ...] = (0,)
    high: tuple[int, ...] = (0,)
    step: int = 1

    @property
    def period(self) -> int:
        """How many positions it takes until the pattern comes again."""
        return len(self.low)

    @property
    def stride(self) -> Fraction:
        """Input pixels from one position to the next, on average."""
        return Fraction(self.step, self.period)

    def at(self, position: int) -> Interval:
        """Give the interval that one position sees; NOTHING in a gap between strides."""
        periods, phase = divmod(position, self.period)
        low, high = self.low[phase], self.high[phase]
        if low > high:
            return NOTHING
        return low + periods * self.step, high + periods * self.step

    def over(self, size: int) -> Interval:
        """Give the interval that all `size` positions of a map see together."""
        if self.period == 1:
            return hull((self.at(0), self.at(size - 1)))
        return hull(self.at(p) for p in range(size))


@lru_cache(maxsize=8192)
def through(reach: Reach, taps: Taps) -> Reach:
    """Give what an operation's output sees when its input sees `reach`."""
    turns = reach.period // math.gcd(taps.advance, reach.period)
    rows = [
        hull(reach.at(tap + turn * taps.advance) for tap in row)
        for turn in range(turns)
        for row in taps.rows
    ]
    step = reach.step * (taps.advance * turns // reach.period)
    return Reach(tuple(low for low, _ in rows), tuple(high for _, high in rows), step)


@lru_cache(maxsize=8192)
def union(a: Reach, b: Reach) -> Reach | None:
    """Give what a position sees through two branches; None where they move at two speeds."""
    period = math.lcm(a.period, b.period)
    if a.stride != b.stride or period > _LONGEST_PERIOD:
        return None
    rows = [hull((a.at(p), b.at(p))) for p in range(period)]
    step = int(a.stride * period)
    return Reach(tuple(low for low, _ in rows), tuple(high for _, high in rows), step)


@dataclass(frozen=True, slots=True)
class Field:
    """What the values of a tensor see along one axis of the network's input.

    Attributes:
        axis: The axis of the tensor along which `reach` moves; None: no axis does.
        reach: What each position along `axis` sees.
        whole: What all values see besides: the extent of a map that was averaged or flattened.
    """

    axis: int | None
    reach: Reach | None
    whole: Interval = NOTHING

    def size(self, positions: int) -> int:
        """Count the pixels of the largest interval that one of `positions` positions sees."""
        if self.reach is None:
            return _length(self.whole)
        period = self.reach.period
        places = [*range(period), *range(max(period, positions - period), positions)]
        if self.whole == NOTHING:
            places = places[:period]  # all periods are alike
        # together with `whole` the interval is widest at one end of the map
        return max(_length(self.interval(place)) for place in places)

    def interval(self, position: int) -> Interval:
        """Give what one position along `axis` sees, first and last pixel."""
        local = NOTHING if self.reach is None else self.reach.at(position)
        return hull((local, self.whole))

    def moved(self, axis: int) -> "Field":
        """Give the field of the same values with the moving axis at another place."""
        return Field(axis, self.reach, self.whole)

    def tapped(self, taps: Taps) -> "Field":
        """Give the field behind an operation along the moving axis."""
        if self.reach is None:
            return self
        return Field(self.axis, through(self.reach, taps), self.whole)

    def blurred(self, positions: int) -> "Field":
        """Give the field where each value also depends on all `positions` of the map."""
        extent = NOTHING if self.reach is None else self.reach.over(positions)
        return Field(self.axis, self.reach, hull((self.whole, extent)))

    def collapsed(self, positions: int) -> "Field":
        """Give the field where the moving axis is gone: one value for all `positions`."""
        return Field(None, None, self.blurred(positions).whole)


def merge(a: Field, b: Field, positions: int) -> Field:
    """Give what a value sees that is made of two values, both on maps of `positions`."""
    if a.reach is None or b.reach is None:
        moving = b if a.reach is None else a
        return Field(moving.axis, moving.reach, hull((a.whole, b.whole)))
    reach = union(a.reach, b.reach) if a.axis == b.axis else None
    if reach is None:
        return Field(None, None, hull((a.collapsed(positions).whole, b.collapsed(positions).whole)))
    return Field(a.axis, reach, hull((a.whole, b.whole)))


def _length(interval: Interval) -> int:
    return max(0, interval[1] - interval[0] + 1)
