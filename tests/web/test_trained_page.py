"""Both pages with a run that has learned: what is drawn is what is read."""

import pytest

from mnist3 import experiments, export, learners
from mnist3.export import page as reader_page
from mnist3.jobs import parts
from mnist3.pictures import Limits, reader_of
from mnist3.web import answers, app
from tests.web.test_page import DESKTOP, draw, running, wait_for

RUN = (
    "experiments/quickstart.py --config.data.digits=2 --config.data.width=56"
    " --config.data.train_examples=4096 --config.data.val_examples=200"
    " --config.data.test_examples=200 --config.model.stem=16 --config.model.channels=(24,)"
    " --config.model.convolutions=1 --config.training.epochs=12 --config.training.batch_size=64"
)


@pytest.fixture(scope="module")
def network(trained):
    config = experiments.load(RUN)
    return learners.load(config, parts.task_of(config), str(trained(RUN)), "best")


@pytest.fixture(params=["served", "from the disk"])
def address(request, network, tmp_path):
    if request.param == "served":
        config, task = network.run.config, network.task
        batches = reader_of(config, task, network.predict, limits=Limits(sizes=(1,)))
        read = answers.reader(task, batches)
        about = {"classes": list(task.classes), "digits": list(task.number_lengths)}
        with running(app.Service(read, task.classes, about)) as url:
            yield url
    else:
        path = tmp_path / "reader.html"
        path.write_bytes(reader_page.files(export.reader_of(network))["reader.html"])
        yield path.as_uri()


def test_a_number_is_drawn_and_read(browser, address):
    context = browser.new_context(viewport=DESKTOP)
    page = context.new_page()
    page.goto(address)
    draw(page, "30", of=2)
    wait_for(page, "30")
    context.close()
