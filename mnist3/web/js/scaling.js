// Scaling as Pillow does it, {height, width, channels, data} of uint8 or grids of float: along rows
// first. Pillow 13 sometimes begins with the columns, which can change uint8 where a value was
// clipped in between.

import { newGrid } from "./arrays.js";

const BITS = 22; // of the fixed-point numbers that uint8 pictures are scaled with

function sinc(x) {
  if (x === 0) return 1;
  return Math.sin(x * Math.PI) / (x * Math.PI);
}

const FILTERS = {
  box: { support: 0.5, weight: (x) => (x > -0.5 && x <= 0.5 ? 1 : 0) },
  bilinear: { support: 1, weight: (x) => Math.max(1 - Math.abs(x), 0) },
  bicubic: {
    support: 2,
    weight: (x) => {
      const y = Math.abs(x);
      if (y < 1) return (1.5 * y - 2.5) * y * y + 1;
      return y < 2 ? ((y - 5) * y + 8) * y * -0.5 + 2 : 0;
    },
  },
  lanczos: { support: 3, weight: (x) => (x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0) },
};

// For each place of the result where its window begins, and the weights within.
function windowsOf(length, end, result, { support, weight }) {
  const scale = end / result;
  const widened = Math.max(scale, 1);
  const reach = support * widened;
  return Array.from({ length: result }, (_, place) => {
    const centre = (place + 0.5) * scale;
    const first = Math.max(Math.trunc(centre - reach + 0.5), 0);
    const last = Math.min(Math.trunc(centre + reach + 0.5), length);
    const weights = [];
    for (let n = first; n < last; n += 1) weights.push(weight((n - centre + 0.5) / widened));
    const total = weights.reduce((a, b) => a + b, 0);
    return { first, weights: weights.map((each) => (total ? each / total : each)) };
  });
}

const fixed = (weight) => Math.trunc((weight < 0 ? -0.5 : 0.5) + weight * (1 << BITS));
const toByte = (total) => {
  const value = Math.floor(total / (1 << BITS));
  return value < 0 ? 0 : value > 255 ? 255 : value;
};

function scaledAlong(picture, axis, result, filter) {
  const { height, width, channels, data } = picture;
  const rows = axis === 0 ? result : height;
  const columns = axis === 0 ? width : result;
  const found = new Uint8Array(rows * columns * channels);
  const length = axis === 0 ? height : width;
  const windows = windowsOf(length, length, result, filter).map(({ first, weights }) =>
    ({ first, weights: weights.map(fixed) }));
  const step = axis === 0 ? width * channels : channels;
  for (let y = 0, to = 0; y < rows; y += 1) {
    for (let x = 0; x < columns; x += 1) {
      const { first, weights } = windows[axis === 0 ? y : x];
      const start = axis === 0
        ? (first * width + x) * channels : (y * width + first) * channels;
      for (let c = 0; c < channels; c += 1, to += 1) {
        let total = 1 << (BITS - 1);
        for (let k = 0, from = start + c; k < weights.length; k += 1, from += step) {
          total += data[from] * weights[k];
        }
        found[to] = toByte(total);
      }
    }
  }
  return { height: rows, width: columns, channels, data: found };
}

export function scaled(picture, height, width, name) {
  const filter = FILTERS[name];
  let found = picture;
  if (width !== picture.width) found = scaledAlong(found, 1, width, filter);
  if (height !== picture.height) found = scaledAlong(found, 0, height, filter);
  return found;
}

// Values of blocks of a side as a smooth picture.
export function enlarged(blocks, height, width, side) {
  const across = windowsOf(blocks.width, width / side, width, FILTERS.bilinear);
  const down = windowsOf(blocks.height, height / side, height, FILTERS.bilinear);
  const wide = newGrid(blocks.height, width);
  for (let x = 0; x < width; x += 1) {
    const { first, weights } = across[x];
    for (let y = 0, from = first, to = x; y < blocks.height; y += 1) {
      let total = 0;
      for (let k = 0; k < weights.length; k += 1) total += blocks.data[from + k] * weights[k];
      wide.data[to] = total;
      from += blocks.width;
      to += width;
    }
  }
  const found = newGrid(height, width);
  const row = new Float64Array(width);
  for (let y = 0; y < height; y += 1) {
    const { first, weights } = down[y];
    row.fill(0);
    for (let k = 0; k < weights.length; k += 1) {
      const [weight, from] = [weights[k], (first + k) * width];
      for (let x = 0; x < width; x += 1) row[x] += wide.data[from + x] * weight;
    }
    found.data.set(row, y * width);
  }
  return found;
}

// Means of squares of `factor` px, smaller ones at the right and the bottom edge.
export function reducedBy(picture, factor) {
  if (factor === 1) return picture;
  const { height, width, channels, data } = picture;
  const [rows, columns] = [Math.ceil(height / factor), Math.ceil(width / factor)];
  const found = new Uint8Array(rows * columns * channels);
  for (let y = 0, to = 0; y < rows; y += 1) {
    const [top, bottom] = [y * factor, Math.min((y + 1) * factor, height)];
    for (let x = 0; x < columns; x += 1) {
      const [left, right] = [x * factor, Math.min((x + 1) * factor, width)];
      const count = (bottom - top) * (right - left);
      const multiplier = Math.trunc(Math.fround(2 ** 24 / count));
      for (let c = 0; c < channels; c += 1, to += 1) {
        let total = count >> 1;
        for (let i = top; i < bottom; i += 1) {
          for (let j = left; j < right; j += 1) total += data[(i * width + j) * channels + c];
        }
        found[to] = Math.floor((total * multiplier) / 2 ** 24);
      }
    }
  }
  return { height: rows, width: columns, channels, data: found };
}

const COLOURS = "RGB";

// A channel of a picture, R, G or B, or its brightness L; uint8.
export function channelOf({ height, width, channels, data }, channel) {
  const found = { height, width, channels: 1, data };
  if (channels === 1) return found;
  found.data = new Uint8Array(height * width);
  const place = COLOURS.indexOf(channel);
  for (let n = 0, from = 0; n < found.data.length; n += 1, from += channels) {
    found.data[n] = channel === "L"
      ? (data[from] * 19595 + data[from + 1] * 38470 + data[from + 2] * 7471 + 0x8000) >> 16
      : data[from + place];
  }
  return found;
}

export const asFloat = ({ height, width, data }) =>
  ({ height, width, data: Float32Array.from(data) });
