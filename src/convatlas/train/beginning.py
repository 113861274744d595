"""Start in a folder, or go on with the run that is there."""

from typing import Any

from convatlas.train.events import Notice, Progress
from convatlas.train.folder import RunFiles, write_json
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
        progress: Told where the run goes on.

    Raises:
        InputError: The folder holds a run, or one with other settings or images.
        FileError: A file can't be read or written.
    """
    going_on = resume and files.config.exists()
    content, changed = None, ""
    if going_on:
        changed = files.check_same(config, accept_data)
        files.sweep()
        content = files.checkpoints.newest()
    elif not overwrite or resume:
        files.check_free()
    state = State.fresh(plan.first_network(), plan.recipe, plan.start)
    if content is None:
        if not going_on and overwrite:
            files.clear()
        if resume:
            progress(Notice(f"{files.path} holds no checkpoint: starting from the beginning"))
        write_json(files.config, config)
        keep(files, state)
        return state
    state.restore(content)
    if changed:
        write_json(files.config, config)
        progress(Notice(f"the images have changed and are accepted: {changed}"))
    files.write_metrics(state.records)  # those after the checkpoint will come again
    where = "is finished: nothing to do" if state.finished else f"goes on from step {state.step}"
    progress(Notice(f"the run in {files.path} {where}"))
    return state


def keep(files: RunFiles, state: State) -> None:
    """Write a checkpoint, and the lines of the epochs that it knows."""
    files.checkpoints.save(state.step, state.to_dict())
    files.write_metrics(state.records)
