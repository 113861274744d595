// Values of maps, float32 or bfloat16; all arithmetic is in float32.

#pragma once

#include <cstdint>
#include <cstring>

namespace {

struct Half {  // bfloat16
  uint16_t bits;
};

inline float get(float value) { return value; }
inline float get(Half value) {
  const uint32_t bits = static_cast<uint32_t>(value.bits) << 16;
  float wide;
  std::memcpy(&wide, &bits, sizeof wide);
  return wide;
}

inline void put(float& place, float value) { place = value; }
inline void put(Half& place, float value) {  // to the nearest, ties to even
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  place.bits = static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

}  // namespace
