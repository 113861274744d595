// What filters see, for outputs of a row that are neighbours.

#pragma once

#include <type_traits>

#include "maps.h"

namespace {

constexpr long kHighest = 7;  // rows of filters

// Filters over maps, and the pixel outside of them.
template <class Value>
struct Windows {
  const Maps& maps;
  long height, width;
  long high, down, pad_top, pad_left;
  const Value* zeros;
};

// Runs `work` with a number that the compiler knows: `Most`, or the first half of it, and so on,
// that is not more than `count`. Gives that number.
template <int Most, class Work>
long by_count(long count, const Work& work) {
  if constexpr (Most > 1)
    if (count < Most) return by_count<(Most + 1) / 2>(count, work);
  work(std::integral_constant<int, Most>{});
  return Most;
}

// For `count` outputs from a place on, up to `Most` at a time, by filters of K columns, S pixels apart:
// `work(T, from, begin, end, pixels)` is for T outputs, the first of which is number `from`. They see
// rows `begin` to `end` of the filters; `pixels[i][j]` is where column j of row i lies.
template <int K, int S, int Most, class Value, class Work>
void along(const Windows<Value>& all, Place at, long count, const Work& work) {
  const long top = at.top * all.down - all.pad_top;
  const long begin = std::clamp(-top, 0L, all.high);
  const long end = std::clamp(all.height - top, begin, all.high);
  const Value* rows =
      static_cast<const Value*>(all.maps.data) + at.image * all.maps.image + top * all.maps.row;
  for (long from = 0; from < count;) {
    const long left = (at.left + from) * S - all.pad_left;
    from += by_count<Most>(count - from, [&](auto outputs) {
      constexpr int kSeen = (decltype(outputs)::value - 1) * S + K;
      const Value* pixels[kHighest][kSeen];
      for (long i = begin; i < end; i++) {
        const Value* row = rows + i * all.maps.row + left * all.maps.pixel;
#pragma GCC unroll 1
        for (int j = 0; j < kSeen; j++, row += all.maps.pixel)
          pixels[i][j] = left + j >= 0 && left + j < all.width ? row : all.zeros;
      }
      work(outputs, from, begin, end, pixels);
    });
  }
}

}  // namespace
