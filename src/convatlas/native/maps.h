// Where maps lie in memory, and the places of tiles in them.

#pragma once

#include <algorithm>

extern "C" struct Maps {  // data null: there are none
  void* data;
  long image, row, pixel;  // distances in values
};

namespace {

struct Place {
  long image, top, left;
};

// The pixel outside of maps.
template <class Value>
const Value* nothing(float* memory, long channels) {
  std::fill(memory, memory + channels, 0.f);
  return reinterpret_cast<const Value*>(memory);
}

// The outputs of a convolution, in tiles.
struct Grid {
  Grid(long images, long height, long width, long tile)
      : side(tile), high((height + tile - 1) / tile), wide((width + tile - 1) / tile),
        tiles(images * high * wide) {}
  Place place(long tile) const {
    const long within = tile % (high * wide);
    return {tile / (high * wide), within / wide * side, within % wide * side};
  }
  const long side, high, wide, tiles;
};

}  // namespace
