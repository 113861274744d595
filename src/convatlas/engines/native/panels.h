// Products of matrices in pieces that registers and caches hold.

#pragma once

#include "vectors.h"

namespace {

constexpr int kMostRows = 12;
constexpr long kPanel = kWidest * kLanes;  // columns multiplied at a time

// (R, depth) by (depth, V vectors), for R rows of tiles.
template <int V, int R>
void multiply_rows(const float* a, long lda, const float* b, float* out, long ldo, long depth) {
  Vec sum[R][V] = {};
  for (long c = 0; c < depth; c++, b += V * kLanes) {
    Vec weight[V];
    for (int v = 0; v < V; v++) weight[v] = load(b + v * kLanes);
#pragma GCC unroll 12
    for (int r = 0; r < R; r++)
#pragma GCC unroll 4
      for (int v = 0; v < V; v++) sum[r][v] += a[r * lda + c] * weight[v];
  }
  for (int r = 0; r < R; r++)
    for (int v = 0; v < V; v++) store(out + r * ldo + v * kLanes, sum[r][v]);
}

template <int V, int R = std::min(kMostRows, kSums / V)>
void multiply_some(long rows, const float* a, long lda, const float* b, float* out, long ldo,
                   long depth) {
  if (rows == R) return multiply_rows<V, R>(a, lda, b, out, ldo, depth);
  if constexpr (R > 1) multiply_some<V, R - 1>(rows, a, lda, b, out, ldo, depth);
}

// All rows of a block, in groups as equal as they can be.
template <int V>
void multiply_panel(long rows, const float* a, long lda, const float* b, float* out, long ldo,
                    long depth) {
  constexpr long kMost = std::min(kMostRows, kSums / V);
  const long groups = (rows + kMost - 1) / kMost;
  for (long g = 0; g < groups; g++) {
    const long from = rows * g / groups, to = rows * (g + 1) / groups;
    multiply_some<V>(to - from, a + from * lda, lda, b, out + from * ldo, ldo, depth);
  }
}

}  // namespace
