"use strict";
// Reads without a server, see page.js: in a worker beside the page, by the network that stands in the
// page itself, see mnist3/export/page.py.
(() => {
  const textOf = (id) => document.getElementById(id).textContent;
  const bytesOf = (text) => Uint8Array.from(atob(text), (each) => each.charCodeAt(0)).buffer;
  const MOST_AT_ONCE = 16e6; // pixels of a canvas; those of iOS hold no more
  const START = 32; // bytes at which a kind of file tells what it holds
  const network = JSON.parse(textOf("network"));
  let worker = null;

  function begun() {
    const program = new Blob([textOf("program")], { type: "text/javascript" });
    const found = new Worker(URL.createObjectURL(program));
    found.postMessage({ network, weights: bytesOf(textOf("weights")) });
    return found;
  }

  function ended() {
    worker?.terminate();
    worker = null;
  }

  function urlOf({ height, width, data }) {
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [width, height];
    const context = canvas.getContext("2d");
    const image = context.createImageData(width, height);
    const pixels = new Uint32Array(image.data.buffer);
    data.forEach((value, n) => {
      pixels[n] = 0xff000000 | (value * 0x010101);
    });
    context.putImageData(image, 0, 0);
    return canvas.toDataURL();
  }

  // {bitmap, start, type} of a file: its pixels, of a large one made smaller; null of what is no picture
  // to the browser, and of one that is too large to be shown. It is decoded here, since in WebKit a
  // worker of a page from the disk cannot read a file.
  async function opened({ blob, width, height, isShown = true }) {
    const share = Math.min(1, Math.sqrt(MOST_AT_ONCE / (width * height)));
    const [resizeWidth, resizeHeight] = [width, height].map((side) => Math.floor(share * side));
    const smaller = share < 1 ? { resizeWidth, resizeHeight, resizeQuality: "high" } : {};
    const bitmap = isShown
      ? await createImageBitmap(blob, {
        imageOrientation: "from-image", premultiplyAlpha: "none", colorSpaceConversion: "none",
        ...smaller,
      }).catch(() => null)
      : null;
    const start = new Uint8Array(await blob.slice(0, START).arrayBuffer());
    return { bitmap, start, type: blob.type };
  }

  const asked = (source, signal, withMaps) => new Promise((done, failed) => {
    worker ??= begun();
    worker.onmessage = ({ data }) => (data.fields ? done(data.fields) : failed(data.fault));
    worker.onerror = (event) => failed(event.message);
    signal?.addEventListener("abort", () => {
      ended();
      failed("given up");
    });
    const bitmap = source.file?.bitmap;
    worker.postMessage({ source, withMaps }, bitmap ? [bitmap] : []);
  });

  globalThis.mnist3Reader = {
    about: async () => network.about,
    opened,
    // One at a time.
    read: async (source, signal, withMaps = false) => {
      try {
        const { canvas, blob, width, height } = source;
        const image = canvas?.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
        const file = blob && (await opened(source));
        if (signal?.aborted) throw new Error("given up");
        const fields = await asked({ image, file, width, height }, signal, withMaps);
        return {
          ...fields,
          view: fields.view && urlOf(fields.view),
          maps: fields.maps.map((each) => ({ ...each, image: urlOf(each.image) })),
        };
      } catch (error) {
        ended();
        throw new Error(
          `this browser cannot read it (${error.message ?? error}); open the page in one of 2023 `
            + "or newer.",
        );
      }
    },
  };
})();
