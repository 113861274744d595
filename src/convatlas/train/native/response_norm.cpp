// Local response normalisation across maps, and its gradient: rows of channels, float32 or bfloat16.
//
// Krizhevsky et al. 2012, section 3.3, with the exponent 3/4 of the papers: y = x d^-3/4 with
// d = k + alpha * sum of x_j^2 over a window of maps. A gradient g of y gives
// g d^-3/4 - 3/2 alpha x * sum over the mirrored window of g_j x_j d_j^-7/4. Everything about a row
// is done while it lies in the cache; sums are computed again on the way back.

#include <algorithm>
#include <cmath>
#include <vector>

#include "threads.h"
#include "values.h"

extern "C" struct ResponseCall {
  long rows, channels, given_row;  // given_row: distance of rows of `given` in values
  long before, after;              // maps of the window
  long threads, half;
  const void *x, *given;  // given null: forward
  void* out;
  double alpha, k;
  Parallel parallel;
};

namespace {

template <class T>
struct Rows {
  const ResponseCall& o;
  const long c = o.channels, room = o.before + o.after;
  const float alpha = static_cast<float>(o.alpha), k = static_cast<float>(o.k);
  // with zeros before and after the row
  std::vector<float> padded = std::vector<float>(c + 2 * room);
  std::vector<float> x = std::vector<float>(c), total = x, power = x;

  // Sums, for each channel, those from `before` before it to `after` after it.
  void sums(const float* of, long before, long after, float* to) const {
    std::copy(of - before, of - before + c, to);
    for (long shift = 1 - before; shift <= after; shift++)
      for (long i = 0; i < c; i++) to[i] += of[i + shift];
  }

  void widen(const T* from, float* to) const {
    for (long i = 0; i < c; i++) to[i] = get(from[i]);
  }

  // d and d^-3/4 of a row.
  void weigh(const T* from) {
    widen(from, x.data());
    float* middle = padded.data() + room;
    for (long i = 0; i < c; i++) middle[i] = x[i] * x[i];
    sums(middle, o.before, o.after, total.data());
    for (long i = 0; i < c; i++) {
      const float d = k + alpha * total[i], root = 1.0f / std::sqrt(d);
      total[i] = d;
      power[i] = root * std::sqrt(root);
    }
  }

  void forward(const T* from, T* to) {
    weigh(from);
    for (long i = 0; i < c; i++) put(to[i], x[i] * power[i]);
  }

  void backward(const T* from, const T* given, T* to) {
    weigh(from);
    float* middle = padded.data() + room;
    for (long i = 0; i < c; i++) {
      power[i] *= get(given[i]);  // what goes straight through
      middle[i] = power[i] * x[i] / total[i];
    }
    sums(middle, o.after, o.before, total.data());
    const float slope = 1.5f * alpha;
    for (long i = 0; i < c; i++) put(to[i], power[i] - slope * x[i] * total[i]);
  }
};

template <class T>
void run(const ResponseCall& o) {
  const T *x = static_cast<const T*>(o.x), *given = static_cast<const T*>(o.given);
  T* out = static_cast<T*>(o.out);
  const long step = std::max(1L, (1L << 15) / o.channels), blocks = (o.rows + step - 1) / step;
  share(o.parallel, o.threads, blocks, [&](long block) {
    Rows<T> rows{o};
    for (long r = block * step; r < std::min(o.rows, (block + 1) * step); r++)
      if (given)
        rows.backward(x + r * o.channels, given + r * o.given_row, out + r * o.channels);
      else
        rows.forward(x + r * o.channels, out + r * o.channels);
  });
}

}  // namespace

extern "C" void response_norm(const ResponseCall* call) {
  call->half ? run<Half>(*call) : run<float>(*call);
}
