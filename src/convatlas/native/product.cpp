// Convolutions and linear layers as products of matrices, channels last.
//
// The pixels that an output sees are a row of a matrix. Of 1x1 filters whose pixels lie evenly apart
// those are read where they are; else a block of rows is gathered, which stays in the cache. Of few
// maps, as images have, the lines that a line of outputs sees are copied, with what lies outside:
// its rows are parts of them that overlap. Bias, the sum of a residual unit and ReLU are done while
// sums leave the registers; SiLU and sigmoid once a block is written. Filters that look at one map
// each (a depthwise convolution, or a norm) may come before 1x1 filters: what they give stays in the
// cache. Values and weights are of float32 or of bfloat16; computed with is float32. One image
// through a linear layer reads its weights as quickly as memory gives them.

#include <atomic>
#include <type_traits>

#include "depthwise.h"
#include "maps.h"
#include "panels.h"

extern "C" {

struct Product {
  const void* weights;  // (panels, depth, panel): a panel is of `product_panel` maps, the last of less
  const float* bias;    // whole vectors
  long channels, maps;
  long high, wide, down, right, pad_top, pad_left;  // filters, strides, and what lies outside
  long block;       // pixels at a time, at most; of few channels, a line of them
  long together;    // 1: all threads work on one block, 0: each on one of its own
  long activation;  // as `curved` and `Limits` have them
  long threads;
  long halves;  // 1: values and weights of bfloat16, 0: of float32
  Depthwise before;  // of float32 alone
};
}

namespace {

constexpr long kDeep = 1024;       // channels at a time: a panel of them leaves room in the cache
constexpr long kCache = 768 << 10;  // bytes that stay in a core's cache
constexpr long kNear = 4 << 10;    // bytes to fetch ahead then
constexpr long kParts = 32;        // that threads share the rows of a block in

thread_local Scratch partial;  // sums over some of the channels

// Maps by the number of a pixel.
template <class Value>
class Pixels {
 public:
  Pixels(const Maps& maps, const Grid& grid, long height, long width)
      : maps_(maps), grid_(grid),
        even_((maps.row == width * maps.pixel || height == 1) &&
              (maps.image == height * width * maps.pixel || grid.tiles == height * width)) {}
  bool even() const { return even_; }
  Value* operator[](long i) const {
    return even_ ? static_cast<Value*>(maps_.data) + i * maps_.pixel : elsewhere(i);
  }

 private:
  [[gnu::noinline]] Value* elsewhere(long i) const {
    const Place at = grid_.place(i);
    return static_cast<Value*>(maps_.data) + at.image * maps_.image + at.top * maps_.row +
           at.left * maps_.pixel;
  }

  const Maps& maps_;
  const Grid& grid_;
  const bool even_;
};

template <class Value>
class Run {
 public:
  Run(const Product& layer, const Call& call)
      : layer_(layer), call_(call), grid_(call.images, call.out_height, call.out_width, 1),
        depth_(layer.channels * layer.high * layer.wide), maps_(up(layer.maps, kLanes)),
        panels_((maps_ + kPanel - 1) / kPanel), input_(of(call.input)), added_(of(call.added)),
        output_(of(call.output)),
        there_(layer.high * layer.wide * layer.down * layer.right == 1 &&
               layer.pad_top + layer.pad_left == 0 && !layer.before.weights && input_.even()),
        quick_(!layer.halves && output_.even() && (!call.added.data || added_.even())),
        row_(there_ ? call.input.pixel : spread(depth_ + kLanes)) {}

  bool run() {
    if (layer_.channels < kLanes && layer_.wide > 1) return run_lines();
    const long shares = layer_.together ? 1 : layer_.threads;
    const long blocks = up((grid_.tiles + layer_.block - 1) / layer_.block, shares);
    const auto first = [&](long block) { return grid_.tiles * block / blocks; };
    if (!layer_.together) {
      spawn(blocks, [&](long block) {
        const long from = first(block), count = first(block + 1) - from;
        if (count == 0) return;  // there are fewer pixels than threads
        const Value* rows = there_ ? input_[from] : memory(count);
        if (!rows) return failed_.store(true);
        if (!there_) fill(from, 0, count, const_cast<Value*>(rows));
        for (long i = 0; i < panels_; i++) multiply(i, from, count, whole(rows));
      });
      return !failed_;
    }
    for (long block = 0; block < blocks; block++) {
      const long from = first(block), count = first(block + 1) - from;
      const long parts = std::min(count, kParts);
      const Value* rows = there_ ? input_[from] : memory(count);
      if (!rows) return false;
      if (!there_)
        spawn(parts, [&](long i) {
          fill(from, count * i / parts, count * (i + 1) / parts, const_cast<Value*>(rows));
        });
      spawn(panels_, [&](long i) { multiply(i, from, count, whole(rows)); });
    }
    return !failed_;
  }

 private:
  // A line of outputs at a time.
  bool run_lines() {
    const long one = layer_.channels, wide = (call_.out_width - 1) * layer_.right + layer_.wide;
    spawn(call_.images * call_.out_height, [&](long line) {
      auto* seen = reinterpret_cast<Value*>(scratch.floats(layer_.high * wide * one + kLanes));
      if (!seen) return failed_.store(true);
      const long first = line * call_.out_width;
      window(grid_.place(first), wide, seen);
      const Rows<Value> rows{seen, layer_.right * one, layer_.wide * one, layer_.high, wide * one};
      for (long i = 0; i < panels_; i++) multiply(i, first, call_.out_width, rows);
    });
    return !failed_;
  }

  Rows<Value> whole(const Value* rows) const { return {rows, row_, depth_, 1, 0}; }

  template <class Work>
  void spawn(long count, const Work& work) const {
    share(call_.parallel, layer_.threads, count, work);
  }

  Pixels<Value> of(const Maps& maps) const {
    return {maps, grid_, call_.out_height, call_.out_width};
  }

  Value* memory(long rows) const {
    return reinterpret_cast<Value*>(scratch.floats(rows * row_));
  }

  // Some rows of a block.
  void fill(long first, long from, long to, Value* rows) const {
    if constexpr (std::is_same_v<Value, float>)
      if (layer_.before.weights) return filter(first, from, to, rows);
    gather(first, from, to, rows);
  }

  // For each pixel, what the filters before give.
  void filter(long first, long from, long to, Value* rows) const {
    for (long r = from; r < to;) {
      const Place at = grid_.place(first + r);
      const long some = std::min(to - r, call_.out_width - at.left);
      ::filter(layer_.before, call_, layer_.channels, at, some, rows + r * row_, row_);
      r += some;
    }
  }

  // For each pixel, what the product's own filters see.
  void gather(long first, long from, long to, Value* rows) const {
    Place at = grid_.place(first + from);
    for (long r = from; r < to; r++, grid_.next(at)) window(at, layer_.wide, rows + r * row_);
  }

  // What filters as wide as that see from an output on.
  void window(Place at, long wide, Value* to) const {
    const long one = layer_.channels, line = wide * one;
    const long top = at.top * layer_.down - layer_.pad_top;
    const long left = at.left * layer_.right - layer_.pad_left;
    const long begin = std::clamp(-left, 0L, wide);
    const long end = std::clamp(call_.width - left, begin, wide);
    const Value* pixel = static_cast<const Value*>(call_.input.data) +
                         at.image * call_.input.image + top * call_.input.row +
                         (left + begin) * call_.input.pixel;
    for (long i = 0; i < layer_.high; i++, to += line, pixel += call_.input.row) {
      if (top + i < 0 || top + i >= call_.height) {
        std::fill_n(to, line, Value{});
        continue;
      }
      if (begin > 0) std::fill_n(to, begin * one, Value{});
      if (call_.input.pixel == one)
        copy(pixel, (end - begin) * one, to + begin * one);
      else
        for (long j = begin; j < end; j++)
          std::copy_n(pixel + (j - begin) * call_.input.pixel, one, to + j * one);
      if (end < wide) std::fill_n(to + end * one, (wide - end) * one, Value{});
    }
  }

  // Whole vectors, where the maps go on for so long: of what lies behind, nothing is read.
  void copy(const Value* from, long count, Value* to) const {
    const Value* end = static_cast<const Value*>(call_.input.data) +
                       (call_.images - 1) * call_.input.image +
                       (call_.height - 1) * call_.input.row + call_.width * call_.input.pixel;
    if (from + up(count, kLanes) > end) return void(std::copy_n(from, count, to));
    for (long k = 0; k < count; k += kLanes) std::memcpy(to + k, from + k, sizeof(Value) * kLanes);
  }

  const Value* weights(long panel) const {
    return static_cast<const Value*>(layer_.weights) + panel * kPanel * depth_;
  }

  // One panel of maps for all rows of a block.
  void multiply(long panel, long first, long count, const Rows<Value>& rows) const {
    const long map = panel * kPanel, vectors = std::min(kPanel, maps_ - map) / kLanes;
    by_width(vectors, [&](auto width) {
      constexpr int V = decltype(width)::value;
      const Value* b = weights(panel);
      const long after = panel + (layer_.together ? layer_.threads : 1);
      const long held = (2 * V * kLanes * depth_ + count * rows.apart) * long{sizeof(Value)};
      const bool far = held > kCache;  // the next panel does not fit beside this one
      const auto next = [&](const Value* now) {
        return far ? now + kNear / sizeof(Value) : after < panels_ ? weights(after) : b;
      };
      const long parts = count > kMostRows && rows.runs == 1 ? (depth_ + kDeep - 1) / kDeep : 1;
      float* sums = parts > 1 ? partial.floats(count * kPanel) : nullptr;
      if (parts > 1 && !sums) return failed_.store(true);
      const Limits limits(layer_.activation);
      const bool quick = quick_ && parts == 1 && map + V * kLanes <= layer_.maps;
      for (long part = 0; part < parts; part++) {
        const long from = depth_ * part / parts, deep = depth_ * (part + 1) / parts - from;
        const Value* weight = b + from * V * kLanes;
        Rows<Value> some = rows;
        if (parts > 1) some.begin += from, some.run = deep;
        multiply_panel<V>(count, some, weight, next(weight), [&](long row, const auto& sum)
                                                                 __attribute__((always_inline)) {
          constexpr int R = std::extent_v<std::remove_reference_t<decltype(sum)>>;
          if constexpr (std::is_same_v<Value, float> && 2 * R > most_rows(V))
            if (quick) return give<R, V>(first + row, map, limits, sum);
          Vec found[R][V];
#pragma GCC unroll 12
          for (int r = 0; r < R; r++)
#pragma GCC unroll 4
            for (int v = 0; v < V; v++) found[r][v] = sum[r][v];
          float* kept = sums + row * kPanel;
          if (part > 0) add(R, V, kept, found[0]);
          if (part < parts - 1) return keep(R, V, found[0], kept);
          finish(first + row, R, map, V, curved(layer_.activation) && !quick, found[0]);
        });
      }
      for (long r = 0; r < count && quick && curved(layer_.activation); r++)
        if constexpr (std::is_same_v<Value, float>)
          bend(output_[first + r] + map, V * kLanes, layer_.activation);
    });
  }

  static void add(long rows, long vectors, const float* kept, Vec* sums) {
    for (long r = 0; r < rows; r++, kept += kPanel)
      for (long v = 0; v < vectors; v++) *sums++ += load(kept + v * kLanes);
  }
  static void keep(long rows, long vectors, const Vec* sums, float* kept) {
    for (long r = 0; r < rows; r++, kept += kPanel)
      for (long v = 0; v < vectors; v++) store(kept + v * kLanes, *sums++);
  }

  // Bias, what is added and limits, from registers: for whole vectors, evenly apart. Of few rows,
  // and of bfloat16, whose layers are linear ones, it is not worth being compiled for.
  template <int R, int V>
  [[gnu::always_inline]] void give(long at, long map, const Limits& limits,
                                   const Vec (&sum)[R][V]) const {
    static const Value kZeros[kPanel] = {};
    Value* to = output_[at] + map;
    const Value* more = call_.added.data ? added_[at] + map : kZeros;
    const long apart = call_.added.data ? call_.added.pixel : 0;
    Vec bias[V];
    for (int v = 0; v < V; v++) bias[v] = load(layer_.bias + map + v * kLanes);
#pragma GCC unroll 12
    for (int r = 0; r < R; r++, to += call_.output.pixel, more += apart)
#pragma GCC unroll 4
      for (int v = 0; v < V; v++)
        store(to + v * kLanes, limits(sum[r][v] + bias[v] + load(more + v * kLanes)));
  }

  // The same for any of them, and what bends.
  [[gnu::noinline]] void finish(long at, long rows, long map, long vectors, bool bends,
                                Vec* sums) const {
    const Limits limits(layer_.activation);
    const auto each = [&](const Pixels<Value>& pixels, const auto& work) {
      for (long r = 0; r < rows; r++)
        for (long v = 0; v < vectors; v++)
          work(pixels[at + r] + map + v * kLanes, layer_.maps - map - v * kLanes,
               sums[r * vectors + v]);
    };
    if (call_.added.data)
      each(added_, [](const Value* more, long left, Vec& value) {
        value += left >= kLanes ? load(more) : load_some(more, left);
      });
    for (long r = 0; r < rows; r++)
      for (long v = 0; v < vectors; v++) {
        Vec& value = sums[r * vectors + v];
        value = limits(value + load(layer_.bias + map + v * kLanes));
      }
    if (bends) bend(reinterpret_cast<float*>(sums), rows * vectors * kLanes, layer_.activation);
    each(output_, [](Value* to, long left, const Vec& value) {
      left >= kLanes ? store(to, value) : store_some(to, value, left);
    });
  }

  const Product& layer_;
  const Call& call_;
  const Grid grid_;
  const long depth_, maps_, panels_;
  const Pixels<Value> input_, added_, output_;
  const bool there_;  // rows are read where they are
  const bool quick_;  // outputs lie evenly apart
  const long row_;
  mutable std::atomic<bool> failed_{false};
};

}  // namespace

extern "C" {

int product_panel() { return kPanel; }

int product_run(const Product* layer, const Call* call) {
  if (call->images * call->out_height * call->out_width <= 0) return 0;
  return !(layer->halves ? Run<BFloat16>(*layer, *call).run() : Run<float>(*layer, *call).run());
}
}
