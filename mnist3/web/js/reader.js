// The page's reader without a server: the network that stands in the page itself, see
// mnist3/export/page.py, and the browser's own decoders of picture files.

import { median, roundToEven } from "./arrays.js";
import { nothing, readerOf } from "./reading.js";
import { channelOf, reducedBy } from "./scaling.js";
import { fitting } from "./whole.js";

const LARGEST_SIDE = 1600; // px; a larger picture shows no more
const MOST_PIXELS = 64e6; // of a picture
const PNG_COLOUR = 25; // place of the byte that says how a PNG file holds colours
const WITH_ALPHA = [4, 6];

// ---- from a file to a picture

async function decoded(blob) {
  const image = await createImageBitmap(blob, {
    imageOrientation: "from-image", premultiplyAlpha: "none", colorSpaceConversion: "none",
  });
  const { width, height } = image;
  if (width * height > MOST_PIXELS) {
    throw new RangeError(
      `has ${Math.round((width * height) / 1e6)} megapixels, and at most ${MOST_PIXELS / 1e6} are `
        + "read; scale it down",
    );
  }
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [width, height];
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0);
  return context.getImageData(0, 0, width, height);
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

// {height, width, channels, data, scale}, see reading.js. `least` gives the width and the height
// that are enough, and a JPEG file is read at a fraction of its size that is no smaller.
async function pictureOf(blob, least, largest) {
  const { width, height, data } = await decoded(blob);
  const colours = { height, width, channels: 3, data: new Uint8Array(3 * width * height) };
  let isGrey = true;
  for (let from = 0, to = 0; from < data.length; from += 4, to += 3) {
    const [red, green, blue] = [data[from], data[from + 1], data[from + 2]];
    colours.data[to] = red;
    colours.data[to + 1] = green;
    colours.data[to + 2] = blue;
    if (red !== green || green !== blue) isGrey = false;
  }
  let picture = colours;
  if (await mayBeTransparent(blob, data)) picture = withoutTransparency(colours, data);
  else if (isGrey) picture = channelOf(colours, "R");
  if (blob.type === "image/jpeg") {
    const enough = least(width, height);
    const fraction = Math.min(Math.floor(width / enough[0]), Math.floor(height / enough[1]));
    picture = reducedBy(picture, [8, 4, 2, 1].find((each) => fraction >= each) ?? 1);
  }
  if (Math.max(picture.height, picture.width) > largest) {
    picture = fitting(picture, largest, largest);
  }
  return { ...picture, scale: Math.max(width / picture.width, 1) };
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

// ---- from pixels to a file

function canvasOf({ height, width, data }) {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [width, height];
  const context = canvas.getContext("2d");
  const image = context.createImageData(width, height);
  data.forEach((value, n) => image.data.set([value, value, value, 255], 4 * n));
  context.putImageData(image, 0, 0);
  return canvas;
}

async function asPng(blob) {
  if (blob.type === "image/png") return blob;
  const image = await createImageBitmap(blob);
  const share = Math.min(1, LARGEST_SIDE / Math.max(image.width, image.height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(share * image.width));
  canvas.height = Math.max(1, Math.round(share * image.height));
  canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
  return new Promise((done) => canvas.toBlob(done, "image/png"));
}

// ---- the page's reader, see page.js

const bytesOf = (text) => Uint8Array.from(atob(text), (each) => each.charCodeAt(0)).buffer;

function pageReader(network, weights) {
  const read = readerOf(network, weights);
  const [least, largest] = sizesFor(network);
  let saved = 0;
  return {
    about: async () => network.about,
    read: async (blob, signal, withMaps = false) => {
      let picture;
      try {
        picture = await pictureOf(blob, least, largest);
      } catch (error) {
        const isLarge = error instanceof RangeError;
        return nothing(isLarge ? error.message : "this browser cannot read the file as a picture");
      }
      const fields = read(picture, withMaps);
      return {
        ...fields,
        view: fields.view && canvasOf(fields.view).toDataURL(),
        maps: fields.maps.map((each) => ({ ...each, image: canvasOf(each.image).toDataURL() })),
      };
    },
    save: async (blob, number) => {
      const link = document.createElement("a");
      link.href = URL.createObjectURL(await asPng(blob));
      saved += 1;
      const name = ["drawing", String(saved).padStart(4, "0"), number.replace(/\s+/g, "_")];
      link.download = `${name.join("-")}.png`;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 10000);
      return { file: link.download };
    },
  };
}

const [described, content] = ["network", "weights"].map(
  (id) => document.getElementById(id).textContent,
);
globalThis.mnist3Reader = pageReader(JSON.parse(described), bytesOf(content));
