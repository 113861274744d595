// Gradient of 3x3 filters at stride 1 by Winograd's minimal filtering, channels last.
//
// The outputs of a tile are A' ((G g G') * (B' d B)) A; see winograd.cpp. So the gradient of g is
// G' ((B' d B) * (A y A')) G, where y are the gradients of the outputs, added up over the tiles
// before G: 36 matrices, (channels x tiles) by (tiles x maps), and 36 multiplications for what
// takes 144. Sums are in an order that does not depend on the number of threads.

#include "threads.h"
#include "winograd_maps.h"

extern "C" struct GradientCall {
  long images, height, width, out_height, out_width, channels, maps, pad_top, pad_left;
  long threads, halves;  // 1: maps of bfloat16, 0: of float32
  Maps input, given;     // maps, and the gradients of the outputs
  Filters weights;       // the gradients of the filters
};

namespace {

// out (R, V vectors) += a' b, for R channels of (depth) tiles; `fresh`: out holds nothing yet.
template <int V, int R>
void add_rows(const float* a, long a_row, const float* b, long b_row, float* out, long out_row,
              long depth, bool fresh) {
  constexpr long kAhead = 4;
  Vec sum[R][V];
#pragma GCC unroll 12
  for (int r = 0; r < R; r++)
#pragma GCC unroll 4
    for (int v = 0; v < V; v++)
      sum[r][v] = fresh ? Vec{} : load(out + r * out_row + v * kLanes);
  for (long t = 0; t < depth; t++, a += a_row, b += b_row) {
    Vec one[V];
    for (int v = 0; v < V; v++) {
      one[v] = load(b + v * kLanes);
      __builtin_prefetch(b + kAhead * b_row + v * kLanes);
    }
#pragma GCC unroll 12
    for (int r = 0; r < R; r++)
#pragma GCC unroll 4
      for (int v = 0; v < V; v++) sum[r][v] += a[r] * one[v];
  }
#pragma GCC unroll 12
  for (int r = 0; r < R; r++)
#pragma GCC unroll 4
    for (int v = 0; v < V; v++) store(out + r * out_row + v * kLanes, sum[r][v]);
}

template <int V, int R = std::min(kMostRows, kSums / V)>
void add_some(long rows, const float* a, long a_row, const float* b, long b_row, float* out,
              long out_row, long depth, bool fresh) {
  if (rows == R) return add_rows<V, R>(a, a_row, b, b_row, out, out_row, depth, fresh);
  if constexpr (R > 1) add_some<V, R - 1>(rows, a, a_row, b, b_row, out, out_row, depth, fresh);
}

template <class Value>
class FilterGradient {
 public:
  FilterGradient(const GradientCall& call, Parallel parallel)
      : call_(call), parallel_(parallel),
        grid_(call.images, call.out_height, call.out_width, M), maps_(up(call.maps, kLanes)),
        panels_((maps_ + kPanel - 1) / kPanel), in_row_(spread(call.channels)),
        out_row_(spread(maps_)), block_(tiles_of_a_block()), in_step_(spread(block_ * in_row_)),
        out_step_(spread(block_ * out_row_)) {}

  bool run() const {
    const long sums = kPoints * call_.channels * maps_;
    const long blocks = kPoints * (in_step_ + out_step_);
    float* memory = scratch.floats(blocks + sums + std::max(in_row_, out_row_));
    if (!memory) return false;
    float *out = memory + kPoints * in_step_, *sum = memory + blocks;
    const Value* zeros = nothing<Value>(sum + sums, std::max(in_row_, out_row_));
    for (long first = 0; first < grid_.tiles; first += block_) {
      const long count = std::min(block_, grid_.tiles - first), parts = (count + 7) / 8;
      const auto part = [&](long i) { return count * i / parts; };
      spawn(parts, [&](long i) { read(first, part(i), part(i + 1), memory, out, zeros); });
      spawn(kPoints * panels_, [&](long j) { multiply(j, count, memory, out, sum, first == 0); });
    }
    const long chunks = (call_.channels + kSome - 1) / kSome;
    spawn(maps_ / kLanes * chunks, [&](long i) {
      const long from = i % chunks * kSome, to = std::min(call_.channels, from + kSome);
      filter_gradients<Tile4>(sum, call_.weights, call_.maps, call_.channels,
                              i / chunks * kLanes, from, to);
    });
    return true;
  }

 private:
  static constexpr int N = Tile4::kIn, M = Tile4::kOut, kPoints = N * N;
  static constexpr long kBlock = 1 << 20;  // floats of a block's tiles, at least

  template <class Work>
  void spawn(long count, const Work& work) const {
    share(parallel_, call_.threads, count, work);
  }

  // Tiles at a time: in a cache, and so many that the sums are not what is mostly moved.
  long tiles_of_a_block() const {
    const long floats = std::max(kBlock, kPoints * call_.channels * maps_);
    const long most = std::max(16L, floats / (kPoints * (in_row_ + out_row_)));
    const long blocks = (grid_.tiles + most - 1) / most;
    return (grid_.tiles + blocks - 1) / blocks;
  }

  // B' d B and A y A' of some tiles of the block.
  void read(long first, long from, long to, float* memory, float* out, const Value* zeros) const {
    for (long t = from; t < to; t++) {
      Place at = grid_.place(first + t);
      take<M, N>(call_.given, call_.out_height, call_.out_width, call_.maps, at, zeros,
                 out + t * out_row_, out_step_, Tile4::given);
      at.top -= call_.pad_top;
      at.left -= call_.pad_left;
      take<N, N>(call_.input, call_.height, call_.width, call_.channels, at, zeros,
                 memory + t * in_row_, in_step_, Tile4::input);
    }
  }

  // One panel of maps at one of the N N points, for all tiles of the block.
  void multiply(long item, long count, const float* memory, const float* out, float* sum,
                bool fresh) const {
    const long point = item / panels_, map = item % panels_ * kPanel;
    const float *a = memory + point * in_step_, *b = out + point * out_step_ + map;
    float* to = sum + point * call_.channels * maps_ + map;
    const long vectors = std::min(kPanel, maps_ - map) / kLanes;
    by_width(vectors, [&](auto width) { add<decltype(width)::value>(a, b, to, count, fresh); });
  }

  template <int V>
  void add(const float* a, const float* b, float* to, long count, bool fresh) const {
    constexpr long kMost = std::min(kMostRows, kSums / V);
    const long groups = (call_.channels + kMost - 1) / kMost;
    for (long g = 0; g < groups; g++) {
      const long c = call_.channels * g / groups, rows = call_.channels * (g + 1) / groups - c;
      add_some<V>(rows, a + c, in_row_, b, out_row_, to + c * maps_, maps_, count, fresh);
    }
  }

  const GradientCall& call_;
  const Parallel parallel_;
  const Grid grid_;
  const long maps_, panels_, in_row_, out_row_, block_, in_step_, out_step_;
};

}  // namespace

// Gives 0, or 1 where memory ran out.
extern "C" int winograd_gradient(const GradientCall* call, Parallel parallel) {
  if (call->images * call->out_height * call->out_width <= 0) return 0;
  return call->halves ? !FilterGradient<BFloat16>(*call, parallel).run()
                      : !FilterGradient<float>(*call, parallel).run();
}
