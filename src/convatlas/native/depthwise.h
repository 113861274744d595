// Filters that look at one map each, channels last: some outputs that are neighbours at a time.

#pragma once

#include "vectors.h"
#include "windows.h"

extern "C" struct Depthwise {  // weights null: there are none
  const float* weights;  // (rows, columns, whole vectors of channels)
  const float* bias;     // whole vectors
  const float* zeros;    // the pixel outside of maps, whole vectors
  long high, wide, down, right, pad_top, pad_left;
  long activation;  // as `curved` and `Limits` have them
};

namespace {

constexpr int kNeighbours = 7;  // outputs of a row that share what they see

// Writes `count` outputs of one row, from a place on: output k goes to `to[k * row]`.
template <int K, int S, class Value>
void filter(const Depthwise& how, const Windows<Value>& maps, long channels, Place at, long count,
            Value* to, long row) {
  const long step = up(channels, kLanes);
  const Limits limits(how.activation);
  along<K, S, kNeighbours>(maps, at, count, [&](auto outputs, long from, long begin, long end,
                                                const auto& pixels) {
    constexpr int T = decltype(outputs)::value;
    long c = 0;
    for (; c + kLanes <= channels; c += kLanes) {
      Vec sum[T];
      for (int t = 0; t < T; t++) sum[t] = load(how.bias + c);
      for (long i = begin; i < end; i++) {
        const float* weights = how.weights + i * K * step + c;
        Vec weight[K];
        for (int k = 0; k < K; k++) weight[k] = load(weights + k * step);
#pragma GCC unroll 32
        for (int j = 0; j < (T - 1) * S + K; j++) {
          const Vec seen = load(pixels[i][j] + c);
#pragma GCC unroll 8
          for (int t = 0; t < T; t++)
            if (j >= t * S && j < t * S + K) sum[t] += seen * weight[j - t * S];
        }
      }
      for (int t = 0; t < T; t++) store(to + (from + t) * row + c, limits(sum[t]));
    }
    const long left = channels - c;
    for (int t = 0; t < T && left > 0; t++) {
      Vec sum = load(how.bias + c);
      for (long i = begin; i < end; i++)
#pragma GCC unroll 1
        for (int k = 0; k < K; k++)
          sum += load_some(pixels[i][t * S + k] + c, left) * load(how.weights + (i * K + k) * step + c);
      store_some(to + (from + t) * row + c, limits(sum), left);
    }
  });
  for (long k = 0; k < count && curved(how.activation); k++)
    bend(to + k * row, channels, how.activation);
}

inline void filter(const Depthwise& how, const Call& call, long channels, Place at, long count,
                   float* to, long row) {
  const Windows<float> maps{call.input, call.height, call.width,   how.high,
                            how.down,   how.pad_top, how.pad_left, how.zeros};
  const auto by = [&](auto columns) {
    constexpr int K = decltype(columns)::value;
    how.right == 1 ? filter<K, 1>(how, maps, channels, at, count, to, row)
                   : filter<K, 2>(how, maps, channels, at, count, to, row);
  };
  if (how.wide == 1) return by(std::integral_constant<int, 1>{});
  how.wide == 3 ? by(std::integral_constant<int, 3>{}) : by(std::integral_constant<int, 5>{});
}

}  // namespace
