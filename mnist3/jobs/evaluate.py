"""Evaluates what a run has learned on val and test: metrics, predictions, pictures and the page."""

from ml_collections import ConfigDict

from mnist3 import learners
from mnist3.data.splits import HELD_OUT
from mnist3.errors import UserError
from mnist3.jobs import output, parts
from mnist3.jobs.arguments import Arguments
from mnist3.jobs.lock import locked
from mnist3.reporting import console


def run(config: ConfigDict, arguments: Arguments) -> int:
    """Evaluates the run in `arguments.workdir` and writes its files anew."""
    made = parts.load(config, arguments.data_dir)
    if not made.examples.keys() & set(HELD_OUT):
        raise UserError(
            f"{made.dataset.name} has neither val nor test here, so there is nothing to evaluate; "
            "add the folder of one to its images."
        )
    with locked(arguments.workdir):
        learned = learners.load(config, made.task, arguments.workdir, arguments.checkpoint)
        result = made.result(learned, HELD_OUT)
        output.write_result(result, arguments.workdir, arguments.command)
    print(console.result_text(result, arguments.workdir))
    return 0
