// Layers one after another in one call: between them nothing else runs, and no time passes.

#include "maps.h"

extern "C" {

// A layer and its maps, whose `data` are bytes from the begin of a block of memory.
struct Step {
  int (*run)(const void* layer, const Call* call);
  const void* layer;
  Call call;
  long input, added, output;  // numbers of blocks; negative: there is none
};
}

namespace {

void place(Maps& maps, long block, char* const* blocks) {
  maps.data = block < 0 ? nullptr : blocks[block] + reinterpret_cast<long>(maps.data);
}

}  // namespace

extern "C" int steps_run(const Step* steps, long count, char* const* blocks, Parallel parallel) {
  for (const Step* step = steps; step < steps + count; step++) {
    Call call = step->call;
    place(call.input, step->input, blocks);
    place(call.added, step->added, blocks);
    place(call.output, step->output, blocks);
    call.parallel = parallel;
    if (const int failed = step->run(step->layer, &call)) return failed;
  }
  return 0;
}
