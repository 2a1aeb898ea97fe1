"""Learns a task, from where the run in the folder was stopped, then evaluates what was learned."""

from absl import logging
from ml_collections import ConfigDict

from mnist3.jobs import output, parts, workdir
from mnist3.jobs.arguments import Arguments
from mnist3.reporting import console


def run(config: ConfigDict, arguments: Arguments) -> int:
    """Learns, evaluates on val and test, and writes the files of a run into its workdir."""
    folder = arguments.workdir or workdir.fresh_workdir(arguments.experiment)
    with workdir.claimed(folder, config):
        logging.info("workdir: %s", folder)
        made = parts.load(config, arguments.data_dir)
        learning = made.prepare()
        workdir.write_config(folder, config)
        with output.tracked(folder, config) as tracker:
            result = parts.learn(made, learning, folder, tracker).with_splits("test")
            output.write_result(result, folder, arguments.command)
            output.track(result, tracker)
    print(console.result_text(result, folder))
    return 0
