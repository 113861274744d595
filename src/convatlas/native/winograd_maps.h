// How tiles of maps are read.

#pragma once

#include "maps.h"
#include "winograd_tiles.h"

namespace {

// The pixel outside of maps.
template <class Value>
const Value* nothing(float* memory, long channels) {
  std::fill(memory, memory + channels, 0.f);
  return reinterpret_cast<const Value*>(memory);
}

// Reads T x T pixels from a place on, and transforms them to N x N, which lie `step` apart; for
// every channel. Pixels outside of the maps are those at `zeros`.
template <int T, int N, class Value, class Transform>
void take(const Maps& maps, long height, long width, long channels, Place at, const Value* zeros,
          float* to, long step, const Transform& transform) {
  const Value* data = static_cast<const Value*>(maps.data);
  const Value* pixel[T][T];
  for (int i = 0; i < T; i++)
    for (int j = 0; j < T; j++) {
      const long y = at.top + i, x = at.left + j;
      const bool inside = y >= 0 && y < height && x >= 0 && x < width;
      pixel[i][j] = inside ? data + at.image * maps.image + y * maps.row + x * maps.pixel : zeros;
    }
  for (long c = 0; c < channels; c += kLanes) {
    const long left = channels - c;
    Vec half[N][T];
    for (int j = 0; j < T; j++) {
      Vec d[T], o[N];
      for (int i = 0; i < T; i++)
        d[i] = left >= kLanes ? load(pixel[i][j] + c) : load_some(pixel[i][j] + c, left);
      transform(d, o);
      for (int i = 0; i < N; i++) half[i][j] = o[i];
    }
    for (int i = 0; i < N; i++) {
      Vec o[N];
      transform(half[i], o);
      for (int j = 0; j < N; j++) store(to + (i * N + j) * step + c, o[j]);
    }
  }
}

}  // namespace
