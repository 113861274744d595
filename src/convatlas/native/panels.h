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

// The weights that will be needed next, and which lines of a row of them to fetch meanwhile.
template <class Value>
struct Ahead {
  const Value* weights;
  long from, to;
};

// (R, depth) by (depth, V vectors): `give(row, sums)` for each of R rows.
template <int V, int R, class Value, class Give>
void multiply_rows(long first, const Value* a, long lda, const Value* b, long depth,
                   Ahead<Value> ahead, const Give& give) {
  constexpr long kLine = 64 / sizeof(Value);
  Vec sum[R][V] = {};
  for (long c = 0; c < depth; c++, b += V * kLanes, ahead.weights += V * kLanes) {
    for (long line = ahead.from; line < ahead.to; line++)
      __builtin_prefetch(ahead.weights + line * kLine, 0, 2);
    Vec weight[V];
    for (int v = 0; v < V; v++) weight[v] = load(b + v * kLanes);
#pragma GCC unroll 12
    for (int r = 0; r < R; r++)
#pragma GCC unroll 4
      for (int v = 0; v < V; v++) sum[r][v] += single(a + r * lda + c) * weight[v];
  }
  for (int r = 0; r < R; r++) give(first + r, sum[r]);
}

template <int V, int R = std::min(kMostRows, kSums / V), class Value, class Give>
void multiply_some(long rows, long first, const Value* a, long lda, const Value* b, long depth,
                   Ahead<Value> ahead, const Give& give) {
  if (rows == R) return multiply_rows<V, R>(first, a, lda, b, depth, ahead, give);
  if constexpr (R > 1) multiply_some<V, R - 1>(rows, first, a, lda, b, depth, ahead, give);
}

// All rows of a block, in groups as equal as they can be; meanwhile the weights at `next` come
// from memory. `give(row, sums)` gets V vectors of each row.
template <int V, class Value, class Give>
void multiply_panel(long rows, const Value* a, long lda, const Value* b, long depth,
                    const Value* next, const Give& give) {
  constexpr long kMost = std::min(kMostRows, kSums / V);
  constexpr long kLines = (V * kLanes * sizeof(Value) + 63) / 64;
  const long groups = (rows + kMost - 1) / kMost;
  for (long g = 0; g < groups; g++) {
    const long from = rows * g / groups, to = rows * (g + 1) / groups;
    const Ahead<Value> ahead{next, kLines * g / groups, kLines * (g + 1) / groups};
    multiply_some<V>(to - from, from, a + from * lda, lda, b, depth, ahead, give);
  }
}

}  // namespace
