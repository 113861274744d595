// The linear maps of Winograd's filtering, for a vector of channels at a time.
//
// For N points x_i of interpolation, infinity among them: A'_ji = x_i^j, row i of G is
// (1, x_i, x_i^2) / prod (x_i - x_l), and row i of B' are the coefficients of prod (x - x_l), l != i.

#pragma once

#include "panels.h"

namespace {

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
  // A, of gradients of the outputs.
  static void given(const Vec y[kOut], Vec o[kIn]) {
    const Vec even_p = y[0] + .5f * y[2], odd_p = p * (y[1] + .5f * y[3]);
    const Vec even_q = y[0] + 2.f * y[2], odd_q = q * (y[1] + 2.f * y[3]);
    o[0] = y[0];
    o[1] = even_p + odd_p;
    o[2] = even_p - odd_p;
    o[3] = even_q + odd_q;
    o[4] = even_q - odd_q;
    o[5] = y[3];
  }
};

constexpr long kSome = 16;  // channels whose filters a thread transforms at a time

// Filters, wherever they lie: distances in values. Negative ones turn them around.
struct Filters {
  float* data;
  long map, channel, row, column;
};

// G g G' of the filters between a vector of maps and some channels, in float64:
// (maps, channels, T, T) -> (N N, panels, channels, panel), zeros where the vector is wider.
template <class Tile>
void filters(const Filters& from, float* to, long maps, long channels, long map, long first,
             long last) {
  constexpr int N = Tile::kIn, T = N - Tile::kOut + 1;
  const long padded = up(maps, kLanes), panel = map / kPanel * kPanel;
  const long width = std::min(kPanel, padded - panel), some = std::min<long>(kLanes, maps - map);
  for (long c = first; c < last; c++) {
    Wide g[T][T] = {}, half[N][T];
    for (int i = 0; i < T; i++)
      for (int j = 0; j < T; j++) {
        const float* one = from.data + map * from.map + c * from.channel + i * from.row + j * from.column;
        for (long k = 0; k < some; k++) g[i][j][k] = one[k * from.map];
      }
    for (int i = 0; i < N; i++)
      for (int j = 0; j < T; j++) {
        half[i][j] = Tile::kFilter[i][0] * g[0][j];
        for (int l = 1; l < T; l++) half[i][j] += Tile::kFilter[i][l] * g[l][j];
      }
    for (int i = 0; i < N; i++)
      for (int j = 0; j < N; j++) {
        Wide value = Tile::kFilter[j][0] * half[i][0];
        for (int l = 1; l < T; l++) value += Tile::kFilter[j][l] * half[i][l];
        float* at = to + ((i * N + j) * padded + panel) * channels + c * width + (map - panel);
        store(at, __builtin_convertvector(value, Vec));
      }
  }
}

// G' u G, the other way, added up over the tiles: (N N, channels, maps) -> filters.
template <class Tile>
void filter_gradients(const float* from, const Filters& to, long maps, long channels, long map,
                      long first, long last) {
  constexpr int N = Tile::kIn, T = N - Tile::kOut + 1;
  const long padded = up(maps, kLanes), some = std::min<long>(kLanes, maps - map);
  for (long c = first; c < last; c++) {
    Wide u[N][N], half[T][N];
    for (int i = 0; i < N; i++)
      for (int j = 0; j < N; j++)
        u[i][j] = __builtin_convertvector(
            load(from + ((i * N + j) * channels + c) * padded + map), Wide);
    for (int l = 0; l < T; l++)
      for (int j = 0; j < N; j++) {
        half[l][j] = Tile::kFilter[0][l] * u[0][j];
        for (int i = 1; i < N; i++) half[l][j] += Tile::kFilter[i][l] * u[i][j];
      }
    for (int l = 0; l < T; l++)
      for (int n = 0; n < T; n++) {
        Wide value = Tile::kFilter[0][n] * half[l][0];
        for (int j = 1; j < N; j++) value += Tile::kFilter[j][n] * half[l][j];
        float* one = to.data + map * to.map + c * to.channel + l * to.row + n * to.column;
        for (long k = 0; k < some; k++) one[k * to.map] = static_cast<float>(value[k]);
      }
  }
}

}  // namespace
