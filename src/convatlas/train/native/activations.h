// Activations and their slopes.

#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>

namespace {

// Cody & Waite's reduction and a polynomial of degree 5: 2 units in the last place.
inline float exponential(float x) {
  x = std::min(std::max(x, -87.0f), 88.0f);
  const float shifted = x * 1.44269504f + 12582912.0f;  // rounds to a whole number
  const float whole = shifted - 12582912.0f;
  const float rest = x - whole * 0.693359375f + whole * 2.12194440e-4f;
  float sum = 1.9875691500e-4f;
  sum = sum * rest + 1.3981999507e-3f;
  sum = sum * rest + 8.3334519073e-3f;
  sum = sum * rest + 4.1665795894e-2f;
  sum = sum * rest + 1.6666665459e-1f;
  sum = sum * rest + 5.0000001201e-1f;
  sum = sum * rest * rest + rest + 1.0f;
  const uint32_t bits = static_cast<uint32_t>(static_cast<int32_t>(whole) + 127) << 23;
  float scale;
  std::memcpy(&scale, &bits, sizeof scale);
  return sum * scale;
}

// `kCostly`: backward keeps the gradient of z in its result rather than compute it twice.
struct Relu {  // the comparisons let NaN through, as torch does
  static constexpr bool kCostly = false;
  static float value(float z) { return z < 0.0f ? 0.0f : z; }
  static float slope(float z) { return z <= 0.0f ? 0.0f : 1.0f; }
};

struct Silu {
  static constexpr bool kCostly = true;
  static float value(float z) { return z / (1.0f + exponential(-z)); }
  static float slope(float z) {
    const float part = 1.0f / (1.0f + exponential(-z));
    return part * (1.0f + z * (1.0f - part));
  }
};

}  // namespace
