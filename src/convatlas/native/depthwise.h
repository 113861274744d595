// Filters that look at one map each, channels last: some outputs that are neighbours at a time.

#pragma once

#include "maps.h"
#include "vectors.h"

extern "C" struct Depthwise {  // weights null: there are none
  const float* weights;  // (rows, columns, whole vectors of channels)
  const float* bias;     // whole vectors
  long high, wide, down, right, pad_top, pad_left;
  long activation;
};

namespace {

constexpr int kNeighbours = 4;  // outputs of a row that share what they see

// Filters over maps of `height` x `width`; what lies outside is read from `zeros`, for every channel.
template <class Value>
class Filters {
 public:
  Filters(const Depthwise& how, const Maps& maps, long height, long width, long channels,
          const Value* zeros)
      : how_(how), maps_(maps), height_(height), width_(width), channels_(channels),
        step_(up(channels, kLanes)), zeros_(zeros) {}

  // The outputs from a place on, `count` of one row: `to[k * row]` gets whole vectors of output k.
  void give(Place at, long count, Value* to, long row) const {
    if (how_.wide == 1) return how_.right == 1 ? all<1, 1>(at, count, to, row) : all<1, 2>(at, count, to, row);
    if (how_.wide == 3) return how_.right == 1 ? all<3, 1>(at, count, to, row) : all<3, 2>(at, count, to, row);
    how_.right == 1 ? all<5, 1>(at, count, to, row) : all<5, 2>(at, count, to, row);
  }

 private:
  // The rows that filters see: from `begin` to `end` of theirs, the first at `data`.
  struct Rows {
    long begin, end;
    const Value* data;
  };

  // By filters of K columns, S pixels apart.
  template <int K, int S>
  void all(Place at, long count, Value* to, long row) const {
    const long top = at.top * how_.down - how_.pad_top;
    const long begin = std::clamp(-top, 0L, how_.high);
    const Rows rows{begin, std::clamp(height_ - top, begin, how_.high),
                    static_cast<const Value*>(maps_.data) + at.image * maps_.image +
                        (top + begin) * maps_.row};
    for (long k = 0; k < count; k += kNeighbours)
      some<K, S>(rows, (at.left + k) * S - how_.pad_left, std::min<long>(count - k, kNeighbours),
                 to + k * row, row);
  }

  template <int K, int S, int T = kNeighbours>
  void some(const Rows& rows, long left, long count, Value* to, long row) const {
    if (count == T) return filter<K, S, T>(rows, left, to, row);
    if constexpr (T > 1) some<K, S, T - 1>(rows, left, count, to, row);
  }

  // T outputs, of which the first sees pixels from `left` on.
  template <int K, int S, int T>
  void filter(const Rows& rows, long left, Value* to, long row) const {
    constexpr int kSeen = (T - 1) * S + K;
    if (left >= 0 && left + kSeen <= width_) {
      const Value* first = rows.data + left * maps_.pixel;
      return sum<K, S, T>(rows, [&](long i, int j) {
        return first + i * maps_.row + j * maps_.pixel;
      }, to, row);
    }
    sum<K, S, T>(rows, [&](long i, int j) {
      const long x = left + j;
      return x >= 0 && x < width_ ? rows.data + i * maps_.row + x * maps_.pixel : zeros_;
    }, to, row);
  }

  // `pixel(i, j)`: where column j of the i-th row lies.
  template <int K, int S, int T, class Pixel>
  void sum(const Rows& rows, const Pixel& pixel, Value* to, long row) const {
    constexpr int kSeen = (T - 1) * S + K;
    for (long c = 0; c < channels_; c += kLanes) {
      const long rest = channels_ - c;
      Vec sum[T];
      for (int t = 0; t < T; t++) sum[t] = load(how_.bias + c);
      for (long i = rows.begin; i < rows.end; i++) {
        const float* weights = how_.weights + i * K * step_ + c;
        Vec weight[K];
        for (int k = 0; k < K; k++) weight[k] = load(weights + k * step_);
#pragma GCC unroll 16
        for (int j = 0; j < kSeen; j++) {
          const Value* from = pixel(i - rows.begin, j) + c;
          const Vec seen = rest >= kLanes ? load(from) : load_some(from, rest);
#pragma GCC unroll 4
          for (int t = 0; t < T; t++)
            if (j >= t * S && j < t * S + K) sum[t] += seen * weight[j - t * S];
        }
      }
      for (int t = 0; t < T; t++) store(to + t * row + c, activated(sum[t], how_.activation));
    }
  }

  const Depthwise& how_;
  const Maps& maps_;
  const long height_, width_, channels_, step_;
  const Value* zeros_;
};

}  // namespace
