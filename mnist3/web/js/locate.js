// From a picture to strips, as mnist3/data/locate.py: where its lines of digits are, and what a
// network sees of them.

import {
  clip, isAny, largest, median, newGrid, percentiles, roundToEven, smallest, sum,
} from "./arrays.js";
import {
  boxesOf, combined, dilatedAround, inverted, labelled, largestAround, masked, meanAround, ofLabels,
  sampled, union, without,
} from "./filters.js";
import { bestChannel, findInk, tailsOf, threshold } from "./ink.js";
import { SMALL_SIDE, withMargin, withoutDesk } from "./paper.js";
import { horizontal, printed, vertical } from "./rules.js";
import { asFloat, channelOf, reducedBy, scaled } from "./scaling.js";
import {
  alongEdges, areSideways, areStrokes, bestOf, bestScore, chosen, forPairs, groupsOf, inner,
  medianOfTall, shapesOf, usualHeight,
} from "./shapes.js";

export const STRIP_HEIGHT = 32; // px
const DIGIT_HEIGHT = 20; // px, of most digits of a strip
const MARGIN = 8; // px, at least, left and right of the ink of a strip
const TALLEST = 30; // px; all the line's ink fits in so many rows
const WIDEST_GAP = 24; // px; wider gaps between the digits of a strip are cut to this
const THINNEST = 2; // px; strokes of a strip that are thinner are drawn so wide
const FIRST_SIDE = 640; // px; lines are found at this size
const LEVEL = 40; // px; the height of digits when their line is looked at closely
const ATTEMPTS = 4; // looks at a line, the last two whatever it goes on to
const CLEAR = 33; // times; where less is darker than brighter, or the other way, ink may be either

// How a picture is looked at, see Sight in mnist3/data/locate.py.
export const USUAL = { faintest: 0.05, rules: true, colours: true, turned: false };
export const OTHERS = [{ faintest: 0.18 }, { rules: false }, { colours: false }, { turned: true }]
  .map((changed) => ({ ...USUAL, ...changed }));

// The line with most writing on a picture {height, width, channels, data} of uint8, or null:
// {strip, box, track, sideways}. The box is left, top, right and bottom in the picture, px, and the
// track of each column of the strip [x, y] of its top and of its bottom there; float32, as in
// Python, since whole pixels are made of it.
export function locate(given, sight = USUAL) {
  const { picture, left, top } = withMargin(given);
  const look = sight.turned ? turnedLine : bestLine;
  const line = look(picture, sight, Math.max(left, top, 0));
  if (!line) return null;
  const [x0, y0, x1, y1] = line.box;
  return {
    ...line,
    box: [
      Math.max(x0 - left, 0), Math.max(y0 - top, 0),
      Math.min(x1 - left, given.width), Math.min(y1 - top, given.height),
    ],
    track: line.track.map((ends) => ends.map(([x, y]) => [x - left, y - top].map(Math.fround))),
  };
}

// A quarter turn to the left.
function quarterTurned({ height, width, channels, data }) {
  const found = new Uint8Array(data.length);
  for (let row = 0, to = 0; row < width; row += 1) {
    for (let column = 0; column < height; column += 1) {
      const from = (column * width + width - 1 - row) * channels;
      for (let c = 0; c < channels; c += 1, to += 1) found[to] = data[from + c];
    }
  }
  return { height: width, width: height, channels, data: found };
}

// The best line of a picture that lies on its side.
function turnedLine(picture, sight, margin) {
  const { width } = picture;
  const line = bestLine(quarterTurned(picture), { ...sight, turned: true }, margin);
  if (!line) return null;
  const [left, top, right, bottom] = line.box;
  return {
    strip: line.strip,
    box: [width - bottom, left, width - top, right],
    track: line.track.map((ends) => ends.map(([x, y]) => [Math.fround(width - y), x])),
    sideways: true,
  };
}

function bestLine(picture, sight, margin) {
  const { height, width } = picture;
  const side = Math.max(height, width);
  let factor = Math.min(FIRST_SIDE / side, 1);
  if (side < SMALL_SIDE) factor = Math.min(SMALL_SIDE / side, 6);
  const rows = Math.max(1, roundToEven(height * factor));
  const columns = Math.max(1, roundToEven(width * factor));
  const coarse = factor === 1
    ? picture : scaled(picture, rows, columns, factor < 1 ? "box" : "bicubic");
  const channel = sight.colours ? bestChannel(coarse) : "L";
  const pixels = asFloat(channelOf(coarse, channel));
  const page = withoutDesk(pixels);
  const around = roundToEven(margin * factor);
  let found = eitherInk(page, sight, around);
  if (page !== pixels && !found.groups.length) found = eitherInk(pixels, sight, around);
  const { shapes, groups, bright } = found;
  if (!sight.turned && areSideways(shapes.pieces, groups, pixels)) {
    return turnedLine(picture, sight, margin);
  }
  const group = bestOf(groups);
  if (!group) return null;
  const place = placeOf(shapes.pieces, group, { angle: 0, scale: 1 / factor, left: 0, top: 0 });
  return lookedAt(picture, channel, bright, place, sight);
}

// The lines of a whole picture, and whether their ink is brighter than paper.
function eitherInk(pixels, sight, margin) {
  const bytes = { ...pixels, channels: 1, data: Uint8Array.from(pixels.data) };
  const [dark, light] = tailsOf(bytes);
  const bright = light > dark;
  const found = ofDarkInk(bright ? inverted(pixels) : pixels, sight, margin);
  const most = Math.max(dark, light);
  const clearness = most / Math.max(Math.min(dark, light), 1e-3 * most, 1e-6);
  if (!found.groups.length || clearness < CLEAR) {
    const others = ofDarkInk(bright ? pixels : inverted(pixels), sight, margin);
    if (bestScore(others.groups) > Math.max(4, 2 * clearness) * bestScore(found.groups)) {
      return { ...others, bright: !bright };
    }
  }
  return { ...found, bright };
}

function ofDarkInk(pixels, sight, margin) {
  const side = Math.max(pixels.height, pixels.width);
  const ink = findInk(pixels, Math.floor(side / 7), Math.floor(side / 8), sight.faintest);
  const mask = sight.rules ? withoutRules(ink) : ink.mask;
  let shapes = shapesOf(mask, ink.strong, ink.contrast, 12);
  shapes = chosen(shapes, areStrokes(shapes, ink));
  const free = alongEdges(shapes).map((each) => !each);
  if (free.some(Boolean)) shapes = chosen(shapes, free);
  return { shapes, groups: groupsOf(shapes.pieces, pixels, margin) };
}

// The ink of a whole picture without printed lines, found at half the size.
function withoutRules(ink) {
  const [mask, faint] = [halved(ink.mask), halved(ink.faint)];
  const side = Math.min(mask.height, mask.width);
  let pieces = [];
  for (const thickness of [Math.floor(side / 60), Math.floor(side / 40)]) {
    const thickest = Math.max(3, thickness);
    const across = horizontal(faint, Math.floor(mask.width / 2), thickest);
    const down = vertical(faint, Math.floor(mask.height / 2), thickest);
    ({ pieces } = shapesOf(without(mask, union(across, down)), mask, mask, 6));
    // A net over the whole picture is left of squares whose lines are thicker.
    const isNet = (each) => each.height > 0.9 * mask.height && each.width > 0.9 * mask.width;
    if (!pieces.some(isNet)) break;
  }
  if (!pieces.length) ({ pieces } = shapesOf(mask, mask, mask, 6));
  if (!pieces.length) return ink.mask;
  const usual = pieces.filter(
    (each) => each.height < 0.95 * mask.height && each.width < 4 * each.height,
  );
  const digit = usualHeight((usual.length ? usual : pieces).map((each) => each.height));
  const longest = Math.max(mask.height, mask.width);
  const lines = printed(faint, Math.trunc(Math.max(digit, Math.floor(longest / 20), 8)));
  const { height, width } = ink.mask;
  const found = newGrid(height, width, Uint8Array);
  for (let y = 0, at = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1, at += 1) {
      found.data[at] = ink.mask.data[at] & ~lines.data[(y >> 1) * lines.width + (x >> 1)] & 1;
    }
  }
  return found;
}

// A mask at half its size, with all that it holds.
function halved({ height, width, data }) {
  const found = newGrid((height + 1) >> 1, (width + 1) >> 1, Uint8Array);
  for (let y = 0, at = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1, at += 1) {
      if (data[at]) found.data[(y >> 1) * found.width + (x >> 1)] = 1;
    }
  }
  return found;
}

// Where a line is in the picture: its frame turned by `angle`, then cut out. `frame` is that of the
// image that the pieces are of: {angle, scale: picture's px per px, left, top: in picture's px}.
function placeOf(pieces, group, frame) {
  const more = Math.atan(group.slope);
  const [cosine, sine] = [Math.cos(more), Math.sin(more)];
  const { scale } = frame;
  const members = group.digits.map((n) => {
    const piece = pieces[n];
    const x = ((piece.left + piece.right) / 2) * scale + frame.left;
    const y = ((piece.top + piece.bottom) / 2) * scale + frame.top;
    const [width, height] = [piece.width * scale, piece.height * scale];
    const upright = (height * cosine - width * Math.abs(sine)) / (cosine ** 2 - sine ** 2);
    return {
      along: x * cosine + y * sine,
      across: y * cosine - x * sine,
      width,
      height,
      upright: clip(upright, 0.5 * height, height),
    };
  });
  return {
    angle: frame.angle + more,
    left: smallest(members.map((each) => each.along - each.width / 2)),
    top: smallest(members.map((each) => each.across - each.height / 2)),
    right: largest(members.map((each) => each.along + each.width / 2)),
    bottom: largest(members.map((each) => each.across + each.height / 2)),
    height: medianOfTall(members.map((each) => each.upright)),
  };
}

function cropped({ width, channels, data }, [left, top, right, bottom]) {
  const [rows, columns] = [bottom - top, right - left];
  const found = new Uint8Array(rows * columns * channels);
  for (let y = 0; y < rows; y += 1) {
    const from = ((y + top) * width + left) * channels;
    found.set(data.subarray(from, from + columns * channels), y * columns * channels);
  }
  return { height: rows, width: columns, channels, data: found };
}

// A line cut out of the picture, level, digits about LEVEL px tall: {pixels, inside, left, top,
// scale}, of which `inside` says where the picture is.
function levelled(image, channel, place) {
  const scale = place.height / LEVEL;
  const left = place.left - 1.2 * place.height;
  const top = place.top - 0.7 * place.height;
  const width = Math.max(8, roundToEven((place.right + 1.2 * place.height - left) / scale));
  const height = Math.max(8, roundToEven((place.bottom + 0.7 * place.height - top) / scale));
  const [cosine, sine] = [Math.cos(place.angle), Math.sin(place.angle)];
  const corners = [[0, 0], [width, 0], [0, height], [width, height]].map(([x, y]) => {
    const [along, across] = [left + x * scale, top + y * scale];
    return [along * cosine - across * sine, along * sine + across * cosine];
  });
  const reduction = Math.max(1, Math.trunc(scale));
  const [xs, ys] = [corners.map(([x]) => x), corners.map(([, y]) => y)];
  const box = [
    clip(smallest(xs) - 2, 0, image.width - 1), clip(smallest(ys) - 2, 0, image.height - 1),
    clip(largest(xs) + 2, 1, image.width), clip(largest(ys) + 2, 1, image.height),
  ].map(Math.trunc);
  const part = asFloat(channelOf(reducedBy(cropped(image, box), reduction), channel));
  // From a pixel of the cut-out to one of the part.
  const step = scale / reduction;
  const x0 = (left * cosine - top * sine - box[0]) / reduction;
  const y0 = (left * sine + top * cosine - box[1]) / reduction;
  const pixels = newGrid(height, width);
  const inside = newGrid(height, width, Uint8Array);
  for (let y = 0, at = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1, at += 1) {
      const column = step * (cosine * (x + 0.5) - sine * (y + 0.5)) + x0;
      const row = step * (sine * (x + 0.5) + cosine * (y + 0.5)) + y0;
      if (column > 0 && row > 0 && column < part.width && row < part.height) inside.data[at] = 1;
      pixels.data[at] = sampled(part, row - 0.5, column - 0.5, "edge");
    }
  }
  return { pixels, inside, left, top, scale };
}

// Looks at a line closely, until its digits are level and of the height looked for.
function lookedAt(image, channel, bright, first, sight) {
  let place = first;
  for (let attempt = 0; ; attempt += 1) {
    const level = levelled(image, channel, place);
    const pixels = bright ? inverted(level.pixels) : level.pixels;
    let ink = findInk(pixels, LEVEL, 2 * LEVEL, sight.faintest, level.inside);
    if (sight.rules) ink = cleaned(ink, sight);
    let shapes = shapesOf(ink.mask, ink.strong, ink.contrast, 10);
    const sharp = areStrokes(shapes, ink);
    const alike = areLikeOthers(shapes.pieces, sharp);
    shapes = chosen(shapes, sharp.map((each, n) => each || alike[n]));
    const { pieces } = shapes;
    const middle = ink.mask.height / 2;
    const group = bestOf(groupsOf(pieces, ink.mask), (each) => {
      const y = median(each.digits.map((n) => (pieces[n].top + pieces[n].bottom) / 2));
      return each.score * Math.max(1 - Math.abs(y - middle) / middle, 0.05);
    });
    if (!group) return null;
    const height = group.height / LEVEL;
    const fits = Math.abs(group.slope) < 0.03 && height > 0.8 && height < 1.25
      && (attempt >= ATTEMPTS - 2 || !isCut(pieces, group, level));
    if (fits || attempt === ATTEMPTS - 1) {
      return drawn(ink, shapes, group, level, place, image);
    }
    place = placeOf(pieces, group, { ...level, angle: place.angle });
  }
}

// Whether a line goes on in the picture beyond the left or right end of a cut-out.
function isCut(pieces, group, { inside: { height, width, data } }) {
  const isInside = (x) => {
    for (let y = 0; y < height; y += 1) if (data[y * width + x]) return true;
    return false;
  };
  const first = smallest(group.digits.map((n) => pieces[n].left));
  const last = largest(group.digits.map((n) => pieces[n].right));
  const near = Math.floor(LEVEL / 4);
  return (isInside(0) && first < near) || (isInside(width - 1) && last > width - near);
}

// Which shapes are as high, as dark and as thin as most of those that are sharp.
function areLikeOthers(pieces, sharp) {
  const tall = pieces.filter((each, n) => sharp[n] && each.height > 0.5 * LEVEL);
  if (tall.length < 2) return pieces.map(() => false);
  const thinness = (each) => each.area / Math.max(each.height, each.width);
  const height = median(tall.map((each) => each.height));
  const strength = median(tall.map((each) => each.strength));
  const thin = median(tall.map(thinness));
  return pieces.map((each) => Math.abs(Math.log(each.height / height)) < Math.log(1.8)
    && each.strength > 0.7 * strength && thinness(each) < 1.5 * thin);
}

// A levelled line's ink without printed lines, thresholds found anew without them.
function cleaned(ink, sight) {
  let lines = printed(ink.faint, LEVEL);
  if (!isAny(lines.data)) return ink;
  // A line that strokes interrupt is one.
  const { labels, count } = labelled(largestAround(lines, 1, Math.floor(LEVEL / 2) + 1));
  lines.data.forEach((line, at) => { if (!line) labels.data[at] = 0; });
  // A line between two rows of pixels is half as dark in each, but not over three.
  const spread = meanAround(ink.contrast, "reflect");
  const here = darker(ink.contrast, labels, count, 1.35);
  const wider = darker(spread, labels, count, 1.15);
  lines = masked((line, a, b) => line & ~(a & b) & 1, lines, here, wider);
  const around = without(dilatedAround(lines), without(ink.mask, lines));
  const contrast = combined(
    Float32Array, (value, a, b) => (a || b ? 0 : value), ink.contrast, around, lines,
  );
  return threshold(contrast, 2 * LEVEL, sight.faintest);
}

// What is some times darker than the line it lies on, or a short piece than most.
function darker(contrast, labels, count, times) {
  const { width } = labels;
  const boxes = boxesOf(labels, count);
  const usual = boxes.map(({ left, top, right, bottom }, n) => {
    const along = bottom - top > right - left ? "rows" : "columns";
    const most = new Float32Array(along === "rows" ? bottom - top : right - left);
    for (let y = top; y < bottom; y += 1) {
      for (let x = left; x < right; x += 1) {
        if (labels.data[y * width + x] !== n + 1) continue;
        const place = along === "rows" ? y - top : x - left;
        most[place] = Math.max(most[place], contrast.data[y * width + x]);
      }
    }
    return Math.fround(percentiles(most, [70])[0]);
  });
  const extents = boxes.map((box) => Math.max(box.right - box.left, box.bottom - box.top));
  const order = usual.map((_, n) => n).sort((a, b) => usual[a] - usual[b]);
  const half = sum(extents) / 2;
  let share = 0;
  const most = usual[order.find((n) => {
    share += extents[n];
    return share >= half;
  })];
  const levels = [0, ...usual.map((each, n) =>
    (boxes[n].right - boxes[n].left < 2 * LEVEL ? Math.min(each, most) : each))];
  return masked((value, label) => (value >= times * levels[label] ? 1 : 0), contrast, labels);
}

// Draws the strip of a line that was found level.
function drawn(ink, shapes, group, level, place, image) {
  const { pieces, labels } = shapes;
  const strength = median(group.digits.map((n) => pieces[n].strength));
  const members = [...group.digits, ...group.marks].filter(
    (n) => pieces[n].strength > 0.4 * strength,
  );
  const shown = new Uint8Array(largest(labels.data) + 1);
  members.forEach((n) => { shown[pieces[n].number] = 1; });
  const mask = ofLabels(labels, shown);
  const x = pieces.map((each) => (each.left + each.right) / 2);
  const y = pieces.map((each, n) => (each.top + each.bottom) / 2 - group.slope * x[n]);
  const left = smallest(members.map((n) => pieces[n].left));
  const right = largest(members.map((n) => pieces[n].right));
  const middle = median(group.digits.map((n) => y[n]));
  const growth = growthOf(group.digits.map((n) => x[n]), group.digits.map((n) => pieces[n].height));
  const local = x.map((each) => Math.exp(growth * (each - left))); // how large the writing is there
  const top = smallest(members.map((n) => (y[n] - pieces[n].height / 2 - middle) / local[n]));
  const bottom = largest(members.map((n) => (y[n] + pieces[n].height / 2 - middle) / local[n]));
  const usual = medianOfTall(group.digits.map((n) => pieces[n].height / local[n]));
  const scale = Math.max(usual / DIGIT_HEIGHT, (bottom - top) / TALLEST); // px per px of the strip
  const soft = softened(ink, mask, scale * smallest(group.digits.map((n) => local[n])));
  const offset = clip(0, bottom - (TALLEST / 2) * scale, top + (TALLEST / 2) * scale);
  // Twice as fine, then averaged.
  const end = growth === 0
    ? right - left : (1 - Math.exp(-growth * (right - left))) / growth;
  const width = Math.max(1, Math.ceil(end / scale));
  const across = Float64Array.from({ length: 2 * width }, (_, n) => {
    const even = ((n + 0.5) * scale) / 2;
    return growth === 0 ? even : -Math.log(Math.max(1 - growth * even, 1e-3)) / growth;
  });
  const grown = across.map((each) => Math.exp(growth * each));
  const strip = newGrid(STRIP_HEIGHT, width, Uint8Array);
  for (let row = 0, at = 0; row < STRIP_HEIGHT; row += 1) {
    for (let column = 0; column < width; column += 1, at += 1) {
      let total = 0;
      for (const i of [2 * row, 2 * row + 1]) {
        const down = offset + ((i + 0.5 - STRIP_HEIGHT) * scale) / 2;
        for (const j of [2 * column, 2 * column + 1]) {
          const line = down * grown[j] + middle + group.slope * (left + across[j]);
          total += sampled(soft, line - 0.5, left + across[j] - 0.5, "zero");
        }
      }
      strip.data[at] = roundToEven(clip(total / 4, 0, 1) * 255);
    }
  }
  const kept = withoutWideGaps(strip);
  const half = (STRIP_HEIGHT / 2) * scale; // from the middle to top and bottom
  const toPicture = pictureFrom(level, place);
  const track = kept.map((column) => [-half, half].map((down) => {
    const ends = [2 * column, 2 * column + 1].map((j) => {
      const along = left + across[j];
      return toPicture(along, (offset + down) * grown[j] + middle + group.slope * along);
    });
    return [0, 1].map((axis) => Math.fround((ends[0][axis] + ends[1][axis]) / 2));
  }));
  const before = new Array(MARGIN).fill(track[0]);
  const behind = new Array(MARGIN).fill(track.at(-1));
  return {
    strip: withMargins(strip, kept),
    box: boxOf(members.map((n) => pieces[n]), toPicture, image),
    track: [...before, ...track, ...behind],
    sideways: false,
  };
}

function withMargins(strip, kept) {
  const found = newGrid(strip.height, kept.length + 2 * MARGIN, Uint8Array);
  for (let y = 0; y < strip.height; y += 1) {
    kept.forEach((column, n) => {
      found.data[y * found.width + MARGIN + n] = strip.data[y * strip.width + column];
    });
  }
  return found;
}

// Returns what turns places of a levelled line into those in the picture, px.
function pictureFrom(level, place) {
  const [cosine, sine] = [Math.cos(place.angle), Math.sin(place.angle)];
  return (x, y) => {
    const [along, across] = [level.left + x * level.scale, level.top + y * level.scale];
    return [along * cosine - across * sine, along * sine + across * cosine];
  };
}

// How digits grow along their line: the slope of the logarithm of their heights; 0 unless they
// clearly do, as on a page seen from its side.
function growthOf(x, height) {
  if (x.length < 4) return 0;
  const logarithm = height.map(Math.log);
  const least = smallest(height);
  const slopes = [];
  forPairs(x.length, (i, j) => {
    const across = x[j] - x[i];
    if (Math.abs(across) > least) slopes.push((logarithm[j] - logarithm[i]) / across);
  });
  if (!slopes.length || largest(logarithm) === smallest(logarithm)) return 0;
  const growth = median(slopes);
  const steady = Math.abs(correlation(x, logarithm)) > 0.85;
  const range = largest(x) - smallest(x);
  return steady && Math.abs(growth) * range > Math.log(1.5) ? growth : 0;
}

function correlation(x, y) {
  const [meanX, meanY] = [sum(x) / x.length, sum(y) / y.length];
  const [dx, dy] = [x.map((each) => each - meanX), y.map((each) => each - meanY)];
  const product = (a, b) => sum(a.map((each, n) => each * b[n]));
  return product(dx, dy) / Math.sqrt(product(dx, dx) * product(dy, dy));
}

// The chosen ink from 0 to 1, as strong along faint strokes as along others.
function softened(ink, mask, scale) {
  const area = sum(mask.data);
  const border = area - sum(inner(mask).data);
  const stroke = (2 * area) / Math.max(border, 1);
  const around = dilatedAround(mask);
  const soft = combined(
    Float32Array,
    (contrast, reach, here) => (here ? clip((contrast / reach - 0.12) / 0.68, 0, 1) : 0),
    ink.contrast, ink.reach, around,
  );
  const wider = Math.ceil((THINNEST * scale - stroke) / 2);
  return wider > 0 ? largestAround(soft, 2 * wider + 1) : soft;
}

// Which columns of a strip are not in the middle of a very wide gap.
function withoutWideGaps({ height, width, data }) {
  const blank = Array.from({ length: width }, (_, x) => {
    for (let y = 0; y < height; y += 1) if (data[y * width + x] > 25) return false;
    return true;
  });
  const kept = blank.map(() => true);
  for (let start = 0; start < width; start += 1) {
    if (!blank[start]) continue;
    let stop = start;
    while (stop < width && blank[stop]) stop += 1;
    const first = start + WIDEST_GAP / 2;
    const excess = stop - start - WIDEST_GAP;
    for (let x = first; x < first + excess; x += 1) kept[x] = false;
    start = stop;
  }
  return kept.flatMap((each, x) => (each ? [x] : []));
}

// The upright box of a line's ink in the picture.
function boxOf(pieces, toPicture, { height, width }) {
  const corners = pieces.flatMap(({ left, top, right, bottom }) =>
    [[left, top], [right, top], [left, bottom], [right, bottom]].map(([x, y]) => toPicture(x, y)));
  const [xs, ys] = [corners.map(([x]) => x), corners.map(([, y]) => y)];
  return [
    clip(Math.floor(smallest(xs)), 0, width - 1), clip(Math.floor(smallest(ys)), 0, height - 1),
    clip(Math.ceil(largest(xs)), 1, width), clip(Math.ceil(largest(ys)), 1, height),
  ];
}
