// Max pooling, channels last, float32 or bfloat16: which pixel of its window an output was is kept
// in a byte. Backward asks from each pixel which windows took it: nothing is filled with zeros, and
// sums are in the same order for any number of threads.

#if defined(__AVX2__)
#include <immintrin.h>
#endif
#include <type_traits>

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

// Some channels, and all of a vector where `Whole` says so.
template <bool Whole, class Value>
inline auto load_up_to(const Value* from, long count) {
  return Whole ? load(from) : load_some(from, count);
}

template <bool Whole, class Value>
inline void store_up_to(Value* to, Vec value, long count) {
  Whole ? store(to, value) : store_some(to, value, count);
}

template <bool Whole>
inline Ints load_bytes(const std::uint8_t* from, long count) {
  Bytes bytes = {};
  std::memcpy(&bytes, from, Whole ? kLanes : count);
#if defined(__AVX512F__)  // which GCC 12 does value by value
  return reinterpret_cast<Ints>(_mm512_cvtepu8_epi32(reinterpret_cast<__m128i>(bytes)));
#elif defined(__AVX2__)
  const __m128i low = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(&bytes));
  return reinterpret_cast<Ints>(_mm256_cvtepu8_epi32(low));
#else
  return __builtin_convertvector(bytes, Ints);
#endif
}

template <bool Whole>
inline void store_bytes(std::uint8_t* to, Ints value, long count) {
  const Bytes bytes = __builtin_convertvector(value, Bytes);
  std::memcpy(to, &bytes, Whole ? kLanes : count);
}

// Runs `work(c, count, whole)` for the channels, a vector at a time.
template <class Work>
inline void each_vector(long channels, const Work& work) {
  long c = 0;
  for (; c + kLanes <= channels; c += kLanes) work(c, kLanes, std::true_type{});
  if (c < channels) work(c, channels - c, std::false_type{});
}

constexpr long kMostPlaces = 255;

template <class Value>
void forward(const PoolCall& o) {
  const Value* x = static_cast<const Value*>(o.x);
  Value* y = static_cast<Value*>(o.y);
  share(o.parallel, o.threads, o.images * o.out_height, [&](long item) {
    const long image = item / o.out_height;
    const long top = item % o.out_height * o.stride_y - o.pad_top;
    const Value* pixel[kMostPlaces];  // of a window, those within the maps
    int place[kMostPlaces];
    for (long ox = 0; ox < o.out_width; ox++) {
      const long left = ox * o.stride_x - o.pad_left, right = std::min(o.width, left + o.size_x);
      int count = 0;
      for (long iy = std::max(0L, top); iy < std::min(o.height, top + o.size_y); iy++)
        for (long ix = std::max(0L, left); ix < right; ix++) {
          pixel[count] = x + ((image * o.height + iy) * o.width + ix) * o.channels;
          place[count++] = static_cast<int>((iy - top) * o.size_x + ix - left);
        }
      const long at = (item * o.out_width + ox) * o.channels;
      each_vector(o.channels, [&](long c, long some, auto whole) {
        constexpr bool kWhole = decltype(whole)::value;
        Vec best = load_up_to<kWhole>(pixel[0] + c, some);
        Ints taken = Ints{} + place[0];
        for (int i = 1; i < count; i++) {
          const Vec value = load_up_to<kWhole>(pixel[i] + c, some);
          const Ints better = (value > best) | (value != value);  // NaN stays
          best = better ? value : best;
          taken = better ? Ints{} + place[i] : taken;
        }
        store_up_to<kWhole>(y + at + c, best, some);
        store_bytes<kWhole>(o.taken + at + c, taken, some);
      });
    }
  });
}

template <class Value>
void backward(const PoolCall& o) {
  const Value* given = static_cast<const Value*>(o.given);
  Value* out = static_cast<Value*>(o.out);
  const auto first_of = [](long at, long size, long stride) {  // window that reaches a place
    return at < size ? 0 : (at - size) / stride + 1;
  };
  share(o.parallel, o.threads, o.images * o.height, [&](long item) {
    const long image = item / o.height, y = item % o.height + o.pad_top;
    const long first_y = first_of(y, o.size_y, o.stride_y);
    const long last_y = std::min(o.out_height - 1, y / o.stride_y);
    const Value* gradient[kMostPlaces];  // of the windows that see a pixel
    const std::uint8_t* taken[kMostPlaces];
    int place[kMostPlaces];
    for (long ix = 0; ix < o.width; ix++) {
      const long x = ix + o.pad_left, first_x = first_of(x, o.size_x, o.stride_x);
      const long last_x = std::min(o.out_width - 1, x / o.stride_x);
      int count = 0;
      for (long oy = first_y; oy <= last_y; oy++)
        for (long ox = first_x; ox <= last_x; ox++) {
          const long pixel = (image * o.out_height + oy) * o.out_width + ox;
          gradient[count] = given + pixel * o.given_row;
          taken[count] = o.taken + pixel * o.channels;
          place[count++] =
              static_cast<int>((y - oy * o.stride_y) * o.size_x + x - ox * o.stride_x);
        }
      Value* to = out + (item * o.width + ix) * o.channels;
      each_vector(o.channels, [&](long c, long some, auto whole) {
        constexpr bool kWhole = decltype(whole)::value;
        Vec sum = {};
        for (int i = 0; i < count; i++) {
          const Ints mine = load_bytes<kWhole>(taken[i] + c, some) == place[i];
          sum += mine ? load_up_to<kWhole>(gradient[i] + c, some) : Vec{};
        }
        store_up_to<kWhole>(to + c, sum, some);
      });
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
