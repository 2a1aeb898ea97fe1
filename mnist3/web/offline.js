"use strict";
// Reads without a server, see page.js: in a worker beside the page, by the network that stands in the
// page itself, see mnist3/export/page.py.
(() => {
  const textOf = (id) => document.getElementById(id).textContent;
  const bytesOf = (text) => Uint8Array.from(atob(text), (each) => each.charCodeAt(0)).buffer;
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

  const asked = (source, signal, withMaps) => new Promise((done, failed) => {
    worker ??= begun();
    worker.onmessage = ({ data }) => (data.fields ? done(data.fields) : failed(data.fault));
    worker.onerror = (event) => failed(event.message);
    signal?.addEventListener("abort", () => {
      ended();
      failed("given up");
    });
    worker.postMessage({ source, withMaps });
  });

  globalThis.mnist3Reader = {
    about: async () => network.about,
    // One at a time.
    read: async ({ canvas, blob, width, height }, signal, withMaps = false) => {
      try {
        const image = canvas?.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
        const fields = await asked({ image, blob, width, height }, signal, withMaps);
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
