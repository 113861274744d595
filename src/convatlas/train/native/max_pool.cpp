// Max pooling, channels last, float32 or bfloat16: which pixel of its window an output was is kept
// in a byte. Backward asks from each pixel which windows took it: nothing is filled with zeros, and
// sums are in the same order for any number of threads.

#include "threads.h"
#include "vectors.h"

extern "C" struct PoolCall {
  long images, channels, height, width, out_height, out_width;
  long size_y, size_x, stride_y, stride_x, pad_top, pad_left;
  long given_row;  // distance of pixels of `given` in values
  long threads, half;
  const void* x;
  void* y;
  std::uint8_t* taken;  // as y: the place in the window, row by row
  const void* given;    // the gradient of y
  void* out;            // the gradient of x
  Parallel parallel;
};

namespace {

typedef std::int32_t Ints __attribute__((vector_size(4 * kLanes)));
typedef std::uint8_t Bytes __attribute__((vector_size(kLanes)));

inline Ints load_bytes(const std::uint8_t* from, long count) {
  Bytes bytes = {};
  std::memcpy(&bytes, from, count);
  return __builtin_convertvector(bytes, Ints);
}

inline void store_bytes(std::uint8_t* to, Ints value, long count) {
  const Bytes bytes = __builtin_convertvector(value, Bytes);
  std::memcpy(to, &bytes, count);
}

template <class Value>
Vec load_up_to(const Value* from, long count) {
  return count == kLanes ? load(from) : load_some(from, count);
}

template <class Value>
void store_up_to(Value* to, Vec value, long count) {
  count == kLanes ? store(to, value) : store_some(to, value, count);
}

template <class Value>
void forward(const PoolCall& o) {
  const Value* x = static_cast<const Value*>(o.x);
  Value* y = static_cast<Value*>(o.y);
  share(o.parallel, o.threads, o.images * o.out_height, [&](long item) {
    const long image = item / o.out_height;
    const long top = item % o.out_height * o.stride_y - o.pad_top;
    const long first_y = std::max(0L, top), last_y = std::min(o.height, top + o.size_y);
    for (long ox = 0; ox < o.out_width; ox++) {
      const long left = ox * o.stride_x - o.pad_left;
      const long first_x = std::max(0L, left), last_x = std::min(o.width, left + o.size_x);
      const long at = (item * o.out_width + ox) * o.channels;
      for (long c = 0; c < o.channels; c += kLanes) {
        const long some = std::min<long>(kLanes, o.channels - c);
        Vec best = Vec{} - __builtin_inff();
        Ints taken = Ints{} + static_cast<int>((first_y - top) * o.size_x + (first_x - left));
        for (long iy = first_y; iy < last_y; iy++)
          for (long ix = first_x; ix < last_x; ix++) {
            const Vec value =
                load_up_to(x + ((image * o.height + iy) * o.width + ix) * o.channels + c, some);
            const Ints better = (value > best) | (value != value);  // NaN stays
            best = better ? value : best;
            taken = better ? Ints{} + static_cast<int>((iy - top) * o.size_x + ix - left) : taken;
          }
        store_up_to(y + at + c, best, some);
        store_bytes(o.taken + at + c, taken, some);
      }
    }
  });
}

template <class Value>
void backward(const PoolCall& o) {
  const Value* given = static_cast<const Value*>(o.given);
  Value* out = static_cast<Value*>(o.out);
  const auto first_of = [](long place, long size, long stride) {  // window that reaches a place
    return place < size ? 0 : (place - size) / stride + 1;
  };
  share(o.parallel, o.threads, o.images * o.height, [&](long item) {
    const long image = item / o.height, y = item % o.height + o.pad_top;
    const long first_y = first_of(y, o.size_y, o.stride_y);
    const long last_y = std::min(o.out_height - 1, y / o.stride_y);
    for (long ix = 0; ix < o.width; ix++) {
      const long x = ix + o.pad_left, first_x = first_of(x, o.size_x, o.stride_x);
      const long last_x = std::min(o.out_width - 1, x / o.stride_x);
      Value* to = out + (item * o.width + ix) * o.channels;
      for (long c = 0; c < o.channels; c += kLanes) {
        const long some = std::min<long>(kLanes, o.channels - c);
        Vec sum = {};
        for (long oy = first_y; oy <= last_y; oy++)
          for (long ox = first_x; ox <= last_x; ox++) {
            const long pixel = (image * o.out_height + oy) * o.out_width + ox;
            const int place =
                static_cast<int>((y - oy * o.stride_y) * o.size_x + x - ox * o.stride_x);
            const Ints mine = load_bytes(o.taken + pixel * o.channels + c, some) == place;
            sum += mine ? load_up_to(given + pixel * o.given_row + c, some) : Vec{};
          }
        store_up_to(to + c, sum, some);
      }
    }
  });
}

}  // namespace

extern "C" void max_pool_forward(const PoolCall* call) {
  call->half ? forward<BFloat16>(*call) : forward<float>(*call);
}

extern "C" void max_pool_backward(const PoolCall* call) {
  call->half ? backward<BFloat16>(*call) : backward<float>(*call);
}
