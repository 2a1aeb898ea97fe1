// What mnist3/pictures.py does with one picture: its line is read, and where that leaves a doubt
// the picture is looked at in other ways too.

import { clip, mean, newGrid, roundToEven } from "./arrays.js";
import { decodeString } from "./decoding.js";
import { locate, OTHERS, STRIP_HEIGHT, USUAL } from "./locate.js";
import { constantsOf, run } from "./network.js";
import { scaled } from "./scaling.js";
import { wholeImage } from "./whole.js";

const COLUMN = 4; // px that a column of the logits of a strip stands for
const WIDEST = 512; // px; a strip that is wider is squeezed to this
const INKED = 64; // grey levels; from here on a pixel of a strip belongs to a stroke
const DOUBT = 0.6; // confidence; below it a picture is looked at in other ways too
const PER_DIGIT = 0.4; // bits of confidence that a digit more is worth
const NOTHING = "no number is found on it";
const BLANK = "blank: no ink that differs from the paper";

// Returns what reads pictures, {height, width, channels, data, scale} of uint8, whose scale is the
// px of the file for a pixel: a function to the fields of `POST /read?views=1`, or with `maps=1` too
// (mnist3/web/answers.py), `view` and the `image` of each layer being {height, width, data}.
export function readerOf(network, weights) {
  const constants = constantsOf(network.constants, weights);
  const predict = (width, image) => run(network.programs[width], constants, image);
  const read = network.about.lines ? readLine : readWhole;
  const blind = { ...network, layers: [] };
  return (picture, withMaps) => read(picture, withMaps ? network : blind, predict);
}

// Feature maps as mnist3/web/maps.py describes them, each layer's one below the other.
const sheetsOf = (layers, maps) => layers.map((layer, n) => {
  const [rows, columns, channels] = maps[n].shape;
  const { data } = maps[n];
  const most = data.reduce((a, b) => Math.max(a, b), 1e-30);
  const image = newGrid(channels * rows, columns, Uint8Array);
  for (let place = 0, from = 0; place < rows * columns; place += 1) {
    for (let c = 0; c < channels; c += 1, from += 1) {
      image.data[c * rows * columns + place] = roundToEven((255 * data[from]) / most);
    }
  }
  return { layer, rows, columns, channels, image };
});

export const nothing = (error, view = null) => ({
  number: "",
  confidence: null,
  confidences: [],
  sure: null,
  length: 0,
  box: null,
  spans: [],
  error,
  view,
  maps: [],
});

function textOf(values, classes) {
  const separator = classes.every((name) => name.length === 1) ? "" : " ";
  return values.map((value) => classes[value]).join(separator);
}

const isSure = ({ threshold, rounding }, confidence) =>
  (threshold === null ? null : confidence >= threshold - rounding);

// ---- pictures as a whole

function readWhole(picture, network, predict) {
  const [width] = Object.keys(network.programs).map(Number);
  const image = wholeImage(picture, network.height, width);
  if (!image) return nothing(BLANK);
  const { values, confidence, probabilities, maps } = predict(width, image.data);
  const digits = Array.from(values.data);
  const whole = confidence.data[0];
  return {
    ...nothing(""),
    number: textOf(digits, network.about.classes),
    confidence: whole,
    confidences: digits.length === 1 ? [whole] : Array.from(probabilities.data),
    sure: isSure(network, whole),
    length: digits.length,
    view: image,
    maps: sheetsOf(network.layers, maps),
  };
}

// ---- lines

// A strip filled up on the right to the next width that there is a program for, or squeezed to it.
function filledUp(strip, widths) {
  const width = widths.find((each) => strip.width <= each) ?? widths.at(-1);
  const own = strip.width <= width
    ? strip : scaled({ ...strip, channels: 1 }, STRIP_HEIGHT, width, "box");
  const found = newGrid(STRIP_HEIGHT, width, Uint8Array);
  for (let y = 0; y < STRIP_HEIGHT; y += 1) {
    found.data.set(own.data.subarray(y * own.width, (y + 1) * own.width), y * width);
  }
  return found;
}

function readStrip(strip, network, predict) {
  const widths = Object.keys(network.programs).map(Number).sort((a, b) => a - b);
  const image = filledUp(strip, widths);
  const { logits, maps } = predict(image.width, image.data);
  return { ...decodeString(logits, network.about.digits[1]), maps };
}

const upsideDown = ({ strip, box, track }) => ({
  strip: { ...strip, data: strip.data.toReversed() },
  box,
  track: track.toReversed().map((ends) => ends.toReversed()),
});

// What is read of the best line, in the way that it is held with most confidence; null of none.
function looked(picture, sight, network, predict) {
  const found = locate(picture, sight);
  if (!found) return null;
  const { scale } = picture;
  const line = {
    ...found,
    box: found.box.map((edge) => roundToEven(scale * edge)),
    track: found.track.map((ends) =>
      ends.map((place) => place.map((each) => Math.fround(scale * each)))),
  };
  const ways = line.sideways ? [line, upsideDown(line)] : [line];
  return ways
    .map((way) => ({ ...way, ...readStrip(way.strip, network, predict) }))
    .reduce((best, each) => (each.confidence > best.confidence ? each : best));
}

// The logarithm of the confidence, mostly; each digit counts a little, and no digit comes last.
function scoreOf(found) {
  if (!found) return -Infinity;
  const logarithm = Math.log2(Math.max(found.confidence, 1e-300));
  return found.digits.length ? logarithm + PER_DIGIT * found.digits.length : logarithm - 1e3;
}

const wordOf = (found) => (found ? found.digits.join() : null);

function readLine(picture, network, predict) {
  let found = looked(picture, USUAL, network, predict);
  let twice = true;
  if (!found || found.confidence < DOUBT) {
    const ways = [found, ...OTHERS.map((sight) => looked(picture, sight, network, predict))];
    found = ways.reduce((best, each) => (scoreOf(each) > scoreOf(best) ? each : best));
    twice = ways.filter((each) => wordOf(each) === wordOf(found)).length > 1;
  }
  if (!found) return nothing(NOTHING);
  const { classes } = network.about;
  const sure = isSure(network, found.confidence);
  return {
    number: textOf(found.digits, classes),
    confidence: found.confidence,
    confidences: found.probabilities,
    sure: sure === null ? null : sure && twice && found.digits.length > 0,
    length: found.digits.length,
    box: found.box,
    spans: boxesInPicture(found),
    error: "",
    view: found.strip,
    maps: sheetsOf(network.layers, found.maps),
  };
}

// The ink of each digit of a strip, see digit_boxes in mnist3/data/strips.py.
function digitBoxes({ height, width, data }, spans) {
  const columns = new Int32Array(width);
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) columns[x] += data[y * width + x];
  }
  const middles = spans.map(([first, last]) => {
    const middle = ((COLUMN * (first + last)) / 2) * Math.max(1, width / WIDEST);
    return Math.trunc(clip(middle, 0, width - 1));
  });
  const edges = [0];
  for (let n = 1; n < middles.length; n += 1) {
    const between = columns.subarray(middles[n - 1], middles[n] + 1);
    const lowest = between.reduce((a, b) => Math.min(a, b), Infinity);
    const least = Array.from(between.keys()).filter((x) => between[x] === lowest);
    edges.push(middles[n - 1] + least[least.length >> 1]);
  }
  edges.push(width);
  return middles.map((_, n) => {
    const [left, right] = [edges[n], edges[n + 1]];
    const own = { left: Infinity, top: Infinity, right: -Infinity, bottom: -Infinity };
    for (let y = 0; y < height; y += 1) {
      for (let x = left; x < right; x += 1) {
        if (data[y * width + x] < INKED) continue;
        own.left = Math.min(own.left, x);
        own.right = Math.max(own.right, x + 1);
        own.top = Math.min(own.top, y);
        own.bottom = Math.max(own.bottom, y + 1);
      }
    }
    if (own.right > own.left) return own;
    return { left, top: 0, right: Math.max(right, left + 1), bottom: height };
  });
}

// Where each digit is in the picture: left, top, right and bottom, px.
function boxesInPicture({ strip, track, spans }) {
  if (spans.some(([first]) => first < 0)) return [];
  return digitBoxes(strip, spans).map(({ left, top, right, bottom }) => {
    const corners = [top, bottom].map((row) => {
      const share = row / STRIP_HEIGHT;
      return [left, right - 1].map((column) => {
        const [upper, lower] = track[column];
        return [0, 1].map((axis) => (1 - share) * upper[axis] + share * lower[axis]);
      });
    });
    // The middles of the four sides, so that a slight turn of the line makes no box larger.
    const middle = (a, b) => [0, 1].map((axis) => mean([a[axis], b[axis]]));
    const [[a, b], [c, d]] = corners;
    const sides = [middle(a, c), middle(b, d), middle(a, b), middle(c, d)];
    const [xs, ys] = [sides.map(([x]) => x), sides.map(([, y]) => y)];
    return [
      Math.trunc(Math.min(...xs)), Math.trunc(Math.min(...ys)),
      Math.ceil(Math.max(...xs)), Math.ceil(Math.max(...ys)),
    ];
  });
}
