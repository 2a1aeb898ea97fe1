// A picture as a whole image of a network's size, as read_image of mnist3/data/images.py.

import { clip, roundToEven } from "./arrays.js";
import { channelOf, scaled } from "./scaling.js";

const SPECKS = 10; // pixels; so many may be brighter than the ink is said to be
const LOWEST_CONTRAST = 8; // grey levels between ink and paper; below there is only paper
const DARK_PAPER = 8; // grey levels; darker paper and brighter ink need no stretching
const BRIGHT_INK = 180;

// The picture scaled as a whole until it just fits.
export function fitting(picture, height, width) {
  if (picture.height === height && picture.width === width) return picture;
  const scale = Math.min(width / picture.width, height / picture.height);
  const side = (length) => Math.max(1, roundToEven(scale * length));
  return scaled(picture, side(picture.height), side(picture.width), "lanczos");
}

function isDarkOnLight(data) {
  const mean = data.reduce((a, b) => a + b, 0) / data.length;
  return data.reduce((total, value) => total + (value - mean) ** 3, 0) < 0;
}

// Ink bright on dark, {height, width, data}; null of a picture without ink.
export function wholeImage(picture, height, width) {
  let { data, ...size } = fitting(channelOf(picture, "L"), height, width);
  if (isDarkOnLight(Float64Array.from(data))) data = data.map((value) => 255 - value);
  const ranked = Uint8Array.from(data).sort();
  const paper = ranked[ranked.length >> 1];
  const ink = ranked[Math.max(ranked.length - SPECKS, 0)];
  if (ink - paper < LOWEST_CONTRAST) return null;
  const found = { height, width, data: new Uint8Array(height * width).fill(paper) };
  const top = (height - size.height) >> 1;
  const left = (width - size.width) >> 1;
  for (let y = 0; y < size.height; y += 1) {
    found.data.set(
      data.subarray(y * size.width, (y + 1) * size.width), (y + top) * width + left,
    );
  }
  if (paper > DARK_PAPER || ink < BRIGHT_INK) {
    found.data = found.data.map((value) =>
      roundToEven(clip((value - paper) * (255 / (ink - paper)), 0, 255)));
  }
  return found;
}
