// The gradients of maps that are multiplied by a weight each: rows of channels, float32 or bfloat16.
//
// y = x s, with one s for each image and channel: a gradient g of y gives g s to x, and to s the sum
// of g x over the pixels of an image. Both are done in one pass. Pixels are summed up in parts of an
// image, so that the order does not depend on the number of threads.

#include "threads.h"
#include "vectors.h"

extern "C" struct GateCall {
  long images, pixels, channels, given_row;  // given_row: distance of rows of `given` in values
  long parts;                                // of the pixels of an image
  long threads, half;
  const void *x, *given, *weights;  // weights: (images, channels)
  void* out;
  float* sums;  // (images, parts, channels)
  Parallel parallel;
};

namespace {

template <class Value>
void run(const GateCall& o) {
  const long c = o.channels;
  share(o.parallel, o.threads, o.images * o.parts, [&](long item) {
    const long image = item / o.parts, part = item % o.parts;
    const long first = o.pixels * part / o.parts, last = o.pixels * (part + 1) / o.parts;
    const Value* s = static_cast<const Value*>(o.weights) + image * c;
    float* sum = o.sums + item * c;
    std::fill_n(sum, c, 0.f);
    for (long p = image * o.pixels + first; p < image * o.pixels + last; p++) {
      const Value* given = static_cast<const Value*>(o.given) + p * o.given_row;
      const Value* x = static_cast<const Value*>(o.x) + p * c;
      Value* to = static_cast<Value*>(o.out) + p * c;
      long k = 0;
      for (; k + kLanes <= c; k += kLanes) {
        const Vec gradient = load(given + k);
        store(sum + k, load(sum + k) + gradient * load(x + k));
        store(to + k, gradient * load(s + k));
      }
      if (const long left = c - k) {
        const Vec gradient = load_some(given + k, left);
        store_some(sum + k, load_some(sum + k, left) + gradient * load_some(x + k, left), left);
        store_some(to + k, gradient * load_some(s + k, left), left);
      }
    }
  });
}

}  // namespace

extern "C" void gate_backward(const GateCall* call) {
  call->half ? run<BFloat16>(*call) : run<float>(*call);
}
