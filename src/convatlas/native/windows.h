// What filters see, for outputs of a row that are neighbours.

#pragma once

#include <type_traits>

#include "maps.h"

namespace {

// Filters over maps, and the pixel outside of them.
template <class Value>
struct Windows {
  const Maps& maps;
  long height, width;
  long high, down, pad_top, pad_left;
  const Value* zeros;
};

// Runs `work` with a number that the compiler knows: `count`, or `Most` where that is less.
template <int Most, class Work>
void by_count(long count, const Work& work) {
  if (count >= Most) return work(std::integral_constant<int, Most>{});
  if constexpr (Most > 1) by_count<Most - 1>(count, work);
}

// For `count` outputs from a place on, `Most` at a time, by filters of K columns, S pixels apart:
// `work(T, from, begin, end, pixel)` is for T outputs, the first of which is number `from`. They see
// rows `begin` to `end` of the filters; `pixel(i, j)` is where column j of row i lies.
template <int K, int S, int Most, class Value, class Work>
void along(const Windows<Value>& all, Place at, long count, const Work& work) {
  const long top = at.top * all.down - all.pad_top;
  const long begin = std::clamp(-top, 0L, all.high);
  const long end = std::clamp(all.height - top, begin, all.high);
  const Value* rows =
      static_cast<const Value*>(all.maps.data) + at.image * all.maps.image + top * all.maps.row;
  for (long from = 0; from < count; from += Most) {
    const long left = (at.left + from) * S - all.pad_left;
    by_count<Most>(count - from, [&](auto outputs) {
      constexpr int kSeen = (decltype(outputs)::value - 1) * S + K;
      long column[kSeen];  // negative: outside
      for (int j = 0; j < kSeen; j++)
        column[j] = left + j < all.width ? (left + j) * all.maps.pixel : -1;
      work(outputs, from, begin, end, [&](long i, int j) {
        return column[j] < 0 ? all.zeros : rows + i * all.maps.row + column[j];
      });
    });
  }
}

}  // namespace
