// Vectors as wide as the processor has them, and memory laid out for them.

#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#ifdef __linux__
#include <sys/mman.h>
#endif

namespace {

// Floats of a vector; most vectors of a row, and sums, that registers hold at a time.
#if defined(__AVX512F__)
constexpr int kLanes = 16, kWidest = 4, kSums = 24;
#elif defined(__AVX__)
constexpr int kLanes = 8, kWidest = 2, kSums = 12;
#elif defined(__aarch64__)
constexpr int kLanes = 4, kWidest = 4, kSums = 24;
#else
constexpr int kLanes = 4, kWidest = 2, kSums = 12;
#endif

typedef float Vec __attribute__((vector_size(4 * kLanes)));
typedef double Wide __attribute__((vector_size(8 * kLanes)));
typedef float Loose __attribute__((vector_size(4 * kLanes), aligned(4), may_alias));

inline Vec load(const float* from) { return *reinterpret_cast<const Loose*>(from); }
inline void store(float* to, Vec value) { *reinterpret_cast<Loose*>(to) = value; }

// The upper half of a float32. Computed with is float32.
struct BFloat16 {
  std::uint16_t bits;
};
typedef std::uint32_t Bits __attribute__((vector_size(4 * kLanes)));
typedef std::uint16_t Halves
    __attribute__((vector_size(2 * kLanes), aligned(2), may_alias));

inline Vec load(const BFloat16* from) {
  const Halves halves = *reinterpret_cast<const Halves*>(from);
  return reinterpret_cast<Vec>(__builtin_convertvector(halves, Bits) << 16);
}

inline float single(const float* from) { return *from; }
inline float single(const BFloat16* from) {
  const std::uint32_t bits = std::uint32_t{from->bits} << 16;
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

inline void store(BFloat16* to, Vec value) {  // the nearest, or of two the even one
  const Bits bits = reinterpret_cast<Bits>(value);
  const Bits rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
  const Bits kept = value == value ? rounded : bits >> 16 | 0x40;  // not a number
  *reinterpret_cast<Halves*>(to) = __builtin_convertvector(kept, Halves);
}

// e to the power of a value, to the last digit but one: 2 to the nearest whole power, and a
// polynomial for the rest (Cephes' expf).
inline Vec exponential(Vec value) {
  constexpr float kMost = 86.f, kWhole = 12582912.f;  // added to it, the last bits are the integer
  value = value < Vec{} - kMost ? Vec{} - kMost : value;
  value = value > Vec{} + kMost ? Vec{} + kMost : value;
  const Vec power = value * 1.44269504f + kWhole, whole = power - kWhole;
  const Vec rest = value - whole * 0.693359375f + whole * 2.12194440e-4f;
  Vec sum = rest * 1.9875691500e-4f + 1.3981999507e-3f;
  sum = sum * rest + 8.3334519073e-3f;
  sum = sum * rest + 4.1665795894e-2f;
  sum = sum * rest + 1.6666665459e-1f;
  sum = sum * rest + 5.0000001201e-1f;
  sum = sum * rest * rest + rest + 1.f;
  return reinterpret_cast<Vec>(reinterpret_cast<Bits>(sum) + (reinterpret_cast<Bits>(power) << 23));
}

inline Vec sigmoid(Vec value) {
  const Vec found = 1.f / (1.f + exponential(-value));
  return value != value ? value : value < Vec{} - 86.f ? Vec{} : found;
}

// 0: as it is, 1: ReLU, 2: ReLU6, 3: SiLU, 4: sigmoid; the comparisons let NaN through, as torch does.
inline Vec activated(Vec value, long activation) {
  if (activation == 0) return value;
  if (activation > 2) return activation == 3 ? value * sigmoid(value) : sigmoid(value);
  value = value < Vec{} ? Vec{} : value;
  if (activation == 2) value = value > Vec{} + 6.f ? Vec{} + 6.f : value;
  return value;
}

template <class Value>
Vec load_some(const Value* from, long count) {
  Value some[kLanes] = {};
  std::memcpy(some, from, sizeof(Value) * count);
  return load(some);
}

template <class Value>
void store_some(Value* to, Vec value, long count) {
  Value some[kLanes];
  store(some, value);
  std::memcpy(to, some, sizeof(Value) * count);
}

// Memory of one thread, kept from call to call.
class Scratch {
 public:
  ~Scratch() { std::free(data_); }
  float* floats(size_t count) {
    if (count <= count_) return data_;
    std::free(data_);
    constexpr size_t kPage = 2 << 20;
    const size_t bytes = (count * sizeof(float) + kPage - 1) / kPage * kPage;
    data_ = static_cast<float*>(std::aligned_alloc(kPage, bytes));
    count_ = data_ ? count : 0;
#ifdef MADV_HUGEPAGE
    if (data_) madvise(data_, bytes, MADV_HUGEPAGE);
#endif
    return data_;
  }

 private:
  float* data_ = nullptr;
  size_t count_ = 0;
};
thread_local Scratch scratch;

// Whole cache lines, and an odd number of them: rows that are apart by a power of two would fall
// on the same few sets of the cache.
inline long spread(long floats) { return ((floats + 15) / 16 | 1) * 16; }
inline long up(long value, long step) { return (value + step - 1) / step * step; }

}  // namespace
