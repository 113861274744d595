"""Start in a folder, or go on with the run that is there."""

from typing import Any

from convatlas.errors import InputError
from convatlas.train.events import Notice, Progress
from convatlas.train.folder import RunFiles, write_json
from convatlas.train.options import RunOptions
from convatlas.train.plan import Plan
from convatlas.train.state import State


def begin(
    files: RunFiles,
    plan: Plan,
    config: dict[str, Any],
    *,
    resume: bool,
    overwrite: bool,
    accept_data: bool,
    options: RunOptions,
    progress: Progress,
) -> State:
    """Give the state from which training goes on: the folder's, or a fresh one, which is kept.

    Args:
        files: Of the run; nobody else may be in its folder.
        plan: What is to be trained.
        config: What `config.json` is to hold.
        resume: Go on with the run in the folder, where there is one.
        overwrite: Remove that run first.
        accept_data: Go on although the images have changed.
        options: How to compute, and together with whom.
        progress: Told where the run goes on.

    Raises:
        InputError: The folder holds a run, or one with other settings or images.
        FileError: A file can't be read or written.
        FailedElsewhereError: Any of these in the first process, in the others.
    """
    ranks = options.ranks
    [several_hosts] = ranks.any(ranks.host > 0)

    def enter() -> tuple[bool, list[str]]:
        if overwrite and several_hosts:
            raise InputError(
                "on several machines a restart can't be told from a start, and --overwrite would "
                f"remove what was learnt: remove {files.path} yourself, or take another --out"
            )
        going_on = resume and files.config.exists()
        if going_on:
            changed = files.check_same(config, accept_data)
            files.sweep()
            return going_on, changed
        if not overwrite or resume:
            files.check_free()
        return going_on, []

    going_on, changed = ranks.by_first(enter)
    state = State.fresh(plan.first_network(), plan.recipe, plan.start, options)
    found = going_on and _restore(files, state, options)

    def write() -> None:
        if not found and not going_on and overwrite:
            files.clear()
        if not found or changed:
            write_json(files.config, config)
        if found:
            files.write_metrics(state.records)  # those after the checkpoint will come again

    ranks.by_first(write)
    if not found:
        if resume:
            what = "no checkpoint" if going_on else "no run yet"
            progress(Notice(f"{files.path} holds {what}: starting from the beginning"))
        keep(files, options, state)
        return state
    for line in changed:
        progress(Notice(line))
    where = "is finished: nothing to do" if state.finished else f"goes on from step {state.step}"
    progress(Notice(f"the run in {files.path} {where}"))
    return state


def keep(files: RunFiles, options: RunOptions, state: State) -> None:
    """Write a checkpoint, and the lines of the epochs that it knows; all processes together."""
    ranks = options.ranks
    ranks.share_buffers(*state.networks)

    def write() -> None:
        if not options.shard:
            files.checkpoints.save(state.step, state.to_dict())
        files.write_metrics(state.records)

    if options.shard:
        files.shards.save(ranks, state.step, state.tensors(), state.values())
    ranks.by_first(write)


def _restore(files: RunFiles, state: State, options: RunOptions) -> bool:
    """Bring a state to the newest checkpoint that is whole; say whether there is one."""
    if options.shard:
        found = files.shards.newest(options.ranks)
        if found is not None:
            state.restore_shards(found, options.ranks)
        return found is not None
    content = options.ranks.by_first(files.checkpoints.newest)
    if content is not None:
        state.restore(content)
    return content is not None
