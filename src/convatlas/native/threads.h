// Work shared by the threads of the caller's OpenMP runtime: a second set of threads would wait,
// spinning, for the same cores.

#pragma once

#include <dlfcn.h>

#include <algorithm>
#include <atomic>

// GOMP_parallel: runs `work(data)` on some threads at once. Null: there is the caller's alone.
extern "C" typedef void (*Parallel)(void (*work)(void*), void* data, unsigned threads,
                                    unsigned flags);

namespace {

// The number of this thread within the caller's runtime; 0 where it tells none.
inline long thread_number() {
  static const auto number =
      reinterpret_cast<int (*)()>(dlsym(RTLD_DEFAULT, "omp_get_thread_num"));
  return number ? number() : 0;
}

constexpr long kQueues = 16;  // threads beyond that share one

// Runs `work` for 0 ... count - 1. Each thread begins with a range of its own, the same in each
// call, so that what it wrote in one layer is in its cache in the next; then it takes from the
// others' what nobody has begun.
template <class Work>
void share(Parallel parallel, long threads, long count, const Work& work) {
  struct Shared {
    const Work& work;
    const long count, queues;
    struct alignas(64) Queue {
      std::atomic<long> next{0};
    } queue[kQueues];
    long begin(long i) const { return count * i / queues; }
  } shared{work, count, std::clamp(threads, 1L, kQueues), {}};
  const auto each = [](void* data) {
    Shared& shared = *static_cast<Shared*>(data);
    const long own = thread_number();
    for (long k = 0; k < shared.queues; k++) {
      const long i = (own + k) % shared.queues, end = shared.begin(i + 1);
      std::atomic<long>& next = shared.queue[i].next;
      for (long item; (item = shared.begin(i) + next++) < end;) shared.work(item);
    }
  };
  if (parallel && threads > 1 && count > 1)
    parallel(each, &shared, static_cast<unsigned>(threads), 0);
  else
    for (long item = 0; item < count; item++) work(item);
}

}  // namespace
