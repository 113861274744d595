// The gradient of ReLU, from its output: rows of channels, float32 or bfloat16.
//
// The gradients that are given may be a part of wider rows, as those of joined maps are; what is
// written is whole. torch reads such rows value by value.

#include <algorithm>
#include <cstdint>

#include "threads.h"

extern "C" struct ReluCall {
  long rows, channels, given_row, threads, half;  // given_row: distance of rows in values
  const void *y, *given;
  void* out;
  Parallel parallel;
};

namespace {

// Whether a gradient goes through, by what came out: those of NaN do.
inline bool passes(float y) { return !(y <= 0.0f); }
inline bool passes(uint16_t y) {  // bfloat16, by its bits
  return static_cast<int16_t>(y) > 0 || (y & 0x7fff) > 0x7f80;
}

template <class T>
void run(const ReluCall& o) {
  constexpr long kBlockValues = 1 << 15;
  const long c = o.channels, step = std::max(1L, kBlockValues / c);
  const T *y = static_cast<const T*>(o.y), *given = static_cast<const T*>(o.given);
  T* out = static_cast<T*>(o.out);
  const long blocks = (o.rows + step - 1) / step;
  share(o.parallel, o.threads, blocks, [&](long number) {
    const long block = blocks - 1 - number;  // first what was written last, and is in the cache
    for (long r = block * step; r < std::min(o.rows, (block + 1) * step); r++)
      for (long i = 0; i < c; i++) {
        const T value = given[r * o.given_row + i];
        out[r * c + i] = passes(y[r * c + i]) ? value : T{};
      }
  });
}

}  // namespace

extern "C" void relu_backward(const ReluCall* call) {
  call->half ? run<uint16_t>(*call) : run<float>(*call);
}
