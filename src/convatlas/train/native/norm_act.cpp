// Batch norm while it learns, together with the activation behind it, or with the sum and the ReLU
// that end a residual unit: channels last, float32 or bfloat16.
//
// Ioffe & Szegedy 2015, https://arxiv.org/abs/1502.03167, algorithm 1 and section 3. torch's two
// operations go through memory thirteen times in a step, these eight: nothing between norm and
// activation is written, and backward computes it again from the input. Sums are taken over blocks
// of rows in float32 and over the blocks in float64, in the same order for any number of threads.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <vector>

#include "threads.h"
#include "activations.h"
#include "values.h"

namespace {

constexpr long kBlockValues = 1 << 15;  // of the rows of a block: 128 KiB of float32

struct Rows {
  long count, channels;
  long wide;  // distance of rows of x in values: x may be a part of the channels of wider maps
  long threads;
  Parallel parallel;

  long step() const { return std::max(1L, kBlockValues / channels); }
  long blocks() const { return (count + step() - 1) / step(); }

  template <class Work>  // of (block, first row, row after the last)
  void each_block(const Work& work) const {
    share(parallel, threads, blocks(), [&](long block) {
      work(block, block * step(), std::min(count, (block + 1) * step()));
    });
  }

  template <class Work>  // the same again, first what was seen last and is in the cache
  void each_block_back(const Work& work) const {
    share(parallel, threads, blocks(), [&](long number) {
      const long block = blocks() - 1 - number;
      work(block * step(), std::min(count, (block + 1) * step()));
    });
  }
};

// Mean and variance of each channel, by those of the blocks (Chan, Golub & LeVeque 1979).
template <class T>
void statistics(const Rows& rows, const T* x, double* mean, double* variance) {
  const long c = rows.channels, wide = rows.wide;
  std::vector<float> means(rows.blocks() * c), squares(rows.blocks() * c);
  rows.each_block([&](long block, long first, long last) {
    float *sum = &means[block * c], *square = &squares[block * c];
    for (long r = first; r < last; r++)
      for (long i = 0; i < c; i++) sum[i] += get(x[r * wide + i]);
    for (long i = 0; i < c; i++) sum[i] /= static_cast<float>(last - first);
    for (long r = first; r < last; r++)
      for (long i = 0; i < c; i++) {
        const float off = get(x[r * wide + i]) - sum[i];
        square[i] += off * off;
      }
  });
  std::fill(mean, mean + c, 0.0);
  std::fill(variance, variance + c, 0.0);
  for (long block = 0; block < rows.blocks(); block++) {
    const double seen = static_cast<double>(block * rows.step());
    const double here = static_cast<double>(std::min(rows.step(), rows.count - block * rows.step()));
    const double part = here / (seen + here);
    for (long i = 0; i < c; i++) {
      const double off = means[block * c + i] - mean[i];
      mean[i] += off * part;
      variance[i] += squares[block * c + i] + off * off * seen * part;
    }
  }
  for (long i = 0; i < c; i++) variance[i] /= static_cast<double>(rows.count);
}

// What backward needs of a channel: z = scale x + shift.
struct Channels {
  float *scale, *shift, *mean, *inverse;
  Channels(float* all, long c) : scale(all), shift(all + c), mean(all + 2 * c), inverse(all + 3 * c) {}
};

template <class T, class Act>
void forward(const Rows& rows, const T* x, T* y, Channels found) {
  const long c = rows.channels, wide = rows.wide;
  const float *scale = found.scale, *shift = found.shift;
  rows.each_block_back([=](long first, long last) {
    for (long r = first; r < last; r++)
#pragma GCC ivdep
      for (long i = 0; i < c; i++)
        put(y[r * c + i], Act::value(get(x[r * wide + i]) * scale[i] + shift[i]));
  });
}

// relu(norm(x) + other)
template <class T>
void forward_sum(const Rows& rows, const T* x, const T* other, T* y, Channels found) {
  const long c = rows.channels, wide = rows.wide;
  const float *scale = found.scale, *shift = found.shift;
  rows.each_block_back([=](long first, long last) {
    for (long r = first; r < last; r++)
#pragma GCC ivdep
      for (long i = 0; i < c; i++)
        put(y[r * c + i], Relu::value(get(x[r * wide + i]) * scale[i] + shift[i] + get(other[r * c + i])));
  });
}

// The sums of the gradient of z over the rows, for each block: alone, and times x - mean.
struct Sums {
  std::vector<float> plain, dots;
  explicit Sums(const Rows& rows) : plain(rows.blocks() * rows.channels), dots(plain.size()) {}
};

// The gradient of x is scale g + slope x + offset.
struct Line {
  std::vector<float> slope, offset;
};

Line gradients(const Rows& rows, const Sums& sums, Channels found, float* weight, float* bias) {
  const long c = rows.channels;
  std::vector<double> plain(c), dots(c);
  for (long block = 0; block < rows.blocks(); block++)
    for (long i = 0; i < c; i++) {
      plain[i] += sums.plain[block * c + i];
      dots[i] += sums.dots[block * c + i];
    }
  Line line{std::vector<float>(c), std::vector<float>(c)};
  const double count = static_cast<double>(rows.count);
  for (long i = 0; i < c; i++) {
    const double inverse = found.inverse[i];
    const double falling = -found.scale[i] * dots[i] * inverse * inverse / count;
    weight[i] = static_cast<float>(dots[i] * inverse);
    bias[i] = static_cast<float>(plain[i]);
    line.slope[i] = static_cast<float>(falling);
    line.offset[i] = static_cast<float>(-falling * found.mean[i] - found.scale[i] * plain[i] / count);
  }
  return line;
}

// Rows of `out` are as far apart as those of x; with `adds`, what is in it counts too.
template <class T, class Act>
void backward(const Rows& rows, const T* x, const T* given, T* out, Channels found, float* weight,
              float* bias, bool adds) {
  const long c = rows.channels, wide = rows.wide;
  const float *scale = found.scale, *shift = found.shift, *mean = found.mean;
  constexpr bool keeps = Act::kCostly && sizeof(T) == sizeof(Half);  // float32 waits for memory
  Sums sums(rows);
  rows.each_block([&](long block, long first, long last) {
    float *sum = &sums.plain[block * c], *dot = &sums.dots[block * c];
    for (long r = first; r < last; r++)
#pragma GCC ivdep
      for (long i = 0; i < c; i++) {
        const float value = get(x[r * wide + i]), z = value * scale[i] + shift[i];
        float g = get(given[r * c + i]) * Act::slope(z);
        if constexpr (keeps) {
          put(out[r * wide + i], g);
          g = get(out[r * wide + i]);
        }
        sum[i] += g;
        dot[i] += g * (value - mean[i]);
      }
  });
  const Line line = gradients(rows, sums, found, weight, bias);
  const float *slope = line.slope.data(), *offset = line.offset.data();
  const auto finish = [&](auto adding) {
    rows.each_block_back([=](long first, long last) {
      for (long r = first; r < last; r++)
#pragma GCC ivdep
        for (long i = 0; i < c; i++) {
          const float value = get(x[r * wide + i]);
          T& to = out[r * wide + i];
          float g;
          if constexpr (keeps)
            g = get(to);
          else
            g = get(given[r * c + i]) * Act::slope(value * scale[i] + shift[i]);
          const float result = g * scale[i] + value * slope[i] + offset[i];
          if constexpr (decltype(adding)::value)
            put(to, get(to) + result);
          else
            put(to, result);
        }
    });
  };
  adds ? finish(std::true_type{}) : finish(std::false_type{});
}

// `y`: what forward_sum gave; `other`: for the gradient of what was added, which is that of z.
template <class T>
void backward_sum(const Rows& rows, const T* x, const T* y, const T* given, T* out, T* other,
                  Channels found, float* weight, float* bias) {
  const long c = rows.channels, wide = rows.wide;
  const float *scale = found.scale, *mean = found.mean;
  Sums sums(rows);
  rows.each_block([&](long block, long first, long last) {
    float *sum = &sums.plain[block * c], *dot = &sums.dots[block * c];
    for (long r = first; r < last; r++)
#pragma GCC ivdep
      for (long i = 0; i < c; i++) {
        const float g = get(given[r * c + i]) * Relu::slope(get(y[r * c + i]));
        put(other[r * c + i], g);
        sum[i] += g;
        dot[i] += g * (get(x[r * wide + i]) - mean[i]);
      }
  });
  const Line line = gradients(rows, sums, found, weight, bias);
  const float *slope = line.slope.data(), *offset = line.offset.data();
  rows.each_block_back([=](long first, long last) {
    for (long r = first; r < last; r++)
#pragma GCC ivdep
      for (long i = 0; i < c; i++)
        put(out[r * c + i],
            get(other[r * c + i]) * scale[i] + get(x[r * wide + i]) * slope[i] + offset[i]);
  });
}

}  // namespace

extern "C" {

// Maps and settings of one call. `half`: bfloat16; `silu`: else ReLU. `other` is added before the
// ReLU where it is given; backward then takes `y`, and gives the gradient of `other` there. The first
// channels may be `known`: mean and variance of earlier ones of the same maps. With `adds` (and ReLU
// alone), the gradient of x is added to what is in `out`, whose rows are as far apart as those of x.
struct NormCall {
  long rows, channels, wide, known, threads, half, silu, adds;
  const void *x, *given, *y;  // (rows, channels); `given`: the gradient of the output
  void *out, *other;
  const float *weight, *bias;
  float *running_mean, *running_variance, *found;  // found: (4, channels), see Channels
  float *weight_gradient, *bias_gradient;
  double *mean, *variance;  // (channels), of which `known` are given
  double eps, momentum;
  Parallel parallel;
};

void norm_act_forward(const NormCall* call) {
  const long c = call->channels;
  const Rows rows{call->rows, c, call->wide, call->threads, call->parallel};
  const long known = call->known;
  const Rows others{call->rows, c - known, call->wide, call->threads, call->parallel};
  double *mean = call->mean, *variance = call->variance;
  if (call->half)
    statistics(others, static_cast<const Half*>(call->x) + known, mean + known, variance + known);
  else
    statistics(others, static_cast<const float*>(call->x) + known, mean + known, variance + known);
  const Channels found(call->found, c);
  const double unbiased = static_cast<double>(rows.count) / static_cast<double>(rows.count - 1);
  const double old = 1 - call->momentum;
  for (long i = 0; i < c; i++) {
    const double inverse = 1 / std::sqrt(variance[i] + call->eps);
    found.mean[i] = static_cast<float>(mean[i]);
    found.inverse[i] = static_cast<float>(inverse);
    found.scale[i] = static_cast<float>(call->weight[i] * inverse);
    found.shift[i] = static_cast<float>(call->bias[i] - mean[i] * found.scale[i]);
    float &kept = call->running_mean[i], &spread = call->running_variance[i];
    kept = static_cast<float>(old * kept + call->momentum * mean[i]);
    spread = static_cast<float>(old * spread + call->momentum * unbiased * variance[i]);
  }
  const auto run = [&](auto kind, auto act) {
    using T = decltype(kind);
    const T *x = static_cast<const T*>(call->x), *other = static_cast<const T*>(call->other);
    T* out = static_cast<T*>(call->out);
    if (other)
      forward_sum<T>(rows, x, other, out, found);
    else
      forward<T, decltype(act)>(rows, x, out, found);
  };
  call->half ? (call->silu ? run(Half{}, Silu{}) : run(Half{}, Relu{}))
             : (call->silu ? run(0.0f, Silu{}) : run(0.0f, Relu{}));
}

void norm_act_backward(const NormCall* call) {
  const Rows rows{call->rows, call->channels, call->wide, call->threads, call->parallel};
  const Channels found(call->found, call->channels);
  const auto run = [&](auto kind, auto act) {
    using T = decltype(kind);
    const T *x = static_cast<const T*>(call->x), *given = static_cast<const T*>(call->given);
    T *out = static_cast<T*>(call->out), *other = static_cast<T*>(call->other);
    float *weight = call->weight_gradient, *bias = call->bias_gradient;
    if (other)
      backward_sum<T>(rows, x, static_cast<const T*>(call->y), given, out, other, found, weight, bias);
    else
      backward<T, decltype(act)>(rows, x, given, out, found, weight, bias, call->adds);
  };
  call->half ? (call->silu ? run(Half{}, Silu{}) : run(Half{}, Relu{}))
             : (call->silu ? run(0.0f, Silu{}) : run(0.0f, Relu{}));
}
}
