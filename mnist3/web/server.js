"use strict";
// Reads and saves by asking the server that the page comes from, see page.js.
(() => {
  async function answer(path, options) {
    const sent = await fetch(path, options).catch(() => {
      throw new Error("the server does not answer; start it again.");
    });
    const fields = await sent.json().catch(() => {
      throw new Error(`the server says ${sent.status}; look at what it prints.`);
    });
    // What is no picture is refused with all fields of a reading.
    if (!sent.ok && !("number" in fields)) throw new Error(fields.error);
    return fields;
  }

  const fileOf = ({ canvas, blob }) =>
    (canvas ? new Promise((done) => canvas.toBlob(done)) : blob);

  globalThis.mnist3Reader = {
    about: () => answer("healthz"),
    read: async (source, signal, withMaps) => {
      const asked = `read?views=1&maps=${Number(withMaps)}`;
      return answer(asked, { method: "POST", body: await fileOf(source), signal });
    },
    save: async (source, number) => {
      const form = new FormData();
      form.append("image", await fileOf(source), "drawing.png");
      form.append("number", number);
      return answer("drawings", { method: "POST", body: form });
    },
  };
})();
