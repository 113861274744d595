// The linear maps of Winograd's filtering, for a vector of channels at a time.
//
// For N points x_i of interpolation, infinity among them: A'_ji = x_i^j, row i of G is
// (1, x_i, x_i^2) / prod (x_i - x_l), and row i of B' are the coefficients of prod (x - x_l), l != i.

#pragma once

#include "panels.h"

namespace {

// A 1x1 filter: nothing to save, and the same way through the cache.
struct Tile1 {
  static constexpr int kOut = 1, kIn = 1;
  static constexpr double kFilter[1][1] = {{1}};
  static void input(const Vec d[1], Vec o[1]) { o[0] = d[0]; }
  static void output(const Vec m[1], Vec o[1]) { o[0] = m[0]; }
};

// Points 0, 1, -1, infinity.
struct Tile2 {
  static constexpr int kOut = 2, kIn = 4;
  static constexpr double kFilter[kIn][3] = {{1, 0, 0}, {.5, .5, .5}, {.5, -.5, .5}, {0, 0, 1}};
  static void input(const Vec d[kIn], Vec o[kIn]) {
    o[0] = d[0] - d[2];
    o[1] = d[1] + d[2];
    o[2] = d[2] - d[1];
    o[3] = d[3] - d[1];
  }
  static void output(const Vec m[kIn], Vec o[kOut]) {
    o[0] = m[0] + m[1] + m[2];
    o[1] = m[1] - m[2] + m[3];
  }
};

// Points 0, p, -p, q, -q, infinity with p = sqrt(1/2), q = sqrt(2): as quick as the 1 and 2 of
// the paper, and they round less: sums of terms of one size.
struct Tile4 {
  static constexpr int kOut = 4, kIn = 6;
  static constexpr float p = 0.70710678118654752f, q = 1.41421356237309505f;
  static constexpr double kP = 0.70710678118654752440, kQ = 1.41421356237309504880;
  static constexpr double kFilter[kIn][3] = {
      {1, 0, 0},
      {-2 / 3., -2 / 3. * kP, -1 / 3.},
      {-2 / 3., 2 / 3. * kP, -1 / 3.},
      {1 / 6., 1 / 6. * kQ, 1 / 3.},
      {1 / 6., -1 / 6. * kQ, 1 / 3.},
      {0, 0, 1}};
  static void input(const Vec d[kIn], Vec o[kIn]) {
    const Vec even_p = d[4] - 2.f * d[2], odd_p = d[3] - 2.f * d[1];
    const Vec even_q = d[4] - .5f * d[2], odd_q = d[3] - .5f * d[1];
    o[0] = d[0] + (d[4] - 2.5f * d[2]);
    o[1] = even_p + p * odd_p;
    o[2] = even_p - p * odd_p;
    o[3] = even_q + q * odd_q;
    o[4] = even_q - q * odd_q;
    o[5] = d[5] + (d[1] - 2.5f * d[3]);
  }
  static void output(const Vec m[kIn], Vec o[kOut]) {
    const Vec even_p = m[1] + m[2], odd_p = p * (m[1] - m[2]);
    const Vec even_q = m[3] + m[4], odd_q = q * (m[3] - m[4]);
    o[0] = m[0] + even_p + even_q;
    o[1] = odd_p + odd_q;
    o[2] = .5f * even_p + 2.f * even_q;
    o[3] = .5f * odd_p + (2.f * odd_q + m[5]);
  }
};

// G g G' of the filters between a panel of maps and some channels, in float64:
// (maps, channels, T, T) -> (N N, panels, channels, panel), zeros where the panel is wider.
template <class Tile>
void filters(const float* from, float* to, long maps, long channels, long panel, long first,
             long last) {
  constexpr int N = Tile::kIn, T = N - Tile::kOut + 1;
  const long padded = up(maps, kLanes), width = std::min(kPanel, padded - panel);
  for (long k = 0; k < width; k++)
    for (long c = first; c < last; c++) {
      const float* g = from + ((panel + k) * channels + c) * T * T;
      for (int i = 0; i < N; i++) {
        double row[T] = {};
        for (int l = 0; l < T && panel + k < maps; l++)
          for (int j = 0; j < T; j++) row[j] += Tile::kFilter[i][l] * g[l * T + j];
        for (int j = 0; j < N; j++) {
          double value = 0;
          for (int l = 0; l < T; l++) value += row[l] * Tile::kFilter[j][l];
          to[((i * N + j) * padded + panel) * channels + c * width + k] =
              static_cast<float>(value);
        }
      }
    }
}

}  // namespace
