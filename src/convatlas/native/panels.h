// Products of matrices in pieces that registers and caches hold.

#pragma once

#include <type_traits>

#include "vectors.h"

namespace {

constexpr int kMostRows = 12;
constexpr long kPanel = kWidest * kLanes;  // columns multiplied at a time

// Runs `work` for a panel of so many vectors, a number that the compiler knows.
template <class Work>
void by_width(long vectors, const Work& work) {
  if (vectors == 1) return work(std::integral_constant<int, 1>{});
  if (vectors == 2) return work(std::integral_constant<int, 2>{});
  if constexpr (kWidest == 4) {
    if (vectors == 3) return work(std::integral_constant<int, 3>{});
    work(std::integral_constant<int, 4>{});
  }
}

// The weights that will be needed next, and which vectors of a row of them to fetch meanwhile.
struct Ahead {
  const float* weights;
  long from, to;
};

// (R, depth) by (depth, V vectors), for R rows of tiles.
template <int V, int R>
void multiply_rows(const float* a, long lda, const float* b, float* out, long ldo, long depth,
                   Ahead ahead) {
  Vec sum[R][V] = {};
  for (long c = 0; c < depth; c++, b += V * kLanes, ahead.weights += V * kLanes) {
    for (long v = ahead.from; v < ahead.to; v++)
      __builtin_prefetch(ahead.weights + v * kLanes, 0, 2);
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
                   long depth, Ahead ahead) {
  if (rows == R) return multiply_rows<V, R>(a, lda, b, out, ldo, depth, ahead);
  if constexpr (R > 1) multiply_some<V, R - 1>(rows, a, lda, b, out, ldo, depth, ahead);
}

// All rows of a block, in groups as equal as they can be; meanwhile the weights at `next` come
// from memory.
template <int V>
void multiply_panel(long rows, const float* a, long lda, const float* b, float* out, long ldo,
                    long depth, const float* next) {
  constexpr long kMost = std::min(kMostRows, kSums / V);
  const long groups = (rows + kMost - 1) / kMost;
  for (long g = 0; g < groups; g++) {
    const long from = rows * g / groups, to = rows * (g + 1) / groups;
    const Ahead ahead{next, V * g / groups, V * (g + 1) / groups};
    multiply_some<V>(to - from, a + from * lda, lda, b, out + from * ldo, ldo, depth, ahead);
  }
}

}  // namespace
