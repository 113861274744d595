// The gradients of a depthwise convolution: channels last, float32 or bfloat16.
//
// Each image is gone through row by row of the output. The rows of the input that a row of the
// output saw, and the gradients of those, lie in a ring of float32 that stays in the cache; a row
// of the gradient is written once, when no further row of the output has seen it.

#include <algorithm>
#include <cstring>
#include <vector>

#include "threads.h"
#include "values.h"

namespace {

constexpr long kLanes = 16;
typedef float Vec __attribute__((vector_size(4 * kLanes), aligned(4), may_alias));

inline Vec& at(float* place) { return *reinterpret_cast<Vec*>(place); }
inline const Vec& at(const float* place) { return *reinterpret_cast<const Vec*>(place); }

}  // namespace

extern "C" {

// `given`: (images, out_height, out_width, channels), the gradient of the output; `weights`: (size *
// size, channels); `weight_gradient`: the same, float64.
struct DepthwiseCall {
  long images, channels, height, width, out_height, out_width, size, stride, padding;
  long threads, half;
  const void *x, *given;
  void* out;
  const float* weights;
  double* weight_gradient;
  Parallel parallel;
};
}

namespace {

template <class T>
void widen(const T* from, float* to, long width, long channels, long padded) {
  for (long w = 0; w < width; w++)
    for (long c = 0; c < channels; c++) to[w * padded + c] = get(from[w * channels + c]);
}

template <class T>
void narrow(const float* from, T* to, long width, long channels, long padded) {
  for (long w = 0; w < width; w++)
    for (long c = 0; c < channels; c++) put(to[w * channels + c], from[w * padded + c]);
}

template <class T>
struct Image {
  const DepthwiseCall& call;
  const long padded;  // channels, up to whole vectors
  const float* weights;
  const T *x, *given;
  T* out;
  float* sums;  // of this image: (size * size, padded)

  void run() const {
    const DepthwiseCall& o = call;
    const long ring = o.size + o.stride, row = o.width * padded;
    std::vector<float> inputs(ring * row), gradients(ring * row), given_row(o.out_width * padded);
    long begun = 0, done = 0;
    const auto begin = [&](long end) {
      for (; begun < std::min(end, o.height); begun++) {
        widen(x + begun * o.width * o.channels, &inputs[begun % ring * row], o.width, o.channels,
              padded);
        std::fill_n(&gradients[begun % ring * row], row, 0.0f);
      }
    };
    const auto finish = [&](long end) {
      for (; done < std::min(end, o.height); done++) {
        begin(done + 1);
        narrow(&gradients[done % ring * row], out + done * o.width * o.channels, o.width,
               o.channels, padded);
      }
    };
    for (long ho = 0; ho < o.out_height; ho++) {
      const long top = ho * o.stride - o.padding;
      finish(top);
      begin(top + o.size);
      widen(given + ho * o.out_width * o.channels, given_row.data(), o.out_width, o.channels,
            padded);
      for (long c = 0; c < padded; c += kLanes)
        for (long ky = 0; ky < o.size; ky++)
          if (top + ky >= 0 && top + ky < o.height)
            filter_row(ky, c, &inputs[(top + ky) % ring * row + c],
                       &gradients[(top + ky) % ring * row + c], &given_row[c]);
    }
    finish(o.height);
  }

  void filter_row(long ky, long c, const float* seen, float* gradient, const float* above) const {
    const DepthwiseCall& o = call;
    const long step = o.stride * padded;
    for (long kx = 0; kx < o.size; kx++) {
      const long shift = kx - o.padding;  // of the input against stride * output
      const long first = shift >= 0 ? 0 : (-shift + o.stride - 1) / o.stride;
      const long room = o.width - 1 - shift;
      const long last = room < 0 ? 0 : std::min(o.out_width, room / o.stride + 1);
      const Vec weight = at(weights + (ky * o.size + kx) * padded + c);
      Vec sum[2] = {};
      const float *g = above + first * padded, *x_at = seen + (first * o.stride + shift) * padded;
      float* to = gradient + (first * o.stride + shift) * padded;
      for (long wo = first; wo < last; wo++, g += padded, x_at += step, to += step) {
        const Vec value = at(g);
        sum[wo & 1] += value * at(x_at);
        at(to) += value * weight;
      }
      at(sums + (ky * o.size + kx) * padded + c) += sum[0] + sum[1];
    }
  }
};

template <class T>
void run(const DepthwiseCall& o) {
  const long padded = (o.channels + kLanes - 1) / kLanes * kLanes, taps = o.size * o.size;
  std::vector<float> weights(taps * padded), sums(o.images * taps * padded);
  widen(o.weights, weights.data(), taps, o.channels, padded);
  const long in = o.height * o.width * o.channels, above = o.out_height * o.out_width * o.channels;
  share(o.parallel, o.threads, o.images, [&](long n) {
    Image<T>{o,
             padded,
             weights.data(),
             static_cast<const T*>(o.x) + n * in,
             static_cast<const T*>(o.given) + n * above,
             static_cast<T*>(o.out) + n * in,
             &sums[n * taps * padded]}
        .run();
  });
  std::fill_n(o.weight_gradient, taps * o.channels, 0.0);
  for (long n = 0; n < o.images; n++)
    for (long tap = 0; tap < taps; tap++)
      for (long c = 0; c < o.channels; c++)
        o.weight_gradient[tap * o.channels + c] += sums[(n * taps + tap) * padded + c];
}

}  // namespace

extern "C" void depthwise_backward(const DepthwiseCall* call) {
  call->half ? run<Half>(*call) : run<float>(*call);
}
