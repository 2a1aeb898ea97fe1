"""Asks a running server from many clients at once, and prints how fast it answers.

    python -m benchmarks.serve_load http://127.0.0.1:8000/ --seconds=60

Half of the requests are drawings, half photos of 12 megapixels, each of one picture, or of `--each`
pictures. Client and server share the machine. Drawn numbers are strokes of `tests/renderer.py`.
"""

import argparse
import asyncio
import io
import time
from typing import NamedTuple

import httpx
import numpy as np
from PIL import Image, ImageFilter

from tests import renderer

PHOTO = (4032, 3024)  # px, of the camera of a phone
KINDS = ("drawing", "photo")
PICTURES = 16  # of each kind


class Answered(NamedTuple):
    """A request that has ended.

    Attributes:
        kind: of its pictures.
        seconds: that it took.
        error: why it failed; "" where every picture was answered.
    """

    kind: str
    seconds: float
    error: str


def drawing(rng: np.random.Generator) -> bytes:
    """Returns a PNG file as the page makes it of strokes."""
    text = "".join(map(str, rng.integers(0, 10, rng.integers(1, 7))))
    picture, _ = renderer.render(rng, text, kinds=(), width=480)
    return _file(Image.fromarray(picture).convert("L"), "png")


def photo(rng: np.random.Generator) -> bytes:
    """Returns a JPEG file of a camera's size: a number on paper, with light, blur and noise."""
    text = "".join(map(str, rng.integers(0, 10, rng.integers(1, 7))))
    picture, _ = renderer.render(rng, text, kinds=(), width=PHOTO[0] // 4)
    page = Image.new("L", (PHOTO[0] // 4, PHOTO[1] // 4), int(np.median(picture)))
    page.paste(Image.fromarray(picture).convert("L"), (0, page.height // 4))
    large = page.resize(PHOTO, Image.Resampling.BICUBIC).filter(ImageFilter.GaussianBlur(2))
    pixels = np.asarray(large, np.float32) * np.linspace(0.75, 1.0, PHOTO[0], dtype=np.float32)
    pixels += rng.normal(0, 3, pixels.shape).astype(np.float32)
    coloured = np.clip(pixels, 0, 255).astype(np.uint8)[..., None].repeat(3, axis=-1)
    return _file(Image.fromarray(coloured), "jpeg")


def _file(image: Image.Image, kind: str) -> bytes:
    content = io.BytesIO()
    image.save(content, format=kind)
    return content.getvalue()


async def load(
    url: str, pictures: dict[str, list[bytes]], clients: int, seconds: float, each: int
) -> list[Answered]:
    """Returns what became of the requests that clients made, one after the other, for a while."""
    answered: list[Answered] = []
    end = time.perf_counter() + seconds

    async def client(number: int, session: httpx.AsyncClient) -> None:
        rng, kinds = np.random.default_rng(number), list(pictures)
        place = number
        while (start := time.perf_counter()) < end:
            kind = kinds[place % len(kinds)]
            place += 1
            chosen = [pictures[kind][one] for one in rng.integers(0, PICTURES, each)]
            answered.append(await _ask(session, kind, chosen, start))

    limits = httpx.Limits(max_connections=clients)
    async with httpx.AsyncClient(base_url=url, limits=limits, timeout=120) as session:
        await asyncio.gather(*(client(number, session) for number in range(clients)))
    return answered


async def _ask(
    session: httpx.AsyncClient, kind: str, pictures: list[bytes], start: float
) -> Answered:
    try:
        if len(pictures) == 1:
            response = await session.post("read", content=pictures[0])
        else:
            files = [("image", ("picture", picture)) for picture in pictures]
            response = await session.post("read", files=files)
        error = "" if response.status_code == 200 else f"{response.status_code} {response.text}"
    except httpx.HTTPError as failure:
        error = repr(failure)
    return Answered(kind, time.perf_counter() - start, error)


def summary(answered: list[Answered], seconds: float, each: int) -> str:
    """Returns a table in Markdown: pictures a second, p50 and p95 of a request, and errors."""
    lines = [
        "| requests of | pictures a second | p50, s | p95, s | errors |",
        "| --- | --- | --- | --- | --- |",
    ]
    for kind in (*KINDS, "both"):
        chosen = [one for one in answered if kind in (one.kind, "both")]
        if not chosen:
            continue
        times = np.array([one.seconds for one in chosen])
        errors = sum(bool(one.error) for one in chosen)
        rate = each * (len(chosen) - errors) / seconds
        p50, p95 = np.percentile(times, [50, 95])
        lines.append(f"| {kind} | {rate:.1f} | {p50:.2f} | {p95:.2f} | {errors} of {len(chosen)} |")
    return "\n".join(lines)


def main() -> None:
    """Reads the command line, asks the server and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("url")
    parser.add_argument("--clients", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--each", type=int, default=1, help="pictures of a request, at most 32")
    parser.add_argument("--kinds", default=",".join(KINDS), help="drawing, photo or both")
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    makers = {"drawing": drawing, "photo": photo}
    kinds = options.kinds.split(",")
    made = {kind: [makers[kind](rng) for _ in range(PICTURES)] for kind in kinds}
    start = time.perf_counter()
    answered = asyncio.run(load(options.url, made, options.clients, options.seconds, options.each))
    print(summary(answered, time.perf_counter() - start, options.each))
    for error in sorted({one.error for one in answered if one.error})[:5]:
        print(error[:200])


if __name__ == "__main__":
    main()
