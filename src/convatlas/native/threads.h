// Work shared by the threads of the caller's OpenMP runtime: a second set of threads would wait,
// spinning, for the same cores.

#pragma once

#include <atomic>

// GOMP_parallel: runs `work(data)` on some threads at once. Null: there is the caller's alone.
extern "C" typedef void (*Parallel)(void (*work)(void*), void* data, unsigned threads,
                                    unsigned flags);

namespace {

// Runs `work` for 0 ... count - 1; each thread takes the next that nobody has begun.
template <class Work>
void share(Parallel parallel, long threads, long count, const Work& work) {
  struct Shared {
    const Work& work;
    const long count;
    std::atomic<long> next{0};
  } shared{work, count};
  const auto each = [](void* data) {
    Shared& shared = *static_cast<Shared*>(data);
    for (long i; (i = shared.next++) < shared.count;) shared.work(i);
  };
  if (parallel && threads > 1 && count > 1)
    parallel(each, &shared, static_cast<unsigned>(threads), 0);
  else
    each(&shared);
}

}  // namespace
