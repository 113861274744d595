// Convolution of 3x3 filters at stride 1 by Winograd's minimal filtering, channels last.
//
// Lavin & Gray 2016, https://arxiv.org/abs/1509.09308: a tile of M x M outputs is
// A' ((G g G') * (B' d B)) A, where d are the N x N inputs it sees, N = M + 2, g is the filter, *
// multiplies element by element and ' transposes. Over all channels the products become N N
// matrices, (tiles x channels) by (channels x maps): 36 multiplications for 16 outputs with M = 4
// instead of 144, and 16 for 4 with M = 2 instead of 36.
//
// Maps are of float32, or of bfloat16: computed with is float32, and half as much is read and
// written. A block of tiles goes through its three steps (`take`, `multiply`, `give`) while it lies in the
// cache. C++17 and the vectors of GCC and Clang; threads are those of the caller's OpenMP runtime.

#include <atomic>

#include "winograd_maps.h"

extern "C" {

struct Layer {
  const float* weights;  // as `winograd_weights` writes them
  const float* bias;     // whole vectors
  long channels, maps, pad_top, pad_left;
  long tile;        // M: 2 or 4
  long block;       // tiles at a time, at most
  long together;    // 1: all threads work on one block, 0: each on one of its own
  long activation;  // as `curved` and `Limits` have them
  long threads;
  long halves;  // 1: maps of bfloat16, 0: of float32
};
}

namespace {

template <class Tile, class Value>
class Convolution {
 public:
  Convolution(const Layer& layer, const Call& call)
      : layer_(layer), call_(call),
        grid_(call.images, call.out_height, call.out_width, Tile::kOut), tiles_(grid_.tiles),
        block_(equal_blocks()),
        maps_(up(layer.maps, kLanes)), panels_((maps_ + kPanel - 1) / kPanel),
        in_row_(spread(layer.channels)), in_step_(spread(block_ * in_row_)),
        out_row_(spread(maps_)), out_step_(spread(block_ * out_row_)) {}

  bool run() {
    const size_t floats = kPoints * (in_step_ + out_step_) + spread(layer_.channels);
    if (!layer_.together) {
      spawn((tiles_ + block_ - 1) / block_, [&](long i) {
        float* memory = scratch.floats(floats);
        if (!memory) return failed_.store(true);
        const long first = i * block_, count = std::min(block_, tiles_ - first);
        float* out = memory + kPoints * in_step_;
        const Value* zeros = nothing<Value>(out + kPoints * out_step_, layer_.channels);
        take(first, 0, count, memory, zeros);
        for (long j = 0; j < kPoints * panels_; j++) multiply(j, count, memory, out);
        give(first, 0, count, out);
      });
      return !failed_;
    }
    float* memory = scratch.floats(floats);
    if (!memory) return false;
    float* out = memory + kPoints * in_step_;
    const Value* zeros = nothing<Value>(out + kPoints * out_step_, layer_.channels);
    for (long first = 0; first < tiles_; first += block_) {
      const long count = std::min(block_, tiles_ - first), parts = std::min(count, kParts);
      const auto part = [&](long i) { return count * i / parts; };
      spawn(parts, [&](long i) { take(first, part(i), part(i + 1), memory, zeros); });
      spawn(kPoints * panels_, [&](long j) { multiply(j, count, memory, out); });
      spawn(parts, [&](long i) { give(first, part(i), part(i + 1), out); });
    }
    return true;
  }

 private:
  static constexpr int N = Tile::kIn, M = Tile::kOut, kPoints = N * N;
  static constexpr long kParts = 32;  // that threads share the tiles of a block in

  template <class Work>
  void spawn(long count, const Work& work) const {
    share(call_.parallel, layer_.threads, count, work);
  }

  // The most tiles of a block: as many as asked for or a few less, so that all get equal shares.
  long equal_blocks() const {
    const long shares = layer_.together ? 1 : layer_.threads;
    const long blocks = up((tiles_ + layer_.block - 1) / layer_.block, shares);
    return (tiles_ + blocks - 1) / blocks;
  }

  // B' d B of some tiles of the block, for every channel.
  void take(long first, long from, long to, float* memory, const Value* zeros) const {
    for (long t = from; t < to; t++) {
      Place at = grid_.place(first + t);
      at.top -= layer_.pad_top;
      at.left -= layer_.pad_left;
      ::take<N, N>(call_.input, call_.height, call_.width, layer_.channels, at, zeros,
                   memory + t * in_row_, in_step_, Tile::input);
    }
  }

  const float* weights(long item) const {
    return layer_.weights +
           (item / panels_ * maps_ + item % panels_ * kPanel) * layer_.channels;
  }

  // One panel of maps at one of the N N points, for all tiles of the block.
  void multiply(long item, long count, const float* memory, float* out) const {
    const long point = item / panels_, map = item % panels_ * kPanel;
    const float *a = memory + point * in_step_, *b = weights(item);
    float* to = out + point * out_step_ + map;
    const long after = item + (layer_.together ? layer_.threads : 1);
    const float* next = weights(after < kPoints * panels_ ? after : item);
    const long vectors = std::min(kPanel, maps_ - map) / kLanes, depth = layer_.channels;
    by_width(vectors, [&](auto width) {
      constexpr int V = decltype(width)::value;
      const Rows<float> rows{a, in_row_, depth, 1, 0};
      multiply_panel<V>(count, rows, b, next, [&](long row, const auto& sums)
                                                  __attribute__((always_inline)) {
        float* at = to + row * out_row_;
#pragma GCC unroll 12
        for (const auto& sum : sums) {
#pragma GCC unroll 4
          for (int v = 0; v < V; v++) store(at + v * kLanes, sum[v]);
          at += out_row_;
        }
      });
    });
  }

  // A' m A of some tiles of the block, bias, what is added, activation: into the output.
  void give(long first, long from, long to, const float* memory) const {
    const Maps &maps = call_.output, &added = call_.added;
    const Limits limits(layer_.activation);
    for (long t = from; t < to; t++) {
      const Place at = grid_.place(first + t);
      const long rows = std::min<long>(M, call_.out_height - at.top);
      const long columns = std::min<long>(M, call_.out_width - at.left);
      const auto begin = [&at](const Maps& of) {
        Value* data = static_cast<Value*>(of.data);
        return data + at.image * of.image + at.top * of.row + at.left * of.pixel;
      };
      const auto each = [&](Value* pixel, const Maps& of, const auto& work) {
        for (long i = 0; i < rows; i++)
          for (long j = 0; j < columns; j++) work(pixel + i * of.row + j * of.pixel, i, j);
      };
      for (long k = 0; k < layer_.maps; k += kLanes) {
        const long left = layer_.maps - k;
        Vec half[M][N];
        for (int j = 0; j < N; j++) {
          Vec m[N], o[M];
          for (int i = 0; i < N; i++)
            m[i] = load(memory + (i * N + j) * out_step_ + t * out_row_ + k);
          Tile::output(m, o);
          for (int i = 0; i < M; i++) half[i][j] = o[i];
        }
        const Vec bias = load(layer_.bias + k);
        Vec found[M][M];
        for (int i = 0; i < M; i++) {
          Tile::output(half[i], found[i]);
          for (int j = 0; j < M; j++) found[i][j] += bias;
        }
        if (added.data)
          each(begin(added) + k, added, [&](const Value* more, long i, long j) {
            found[i][j] += left >= kLanes ? load(more) : load_some(more, left);
          });
        for (auto& row : found)
          for (Vec& value : row) value = limits(value);
        if (curved(layer_.activation)) bend(reinterpret_cast<float*>(found), M * M * kLanes, layer_.activation);
        each(begin(maps) + k, maps, [&](Value* pixel, long i, long j) {
          left >= kLanes ? store(pixel, found[i][j]) : store_some(pixel, found[i][j], left);
        });
      }
    }
  }

  const Layer& layer_;
  const Call& call_;
  const Grid grid_;
  const long tiles_, block_, maps_, panels_;
  const long in_row_, in_step_, out_row_, out_step_;
  std::atomic<bool> failed_{false};
};

}  // namespace

extern "C" {

int winograd_lanes() { return kLanes; }

void winograd_weights(const Filters* from, float* to, long maps, long channels, long tile,
                      long threads, Parallel parallel) {
  const long chunks = (channels + kSome - 1) / kSome, vectors = up(maps, kLanes) / kLanes;
  const auto write = tile == 4 ? filters<Tile4> : filters<Tile2>;
  share(parallel, threads, vectors * chunks, [=](long item) {
    const long first = item % chunks * kSome, last = std::min(channels, first + kSome);
    write(*from, to, maps, channels, item / chunks * kLanes, first, last);
  });
}
}

namespace {

template <class Value>
bool run(const Layer& layer, const Call& call) {
  if (layer.tile == 4) return Convolution<Tile4, Value>(layer, call).run();
  return Convolution<Tile2, Value>(layer, call).run();
}

}  // namespace

extern "C" int winograd_run(const Layer* layer, const Call* call) {
  if (call->images * call->out_height * call->out_width <= 0) return 0;
  const auto convolve = layer->halves ? run<BFloat16> : run<float>;
  return !convolve(*layer, *call);
}
