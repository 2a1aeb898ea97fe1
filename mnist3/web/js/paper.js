// What surrounds a page, as mnist3/data/page.py: a desk to leave out, a frame to peel off, a margin
// to add. Pictures are {height, width, channels, data} of uint8.

import {
  clip, isAny, mean, median, newGrid, roundToEven, twoMeans, weightedFit,
} from "./arrays.js";
import { dilatedCross, eroded, filled, labelled, masked, without } from "./filters.js";
import { BLOCK, ofBlocks } from "./ink.js";

const UNIFORM = 16; // grey levels; what differs by less is one colour
export const SMALL_SIDE = 320; // px; smaller pictures always get a margin

// Calls visit(x, y) for the pixels that are `depth` away from the edge, corners twice.
function forRing({ height, width }, depth, visit) {
  const [right, bottom] = [width - 1 - depth, height - 1 - depth];
  for (let x = depth; x <= right; x += 1) visit(x, depth);
  for (let x = depth; x <= right; x += 1) visit(x, bottom);
  for (let y = depth; y <= bottom; y += 1) visit(depth, y);
  for (let y = depth; y <= bottom; y += 1) visit(right, y);
}

function ringOf(picture, depth) {
  const { width, channels, data } = picture;
  const found = [];
  forRing(picture, depth, (x, y) => {
    const at = (y * width + x) * channels;
    found.push(Array.from(data.subarray(at, at + channels)));
  });
  return found;
}

const channelsOf = (pixels) => pixels[0].map((_, c) => pixels.map((pixel) => pixel[c]));
const furthest = (pixel, colour) =>
  pixel.reduce((most, value, c) => Math.max(most, Math.abs(value - colour[c])), 0);

function cut({ height, width, channels, data }, depth) {
  const [rows, columns] = [height - 2 * depth, width - 2 * depth];
  const found = new Uint8Array(rows * columns * channels);
  for (let y = 0; y < rows; y += 1) {
    const from = ((y + depth) * width + depth) * channels;
    found.set(data.subarray(from, from + columns * channels), y * columns * channels);
  }
  return { height: rows, width: columns, channels, data: found };
}

// A picture without a thin frame of one colour along all its edges, and its px.
function peeled(picture) {
  const shortest = Math.min(picture.height, picture.width);
  const outer = ringOf(picture, 0);
  const colour = channelsOf(outer).map(median);
  const isUniform = outer.every((pixel) => furthest(pixel, colour) < UNIFORM);
  if (shortest < 12 || !isUniform) return [picture, 0];
  for (let depth = 1; depth <= Math.max(2, Math.floor(shortest / 20)); depth += 1) {
    let [count, apart] = [0, 0];
    forRing(picture, depth, (x, y) => {
      count += 1;
      const at = (y * picture.width + x) * picture.channels;
      const away = (value, c) => Math.abs(picture.data[at + c] - value) > 3 * UNIFORM;
      if (colour.some(away)) apart += 1;
    });
    if (apart > 0.6 * count) return [cut(picture, depth), depth];
  }
  return [picture, 0];
}

// The plane that most pixels of a ring lie on, for each channel, and the share that does.
function planeOf(picture) {
  const [terms, ring] = [[], ringOf(picture, 0)];
  forRing(picture, 0, (x, y) => terms.push(1, x, y));
  const channels = channelsOf(ring);
  let factors = channels.map((values) => [median(values), 0, 0]);
  const aways = () => ring.map((pixel, row) => furthest(pixel, factors.map(
    ([a, b, c]) => a + b * terms[3 * row + 1] + c * terms[3 * row + 2],
  )));
  for (let round = 0; round < 6; round += 1) {
    const away = aways();
    const scale = 4.7 * Math.max(1.48 * median(away), 2);
    const weights = away.map((each) => Math.max(1 - (each / scale) ** 2, 0) ** 2);
    factors = channels.map((values) => weightedFit(terms, 3, 3, values, weights));
  }
  return { factors, share: aways().filter((away) => away < UNIFORM).length / ring.length };
}

// A picture with room around digits that fill it or touch its edge, and the column and the row at
// which the given one begins in it.
export function withMargin(picture) {
  const [inside, frame] = peeled(picture);
  const { height, width, channels, data } = inside;
  const bare = { picture: inside, left: -frame, top: -frame };
  if (Math.max(height, width) >= SMALL_SIDE) return bare;
  const { factors, share } = planeOf(inside);
  if (share < 0.6) return bare;
  const margin = Math.floor(Math.max(height, width) / 2);
  const [rows, columns] = [height + 2 * margin, width + 2 * margin];
  const found = new Uint8Array(rows * columns * channels);
  // Further out than the picture is wide the plane would leave what light does.
  const held = (place, length) =>
    clip(place, Math.floor(-length / 4), length + Math.floor(length / 4));
  const xs = Float64Array.from({ length: columns }, (_, column) => held(column - margin, width));
  for (let c = 0; c < channels; c += 1) {
    const [one, ofX, ofY] = factors[c];
    for (let row = 0, to = c; row < rows; row += 1) {
      const y = held(row - margin, height);
      for (let column = 0; column < columns; column += 1, to += channels) {
        found[to] = clip(roundToEven(one + ofX * xs[column] + ofY * y), 0, 255);
      }
    }
  }
  for (let y = 0; y < height; y += 1) {
    const from = y * width * channels;
    found.set(
      data.subarray(from, from + width * channels), ((y + margin) * columns + margin) * channels,
    );
  }
  const wider = { height: rows, width: columns, channels, data: found };
  return { picture: wider, left: margin - frame, top: margin - frame };
}

// The median of every third value of a block.
function medianOfThirds(values) {
  const some = values.filter((_, n) => n % 3 === 0).sort();
  const half = some.length / 2;
  return (some[half - 1] + some[half]) / 2;
}

const valuesIn = (grid, mask) => Array.from(grid.data).filter((_, n) => mask.data[n]);

// A picture of a bright page on something dark with paper all around it; another one as it is.
export function withoutDesk(pixels) {
  const level = ofBlocks(pixels, BLOCK, medianOfThirds);
  const split = twoMeans(level.data);
  const bright = masked((value) => (value > split ? 1 : 0), level);
  const shortest = Math.min(level.height, level.width);
  if (shortest < 12 || !isAny(bright.data)) return pixels;
  const dark = masked((value) => 1 - value, bright);
  if (mean(valuesIn(level, bright)) < 2 * mean(valuesIn(level, dark)) + 20) return pixels;
  const { labels, count } = labelled(bright, true);
  const areas = new Int32Array(count + 1);
  labels.data.forEach((label) => { areas[label] += label ? 1 : 0; });
  const own = areas.indexOf(areas.reduce((a, b) => Math.max(a, b)));
  const page = filled(masked((label) => (label === own ? 1 : 0), labels));
  const [once, thrice] = [1, 3].map((times) => eroded(page, times, 1));
  const [near, far] = [1, 3].map((times) => dilatedCross(page, times));
  const inner = valuesIn(level, without(once, thrice));
  const outer = valuesIn(level, without(far, near));
  const reach = Math.floor(Math.max(level.height, level.width) / 8);
  const wide = isAny(eroded(masked((a, b) => a & b, page, bright), reach).data);
  if (!wide || mean(page.data) < 0.2 || !inner.length || !outer.length
    || median(inner) < 1.6 * median(outer)) return pixels;
  const usual = median(valuesIn(level, page));
  const found = newGrid(pixels.height, pixels.width);
  for (let y = 0, at = 0; y < pixels.height; y += 1) {
    const row = Math.floor(y / BLOCK) * once.width;
    for (let x = 0; x < pixels.width; x += 1, at += 1) {
      found.data[at] = once.data[row + Math.floor(x / BLOCK)] ? pixels.data[at] : usual;
    }
  }
  return found;
}
