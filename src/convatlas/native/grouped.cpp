// Convolutions of three columns whose groups have as many maps as channels, channels last.
//
// Groups of 4 or 8 lie side by side in a vector: to each lane comes one channel of its group, then
// the next. Larger groups take whole vectors. Each such vector is multiplied for all the outputs of a
// row that see it, and for all vectors of its group.

#include "windows.h"
#include "vectors.h"

extern "C" struct Grouped {
  const float* weights;  // (blocks, rows, vectors of a block, channels of a group in it, columns, block)
  const float* bias;
  const float* zeros;  // the pixel outside of maps
  long maps, group;  // maps of all groups, and of one: a power of two
  long high, down, right, pad_top, pad_left;
  long activation;  // as `curved` and `Limits` have them
  long threads;
};

namespace {

constexpr int kColumns = 3;
constexpr long kNear = 512 << 10;  // bytes of weights that stay in a core's cache

typedef std::int32_t Lanes __attribute__((vector_size(4 * kLanes)));

// For each lane, the first channel of its group.
inline Lanes first_channels(long group) {
  Lanes lanes;
  for (int i = 0; i < kLanes; i++) lanes[i] = i / group * group;
  return lanes;
}

inline Vec spread_out(Vec value, Lanes lanes) {
#ifdef __clang__
  Vec found;
  for (int i = 0; i < kLanes; i++) found[i] = value[lanes[i]];
  return found;
#else
  return __builtin_shuffle(value, lanes);
#endif
}

// V: vectors of a block. Whole: each group fills them. S: the stride of columns.
template <int V, bool Whole, int S>
class Convolution {
 public:
  Convolution(const Grouped& layer, const Call& call)
      : layer_(layer), call_(call), grid_(call.images, call.out_height, call.out_width, 1),
        within_(std::min<long>(layer.group, kLanes)), first_(first_channels(within_)) {}

  // A line of outputs at a time, for so many maps that their weights stay near.
  void run() {
    const long blocks = layer_.maps / (V * kLanes), lines = call_.images * call_.out_height;
    const long weights = layer_.maps * layer_.group * layer_.high * kColumns * long{sizeof(float)};
    const long cuts = std::min(blocks, (weights + kNear - 1) / kNear);
    share(call_.parallel, layer_.threads, cuts * lines, [&](long item) {
      const Windows<float> maps{call_.input, call_.height,   call_.width,     layer_.high,
                                layer_.down, layer_.pad_top, layer_.pad_left, layer_.zeros};
      const long cut = item / lines;
      const Place at = grid_.place(item % lines * call_.out_width);
      along<kColumns, S, kMost>(maps, at, call_.out_width, [&](auto outputs, long from, long begin,
                                                              long end, const auto& pixels) {
        for (long block = blocks * cut / cuts; block < blocks * (cut + 1) / cuts; block++)
          sum<decltype(outputs)::value>({at.image, at.top, from}, block * V * kLanes, begin, end,
                                        pixels);
      });
    });
  }

 private:
  static constexpr int kMost = 7 * V <= kSums ? 7 : 4;

  template <int T, class Pixels>
  void sum(Place at, long map, long begin, long end, const Pixels& pixels) const {
    Vec sums[T][V];
    for (int t = 0; t < T; t++)
      for (int v = 0; v < V; v++) sums[t][v] = load(layer_.bias + map + v * kLanes);
    const long step = kColumns * V * kLanes;
    const float* rows = layer_.weights + map * layer_.group * layer_.high * kColumns;
    for (long i = begin; i < end; i++) {
      const float* weights = rows + i * V * within_ * step;
      for (int u = 0; u < V; u++)
        for (long k = 0; k < within_; k++, weights += step) {
          const Lanes lanes = first_ + static_cast<std::int32_t>(k);
          Vec weight[kColumns][V];
          for (int c = 0; c < kColumns; c++)
            for (int v = 0; v < V; v++) weight[c][v] = load(weights + (c * V + v) * kLanes);
#pragma GCC unroll 32
          for (int j = 0; j < (T - 1) * S + kColumns; j++) {
            const float* here = pixels[i][j] + map + u * kLanes;
            const Vec seen = Whole ? here[k] - Vec{} : spread_out(load(here), lanes);
#pragma GCC unroll 8
            for (int t = 0; t < T; t++)
#pragma GCC unroll 2
              for (int v = 0; v < V; v++)
                if (j >= t * S && j < t * S + kColumns) sums[t][v] += seen * weight[j - t * S][v];
          }
        }
    }
    float* to = static_cast<float*>(call_.output.data) + at.image * call_.output.image +
                at.top * call_.output.row + at.left * call_.output.pixel + map;
    const Limits limits(layer_.activation);
    for (int t = 0; t < T; t++)
      for (int v = 0; v < V; v++)
        store(to + t * call_.output.pixel + v * kLanes, limits(sums[t][v]));
    if (curved(layer_.activation))
      for (int t = 0; t < T; t++)
        bend(to + t * call_.output.pixel, V * kLanes, layer_.activation);
  }

  const Grouped& layer_;
  const Call& call_;
  const Grid grid_;
  const long within_;  // channels of a group that lie in one vector
  const Lanes first_;
};

template <int V, bool Whole>
void run(const Grouped& layer, const Call& call) {
  layer.right == 1 ? Convolution<V, Whole, 1>(layer, call).run()
                   : Convolution<V, Whole, 2>(layer, call).run();
}

}  // namespace

extern "C" {

int grouped_run(const Grouped* layer, const Call* call) {
  if (call->images * call->out_height * call->out_width <= 0) return 0;
  const auto convolve = layer->group > kLanes    ? run<2, true>
                        : layer->group == kLanes ? run<1, true>
                                                 : run<1, false>;
  convolve(*layer, *call);
  return 0;
}
}
