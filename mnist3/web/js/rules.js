// Printed lines in a mask of ink: rules, frames and combs, as mnist3/data/rules.py.

import { isAny, largest, median, newGrid, smallest, weightedFit } from "./arrays.js";
import {
  boxesOf, dilatedAround, labelled, ofLabels, transposed, union, without,
} from "./filters.js";

const THICKER = 1.4; // times the usual; where a line is more, a stroke may run along it
const STRAIGHT = 0.88; // share of a line's columns that must lie on its parabola
const FITTED = 500; // pixels of a line that its parabola is fitted to
const PAIRED = 40; // of these, of which each two give the slope that it begins with
const STEP = 4; // columns of a block; from one to the next a line rises or falls by at most a row

// Takes from a mask what lies in vertical runs of another one that are longer than `rows`.
function dropThick(found, { height, width, data }, rows) {
  for (let x = 0; x < width; x += 1) {
    let run = 0;
    for (let y = 0, at = x; y <= height; y += 1, at += width) {
      if (y < height && data[at]) {
        run += 1;
        continue;
      }
      if (run > rows) for (let k = 1; k <= run; k += 1) found.data[at - k * width] = 0;
      run = 0;
    }
  }
  return found;
}

// The mask with each pixel drawn down over `rows` rows, as far as the picture goes.
function drawnDown({ height, width, data }, rows) {
  const found = newGrid(height, width, Uint8Array);
  for (let x = 0; x < width; x += 1) {
    let left = 0;
    for (let y = 0, at = x; y < height; y += 1, at += width) {
      left = data[at] ? rows : left - 1;
      if (left > 0) found.data[at] = 1;
    }
  }
  return found;
}

// The largest of each value and its two neighbours in a row of values.
function near(values, start, length, found) {
  for (let n = 0; n < length; n += 1) {
    let best = values[start + n];
    if (n > 0 && values[start + n - 1] > best) best = values[start + n - 1];
    if (n < length - 1 && values[start + n + 1] > best) best = values[start + n + 1];
    found[n] = best;
  }
  return found;
}

// How many thin blocks the best path to each block has, gaps subtracted; blocks are in rows of
// `height`.
function followed(ink, thin, blocks, height, backwards) {
  const lengths = new Int16Array(blocks * height);
  const reached = new Int16Array(height);
  const none = new Int16Array(height);
  for (let n = 0; n < blocks; n += 1) {
    const block = backwards ? blocks - 1 - n : n;
    const before = backwards ? block + 1 : block - 1;
    if (n === 0) near(none, 0, height, reached);
    else near(lengths, before * height, height, reached);
    for (let y = 0, at = block * height; y < height; y += 1, at += 1) {
      lengths[at] = ink[at] ? reached[y] + thin[at] : Math.max(reached[y] - 3, 0);
    }
  }
  return lengths;
}

// The pixels of roughly horizontal lines, without those of strokes upon them: at least `length` px
// long and at most `thickness` px thick.
export function horizontal(mask, length, thickness) {
  const { height, width, data } = mask;
  const found = newGrid(height, width, Uint8Array);
  const blocks = Math.ceil(width / STEP);
  if (blocks * STEP < length || height < 3) return found;
  const thin = dropThick({ height, width, data: data.slice() }, mask, thickness);
  const [ink, steps] = [new Uint8Array(blocks * height), new Uint8Array(blocks * height)];
  const isReached = new Uint8Array(blocks); // by something thin
  for (let y = 0; y < height; y += 1) {
    // Beyond the first and the last row there is none; an edge's row again adds nothing.
    const above = y > 0 ? -width : 0;
    const below = y < height - 1 ? width : 0;
    for (let block = 0, at = y * width; block < Math.floor(width / STEP); block += 1) {
      let [all, any] = [1, 0];
      for (let x = 0; x < STEP; x += 1, at += 1) {
        all &= data[at] | data[at + above] | data[at + below];
        any |= thin.data[at];
      }
      ink[block * height + y] = all;
      steps[block * height + y] = all & any;
      isReached[block] |= all & any;
    }
  }
  if (isReached.filter(Boolean).length * STEP < length) return found;
  const forwards = followed(ink, steps, blocks, height, false);
  const backwards = followed(ink, steps, blocks, height, true);
  const lines = new Uint8Array(blocks * height);
  for (let at = 0; at < lines.length; at += 1) {
    lines[at] = ink[at] && (forwards[at] + backwards[at] - steps[at]) * STEP >= length ? 1 : 0;
  }
  let [pixels, starts] = [0, 0];
  const wide = new Uint8Array(height);
  for (let block = 0; block < blocks; block += 1) {
    near(lines, block * height, height, wide);
    const last = Math.min((block + 1) * STEP, width);
    for (let y = 0; y < height; y += 1) {
      if (!wide[y]) continue;
      for (let x = block * STEP; x < last; x += 1) {
        const at = y * width + x;
        if (!thin.data[at]) continue;
        found.data[at] = 1;
        pixels += 1;
        if (y === 0 || !found.data[at - width]) starts += 1;
      }
    }
  }
  const usual = pixels / Math.max(starts, 1);
  return dropThick(found, mask, Math.trunc(2 * usual + 1));
}

export const vertical = (mask, length, thickness) =>
  transposed(horizontal(transposed(mask), length, thickness));

// Vertical lines, each in one piece although strokes cross it, `gap` px long: {labels, pieces}.
function piecesOf(lines, gap) {
  if (!isAny(lines.data)) {
    return { labels: newGrid(lines.height, lines.width, Int32Array), pieces: [] };
  }
  const { labels, count } = labelled(drawnDown(lines, gap));
  const area = new Int32Array(count + 1);
  labels.data.forEach((label, at) => {
    if (!lines.data[at]) labels.data[at] = 0;
    else area[label] += 1;
  });
  const pieces = boxesOf(labels, count).map((box, n) => ({ ...box, area: area[n + 1] }));
  return { labels, pieces };
}

const turned = ({ labels, pieces }) => ({
  labels: transposed(labels),
  pieces: pieces.map(({ left, top, right, bottom, area }) =>
    ({ left: top, top: left, right: bottom, bottom: right, area })),
});

// How many columns of each horizontal line hold ink.
function covered({ labels, pieces }) {
  const { height, width, data } = labels;
  const found = new Int32Array(pieces.length + 1);
  const last = new Int32Array(pieces.length + 1).fill(-1);
  for (let x = 0; x < width; x += 1) {
    for (let y = 0, at = x; y < height; y += 1, at += width) {
      const label = data[at];
      if (!label || last[label] === x) continue;
      last[label] = x;
      found[label] += 1;
    }
  }
  return Array.from(found).slice(1);
}

// Which horizontal lines a box of pixels touches, as a set of their places.
function touched({ height, width, data }, top, bottom, left, right) {
  const found = new Set();
  for (let y = Math.max(top, 0); y < Math.min(bottom, height); y += 1) {
    for (let x = Math.max(left, 0); x < Math.min(right, width); x += 1) {
      const label = data[y * width + x];
      if (label) found.add(label - 1);
    }
  }
  return found;
}

// The pixels of the chosen ones of pieces.
const pixelsOf = ({ labels }, isChosen) => ofLabels(labels, [false, ...isChosen]);

const strokeOf = (piece) => piece.area / Math.max(piece.bottom - piece.top, 1);

// The pixels of rules, frames and combs around digits of a known height, px.
export function printed(mask, digit) {
  const thickest = Math.max(4, Math.floor(digit / 6));
  const gap = Math.floor(digit / 2);
  const across = turned(piecesOf(
    transposed(horizontal(mask, Math.trunc(1.1 * digit), thickest)), gap,
  ));
  const down = piecesOf(vertical(mask, Math.trunc(0.7 * digit), thickest), gap);
  const reach = across.pieces.map((piece) => piece.right - piece.left);
  // A chain of strokes of neighbouring digits has gaps between them, a line has none.
  const columns = covered(across);
  const solid = reach.map((each, n) => columns[n] >= 0.6 * each);
  const printedAcross = reach.map((each, n) => each >= 2.5 * digit && solid[n]);
  const printedDown = down.pieces.map((piece) => piece.bottom - piece.top >= 1.7 * digit);
  const close = Math.max(3, Math.floor(digit / 10));
  const meeting = (piece, row) => {
    const met = touched(
      across.labels, row - close, row + close, piece.left - close, piece.right + close,
    );
    return new Set([...met].filter((n) => solid[n]));
  };
  const upper = down.pieces.map((piece) => meeting(piece, piece.top));
  const lower = down.pieces.map((piece) => meeting(piece, piece.bottom));
  const either = upper.map((met, n) => new Set([...met, ...lower[n]]));
  const thickness = across.pieces.map((piece, n) => piece.area / Math.max(reach[n], 1));
  const tilts = across.pieces.map(
    (piece, n) => (piece.bottom - piece.top - thickness[n]) / Math.max(reach[n], 1),
  );
  const ofPrinted = (values) => values.filter((_, n) => printedAcross[n]);
  const anyAcross = () => printedAcross.some(Boolean);
  const tilt = Math.max(anyAcross() ? median(ofPrinted(tilts)) : Math.max(0, largest(tilts)), 0);
  const stroke = down.pieces.map(strokeOf);
  const isEven = (piece, n, slack) =>
    piece.right - piece.left <= (tilt + slack) * (piece.bottom - piece.top) + stroke[n] + 1;
  let straight = down.pieces.map((piece, n) => isEven(piece, n, 0.06));
  if (anyAcross()) { // sides are as thick as what they end on
    const usual = median(ofPrinted(thickness));
    straight = straight.map((each, n) => each && stroke[n] <= 1.6 * usual + 1);
  }
  const between = areBetween(down.pieces, across.pieces, straight, either);
  reach.forEach((each, n) => {
    if (solid[n] && each >= 1.5 * digit && between[n]) printedAcross[n] = true;
  });
  const sides = areSides(upper, lower);
  printedDown.forEach((_, n) => {
    if (straight[n] && sides[n]) printedDown[n] = true;
  });
  if (anyAcross()) { // one side alone of a box that goes on beyond the picture
    const usual = median(ofPrinted(thickness));
    const ends = (met) => [...met].some((n) => printedAcross[n]);
    down.pieces.forEach((piece, n) => {
      const isThin = stroke[n] <= 1.3 * usual + 0.5;
      if (ends(upper[n]) && ends(lower[n]) && isEven(piece, n, 0.03) && isThin) {
        printedDown[n] = true;
      }
    });
  }
  const meetings = new Int32Array(reach.length);
  either.forEach((met, n) => {
    if (printedDown[n]) met.forEach((other) => { meetings[other] += 1; });
  });
  meetings.forEach((count, n) => {
    if (count >= 2) printedAcross[n] = true;
  });
  const standing = pixelsOf(across, printedAcross);
  const drawn = straightened(transposed(down.labels), printedDown);
  let lines = union(straightened(across.labels, printedAcross), transposed(drawn));
  if (anyAcross()) {
    lines = union(lines, teethOf(mask, standing, digit, median(ofPrinted(thickness))));
  }
  lines = union(lines, underlinesOf(mask, digit));
  if (!isAny(lines.data)) return lines;
  return union(lines, cornersOf(without(mask, lines), lines, Math.trunc(0.3 * digit)));
}

// A pen's underline is as thick as its strokes, but longer and without gaps. In the noise of a dim
// photo one finds such lines everywhere, so that together they are much thicker.
function underlinesOf(mask, digit) {
  const quarter = Math.floor(digit / 4);
  const lines = horizontal(mask, Math.trunc(2 * digit), Math.max(4, quarter));
  const found = turned(piecesOf(transposed(lines), quarter));
  const columns = covered(found);
  return straightened(found.labels, found.pieces.map((piece, n) => {
    const reach = piece.right - piece.left;
    return reach >= 2.2 * digit && columns[n] >= 0.85 * reach && piece.area <= (digit / 3) * reach;
  }));
}

// The pixels of horizontal lines, without those of strokes that run along them: what lies off the
// parabola through most of a line stays, and what covers it; and all of what is no parabola.
function straightened(labels, isPrinted) {
  const found = newGrid(labels.height, labels.width, Uint8Array);
  const places = isPrinted.map(() => ({ x: [], y: [] }));
  for (let x = 0; x < labels.width; x += 1) {
    for (let y = 0, at = x; y < labels.height; y += 1, at += labels.width) {
      const label = labels.data[at];
      if (!label || !isPrinted[label - 1]) continue;
      found.data[at] = 1;
      places[label - 1].x.push(x);
      places[label - 1].y.push(y);
    }
  }
  for (const { x, y } of places) {
    if (!x.length) continue;
    const [left, top] = [x[0], smallest(y)];
    const width = x.at(-1) + 1 - left;
    const counts = new Int32Array(width);
    x.forEach((each) => { counts[each - left] += 1; });
    const held = counts.filter((count) => count > 0);
    const thickness = median(held);
    const height = largest(y) + 1 - top;
    if (largest(held) <= THICKER * thickness + 1 && height <= 2 * thickness) continue;
    const some = x.map((_, n) => n).filter((n) => n % (1 + Math.floor(x.length / FITTED)) === 0);
    const middle = parabolaOf(
      some.map((n) => x[n] - left), some.map((n) => y[n] - top), Math.max(thickness, 2), width,
    );
    const reach = thickness / 2 + 0.75;
    const down = x.map((each, n) => y[n] - top - middle[each - left]);
    const [kept, above, below] = [0, 1, 2].map(() => new Int32Array(width));
    x.forEach((each, n) => {
      (down[n] < -reach ? above : down[n] > reach ? below : kept)[each - left] += 1;
    });
    const full = kept.filter((count) => count >= 0.6 * thickness).length;
    const isLine = full >= STRAIGHT * held.length;
    x.forEach((each, n) => {
      const isCovered = above[each - left] > 0 && below[each - left] > 0;
      if (Math.abs(down[n]) > reach || isCovered || !isLine) found.data[y[n] * labels.width + each] = 0;
    });
  }
  return found;
}

// The height of the parabola along which most pixels lie, column by column.
function parabolaOf(x, y, near, width) {
  const last = x.length - 1;
  const places = [...new Set(
    Array.from({ length: PAIRED + 1 }, (_, n) => Math.floor((n * last) / PAIRED)),
  )];
  const slopes = [];
  places.forEach((i, k) => {
    for (const j of places.slice(k + 1)) {
      if (x[j] - x[i] > width / 8) slopes.push((y[j] - y[i]) / (x[j] - x[i]));
    }
  });
  const slope = slopes.length ? median(slopes) : 0;
  const start = median(y.map((each, n) => each - slope * x[n]));
  let fitted = x.map((each) => slope * each + start);
  const along = (column) => (2 * column) / Math.max(width - 1, 1) - 1;
  const terms = x.flatMap((each) => [1, along(each), along(each) ** 2]);
  let factors = [0, 0, 0];
  for (const times of [6, 4, 3]) {
    const weights = y.map(
      (each, n) => Math.max(1 - ((each - fitted[n]) / (times * near)) ** 2, 0) ** 2,
    );
    factors = weightedFit(terms, 3, 3, y, weights);
    const [one, first, second] = factors;
    fitted = x.map((each) => one + first * along(each) + second * along(each) ** 2);
  }
  const [one, first, second] = factors;
  return Array.from(
    { length: width }, (_, n) => one + first * along(n) + second * along(n) ** 2,
  );
}

// The teeth of combs: alike, as thick as the line that they stand on.
function teethOf(mask, lines, digit, thickness) {
  const quarter = Math.floor(digit / 4);
  const down = piecesOf(
    vertical(mask, Math.max(6, quarter), Math.max(4, Math.floor(digit / 6))), quarter,
  );
  const close = Math.max(3, Math.floor(digit / 10));
  const length = (piece) => piece.bottom - piece.top;
  const none = newGrid(mask.height, mask.width, Uint8Array);
  const isTooth = down.pieces.map((piece) => {
    const stroke = strokeOf(piece);
    return stroke <= 1.6 * thickness + 1
      && piece.right - piece.left <= 0.06 * length(piece) + stroke + 1
      && touched(
        lines, piece.bottom - close, piece.bottom + close, piece.left - close, piece.right + close,
      ).size > 0;
  });
  const teeth = down.pieces.filter((_, n) => isTooth[n]);
  if (!teeth.length) return none;
  const [usual, top] = [median(teeth.map(length)), median(teeth.map((piece) => piece.top))];
  const isAlike = down.pieces.map((piece, n) => isTooth[n]
    && Math.abs(length(piece) - usual) < 0.12 * digit && Math.abs(piece.top - top) < 0.15 * digit);
  const alike = down.pieces.filter((_, n) => isAlike[n]);
  if (!alike.length) return none;
  const bottom = Math.trunc(median(alike.map((piece) => piece.bottom)));
  const foot = [];
  for (let x = 0; x < lines.width; x += 1) {
    for (let y = Math.max(bottom - close, 0); y < Math.min(bottom + close, lines.height); y += 1) {
      if (lines.data[y * lines.width + x]) {
        foot.push(x);
        break;
      }
    }
  }
  const left = Math.min(...alike.map((piece) => piece.left));
  const right = Math.max(...alike.map((piece) => piece.right));
  const atEnds = foot.length > 0
    && Math.abs(left - foot[0]) <= close && Math.abs(right - 1 - foot.at(-1)) <= close;
  return alike.length >= (atEnds ? 2 : 4) ? pixelsOf(down, isAlike) : none;
}

// Which horizontal lines have a vertical one at either end, as a comb's foot has.
function areBetween(down, across, straight, met) {
  return across.map((line, n) => {
    const close = Math.max(3, Math.floor((line.right - line.left) / 20));
    const meets = down.filter((_, k) => straight[k] && met[k].has(n));
    return meets.some((each) => Math.abs(each.left - line.left) <= close)
      && meets.some((each) => Math.abs(each.right - line.right) <= close);
  });
}

// Which vertical lines are sides of boxes: of two that end on the same two lines.
function areSides(upper, lower) {
  const share = (a, b) => [...a].some((each) => b.has(each));
  return upper.map((_, n) =>
    upper.filter((__, k) => share(upper[n], upper[k]) && share(lower[n], lower[k])).length >= 2);
}

// The small pieces and bars of ink beside lines, left where lines cross or join.
function cornersOf(rest, lines, side) {
  const { labels, count } = labelled(rest);
  const beside = new Uint8Array(count + 1);
  const around = dilatedAround(lines);
  const area = new Int32Array(count + 1);
  labels.data.forEach((label, at) => {
    area[label] += 1;
    if (around.data[at]) beside[label] = 1;
  });
  boxesOf(labels, count).forEach(({ left, top, right, bottom }, n) => {
    const [height, width] = [bottom - top, right - left];
    const isBar = 2 * height < Math.min(width, 3.2 * side)
      && area[n + 1] > 0.65 * height * width;
    if (Math.max(height, width) > side && !isBar) beside[n + 1] = 0;
  });
  beside[0] = 0;
  return ofLabels(labels, beside);
}
