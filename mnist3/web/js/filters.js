// Connected pieces, morphology, filters and sampling, as scipy.ndimage has them.

import { clip, newGrid, selected } from "./arrays.js";

// Labels from 1 in the order of the first pixels; corners connect unless `cross` is true.
export function labelled({ height, width, data }, cross = false) {
  const labels = newGrid(height, width, Int32Array);
  const found = labels.data;
  const parents = [0];
  const rootOf = (label) => {
    let root = label;
    while (parents[root] !== root) root = parents[root];
    while (parents[label] !== root) [parents[label], label] = [root, parents[label]];
    return root;
  };
  const reach = cross ? 0 : 1;
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      const at = y * width + x;
      if (!data[at]) continue;
      let label = x > 0 && data[at - 1] ? found[at - 1] : 0;
      if (y > 0) {
        const [first, last] = [Math.max(x - reach, 0), Math.min(x + reach, width - 1)];
        for (let other = first; other <= last; other += 1) {
          const above = found[at - width + other - x];
          if (!above) continue;
          if (!label) label = above;
          else if (label !== above) {
            const [a, b] = [rootOf(label), rootOf(above)];
            parents[Math.max(a, b)] = Math.min(a, b);
          }
        }
      }
      if (!label) {
        label = parents.length;
        parents.push(label);
      }
      found[at] = label;
    }
  }
  const numbers = new Int32Array(parents.length);
  let count = 0;
  for (let label = 1; label < parents.length; label += 1) {
    const root = rootOf(label);
    if (root === label) {
      count += 1;
      numbers[label] = count;
    } else {
      numbers[label] = numbers[root];
    }
  }
  for (let at = 0; at < found.length; at += 1) found[at] = numbers[found[at]];
  return { labels, count };
}

// The box of each label from 1 on: left, top, and one past right and bottom.
export function boxesOf({ height, width, data }, count) {
  const boxes = Array.from(
    { length: count }, () => ({ left: width, top: height, right: 0, bottom: 0 }),
  );
  for (let y = 0, at = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1, at += 1) {
      const label = data[at];
      if (!label || label > count) continue;
      const box = boxes[label - 1];
      if (x < box.left) box.left = x;
      if (x >= box.right) box.right = x + 1;
      if (y < box.top) box.top = y;
      box.bottom = y + 1;
    }
  }
  return boxes;
}

export function transposed({ height, width, data }) {
  const found = newGrid(width, height, data.constructor);
  for (let y = 0, at = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1, at += 1) found.data[x * height + y] = data[at];
  }
  return found;
}

// A new grid of compute(...) of the values of grids of one size at each place. Called for so many
// functions that the browser cannot make it fast: whole pictures have loops of their own.
export function combined(Kind, compute, ...grids) {
  const found = newGrid(grids[0].height, grids[0].width, Kind);
  const [a, b, c] = grids.map((grid) => grid.data);
  const { data } = found;
  if (grids.length === 1) {
    for (let n = 0; n < data.length; n += 1) data[n] = compute(a[n]);
  } else if (grids.length === 2) {
    for (let n = 0; n < data.length; n += 1) data[n] = compute(a[n], b[n]);
  } else {
    for (let n = 0; n < data.length; n += 1) data[n] = compute(a[n], b[n], c[n]);
  }
  return found;
}

export const masked = (compute, ...grids) => combined(Uint8Array, compute, ...grids);

export function without(mask, other) {
  const found = newGrid(mask.height, mask.width, Uint8Array);
  const [data, a, b] = [found.data, mask.data, other.data];
  for (let n = 0; n < data.length; n += 1) data[n] = a[n] & (b[n] ^ 1);
  return found;
}

export function union(mask, other) {
  const found = newGrid(mask.height, mask.width, Uint8Array);
  const [data, a, b] = [found.data, mask.data, other.data];
  for (let n = 0; n < data.length; n += 1) data[n] = a[n] | b[n];
  return found;
}

// The pixels of the labels that are chosen, of which isChosen[label] tells.
export function ofLabels({ height, width, data }, isChosen) {
  const found = newGrid(height, width, Uint8Array);
  const table = Uint8Array.from(isChosen);
  for (let n = 0; n < data.length; n += 1) found.data[n] = table[data[n]];
  return found;
}

export function inverted({ height, width, data }) {
  const found = newGrid(height, width);
  for (let n = 0; n < data.length; n += 1) found.data[n] = 255 - data[n];
  return found;
}

// ---- morphology of masks

// The mask with all eight neighbours of its pixels.
export function dilatedAround({ height, width, data }) {
  const wide = newGrid(height, width, Uint8Array);
  for (let y = 0, at = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1, at += 1) {
      wide.data[at] = data[at] | (x > 0 ? data[at - 1] : 0) | (x < width - 1 ? data[at + 1] : 0);
    }
  }
  const found = newGrid(height, width, Uint8Array);
  for (let at = 0; at < found.data.length; at += 1) {
    found.data[at] = wide.data[at] | (at >= width ? wide.data[at - width] : 0)
      | (at + width < found.data.length ? wide.data[at + width] : 0);
  }
  return found;
}

// The pixels of a mask with all four neighbours in it, `times` times over; `outside` is the value
// beyond the picture.
export function eroded(mask, times = 1, outside = 0) {
  const { height, width } = mask;
  let { data } = mask;
  for (let time = 0; time < times; time += 1) {
    const next = new Uint8Array(data.length);
    for (let y = 0, at = 0; y < height; y += 1) {
      for (let x = 0; x < width; x += 1, at += 1) {
        next[at] = data[at] & (x > 0 ? data[at - 1] : outside)
          & (x < width - 1 ? data[at + 1] : outside)
          & (y > 0 ? data[at - width] : outside)
          & (y < height - 1 ? data[at + width] : outside);
      }
    }
    data = next;
  }
  return { height, width, data };
}

// The mask with the four neighbours of its pixels, `times` times over.
export function dilatedCross(mask, times) {
  const turned = (each) => masked((value) => 1 - value, each);
  return turned(eroded(turned(mask), times, 1));
}

// The mask and what it encloses.
export function filled({ height, width, data }) {
  const outer = newGrid(height + 2, width + 2, Uint8Array);
  outer.data.fill(1);
  for (let y = 0, at = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1, at += 1) {
      outer.data[(y + 1) * (width + 2) + x + 1] = data[at] ? 0 : 1;
    }
  }
  const { labels } = labelled(outer, true);
  const found = newGrid(height, width, Uint8Array);
  for (let y = 0, at = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1, at += 1) {
      found.data[at] = labels.data[(y + 1) * (width + 2) + x + 1] === 1 ? 0 : 1;
    }
  }
  return found;
}

// ---- filters of numbers

// Along one axis the largest value of a window from `before` px before to `after` px behind, or
// with the sign -1 the smallest. Blocks as long as the window are gone through from both ends, so
// that a pixel costs the same whatever the window (van Herk, A fast algorithm for local minimum and
// maximum filters on rectangular and octagonal kernels, 1992).
function extremes(grid, along, before, after, sign) {
  const { height, width, data } = grid;
  const found = newGrid(height, width);
  const [length, step] = along === "rows" ? [height, width] : [width, 1];
  const [others, other] = along === "rows" ? [width, 1] : [height, width];
  const window = before + after + 1;
  const blocks = Math.ceil((length + before + after) / window);
  const [line, onwards, back] = [0, 1, 2].map(
    () => new Float64Array(blocks * window).fill(-Infinity),
  );
  for (let n = 0; n < others; n += 1) {
    const start = n * other;
    for (let at = 0, from = start; at < length; at += 1, from += step) {
      line[before + at] = sign * data[from];
    }
    for (let first = 0; first < line.length; first += window) {
      const last = first + window - 1;
      onwards[first] = line[first];
      for (let at = first + 1; at <= last; at += 1) {
        onwards[at] = line[at] > onwards[at - 1] ? line[at] : onwards[at - 1];
      }
      back[last] = line[last];
      for (let at = last - 1; at >= first; at -= 1) {
        back[at] = line[at] > back[at + 1] ? line[at] : back[at + 1];
      }
    }
    for (let at = 0, to = start; at < length; at += 1, to += step) {
      const ahead = onwards[at + window - 1];
      found.data[to] = sign * (back[at] > ahead ? back[at] : ahead);
    }
  }
  return found;
}

// The largest value of windows of a height and a width; of even ones they reach further on.
export function largestAround(grid, height, width = height) {
  const [up, left] = [(height - 1) >> 1, (width - 1) >> 1];
  const rows = extremes(grid, "rows", up, height - 1 - up, 1);
  return extremes(rows, "columns", left, width - 1 - left, 1);
}

// The smallest value of windows; of even ones they reach further back.
function smallestAround(grid, height, width = height) {
  const [up, left] = [height >> 1, width >> 1];
  const rows = extremes(grid, "rows", up, height - 1 - up, -1);
  return extremes(rows, "columns", left, width - 1 - left, -1);
}

export const closed = (grid, height, width = height) =>
  smallestAround(largestAround(grid, height, width), height, width);
export const opened = (grid, height, width = height) =>
  largestAround(smallestAround(grid, height, width), height, width);

const nearest = (place, length) => clip(place, 0, length - 1);
function reflected(place, length) {
  const period = 2 * length;
  const within = ((place % period) + period) % period;
  return within < length ? within : period - 1 - within;
}
const EDGES = { nearest, reflect: reflected };

export function medianAround({ height, width, data }, size, edge) {
  const found = newGrid(height, width);
  const before = size >> 1;
  const window = new Float32Array(size * size);
  const place = EDGES[edge];
  const [rows, columns] = [height, width].map((length) =>
    Int32Array.from({ length: length + size }, (_, n) => place(n - before, length)));
  for (let y = 0, at = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1, at += 1) {
      let n = 0;
      for (let i = 0; i < size; i += 1) {
        const row = rows[y + i] * width;
        for (let j = 0; j < size; j += 1, n += 1) window[n] = data[row + columns[x + j]];
      }
      found.data[at] = selected(window, window.length >> 1);
    }
  }
  return found;
}

// Sums of neighbours with weights along both axes.
function correlated(grid, weights, edge) {
  const before = weights.length >> 1;
  const place = EDGES[edge];
  let { height, width, data } = grid;
  for (const [length, step, others, other] of [
    [height, width, width, 1], [width, 1, height, width],
  ]) {
    const next = new Float32Array(data.length);
    for (let n = 0; n < others; n += 1) {
      for (let at = 0; at < length; at += 1) {
        let total = 0;
        for (let k = 0; k < weights.length; k += 1) {
          const from = at + k - before;
          const inside = from >= 0 && from < length ? from : place(from, length);
          total += weights[k] * data[n * other + inside * step];
        }
        next[n * other + at * step] = total;
      }
    }
    data = next;
  }
  return { height, width, data };
}

export const meanAround = (grid, edge) => correlated(grid, [1 / 3, 1 / 3, 1 / 3], edge);

export function blurred(grid, deviation) {
  const reach = Math.floor(4 * deviation + 0.5);
  const bell = Array.from({ length: 2 * reach + 1 }, (_, n) =>
    Math.exp(-0.5 * ((n - reach) / deviation) ** 2));
  const total = bell.reduce((a, b) => a + b);
  return correlated(grid, bell.map((each) => each / total), "nearest");
}

// The value between pixels at a row and a column; what lies outside is 0, or as its edge.
export function sampled({ height, width, data }, row, column, outside) {
  const isOutside = row < 0 || row > height - 1 || column < 0 || column > width - 1;
  if (isOutside && outside === "zero") return 0;
  const [y, x] = [clip(row, 0, height - 1), clip(column, 0, width - 1)];
  const [top, left] = [Math.floor(y), Math.floor(x)];
  const [below, beside] = [Math.min(top + 1, height - 1), Math.min(left + 1, width - 1)];
  const [down, across] = [y - top, x - left];
  const upper = data[top * width + left] * (1 - across) + data[top * width + beside] * across;
  const lower = data[below * width + left] * (1 - across) + data[below * width + beside] * across;
  return upper * (1 - down) + lower * down;
}
