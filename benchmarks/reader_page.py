"""How near reader.html comes to Python, and how fast it reads, in Chromium.

    python -m benchmarks.rendered FOLDER
    python -m benchmarks.reader_page RUN FOLDER/numbers --strips=1000 --pictures=200

RUN is of experiments/people.py. Strips are those that Python finds on the pictures; each is read
by the page and by JAX on the same rounded weights. Pictures are read from their files by both.
Drawings are canvases as the page makes them; a drawing's time is that of the fastest of some
readings, since other work on the machine makes single ones slower: by the clock from the canvas to
the view, by the page's worker, and of the processor the same reading on the page's own thread.
"""

import argparse
import base64
import json
import pathlib
import shutil
import tempfile

import numpy as np

TIMES = 7  # readings of a drawing
DRAWINGS = 40
HEIGHTS = (60, 110, 180, 250)  # px, of the digits of drawings

READ_FILE = """async (content) => {
    const source = await parts.sourceOf(new Blob([bytesFrom(content)], { type: "image/png" }));
    const start = performance.now();
    const { number } = await mnist3Reader.read(source);
    return { number, ms: performance.now() - start };
}"""
DRAW = """async (content) => {
    const image = await createImageBitmap(new Blob([bytesFrom(content)], { type: "image/png" }));
    globalThis.canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [image.width, image.height];
    canvas.getContext("2d", { willReadFrequently: true }).drawImage(image, 0, 0);
}"""
READ_DRAWING = """async () => {
    const start = performance.now();
    await mnist3Reader.read({ canvas });
    return performance.now() - start;
}"""
READ_HERE = """async () => {
    const { width, height } = canvas;
    const image = canvas.getContext("2d").getImageData(0, 0, width, height);
    await parts.reader({ image }, false);
}"""


def main() -> None:
    """Prints the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run")
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--strips", type=int, default=1000)
    parser.add_argument("--pictures", type=int, default=200)
    arguments = parser.parse_args()

    from playwright.sync_api import sync_playwright

    from mnist3 import export, learners
    from mnist3.export import page as reader_page
    from mnist3.jobs import parts, workdir
    from tests.web.conftest import FLAGS
    from tests.web.exported import page_with_parts

    folder, config = workdir.chosen(arguments.run)
    task = parts.task_of(config)
    network = learners.load(config, task, folder, "best", False)
    size = len(reader_page.files(export.reader_of(network))["reader.html"])
    half = reader_page.with_rounded_weights(network)
    paths = sorted(arguments.folder.glob("*.png"))
    found = {"bytes": size}
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as temporary:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        page = browser.new_page()
        path = pathlib.Path(temporary) / "reader.html"
        path.write_text(page_with_parts(network))
        page.goto(path.as_uri())
        for name, measured in (
            ("drawings", lambda: of_drawings(page)),
            ("pictures", lambda: of_pictures(page, half, config, paths[: arguments.pictures])),
            ("strips", lambda: of_strips(page, half, paths, arguments.strips)),
        ):
            found[name] = measured()
            print(json.dumps({name: found[name]}), flush=True)
        browser.close()
    print(json.dumps(found))


def of_strips(page, half, paths, count: int) -> dict[str, float]:
    """Reads the strips of pictures until there are enough of them."""
    from mnist3.data import strips
    from mnist3.pictures import lines_of
    from tests.web.exported import READ, encoded

    images = []
    for path in paths:
        images += [ways[0].image for ways in lines_of(str(path), every_line=True)]
        if len(images) >= count:
            break
    images = images[:count]
    same, worst = 0, 0.0
    for image in images:
        width = strips.bucket(image.shape[1])
        strip = strips.stack([image], width, 1)
        expected = half.predict(strip)
        (each,) = page.evaluate(READ, [[encoded(strip)], width])
        values = expected.values[0]
        if each["digits"] == values[values >= 0].tolist():
            same += 1
        of_digits = expected.probabilities[0][: len(each["probabilities"])]
        differences = np.abs([each["confidence"] - expected.confidence[0]])
        differences = np.append(differences, np.abs(np.array(each["probabilities"]) - of_digits))
        worst = max(worst, float(differences.max()))
    return {"n": len(images), "same": same, "largest_difference": worst}


def of_pictures(page, half, config, paths) -> dict[str, float]:
    """Reads whole pictures from their files."""
    from mnist3.pictures import reader_of, readings_in

    batches = reader_of(config, half.task, half.predict)
    same, milliseconds = 0, []
    for batch in batches(list(map(str, paths))):
        for path, (expected, *_) in zip(batch.paths, readings_in(batch, half.task), strict=True):
            content = base64.b64encode(pathlib.Path(path).read_bytes()).decode()
            each = page.evaluate(READ_FILE, content)
            same += each["number"] == expected.text
            milliseconds.append(each["ms"])
    return {"n": len(paths), "same": same, "median_ms": float(np.median(milliseconds))}


def of_drawings(page) -> dict[str, float]:
    """Times drawings of one to eight digits."""
    from tests.web.test_reader_page import as_file, drawing

    rng = np.random.default_rng(0)
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})

    def processor_ms() -> float:
        metrics = session.send("Performance.getMetrics")["metrics"]
        return 1e3 * next(each["value"] for each in metrics if each["name"] == "TaskDuration")

    by_clock, of_processor = [], []
    for place in range(DRAWINGS):
        text = "".join(map(str, rng.integers(0, 10, 1 + place % 8)))
        pixels = drawing(text, HEIGHTS[place % len(HEIGHTS)])
        share = min(640 / max(pixels.shape), 1)  # the largest picture that the page makes
        if share < 1:
            pixels = drawing(text, HEIGHTS[place % len(HEIGHTS)] * share)
        content = base64.b64encode(as_file(pixels)).decode()
        page.evaluate(DRAW, content)
        times = []
        for _ in range(TIMES):
            by_the_clock = page.evaluate(READ_DRAWING)
            before = processor_ms()
            page.evaluate(READ_HERE)
            times.append((by_the_clock, processor_ms() - before))
        fastest = np.min(times, axis=0)
        by_clock.append(fastest[0])
        of_processor.append(fastest[1])
    return {
        "n": DRAWINGS,
        "median_ms": float(np.median(by_clock)),
        "slowest_ms": float(max(by_clock)),
        "median_processor_ms": float(np.median(of_processor)),
        "slowest_processor_ms": float(max(of_processor)),
    }


if __name__ == "__main__":
    main()
