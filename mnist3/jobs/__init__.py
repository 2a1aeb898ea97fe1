"""What `--mode` selects, one module a job, each with `run(config, arguments) -> exit status`."""

MODES = ("train", "evaluate", "predict", "audit", "compare")
