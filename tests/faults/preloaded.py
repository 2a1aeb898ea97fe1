"""What the tiny run imports, for processes that are forked once it is there."""

import importlib

MODULES = (
    "mnist3.jobs.command_line",
    "mnist3.jobs.run",
    "mnist3.learners.network",
    "mnist3.learners.estimator",
    "mnist3.reporting.console",
    "orbax.checkpoint",
    "sklearn.datasets",
)
for _module in MODULES:
    importlib.import_module(_module)
