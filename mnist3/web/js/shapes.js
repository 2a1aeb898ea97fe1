// Connected pieces of ink, and lines of those that stand side by side, as mnist3/data/shapes.py and
// mnist3/data/groups.py. Shapes are {labels, pieces}, a piece {number, left, top, right, bottom,
// height, width, area, strength}.

import { clip, largest, mean, median, newGrid, smallest, sum } from "./arrays.js";
import { boxesOf, labelled } from "./filters.js";

const STEEPEST = 0.62; // rise of a line of writing: tan 32 degrees
const FAINT = 0.45; // times the strength of most ink; what is fainter is no digit
const CROWD = 24; // shapes; a line of more is less likely writing than grain
const MOST = 400; // shapes of a picture; where there are more they are mostly the paper's grain

// The connected pieces of at least `least` pixels, one of them strong.
export function shapesOf(mask, strong, contrast, least) {
  const { labels, count } = labelled(mask);
  const [area, total, sure] = [0, 1, 2].map(() => new Float64Array(count + 1));
  for (let at = 0; at < labels.data.length; at += 1) {
    const label = labels.data[at];
    if (!label) continue;
    area[label] += 1;
    total[label] += contrast.data[at];
    sure[label] += strong.data[at];
  }
  const pieces = [];
  boxesOf(labels, count).forEach((box, n) => {
    const number = n + 1;
    if (area[number] < least || !sure[number]) return;
    const strength = total[number] / area[number];
    pieces.push(sized({ number, ...box, area: area[number], strength }));
  });
  return { labels, pieces };
}

const sized = (piece) =>
  ({ ...piece, height: piece.bottom - piece.top, width: piece.right - piece.left });

export const chosen = (shapes, isChosen) =>
  ({ labels: shapes.labels, pieces: shapes.pieces.filter((_, n) => isChosen[n]) });

// The pixels of a mask with all their neighbours, of four, in it.
export function inner(mask) {
  const { height, width, data } = mask;
  const found = { height, width, data: data.slice() };
  for (let y = 0, at = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1, at += 1) {
      if (!data[at]) continue;
      const within = (y === 0 || data[at - width]) && (y === height - 1 || data[at + width])
        && (x === 0 || data[at - 1]) && (x === width - 1 || data[at + 1]);
      if (!within) found.data[at] = 0;
    }
  }
  return found;
}

// Which shapes are made of strokes: no shadows, whose ends are soft, and no blots.
export function areStrokes({ labels, pieces }, { contrast, reach }) {
  const { height, width } = labels;
  const inked = newGrid(height, width, Uint8Array);
  for (let at = 0; at < inked.data.length; at += 1) if (labels.data[at]) inked.data[at] = 1;
  const within = inner(inked);
  const highest = pieces.length ? largest(pieces.map((piece) => piece.number)) : 0;
  const index = new Int32Array(highest + 1).fill(-1);
  pieces.forEach((piece, n) => { index[piece.number] = n; });
  const steps = pieces.map((piece) => Math.trunc(clip(0.12 * piece.height, 3, 12)));
  const [borders, sharp] = [new Float64Array(pieces.length), new Float64Array(pieces.length)];
  for (let y = 0, at = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1, at += 1) {
      if (!inked.data[at] || within.data[at]) continue;
      const n = index[Math.min(labels.data[at], highest)];
      if (n < 0) continue;
      let darkest = contrast.data[at];
      let brightest = darkest;
      for (const [down, across] of [[0, 1], [0, -1], [1, 0], [-1, 0]]) {
        for (const part of [1, 2]) {
          const row = clip(y + Math.floor((down * steps[n]) / part), 0, height - 1);
          const column = clip(x + Math.floor((across * steps[n]) / part), 0, width - 1);
          const beside = contrast.data[row * width + column];
          if (beside > darkest) darkest = beside;
          if (beside < brightest) brightest = beside;
        }
      }
      borders[n] += 1;
      if (darkest - brightest > 0.45 * reach.data[at]) sharp[n] += 1;
    }
  }
  const longest = pieces.map((piece) => Math.max(piece.height, piece.width));
  const most = Math.max(0, largest(longest));
  return pieces.map((piece, n) => {
    const soft = sharp[n] < 0.6 * borders[n];
    const blot = 2 * piece.area > 0.38 * borders[n] * longest[n];
    return !soft && !(blot && longest[n] > 0.3 * most);
  });
}

// Which shapes lie along the picture's edge, as a desk beside a page does.
export function alongEdges({ labels, pieces }) {
  const { height, width, data } = labels;
  const lengths = new Map();
  const count = (label) => lengths.set(label, (lengths.get(label) ?? 0) + 1);
  for (let x = 0; x < width; x += 1) [data[x], data[(height - 1) * width + x]].forEach(count);
  for (let y = 0; y < height; y += 1) [data[y * width], data[(y + 1) * width - 1]].forEach(count);
  return pieces.map(
    (piece) => (lengths.get(piece.number) ?? 0) > 0.35 * Math.max(piece.height, piece.width),
  );
}

// Which shapes are frames: thin, with others within.
function areAroundOthers(pieces) {
  return pieces.map((frame) => {
    const box = frame.height * frame.width;
    if (!(frame.area < 0.25 * box && frame.height > 8)) return false;
    const inside = pieces.filter((piece) => {
      const [x, y] = [(piece.left + piece.right) / 2, (piece.top + piece.bottom) / 2];
      return x > frame.left && x < frame.right
        && y > frame.top && y < frame.bottom && piece.height > 0.3 * frame.height
        && piece.height * piece.width < box;
    });
    return inside.length > 1
      || (inside.length === 1 && inside[0].height * inside[0].width > 0.12 * box);
  });
}

// The height of most ink: the median, taller shapes counting for more.
export function usualHeight(heights) {
  return weightedMedian(heights, heights.map((height) => height ** 2));
}

// The value below which lies half of all weight.
function weightedMedian(values, weights) {
  const order = values.map((_, n) => n).sort((a, b) => values[a] - values[b]);
  const half = sum(order.map((n) => weights[n])) / 2;
  let share = 0;
  return values[order.find((n) => {
    share += weights[n];
    return share >= half;
  })];
}

// ---- lines of writing: {digits, marks, slope, height, score}, the first two places of pieces

// `size` is that of the image, `margin` what was added around it, px.
export function groupsOf(pieces, size, margin = 0) {
  if (!pieces.length) return [];
  const highest = largest(pieces.map((piece) => piece.height));
  const isBar = pieces.map((each) => each.width > 4 * each.height && each.height < 0.5 * highest);
  const frames = areAroundOthers(pieces);
  const isAcross = pieces.map(
    (each) => each.height >= 0.95 * size.height || each.width >= 0.95 * size.width,
  );
  let useful = pieces.map((_, n) => !isBar[n] && !frames[n]);
  const rest = useful.map((each, n) => each && !isAcross[n]);
  if (rest.some(Boolean)) useful = rest;
  if (!useful.some(Boolean)) return [];
  const weight = pieces.map((each) => (each.height * each.strength) ** 2);
  const strength = weightedMedian(
    pieces.filter((_, n) => useful[n]).map((each) => each.strength),
    weight.filter((_, n) => useful[n]),
  );
  useful = useful.map((each, n) => each && pieces[n].strength >= FAINT * strength);
  const usual = usualHeight(pieces.filter((_, n) => useful[n]).map((each) => each.height));
  let digits = pieces.map((_, n) => n).filter((n) => useful[n] && pieces[n].height >= 0.35 * usual);
  if (digits.length > MOST) {
    digits = digits.sort((a, b) => weight[b] - weight[a]).slice(0, MOST).sort((a, b) => a - b);
  }
  const x = pieces.map((each) => (each.left + each.right) / 2);
  const y = pieces.map((each) => (each.top + each.bottom) / 2);
  const slope = slopeOf(digits.map((n) => pieces[n]));
  const level = y.map((each, n) => each - slope * x[n]);
  const upper = (n) => level[n] - 0.3 * pieces[n].height;
  const members = [];
  let reached = -Infinity;
  for (const n of [...digits].sort((a, b) => upper(a) - upper(b))) {
    if (upper(n) > reached) members.push([]);
    members.at(-1).push(n);
    reached = Math.max(reached, level[n] + 0.3 * pieces[n].height);
  }
  const isDigit = new Set(digits);
  return members.map((line) => {
    const own = line.map((n) => pieces[n]);
    const heights = own.map((each) => each.height);
    const tilt = fittedSlope(line.map((n) => x[n]), line.map((n) => y[n]), heights, slope);
    const upright = y.map((each, n) => each - tilt * x[n]);
    const typical = medianOfTall(heights);
    const top = smallest(line.map((n) => upright[n] - pieces[n].height / 2)) - 0.1 * typical;
    const bottom = largest(line.map((n) => upright[n] + pieces[n].height / 2)) + 0.1 * typical;
    const left = smallest(own.map((each) => each.left)) - 1.5 * typical;
    const right = largest(own.map((each) => each.right)) + 1.5 * typical;
    const marks = pieces.map((_, n) => n).filter(
      (n) => (useful[n] || isBar[n]) && !isDigit.has(n)
        && upright[n] > top && upright[n] < bottom && x[n] > left && x[n] < right,
    );
    const middle = median(line.map((n) => upright[n]));
    const away = mean(line.map((n) => Math.abs(upright[n] - middle) / typical));
    const total = sum(line.map((n) => {
      const each = pieces[n];
      const edge = each.top <= margin + 1 || each.bottom >= size.height - margin - 1;
      return weight[n] * (edge ? 0.3 : 1) * (each.height > 7 * each.width ? 0.2 : 1);
    }));
    const score = total / Math.max(1, 2 * away, line.length / CROWD) ** 2;
    return { digits: line, marks, slope: tilt, height: typical, score };
  });
}

// The median of heights of at least half the tallest.
export function medianOfTall(heights) {
  const tallest = largest(heights);
  return median(heights.filter((height) => height >= 0.5 * tallest));
}

// How the lines fall, from shapes to those on their right.
function slopeOf(pieces) {
  const slopes = [];
  for (const from of pieces) {
    let best = null;
    const [x, y] = [(from.left + from.right) / 2, (from.top + from.bottom) / 2];
    for (const to of pieces) {
      const across = (to.left + to.right) / 2 - x;
      const down = (to.top + to.bottom) / 2 - y;
      const tall = Math.max(from.height, to.height);
      const isBeside = across > 0.3 * tall && Math.abs(down) < 0.75 * across
        && to.left - from.right < 4 * tall && Math.min(from.height, to.height) > 0.4 * tall;
      if (!isBeside) continue;
      const distance = across + 2 * Math.abs(down);
      if (best === null || distance < best.distance) best = { distance, across, down, to };
    }
    if (best === null) continue;
    const { across, down, to } = best;
    slopes.push([down, to.top - from.top, to.bottom - from.bottom].map((each) => each / across));
  }
  if (!slopes.length) return 0;
  const found = slopes.length < 3
    ? mean(slopes.map(([, tops, bottoms]) => median([tops, bottoms, 0])))
    : median(slopes.map(([middles]) => middles));
  return clip(found, -STEEPEST, STEEPEST);
}

// Calls visit(i, j) for all pairs of places below `count`.
export function forPairs(count, visit) {
  for (let i = 0; i < count; i += 1) for (let j = i + 1; j < count; j += 1) visit(i, j);
}

// A line's own slope, outliers left out (Theil and Sen).
function fittedSlope(x, y, height, slope) {
  if (x.length < 4) return slope;
  const slopes = [];
  forPairs(x.length, (i, j) => {
    const across = x[j] - x[i];
    if (Math.abs(across) > Math.max(height[i], height[j])) slopes.push((y[j] - y[i]) / across);
  });
  return slopes.length ? clip(median(slopes), -STEEPEST, STEEPEST) : slope;
}

export const bestOf = (groups, value = (group) => group.score) => groups.reduce(
  (best, each) => (best === null || value(each) > value(best) ? each : best), null,
);
export const bestScore = (groups) => bestOf(groups)?.score ?? 0;

// Whether the digits clearly lie on their sides, one above the other.
export function areSideways(pieces, groups, size) {
  const turned = pieces.map((each) => sized({
    ...each, left: each.top, top: each.left, right: each.bottom, bottom: each.right,
  }));
  const standing = bestOf(groups);
  const lying = bestOf(groupsOf(turned, { height: size.width, width: size.height }));
  if (!standing || !lying) return false;
  const wide = median(lying.digits.map((n) => pieces[n].width / pieces[n].height)) > 0.95;
  const more = lying.digits.length >= Math.max(3, standing.digits.length + 1);
  return wide && more && lying.score > 1.5 * standing.score;
}
