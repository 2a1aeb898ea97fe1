// Reads pictures as a browser has them: the canvas of a drawing, or a file that it has decoded, see
// mnist3/web/offline.js. It needs no page, so that a worker can do it.

import { median, roundToEven } from "./arrays.js";
import { nothing, readerOf } from "./reading.js";
import { channelOf, reducedBy } from "./scaling.js";
import { fitting } from "./whole.js";

const LARGEST_SIDE = 1600; // px; a larger picture shows no more
const MOST_PIXELS = 64e6; // of a picture
const PNG_COLOUR = 25; // place of the byte that says how a PNG file holds colours
const WITH_ALPHA = [4, 6];

// ---- from a file to a picture

// The pixels of a file.
function decodedPixels(bitmap) {
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  return context.getImageData(0, 0, canvas.width, canvas.height);
}

// Whether a file may hold transparency, seen or not: as Pillow it is then read as brightness.
function mayBeTransparent(start, data) {
  for (let at = 3; at < data.length; at += 4) if (data[at] < 255) return true;
  return start[1] === 0x50 && start[2] === 0x4e && WITH_ALPHA.includes(start[PNG_COLOUR]);
}

// The brightness of a picture with paper where there was transparency, as in mnist3/data/images.py:
// if more than half is transparent, what can be seen is the ink, and the paper contrasts with it.
function withoutTransparency(colours, data) {
  const grey = channelOf(colours, "L");
  const opacity = Float64Array.from(grey.data, (_, n) => data[4 * n + 3] / 255);
  const seen = opacity.reduce((total, share) => total + share, 0);
  let paper;
  if (seen / opacity.length < 0.5) {
    const visible = grey.data.reduce((total, value, n) => total + value * opacity[n], 0);
    paper = visible / Math.max(seen, 1) >= 128 ? 0 : 255;
  } else {
    paper = median(grey.data.filter((_, n) => opacity[n] >= 0.5));
  }
  return {
    ...grey,
    data: grey.data.map((value, n) => roundToEven(value * opacity[n] + paper * (1 - opacity[n]))),
  };
}

// {height, width, channels, data, scale}, see reading.js; null of what is no picture. Of a drawing
// there is its ImageData, of a file what was decoded, see offline.js. `least` gives the width and the
// height that are enough, and a JPEG file is read at a fraction of its size that is no smaller.
function pictureOf({ image, file, width, height }, least, largest) {
  if (!image && !file.bitmap) return null;
  const pixels = image ?? decodedPixels(file.bitmap);
  const { data } = pixels;
  const size = { height: pixels.height, width: pixels.width };
  const colours = { ...size, channels: 3, data: new Uint8Array((data.length / 4) * 3) };
  let isGrey = true;
  for (let from = 0, to = 0; from < data.length; from += 4, to += 3) {
    const [red, green, blue] = [data[from], data[from + 1], data[from + 2]];
    colours.data[to] = red;
    colours.data[to + 1] = green;
    colours.data[to + 2] = blue;
    if (red !== green || green !== blue) isGrey = false;
  }
  let picture = colours;
  if (file && mayBeTransparent(file.start, data)) picture = withoutTransparency(colours, data);
  else if (isGrey) picture = channelOf(colours, "R");
  if (file?.type === "image/jpeg") {
    const enough = least(width, height);
    const fraction = Math.min(Math.floor(size.width / enough[0]), Math.floor(size.height / enough[1]));
    picture = reducedBy(picture, [8, 4, 2, 1].find((each) => fraction >= each) ?? 1);
  }
  if (Math.max(picture.height, picture.width) > largest) {
    picture = fitting(picture, largest, largest);
  }
  return { ...picture, scale: Math.max((file ? width : size.width) / picture.width, 1) };
}

// What `pictureOf` is told for a network that reads lines, and for one of whole pictures.
function sizesFor(network) {
  if (network.about.lines) {
    const least = (width, height) => {
      const share = Math.min(1, LARGEST_SIDE / Math.max(width, height));
      return [width, height].map((side) => Math.max(1, Math.trunc(share * side)));
    };
    return [least, LARGEST_SIDE];
  }
  const twice = 2 * Math.max(network.height, ...Object.keys(network.programs).map(Number));
  return [() => [twice, twice], Infinity];
}

// Returns what reads a source, {image} of a drawing or {file, width, height}, as `readerOf` reads
// pictures.
export function fileReader(network, weights) {
  const read = readerOf(network, weights);
  const [least, largest] = sizesFor(network);
  return (source, withMaps) => {
    const pixels = source.width * source.height;
    if (pixels > MOST_PIXELS) {
      const [found, most] = [pixels, MOST_PIXELS].map((each) => Math.round(each / 1e6));
      return nothing(`has ${found} megapixels, and at most ${most} are read; scale it down`);
    }
    const picture = pictureOf(source, least, largest);
    if (!picture) return nothing("this browser cannot read the file as a picture");
    return read(picture, withMaps);
  };
}
