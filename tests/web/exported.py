"""reader.html whose parts can be called one by one, to hold them against Python.

They stand in the page itself, beside the worker that reads for it.
"""

import base64

import numpy as np
from jaxtyping import UInt8

from mnist3 import export
from mnist3.export import page
from mnist3.learners.network import Network

_PARTS = """
globalThis.bytesFrom = (text) => Uint8Array.from(atob(text), (each) => each.charCodeAt(0));
globalThis.textOf = (bytes) =>
    btoa(Array.from(bytes, (each) => String.fromCharCode(each)).join(""));
const [described, content] = ["network", "weights"].map((id) =>
    document.getElementById(id).textContent);
globalThis.parts = { locate, OTHERS, USUAL };
parts.network = JSON.parse(described);
parts.constants = constantsOf(parts.network.constants, bytesFrom(content).buffer);
parts.reader = fileReader(parts.network, bytesFrom(content).buffer);
parts.outputs = (width, image) => run(parts.network.programs[width], parts.constants, image);
parts.maps = (width, image) => sheetsOf(parts.network.layers, parts.outputs(width, image).maps)
    .map((each) => ({ ...each, image: globalThis.textOf(each.image.data) }));
parts.read = (width, image) => {
    const { logits, ...all } = parts.outputs(width, image);
    if (logits) return decodeString(logits, parts.network.about.digits[1]);
    const [digits, probabilities] = [[...all.values.data], [...all.probabilities.data]];
    return { digits, confidence: all.confidence.data[0], probabilities };
};
parts.sourceOf = async (blob) => {
    const { width, height } = await createImageBitmap(blob);
    return { blob, width, height };
};
parts.lineIn = async (blob) => {
    const source = await parts.sourceOf(blob);
    const file = await mnist3Reader.opened(source);
    const picture = pictureOf({ ...source, file }, ...sizesFor(parts.network));
    return { scale: picture.scale, ...locate(picture) };
};
parts.compute = (program, described, content, image) => {
    const known = constantsOf(described, bytesFrom(content).buffer);
    return [...run(program, known, bytesFrom(image)).found.data].map(String);
};
"""
READ = "([images, width]) => images.map((image) => parts.read(width, bytesFrom(image)))"


def page_with_parts(network: Network) -> str:
    """Returns reader.html, in which `parts` reads images and finds lines."""
    text = page.files(export.reader_of(network))["reader.html"].decode()
    parts = f'<script type="module">\n{page.script()}{_PARTS}</script>\n'
    return text.replace("</body>", f"{parts}</body>")


def encoded(pixels: UInt8[np.ndarray, "..."]) -> str:
    """Returns pixels as the page takes them with `bytesFrom`."""
    return base64.b64encode(np.ascontiguousarray(pixels).tobytes()).decode()
