"""What --profile says of a training that has ended: where its time went, and how fast it was."""

import os
from typing import Any

from mnist3 import profiling, runtime
from mnist3.files import replacing, write_json
from mnist3.models import operations
from mnist3.profiling import Profile
from mnist3.reporting.console import aligned
from mnist3.results import Result
from mnist3.training import program

FOLDER, VALUES, TABLE = "profile", "profile.json", "profile.txt"  # in the workdir


def write(profile: Profile, result: Result, folder: str) -> None:
    """Prints where the time of a training went, and writes it into the folder of the run.

    Args:
        profile: of the training.
        result: what it came to, of a network.
        folder: of the run.
    """
    found = describe(profile, result)
    text = table(found, os.path.join(folder, FOLDER))
    write_json(os.path.join(folder, VALUES), found)
    with replacing(os.path.join(folder, TABLE)) as file:
        file.write(text + "\n")
    print(f"\n{text}")


def describe(profile: Profile, result: Result) -> dict[str, Any]:
    """Returns the content of profile.json."""
    own = profiling.own_seconds(profile.spans)
    named = {name: own.get(name, 0.0) for name in profiling.PHASES}
    found: dict[str, Any] = {
        "seconds": profile.seconds,
        "phases": named | {"everything else": profile.seconds - sum(named.values())},
        "steps": profile.steps,
        "traced": any(segment.traced for segment in profile.segments),
    }
    if profile.steps_per_second is None:
        return found
    learned: Any = result.learned  # a network, of which the command line has made sure
    run = learned.run
    step = operations.step_operations(run.model, run.config.training.batch_size, run.size)
    rate = step * profile.steps_per_second
    machine = profiling.matrix_product_rate(program.create_mesh(), run.config.training.dtype)
    return found | {
        "steps_per_second": profile.steps_per_second,
        "operations_a_step": step,
        "rate": rate,
        "matrix_product_rate": machine,
        "matrix_product_share": rate / machine,
    }


def table(found: dict[str, Any], trace: str) -> str:
    """Returns what is known of the time of a training, as text.

    Args:
        found: see `describe`.
        trace: where it is.
    """
    rows = [("where the time went", "s", "share")]
    rows += [
        (name, f"{seconds:.2f}", f"{100 * seconds / found['seconds']:.0f} %")
        for name, seconds in {**found["phases"], "all": found["seconds"]}.items()
    ]
    text = aligned(rows)
    if "rate" not in found:
        return f"{text}\nno step was left to take, so there is no trace"
    where = f"{trace} (xprof reads the folder, ui.perfetto.dev the *.trace.json.gz in it)"
    return (
        f"{text}\n{found['steps']:,} steps of {found['operations_a_step'] / 1e6:,.1f} MFLOP, "
        f"{found['steps_per_second']:,.1f} a second: {found['rate'] / 1e9:,.1f} GFLOP/s, "
        f"{100 * found['matrix_product_share']:.0f} % of the "
        f"{found['matrix_product_rate'] / 1e9:,.0f} GFLOP/s at which "
        f"{runtime.environment()['devices']} multiplied matrices just now\n"
        f"trace: {where if found['traced'] else 'none, as there was but one segment of steps'}"
    )
