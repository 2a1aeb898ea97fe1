// From a picture to ink, as mnist3/data/ink.py: the grey that shows it best, the paper divided out,
// and a threshold.

import {
  clip, largest, mean, median, newGrid, percentiles, smallest, sum, symmetricEigen, twoMeans,
  weightedFit,
} from "./arrays.js";
import {
  blurred, closed, combined, largestAround, meanAround, medianAround, opened,
} from "./filters.js";
import { asFloat, channelOf, enlarged, reducedBy } from "./scaling.js";

export const BLOCK = 8; // px; paper's brightness and ink's are found on squares of this side
const NOISIEST = 3; // times the usual noise of a picture
const LUMA = [0.299, 0.587, 0.114];
const MIXES = [["L", LUMA], ["R", [1, 0, 0]], ["G", [0, 1, 0]], ["B", [0, 0, 1]]];
const COLOURED = 24; // grey levels between the channels of ink; below, brightness is read

// A grid of pick(values) of every second pixel of every second row of each block; edges go on.
export function ofBlocks({ height, width, data }, side, pick) {
  const found = newGrid(Math.ceil(height / side), Math.ceil(width / side));
  const half = side / 2;
  const values = new Float32Array(half * half);
  for (let row = 0, to = 0; row < found.height; row += 1) {
    for (let column = 0; column < found.width; column += 1, to += 1) {
      let n = 0;
      for (let i = 0; i < half; i += 1) {
        const y = Math.min(row * side + 2 * i, height - 1);
        for (let j = 0; j < half; j += 1, n += 1) {
          values[n] = data[y * width + Math.min(column * side + 2 * j, width - 1)];
        }
      }
      found.data[to] = pick(values);
    }
  }
  return found;
}

function sortedBlock(values) {
  for (let n = 1; n < values.length; n += 1) {
    const value = values[n];
    let at = n - 1;
    for (; at >= 0 && values[at] > value; at -= 1) values[at + 1] = values[at];
    values[at + 1] = value;
  }
  return values;
}

const ofRank = (rank) => (values) => sortedBlock(values)[rank];
const middle = (values) => {
  const half = values.length / 2;
  const ordered = sortedBlock(values);
  return (ordered[half - 1] + ordered[half]) / 2;
};

const termsAt = (x, y) => [1, x, y, x * x, x * y, y * y, x ** 4, x * x * y * y, y ** 4];

// The smooth surface that most of the values lie on (Tukey's weights).
function surfaceOf(values) {
  const { height, width, data } = values;
  // Some 32 values along the longer side, and several along the other however low a line is.
  const [down, across] = [height, width].map((side) =>
    Math.max(1, Math.floor(Math.min(Math.max(height, width) / 32, side / 4))));
  const along = (length) => Float32Array.from({ length }, (_, n) => (2 * n) / (length - 1) - 1);
  const [ys, xs] = [along(height), along(width)];
  const [some, terms] = [[], []];
  for (let y = down >> 1; y < height; y += down) {
    for (let x = across >> 1; x < width; x += across) {
      some.push(data[y * width + x]);
      terms.push(...termsAt(xs[x], ys[y]));
    }
  }
  const usual = median(some);
  const flat = newGrid(height, width);
  flat.data.fill(usual);
  const [away, weights] = [new Float64Array(some.length), new Float64Array(some.length)];
  for (let row = 0; row < some.length; row += 1) away[row] = Math.abs(some[row] - usual);
  const before = median(away);
  // Most are the same already where somebody drew on a screen.
  if (Math.min(height, width) < 6 || before === 0) return flat;
  let factors = [];
  for (const used of [6, 6, 6, 9, 9, 9]) { // a vignette needs the fourth order, but not at once
    const scale = 4.7 * Math.max(1.48 * median(away), 1);
    for (let row = 0; row < some.length; row += 1) {
      weights[row] = Math.max(1 - (away[row] / scale) ** 2, 0) ** 2;
    }
    factors = weightedFit(terms, 9, used, some, weights);
    for (let row = 0; row < some.length; row += 1) {
      let fitted = 0;
      for (let k = 0; k < used; k += 1) fitted += terms[row * 9 + k] * factors[k];
      away[row] = Math.abs(some[row] - fitted);
    }
  }
  if (median(away) > before) return flat;
  const [low, high] = [smallest(data), largest(data)];
  const found = newGrid(height, width);
  const [one, ofX, ofY, ofXX, ofXY, ofYY, ofX4, ofXXYY, ofY4] = factors;
  for (let row = 0, to = 0; row < height; row += 1) {
    const y = ys[row];
    const y2 = y * y;
    for (let column = 0; column < width; column += 1, to += 1) {
      const x = xs[column];
      const x2 = x * x;
      const value = one + ofX * x + ofY * y + ofXX * x2 + ofXY * x * y + ofYY * y2
        + ofX4 * x2 * x2 + ofXXYY * x2 * y2 + ofY4 * y2 * y2;
      found.data[to] = Math.min(Math.max(value, low), high);
    }
  }
  return found;
}

const norm = (vector) => Math.sqrt(sum(vector.map((each) => each * each)));
const inner3 = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
const columnOf = (rows, n) => rows.map((row) => row[n]);

// The channel of a picture that shows the ink best: R, G, B or brightness L.
export function bestChannel(image) {
  if (image.channels === 1) return "L";
  const longest = Math.max(image.height, image.width);
  const small = reducedBy(image, Math.max(1, Math.floor(longest / 160)));
  const { height, width } = small;
  const differences = [..."RGB"].map((name) => {
    const values = asFloat(channelOf(small, name));
    const medians = medianAround(ofBlocks(values, BLOCK, middle), 5, "reflect");
    const paper = enlarged(medians, height, width, BLOCK);
    return combined(Float32Array, (a, b) => a - b, paper, values).data;
  });
  const apart = Array.from(differences[0], (red, n) => [red, differences[1][n], differences[2][n]]);
  const strength = apart.map(norm);
  const least = Math.max(percentiles(strength, [97])[0] * 0.5, 8);
  let strong = apart.filter((_, n) => strength[n] >= least);
  if (strong.length < 8) return "L";
  if (sum(strong.map(sum)) < 0) strong = strong.map((each) => each.map((value) => -value));
  const hues = strong.map((each) => each.map((value) => value / norm(each)));
  const centre = [0, 1, 2].map((n) => mean(columnOf(hues, n)));
  const spread = hues.map((hue) => hue.map((value, n) => value - centre[n]));
  const moments = [0, 1, 2].map((i) =>
    [0, 1, 2].map((j) => sum(spread.map((each) => each[i] * each[j]))));
  const { values, vectors } = symmetricEigen(moments);
  const axis = columnOf(vectors, values.indexOf(largest(values)));
  const along = spread.map((each) => inner3(each, axis));
  const cut = twoMeans(along);
  const parts = [strong.filter((_, n) => along[n] > cut), strong.filter((_, n) => along[n] <= cut)];
  let pen = [0, 1, 2].map((n) => mean(columnOf(strong, n)));
  let prints = [0, 0, 0];
  if (Math.min(parts[0].length, parts[1].length) > 0.05 * strong.length) {
    const centres = parts.map((part) => [0, 1, 2].map((n) => median(columnOf(part, n))));
    const cosine = inner3(...centres) / ((norm(centres[0]) + 1e-6) * (norm(centres[1]) + 1e-6));
    if (cosine < 0.9) [prints, pen] = centres.sort((a, b) => inner3(a, LUMA) - inner3(b, LUMA));
  }
  if (Math.max(...pen) - Math.min(...pen) < COLOURED && !prints.some(Boolean)) return "L";
  const shown = MIXES.map(([, mix]) => inner3(mix, pen) - Math.abs(inner3(mix, prints)));
  const best = shown.indexOf(largest(shown));
  return shown[0] > 0.85 * shown[best] ? "L" : MIXES[best][0];
}

// How much of a grey picture, uint8, is darker than the paper, and how much is brighter.
export function tailsOf(image) {
  const longest = Math.max(image.height, image.width);
  const small = asFloat(reducedBy(image, Math.max(1, Math.floor(longest / 160))));
  const side = Math.max(small.height, small.width);
  const paper = usualPaper(small, Math.max(3, Math.floor(side / 4)));
  const size = Math.max(3, Math.floor(side / 5));
  const [height, width] = [Math.min(size, small.height), Math.min(size, small.width)];
  const [above, below] = [closed(small, height, width), opened(small, height, width)];
  let [dark, bright] = [0, 0];
  small.data.forEach((value, n) => {
    const away = value - paper.data[n];
    dark += Math.min(above.data[n] - value, Math.max(-away, 0)) ** 3;
    bright += Math.min(value - below.data[n], Math.max(away, 0)) ** 3;
  });
  return [dark, bright];
}

// The median around each pixel, found at a quarter of the size.
function usualPaper(values, window) {
  const medians = ofBlocks(values, 4, middle);
  const surface = surfaceOf(medians);
  const size = 2 * Math.floor(window / 8) + 1;
  const apart = combined(Float32Array, (a, b) => a - b, medians, surface);
  const usual = medianAround(apart, size, "nearest");
  const paper = combined(Float32Array, (a, b) => a + b, usual, surface);
  return enlarged(paper, values.height, values.width, 4);
}

// Dark ink on bright paper, see mnist3/data/ink.py: {contrast, reach, mask, strong, faint}.
export function findInk(pixels, window, around, faintest, inside = null) {
  const upper = ofBlocks(pixels, BLOCK, ofRank(12));
  const surface = combined(Float32Array, (value) => Math.max(value, 8), surfaceOf(upper));
  const flat = combined(Float32Array, (a, b) => a / b, upper, surface);
  const size = Math.max(3, 2 * Math.floor(window / (2 * BLOCK)) + 1);
  // Without the surface a dark edge is taken for ink, with it what lies beside a hard shadow.
  const raw = combined(Float32Array, (a, b) => a / b, closed(upper, size), surface);
  let paper = combined(Float32Array, (a, b) => Math.min(a, b), closed(flat, size), raw);
  // A closing takes a dark strip along an edge for ink, a median a dense patch of it for paper.
  const usual = medianAround(ofBlocks(flat, 4, middle), (size >> 1) + 1, "nearest");
  const limit = enlarged(usual, flat.height, flat.width, 4);
  paper = blurred(combined(Float32Array, (a, b) => Math.min(a, b), paper, limit), 0.7);
  paper = combined(Float32Array, (a, b) => Math.max(a * b, 8), paper, surface);
  paper = enlarged(paper, pixels.height, pixels.width, BLOCK);
  const contrast = newGrid(pixels.height, pixels.width);
  for (let n = 0; n < contrast.data.length; n += 1) {
    const value = 1 - pixels.data[n] / paper.data[n];
    contrast.data[n] = value < 0 || (inside && !inside.data[n]) ? 0 : value;
  }
  return threshold(contrast, around, faintest);
}

// The deviation of the paper's noise around each pixel: more where light is low, but never so much
// as the steps of contrast where strokes are dense.
function noiseOf({ height, width, data }) {
  const steps = newGrid(Math.ceil(height / 3), Math.ceil((width - 2) / 3) + 1);
  for (let row = 0, to = 0; row < steps.height; row += 1) {
    for (let column = 0; column < steps.width; column += 1, to += 1) {
      const at = 3 * (row * width + Math.min(column, steps.width - 2));
      steps.data[to] = Math.abs(data[at + 2] - data[at]);
    }
  }
  const usual = median(steps.data);
  const local = medianAround(ofBlocks(steps, BLOCK, middle), 5, "nearest");
  const held = combined(Float32Array, (each) => clip(each, usual, NOISIEST * usual), local);
  const noise = enlarged(held, height, width, 3 * BLOCK);
  return combined(Float32Array, (each) => 1.05 * each, noise);
}

// Parts ink from paper by the strongest ink within `around` px and the paper's noise.
export function threshold(contrast, around, faintest) {
  const { height, width, data } = contrast;
  const some = [];
  for (let y = 0; y < height; y += 3) {
    for (let x = 0; x < width; x += 3) some.push(data[y * width + x]);
  }
  const [common, rare, most] = percentiles(some, [50, 85, 98]);
  const pattern = Math.min(Math.max(3.5 * common, 1.5 * rare), 0.5 * most, 0.3);
  const least = Math.max(faintest, pattern);
  const floor = combined(Float32Array, (each) => Math.max(4 * each, least), noiseOf(contrast));
  const size = Math.max(3, 2 * Math.floor(around / (2 * BLOCK)) + 1);
  const peaks = largestAround(ofBlocks(contrast, BLOCK, ofRank(13)), size);
  const reach = combined(
    Float32Array, (value, lowest) => Math.max(value, lowest / 0.6),
    enlarged(meanAround(peaks, "nearest"), height, width, BLOCK), floor,
  );
  const [mask, strong, faint] = [0, 1, 2].map(() => newGrid(height, width, Uint8Array));
  for (let n = 0; n < data.length; n += 1) {
    const value = data[n];
    const strongest = reach.data[n];
    if (value > 0.36 * strongest) mask.data[n] = 1;
    if (value > floor.data[n]) {
      faint.data[n] = 1;
      if (value > 0.5 * strongest) strong.data[n] = 1;
    }
  }
  return { contrast, reach, mask, strong, faint };
}
