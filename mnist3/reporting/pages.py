"""What the page of a result says."""

from collections.abc import Mapping, Sequence
from typing import Any

from mnist3.data import sources
from mnist3.data.splits import HELD_OUT
from mnist3.evaluation.error_analysis import Confused
from mnist3.evaluation.words import metric_text, plain_text, settings_text, value_text
from mnist3.reporting import report
from mnist3.results import Replicated, Result


def result_page(result: Result) -> report.Page:
    """Returns what there is to say of a result."""
    metrics, task = result.metrics, result.task
    splits = [split for split in HELD_OUT if split in metrics]
    last = splits[-1]
    names = list(dict.fromkeys(name for split in splits for name in metrics[split]))
    epochs = [_flat(line) for line in result.learned.history]
    columns = list(dict.fromkeys(name for line in epochs for name in line))
    return report.Page(
        title=f"{result.learned.name} on {result.data}",
        headline=task.headline(metrics[last]),
        explanation=task.explanation(metrics[last], last, result.dataset.example_word),
        facts=[
            *task.facts(),
            *data_facts(metrics["dataset"]),
            ("model", f"{result.learned.name}, {parameters_text(result)}"),
            ("training", training_text(metrics["train"])),
            *replicate_facts(result),
            *calibration_facts(result),
            *environment_facts(metrics["environment"]),
        ],
        table_title="Metrics by split (in brackets 95 % intervals)",
        columns=splits,
        rows=[
            (metric_text(name), [value_text(metrics[split], name) for split in splits])
            for name in names
            if not name.endswith(("_ci95", "_std", "_replicates")) and name != "most_confused"
        ],
        tables=confusions(result),
        epoch_columns=[name.replace("_", " ") for name in columns],
        epoch_rows=[[plain_text(line.get(name)) for name in columns] for line in epochs],
    )


def confusions(result: Result) -> list[report.Table]:
    """Returns the table of the classes most often taken for others; none without such a mistake."""
    said = result.measured.get("val", {}).get("most_confused", ())
    found = [Confused(**each) for each in said]
    if not found:
        return []
    return [confusion_table(found, result.task.classes, f"Most confused by {result.about}")]


def confusion_table(
    confused: Sequence[Confused], classes: Sequence[str], title: str
) -> report.Table:
    """Returns a row for each kind of confusion.

    Args:
        confused: in the order of the rows.
        classes: names of the classes.
        title: of the table.
    """
    rows = [
        (
            f"{classes[each.target]} taken for {classes[each.prediction]}",
            [f"{each.images:,}", f"{each.share:.2%}"],
        )
        for each in confused
    ]
    return report.Table(title, ["images", "share of the class"], rows)


def data_facts(dataset: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Returns what a report says of the data: the entry `dataset` of metrics.json."""
    facts = [("dataset", dataset["name"]), ("source", source_words(dataset["source"]))]
    facts.append(("protocol", f"{_protocol_text(dataset)} between the splits"))
    if "rows" in dataset:
        facts += [
            (
                "rows",
                f"{dataset['rows']:,}, and {dataset['unlabelled']:,} left out without a label",
            ),
            ("columns", ", ".join(f"{name} ({kind})" for name, kind in dataset["columns"].items())),
        ]
        facts += [("mind the columns", " ".join(dataset["notes"]))] if dataset["notes"] else []
    return [*facts, ("fingerprint", dataset["fingerprint"])]


def data_text(dataset: Mapping[str, Any]) -> str:
    """Returns in a line what the data are and what their splits share."""
    return f"{dataset['name']}, source {dataset['source']}, {_protocol_text(dataset)}"


def _protocol_text(dataset: Mapping[str, Any]) -> str:
    return ", ".join(f"{what.replace('_', ' ')} {how}" for what, how in dataset["protocol"].items())


def source_words(source: str) -> str:
    """Returns what a source is called in prose: its title, or where a table is from."""
    return sources.title(source) if source in sources.REGISTRY else source


def parameters_text(result: Result) -> str:
    """Returns how many parameters a network has, or an estimator's settings, as text."""
    parameters = result.learned.parameters
    if isinstance(parameters, int):
        return f"{parameters:,} parameters"
    return f"with {settings_text(parameters)}"


def training_text(train: Mapping[str, Any]) -> str:
    """Returns how a learner was trained: the entry `train` of metrics.json."""
    seconds = train.get("search_seconds", 0.0)
    searched = f" after {seconds:.1f} s of searching settings" if seconds else ""
    if "epochs" not in train:
        return f"fitted to {train['n']:,} examples in {train['seconds']:.1f} s{searched}"
    return (
        f"trained {train['epochs']} epochs, {train['steps']:,} steps, in "
        f"{train['seconds']:.1f} s (and {train['compile_seconds']:.1f} s to compile), "
        f"{train['examples_per_second']:,.0f} images a second{searched}"
    )


def replicate_facts(result: Result) -> list[tuple[str, str]]:
    """Returns how many replicates there are, and how far apart; nothing of a single run."""
    if not isinstance(result, Replicated):
        return []
    return [("replicates", replicates_text(result))]


def replicates_text(result: Replicated) -> str:
    """Returns in a sentence how far the replicates of a run are apart on its last split."""
    split = [split for split in HELD_OUT if split in result.metrics][-1]
    name, line = result.task.metrics[0], result.metrics[split]
    best = result.metrics["replicates"]["best_on_val"]
    every = ", ".join(map(str, result.seeds))
    found = f"seeds {every}: figures are means over them; single examples are of seed {best}, "
    found += "the best on val"
    if f"{name}_std" in line:
        each = ", ".join(plain_text(value) for value in line[f"{name}_replicates"])
        found += f". {metric_text(name)} on {split} {each}"
        found += f" (standard deviation {plain_text(line[f'{name}_std'])})"
    if result.ensemble is not None:
        together = plain_text(result.ensemble.measured[split][name])
        found += f"; all of them as an ensemble {together}"
    for seed, why in result.failures.items():
        found += f". Seed {seed} has no result: {why.rstrip('.')}"
    return found


def calibration_facts(result: Result) -> list[tuple[str, str]]:
    """Returns how confidence was calibrated, and from where on a prediction is sure."""
    known = result.calibrator
    if not known.n:
        return []
    text = (
        f"temperature {known.temperature:.3f}, fitted to {known.n:,} examples of val: expected "
        f"calibration error {known.ece_before:.4f} before, {known.ece:.4f} after; sure from a "
        f"confidence of {known.threshold:.6g} on"
    )
    return [("calibration", text + f"; {known.note}" * bool(known.note))]


def environment_facts(environment: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Returns where and with what a result was made."""
    versions = ", ".join(f"{name} {number}" for name, number in environment["versions"].items())
    return [
        ("processor", f"{environment['processor']} ({environment['instruction_set']})"),
        ("devices", environment["devices"]),
        ("versions", versions),
        ("commit", environment["commit"] or "not in a checkout"),
        ("date", environment["date"]),
    ]


def _flat(line: Mapping[str, Any]) -> dict[str, Any]:
    flat = {}
    for name, value in line.items():
        if isinstance(value, Mapping):
            flat |= {f"{name} {inner}": number for inner, number in value.items()}
        else:
            flat[name] = value
    return flat
