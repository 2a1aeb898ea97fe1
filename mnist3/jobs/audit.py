"""Measures what the splits of a number dataset share."""

import json

from absl import logging
from ml_collections import ConfigDict

from mnist3 import runtime
from mnist3.data import audit
from mnist3.data import dataset as datasets
from mnist3.data.sources import load_source
from mnist3.files import STANDARD_OUTPUT, opened_output, require_unread, require_writable
from mnist3.jobs import parts
from mnist3.jobs.arguments import Arguments


def run(config: ConfigDict, arguments: Arguments) -> int:
    """Prints the shares of val and test that train has seen; an output gets them as JSON.

    Standard output as the output gets the JSON alone.

    Raises:
        UserError: if the output cannot be written or would replace a file that is read, or the data
            cannot be loaded or matched.
        OutputClosed: if nobody reads standard output any more.
    """
    if arguments.output:
        require_writable(arguments.output)
        read = [runtime.cache_dir(), *datasets.files(config.data, arguments.data_dir)]
        require_unread(arguments.output, read, arguments.workdir)
    dataset = datasets.load(config.data, arguments.data_dir, runtime.cache_dir())
    parts.log_dataset(dataset)
    report = audit_dataset(dataset, arguments.data_dir)
    if arguments.output != STANDARD_OUTPUT:
        print(report.to_text())
    if arguments.output:
        with opened_output(arguments.output) as file:
            file.write(json.dumps(report.to_dict(), indent=2) + "\n")
    return 0


def audit_dataset(dataset: datasets.Dataset, data_dir: str | None) -> audit.AuditReport:
    """Returns what the splits of a number dataset share.

    Args:
        dataset: fixed or composed.
        data_dir: folder with the files of its digit source.
    """
    source = load_source(dataset.source, data_dir)
    logging.info("looking the digit images up in source %s", source.name)
    if dataset.digit_indices is None:
        return audit.audit(dataset.splits, source)
    return audit.report(dataset.digit_indices, source, dataset.numbers)
