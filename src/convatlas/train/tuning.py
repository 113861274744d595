"""What pays in large steps: settings that small ones do without, whose bits stay those of old."""

from dataclasses import replace

from convatlas.evaluate.devices import CPU
from convatlas.memory import keep_memory
from convatlas.train.options import RunOptions
from convatlas.train.threads import SMALL_STEP_MACS


def tuned(options: RunOptions, macs: float) -> RunOptions:
    """Set up the process for a run, and say how its steps are computed.

    Args:
        options: What was asked for.
        macs: Multiply-accumulates of one forward pass over a batch.
    """
    if macs < SMALL_STEP_MACS:
        return options
    place = options.place or CPU
    if options.keep_memory and place.type == "cpu":
        keep_memory()
    able = place.type in ("cpu", "cuda") and not options.shard
    return replace(options, fused=able)
