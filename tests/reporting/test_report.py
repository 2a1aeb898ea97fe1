import base64
import configparser
import copy
import html.parser
import json
import pathlib

import pytest

from mnist3 import tasks
from mnist3.config import numbers
from mnist3.data.splits import Dataset
from mnist3.evaluation.calibration import Calibrator
from mnist3.evaluation.error_analysis import Confused
from mnist3.reporting import captions, pages, report
from mnist3.results import Result
from mnist3.tasks.numbers import Number

ROOT = pathlib.Path(__file__).parent.parent.parent
PICTURE = b"\x89PNG not really"
COMMAND = "python launch.py --config=experiments/quickstart.py --workdir='runs/<a> & b'"


def split_metrics(n, exact_match):
    return {
        "n": n,
        "exact_match": exact_match,
        "exact_match_ci95": [exact_match - 0.01, exact_match + 0.01],
        "digit_accuracy": 0.98,
        "position_accuracy": [0.99, 0.97],
        "macro_f1": 0.975,
        "nll": 0.25,
        "ece": 0.0125,
    }


METRICS = {
    "dataset": {
        "name": "composed",
        "source": "digits",
        "fingerprint": "f" * 64,
        "protocol": {"numbers": "disjoint", "digit_images": "shared"},
    },
    "task": "number",
    "model": {"name": "multihead", "parameters": 123456},
    "environment": {
        "commit": "abc1234",
        "versions": {"jax": "0.10"},
        "processor": "A processor",
        "instruction_set": "avx2",
        "devices": "2 x cpu",
        "date": "2026-01-01T00:00:00+00:00",
    },
    "train": {
        "seconds": 12.5,
        "compile_seconds": 3.25,
        "examples_per_second": 4000.0,
        "epochs": 2,
        "steps": 312,
    },
    "val": split_metrics(2000, 0.95),
    "test": split_metrics(5000, 0.9375),
}


class Reader:
    """A network that has learned to read numbers."""

    task = Number("number", tasks.DIGITS, 2)
    name, parameters, training = "multihead", 123456, METRICS["train"]
    history = tuple(
        {"epoch": epoch, "step": 156 * epoch, "train": {"loss": 1.5}, "val": {"nll": 0.5}}
        for epoch in (1, 2)
    )
    loss_curve, search_results = (), None
    calibrator = Calibrator(0.5, 0.9875, 0.001, 0.0022, 2000, 0.25, 0.0125, "f" * 64, 2)

    def raw(self, inputs):
        raise NotImplementedError

    def decode(self, raw, targets=None, temperature=1.0):
        raise NotImplementedError

    def log_likelihoods(self, raw, targets, temperature):
        raise NotImplementedError

    def predict(self, inputs, targets=None):
        raise NotImplementedError

    def save(self, folder):
        raise NotImplementedError

    def network(self, inputs):
        raise NotImplementedError


@pytest.fixture
def result():
    """A result whose metrics are known without data."""
    dataset = Dataset("composed", "digits", tasks.DIGITS, "f" * 64, METRICS["dataset"], {})
    made = Result(numbers(), dataset, Reader.task, {}, Reader(), {})
    vars(made)["metrics"] = copy.deepcopy(METRICS)
    return made


def render(result, pictures):
    config = result.config.to_dict()
    return report.render(pages.result_page(result), config, pictures, COMMAND)


class Page(html.parser.HTMLParser):
    """The words of a page, and what it loads from elsewhere."""

    def __init__(self, text):
        super().__init__()
        self.words, self.sources, self.tags, self.open = [], [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.sources += [value for name, value in attributes if name in ("src", "href")]
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


def test_page_says_what_was_reached_on_what(result):
    page = Page(render(result, {"learning_curves": PICTURE}))
    assert page.open == []
    for words in (
        "93.75 % exact match",
        "5,000 images of the test split",
        "95 % interval 92.75 % to 94.75 %",
        "multihead on composed from digits",
        "source digits (UCI optical digits, not MNIST)",
        "numbers disjoint, digit images shared between the splits",
        "123,456 parameters",
        "trained 2 epochs, 312 steps, in 12.5 s (and 3.2 s to compile)",
        "exact match 0.9500 (0.9400-0.9600) 0.9375 (0.9275-0.9475)",
        "A processor (avx2)",
        "accuracy by position 0.9900, 0.9700 0.9900, 0.9700",
        "epoch step train loss val nll 1 156 1.5000 0.5000 2 312 1.5000 0.5000",
        COMMAND,
    ):
        assert words in page.text, words
    assert json.dumps(result.config.to_dict(), indent=2) in page.words
    assert page.tags.count("details") == 2


def test_each_picture_has_its_caption_and_what_the_data_share_is_explained(result):
    names = ("learning_curves", "misread", "somebody_elses")
    page = Page(render(result, dict.fromkeys(names, PICTURE)))
    assert page.tags.count("figure") == page.tags.count("img") == 3
    assert page.tags.count("figcaption") == 2
    for name in names[:2]:
        assert " ".join(captions.CAPTIONS[name].split()) in page.text
    for words in captions.FACT_WORDS.values():
        assert words in page.text


def test_page_needs_no_other_file(result, tmp_path):
    (tmp_path / "learning_curves.png").write_bytes(PICTURE)
    report.write_page(
        tmp_path / "report.html",
        pages.result_page(result),
        config=result.config.to_dict(),
        figures=[str(tmp_path / "learning_curves.png")],
        command=COMMAND,
    )
    page = Page((tmp_path / "report.html").read_text())
    assert page.sources == ["data:image/png;base64," + base64.b64encode(PICTURE).decode()]
    assert not {"link", "script"} & set(page.tags)
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "learning_curves.png",
        "report.html",
    ]


def test_without_a_test_split_the_headline_is_of_val(result):
    del result.metrics["test"]
    page = Page(render(result, {}))
    assert "95.00 % exact match" in page.text
    assert "2,000 images of the val split" in page.text
    assert "metric val images 2,000" in page.text


def test_further_tables_stand_below_their_titles(result, tmp_path):
    page = pages.result_page(result)
    table = pages.confusion_table(
        [Confused(0, 1, 1200, 0.25)], ["<four>", "nine"], "Mistakes & co."
    )
    page = page._replace(tables=[table])
    report.write_page(tmp_path / "a.html", page, config={}, figures=[], command=COMMAND)
    expected = "Mistakes & co. images share of the class <four> taken for nine 1,200 25.00%"
    assert expected in Page((tmp_path / "a.html").read_text()).text


def test_page_is_the_same_every_time(result):
    pages = [render(result, {"a": PICTURE}) for _ in range(2)]
    assert pages[0] == pages[1]


def test_the_template_is_part_of_the_package():
    settings = configparser.ConfigParser()
    settings.read(ROOT / "setup.cfg")
    pattern = settings["options.package_data"]["mnist3.reporting"]
    assert [file.name for file in (ROOT / "mnist3/reporting").glob(pattern)] == [
        "report.html.jinja"
    ]
