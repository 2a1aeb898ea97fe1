import base64
import configparser
import html.parser
import json
import pathlib

import pytest

from mnist3.config import base
from mnist3.evaluation.error_analysis import Confused
from mnist3.reporting import captions, report, tables

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


@pytest.fixture
def content():
    return {
        "config": base().to_dict(),
        "metrics": {
            "dataset": {
                "name": "composed",
                "source": "digits",
                "fingerprint": "f" * 64,
                "protocol": {"numbers": "disjoint", "digit_images": "shared"},
            },
            "model": {"name": "multihead", "parameters": 123456},
            "train": {
                "seconds": 12.5,
                "compile_seconds": 3.25,
                "examples_per_second": 4000.0,
                "epochs": 2,
                "steps": 312,
            },
            "val": split_metrics(2000, 0.95),
            "test": split_metrics(5000, 0.9375),
        },
        "history": [
            {"epoch": epoch, "step": 156 * epoch, "train": {"loss": 1.5}, "val": {"nll": 0.5}}
            for epoch in (1, 2)
        ],
        "command": COMMAND,
    }


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


def test_page_says_what_was_reached_on_what(content):
    page = Page(report.render(**content, pictures={"learning_curves": PICTURE}))
    assert page.open == []
    for words in (
        "93.75 % exact match",
        "5,000 images of the test split",
        "95 % interval 92.75 % to 94.75 %",
        "multihead on composed, source digits (UCI optical digits, not MNIST)",
        "numbers disjoint, digit images shared between the splits",
        "123,456 parameters",
        "12.5 s after 3.2 s of compilation",
        "exact match 0.9500 0.9375",
        "accuracy by position 0.9900, 0.9700 0.9900, 0.9700",
        "epoch step train loss val nll 1 156 1.5000 0.5000 2 312 1.5000 0.5000",
        COMMAND,
    ):
        assert words in page.text, words
    assert json.dumps(content["config"], indent=2) in page.words
    assert page.tags.count("details") == 2


def test_each_picture_has_its_caption_and_what_the_data_share_is_explained(content):
    names = ("learning_curves", "misread", "somebody_elses")
    page = Page(report.render(**content, pictures=dict.fromkeys(names, PICTURE)))
    assert page.tags.count("figure") == page.tags.count("img") == 3
    assert page.tags.count("figcaption") == 2
    for name in names[:2]:
        assert " ".join(captions.CAPTIONS[name].split()) in page.text
    for words in captions.FACT_WORDS.values():
        assert words in page.text


def test_page_needs_no_other_file(content, tmp_path):
    (tmp_path / "learning_curves.png").write_bytes(PICTURE)
    report.write(
        tmp_path / "report.html", **content, figures=[str(tmp_path / "learning_curves.png")]
    )
    page = Page((tmp_path / "report.html").read_text())
    assert page.sources == ["data:image/png;base64," + base64.b64encode(PICTURE).decode()]
    assert not {"link", "script"} & set(page.tags)
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "learning_curves.png",
        "report.html",
    ]


def test_without_a_test_split_the_headline_is_of_val(content):
    del content["metrics"]["test"]
    page = Page(report.render(**content, pictures={}))
    assert "95.00 % exact match" in page.text
    assert "2,000 images of the val split" in page.text
    assert "metric val images 2,000" in page.text


def test_further_tables_stand_below_their_titles(content, tmp_path):
    page = report.number_page(content["metrics"], content["history"])
    table = tables.of_confusions([Confused(0, 1, 1200, 0.25)], ["<four>", "nine"], "Mistakes & co.")
    page = page._replace(tables=[table])
    report.write_page(tmp_path / "a.html", page, config={}, figures=[], command=COMMAND)
    expected = "Mistakes & co. images share of the class <four> taken for nine 1,200 25.00%"
    assert expected in Page((tmp_path / "a.html").read_text()).text


def test_page_is_the_same_every_time(content):
    pages = [report.render(**content, pictures={"a": PICTURE}) for _ in range(2)]
    assert pages[0] == pages[1]


def test_the_template_is_part_of_the_package():
    settings = configparser.ConfigParser()
    settings.read(ROOT / "setup.cfg")
    pattern = settings["options.package_data"]["mnist3.reporting"]
    assert [file.name for file in (ROOT / "mnist3/reporting").glob(pattern)] == [
        "report.html.jinja"
    ]
