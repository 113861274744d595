// Products of matrices in pieces that registers and caches hold.

#pragma once

#include <type_traits>

#include "vectors.h"

namespace {

constexpr int kMostRows = 12;
constexpr int most_rows(int vectors) { return std::min(kMostRows, kSums / vectors); }
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

// Rows of `runs` runs of `run` values. They may overlap.
template <class Value>
struct Rows {
  const Value* begin;
  long apart;  // from one row to the next
  long run, runs, step;  // from one run of a row to the next
};

// R rows by V vectors for each value of a row: `give(first, sums)`, inlined, takes them from the
// registers.
template <int V, int R, class Value, class Give>
void multiply_rows(long first, const Rows<Value>& rows, const Value* b, Ahead<Value> ahead,
                   const Give& give) {
  constexpr long kLine = 64 / sizeof(Value);
  Vec sum[R][V] = {};
  const Value* a = rows.begin + first * rows.apart;
  for (long run = 0; run < rows.runs; run++, a += rows.step)
    for (long c = 0; c < rows.run; c++, b += V * kLanes, ahead.weights += V * kLanes) {
      for (long line = ahead.from; line < ahead.to; line++)
        __builtin_prefetch(ahead.weights + line * kLine, 0, 2);
      Vec weight[V];
      for (int v = 0; v < V; v++) weight[v] = load(b + v * kLanes);
#pragma GCC unroll 12
      for (int r = 0; r < R; r++)
#pragma GCC unroll 4
        for (int v = 0; v < V; v++) sum[r][v] += single(a + r * rows.apart + c) * weight[v];
    }
  give(first, sum);
}

template <int V, int R = most_rows(V), class Value, class Give>
void multiply_some(long count, long first, const Rows<Value>& rows, const Value* b,
                   Ahead<Value> ahead, const Give& give) {
  if (count == R) return multiply_rows<V, R>(first, rows, b, ahead, give);
  if constexpr (R > 1) multiply_some<V, R - 1>(count, first, rows, b, ahead, give);
}

// All rows of a block, in groups as equal as they can be; meanwhile the weights at `next` come
// from memory. `give(first, sums)` gets V vectors for each row of a group.
template <int V, class Value, class Give>
void multiply_panel(long count, const Rows<Value>& rows, const Value* b, const Value* next,
                    const Give& give) {
  constexpr long kMost = most_rows(V);
  constexpr long kLines = (V * kLanes * sizeof(Value) + 63) / 64;
  const long groups = (count + kMost - 1) / kMost;
  for (long g = 0; g < groups; g++) {
    const long from = count * g / groups, to = count * (g + 1) / groups;
    const Ahead<Value> ahead{next, kLines * g / groups, kLines * (g + 1) / groups};
    multiply_some<V>(to - from, from, rows, b, ahead, give);
  }
}

}  // namespace
