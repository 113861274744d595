// Filters that look at one map each, written out; and maps times a number for each of them.

#include "depthwise.h"

extern "C" struct Filtering {
  long channels, threads;
  Depthwise how;
};

extern "C" {

int depthwise_lanes() { return kLanes; }

int depthwise_run(const Filtering* layer, const Call* call) {
  const long lines = call->images * call->out_height, row = call->output.pixel;
  if (lines * call->out_width <= 0) return 0;
  const Grid grid(call->images, call->out_height, call->out_width, 1);
  share(call->parallel, layer->threads, lines, [&](long line) {
    const Place at = grid.place(line * call->out_width);
    float* to = static_cast<float*>(call->output.data) + at.image * call->output.image +
                at.top * call->output.row;
    filter(layer->how, *call, layer->channels, at, call->out_width, to, row);
  });
  return 0;
}

// Maps times `added`, of which each image has one pixel.
int gate_run(const Filtering* layer, const Call* call) {
  share(call->parallel, layer->threads, call->images * call->height, [&](long line) {
    const long image = line / call->height, y = line % call->height;
    const float* gate = static_cast<const float*>(call->added.data) + image * call->added.image;
    const float* from = static_cast<const float*>(call->input.data) + image * call->input.image +
                        y * call->input.row;
    float* to = static_cast<float*>(call->output.data) + image * call->output.image +
                y * call->output.row;
    for (long x = 0; x < call->width; x++, from += call->input.pixel, to += call->output.pixel)
      for (long c = 0; c < layer->channels; c++) to[c] = from[c] * gate[c];
  });
  return 0;
}
}
