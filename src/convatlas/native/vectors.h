// Vectors as wide as the processor has them, and memory laid out for them.

#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#ifdef __AVX512F__
#include <immintrin.h>
#endif
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

// Not less and not more than a limit; NaN stays, as torch lets it.
#ifdef __AVX512F__
inline Vec at_least(Vec value, Vec least) {
  return reinterpret_cast<Vec>(
      _mm512_max_ps(reinterpret_cast<__m512>(least), reinterpret_cast<__m512>(value)));
}
inline Vec at_most(Vec value, Vec most) {
  return reinterpret_cast<Vec>(
      _mm512_min_ps(reinterpret_cast<__m512>(most), reinterpret_cast<__m512>(value)));
}
#else
inline Vec at_least(Vec value, Vec least) { return value < least ? least : value; }
inline Vec at_most(Vec value, Vec most) { return value > most ? most : value; }
#endif

// The nearest whole number, and a value times 2 to the power of one.
#ifdef __AVX512F__
inline Vec nearest(Vec value) {
  constexpr int kEven = 8;  // as IEEE 754 rounds, without exceptions
  return reinterpret_cast<Vec>(_mm512_roundscale_ps(reinterpret_cast<__m512>(value), kEven));
}
inline Vec scaled(Vec value, Vec power) {
  return reinterpret_cast<Vec>(
      _mm512_scalef_ps(reinterpret_cast<__m512>(value), reinterpret_cast<__m512>(power)));
}
#else
constexpr float kWhole = 12582912.f;  // added to a value, its last bits are the whole number
inline Vec nearest(Vec value) { return value + kWhole - kWhole; }
inline Vec scaled(Vec value, Vec power) {
  constexpr float kMost = 127.f;
  const Vec bits = power + (kMost + kWhole);
  const Vec all = value * reinterpret_cast<Vec>(reinterpret_cast<Bits>(bits) << 23);
  return power > kMost ? Vec{} + INFINITY : power < -kMost ? Vec{} : all;
}
#endif

// e to the power of a value, to the last digit but one: 2 to the nearest whole power, and a
// polynomial of the least relative error for the rest, which is up to ln(2) / 2.
inline Vec exponential(Vec value) {
  value = at_least(value, Vec{} - 128.f);  // below it is 0, and the rest would be no rest
  const Vec power = nearest(value * 1.44269504f);
  const Vec rest = value - power * 0.693359375f + power * 2.12194440e-4f;
  Vec sum = rest * 1.3836835e-3f + 8.374824e-3f;
  sum = sum * rest + 4.1668225e-2f;
  sum = sum * rest + 1.666642e-1f;
  sum = sum * rest + 4.999999e-1f;
  sum = sum * rest + 1.f;
  sum = sum * rest + 1.f;
  return scaled(sum, power);
}

inline Vec sigmoid(Vec value) { return 1.f / (1.f + exponential(-value)); }
inline Vec silu(Vec value) { return value / (1.f + exponential(-value)); }

// Activations by number: 0: none, 1: ReLU, 2: ReLU6, 3: SiLU, 4: sigmoid.
inline bool curved(long activation) { return activation > 2; }

// Those that are not curved.
struct Limits {
  explicit Limits(long activation)
      : least(Vec{} + (activation == 1 || activation == 2 ? 0.f : -INFINITY)),
        most(Vec{} + (activation == 2 ? 6.f : INFINITY)) {}
  Vec operator()(Vec value) const { return at_most(at_least(value, least), most); }
  const Vec least, most;
};

// The first values of a vector.
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

#ifdef __AVX512F__
inline __mmask16 first(long count) { return static_cast<__mmask16>((1u << count) - 1); }
inline Vec load_some(const float* from, long count) {
  return reinterpret_cast<Vec>(_mm512_maskz_loadu_ps(first(count), from));
}
inline void store_some(float* to, Vec value, long count) {
  _mm512_mask_storeu_ps(to, first(count), reinterpret_cast<__m512>(value));
}
#endif

// Those that are, for some values where they are: best when more has been written since, as a vector
// is read slowly while it is on its way to memory.
[[gnu::noinline]] inline void bend(float* values, long count, long activation) {
  const auto each = [&](const auto& act) {
    long i = 0;
    for (; i + kLanes <= count; i += kLanes) store(values + i, act(load(values + i)));
    if (i < count) store_some(values + i, act(load_some(values + i, count - i)), count - i);
  };
  activation == 3 ? each(silu) : each(sigmoid);
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
