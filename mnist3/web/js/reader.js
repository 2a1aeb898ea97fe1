// Reads pictures as a browser has them: the canvas of a drawing, or a file, by the browser's own
// decoders. It needs no page, so that a worker can do it.

import { median, roundToEven } from "./arrays.js";
import { nothing, readerOf } from "./reading.js";
import { channelOf, reducedBy } from "./scaling.js";
import { fitting } from "./whole.js";

const LARGEST_SIDE = 1600; // px; a larger picture shows no more
const MOST_PIXELS = 64e6; // of a picture
const MOST_AT_ONCE = 16e6; // pixels of a canvas; those of iOS hold no more
const PNG_COLOUR = 25; // place of the byte that says how a PNG file holds colours
const WITH_ALPHA = [4, 6];

// ---- from a file to a picture

// The pixels of a file, of a large one made smaller by the browser; null of what is no picture to it.
async function decoded(blob, width, height) {
  const share = Math.min(1, Math.sqrt(MOST_AT_ONCE / (width * height)));
  const [resizeWidth, resizeHeight] = [width, height].map((side) => Math.floor(share * side));
  const smaller = share < 1 ? { resizeWidth, resizeHeight, resizeQuality: "high" } : {};
  const image = await createImageBitmap(blob, {
    imageOrientation: "from-image", premultiplyAlpha: "none", colorSpaceConversion: "none",
    ...smaller,
  }).catch(() => null);
  if (!image) return null;
  const canvas = new OffscreenCanvas(image.width, image.height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0);
  image.close();
  return context.getImageData(0, 0, canvas.width, canvas.height);
}

// Whether a file may hold transparency, seen or not: as Pillow it is then read as brightness.
async function mayBeTransparent(blob, data) {
  for (let at = 3; at < data.length; at += 4) if (data[at] < 255) return true;
  const start = new Uint8Array(await blob.slice(0, PNG_COLOUR + 1).arrayBuffer());
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
// there is its ImageData, of a file its size. `least` gives the width and the height that are enough,
// and a JPEG file is read at a fraction of its size that is no smaller.
async function pictureOf({ image, blob, width, height }, least, largest) {
  const pixels = image ?? (await decoded(blob, width, height));
  if (!pixels) return null;
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
  if (blob && (await mayBeTransparent(blob, data))) picture = withoutTransparency(colours, data);
  else if (isGrey) picture = channelOf(colours, "R");
  if (blob?.type === "image/jpeg") {
    const enough = least(width, height);
    const fraction = Math.min(Math.floor(size.width / enough[0]), Math.floor(size.height / enough[1]));
    picture = reducedBy(picture, [8, 4, 2, 1].find((each) => fraction >= each) ?? 1);
  }
  if (Math.max(picture.height, picture.width) > largest) {
    picture = fitting(picture, largest, largest);
  }
  return { ...picture, scale: Math.max((blob ? width : size.width) / picture.width, 1) };
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

// Returns what reads a source, {image} of a drawing or {blob, width, height} of a file, as `readerOf`
// reads pictures.
export function fileReader(network, weights) {
  const read = readerOf(network, weights);
  const [least, largest] = sizesFor(network);
  return async (source, withMaps) => {
    const pixels = source.width * source.height;
    if (pixels > MOST_PIXELS) {
      const [found, most] = [pixels, MOST_PIXELS].map((each) => Math.round(each / 1e6));
      return nothing(`has ${found} megapixels, and at most ${most} are read; scale it down`);
    }
    const picture = await pictureOf(source, least, largest);
    if (!picture) return nothing("this browser cannot read the file as a picture");
    return read(picture, withMaps);
  };
}
