// Where maps lie in memory, and the places of tiles in them.

#pragma once

#include <algorithm>

#include "threads.h"

extern "C" {

struct Maps {  // data null: there are none
  void* data;
  long image, row, pixel;  // distances in values
};

// What a layer is called with; it gives 0, or 1 where memory ran out.
struct Call {
  long images, height, width, out_height, out_width;
  Maps input, added, output;
  Parallel parallel;
};
}

namespace {

struct Place {
  long image, top, left;
};

// The outputs of a convolution, in tiles.
struct Grid {
  Grid(long images, long height, long width, long tile)
      : side(tile), high((height + tile - 1) / tile), wide((width + tile - 1) / tile),
        tiles(images * high * wide) {}
  Place place(long tile) const {
    const long within = tile % (high * wide);
    return {tile / (high * wide), within / wide * side, within % wide * side};
  }
  void next(Place& at) const {
    if ((at.left += side) < wide * side) return;
    at.left = 0;
    if ((at.top += side) < high * side) return;
    at.top = 0;
    at.image++;
  }
  const long side, high, wide, tiles;
};

}  // namespace
