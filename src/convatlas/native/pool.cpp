// The largest of a window of maps, or their mean, channels last.

#include "maps.h"
#include "vectors.h"

extern "C" struct Pool {
  long channels;
  long high, wide, down, right, pad_top, pad_left;
  long mean;  // 0: the largest; 1: the mean, outside is zero; 2: the mean of what is inside
  long threads;
  long halves;  // 1: maps of bfloat16, 0: of float32
};

namespace {

constexpr long kSome = 4;  // vectors of channels at a time

// Rows, or columns, of a window: those inside, and how many there are with the outside.
struct Range {
  Range(long at, long step, long pad, long size, long side)
      : begin(std::max(at * step - pad, 0L)), end(std::min(at * step - pad + size, side)),
        all(std::min(at * step - pad + size, side + pad) - (at * step - pad)) {}
  long begin, end, all;
};

inline Vec larger(Vec best, Vec value) {  // NaN stays, as it does in torch
  return (value > best) | (value != value) ? value : best;
}

// Some channels of one output.
template <class Value>
void window(const Pool& pool, const Call& call, const Grid& grid, long pixel, long begin, long end) {
  const Place at = grid.place(pixel);
  const Range rows(at.top, pool.down, pool.pad_top, pool.high, call.height);
  const Range columns(at.left, pool.right, pool.pad_left, pool.wide, call.width);
  const Value* from = static_cast<const Value*>(call.input.data) + at.image * call.input.image;
  Value* to = static_cast<Value*>(call.output.data) + at.image * call.output.image +
              at.top * call.output.row + at.left * call.output.pixel;
  const long inside = (rows.end - rows.begin) * (columns.end - columns.begin);
  const float part = 1.f / (pool.mean == 1 ? rows.all * columns.all : inside);
  const auto over = [&](long c, auto some, const auto& read, const auto& write) {
    constexpr long N = decltype(some)::value;
    Vec found[N];
    for (Vec& one : found) one = Vec{} + (pool.mean ? 0.f : -__builtin_inff());
    for (long i = rows.begin; i < rows.end; i++)
      for (long j = columns.begin; j < columns.end; j++) {
        const Value* here = from + i * call.input.row + j * call.input.pixel + c;
        for (long n = 0; n < N; n++) {
          const Vec value = read(here + n * kLanes);
          found[n] = pool.mean ? found[n] + value : larger(found[n], value);
        }
      }
    for (long n = 0; n < N; n++) write(to + c + n * kLanes, pool.mean ? found[n] * part : found[n]);
  };
  const auto read = [](const Value* here) { return load(here); };
  const auto write = [](Value* there, Vec value) { store(there, value); };
  long c = begin;
  for (; c + kSome * kLanes <= end; c += kSome * kLanes)
    over(c, std::integral_constant<long, kSome>{}, read, write);
  for (; c + kLanes <= end; c += kLanes)
    over(c, std::integral_constant<long, 1>{}, read, write);
  const long left = end - c;
  if (left > 0)
    over(c, std::integral_constant<long, 1>{},
         [left](const Value* here) { return load_some(here, left); },
         [left](Value* there, Vec value) { store_some(there, value, left); });
}

// Pixels in parts; where there are few of them, their channels in parts.
template <class Value>
void run(const Pool& pool, const Call& call) {
  const Grid grid(call.images, call.out_height, call.out_width, 1);
  constexpr long kParts = 32, kFew = 8;
  const long pixels = std::min(grid.tiles, kParts);
  const long step = kSome * kLanes, cuts = grid.tiles > kFew ? 1 : (pool.channels + step - 1) / step;
  share(call.parallel, pool.threads, pixels * cuts, [&](long i) {
    const long part = i / cuts, cut = i % cuts;
    const long begin = cuts > 1 ? cut * step : 0;
    const long end = cuts > 1 ? std::min(begin + step, pool.channels) : pool.channels;
    for (long pixel = grid.tiles * part / pixels; pixel < grid.tiles * (part + 1) / pixels; pixel++)
      window<Value>(pool, call, grid, pixel, begin, end);
  });
}

}  // namespace

extern "C" int pool_run(const Pool* pool, const Call* call) {
  if (call->images * call->out_height * call->out_width <= 0) return 0;
  pool->halves ? run<BFloat16>(*pool, *call) : run<float>(*pool, *call);
  return 0;
}
