"use strict";
// Draws, shows and saves; what reads is the object `reader`, which a page without a server can
// define before this script, as `globalThis.mnist3Reader`:
//   about() -> promise of {classes, digits, once, saves, maps}; `saving` says what becomes of a
//     picture, if that is not what the page says
//   read(picture: Blob, signal, withMaps) -> promise of the fields of POST /read?views=1, and maps=1
//   save(picture: Blob, number) -> promise of {file}; only where `saves` is true
(() => {
  const LARGEST = 640; // px of the picture that is made of a drawing
  const LARGEST_SAVED = 1600; // px of a saved picture
  const PAUSE = 120; // ms between a stroke and its reading
  const QUIET = 700; // ms without a change until a number is announced
  const STEP = 10; // px that an arrow key moves the pen

  const server = {
    about: async () => answer(await fetch("healthz")),
    read: async (picture, signal, withMaps) => {
      const asked = `read?views=1&maps=${Number(withMaps)}`;
      const sent = await fetch(asked, { method: "POST", body: picture, signal });
      return sent.status === 422 ? sent.json() : answer(sent);
    },
    save: async (picture, number) => {
      const form = new FormData();
      form.append("image", picture, "drawing.png");
      form.append("number", number);
      return answer(await fetch("drawings", { method: "POST", body: form }));
    },
  };
  const reader = globalThis.mnist3Reader ?? server;

  async function answer(sent) {
    const fields = await sent.json().catch(() => ({ error: `the server says ${sent.status}.` }));
    if (!sent.ok) throw new Error(fields.error);
    return fields;
  }

  const $ = (id) => document.getElementById(id);
  const canvas = $("canvas");
  const paper = $("paper");
  const pen = canvas.getContext("2d");

  // What is on the paper: strokes of [x, y] in px of the paper, or a picture. Never changed, only
  // replaced, so that undo and redo are steps between them.
  const EMPTY = { strokes: [], picture: null };
  let history = [EMPTY];
  let now = 0;
  let stroke = null; // while it is drawn
  let reading = null; // {fields, toPaper} of what is on the paper
  let about = { classes: [..."0123456789"], saves: false, once: false, maps: false };
  let cursor = null; // of the keyboard: {x, y, down}

  const sheet = () => history[now];
  const drawn = () => (stroke ? [...sheet().strokes, stroke] : sheet().strokes);
  const isEmpty = () => !sheet().picture && drawn().length === 0;

  function change(next) {
    history = [...history.slice(0, now + 1), next];
    now += 1;
    changed();
  }

  function step(by) {
    const to = Math.min(Math.max(now + by, 0), history.length - 1);
    if (to === now) return;
    now = to;
    cursor = cursor && { ...cursor, down: false };
    changed();
  }

  function changed() {
    if (!stroke) reading = null;
    $("undo").disabled = now === 0;
    $("redo").disabled = now === history.length - 1;
    $("clear").disabled = isEmpty();
    $("hint").hidden = !isEmpty();
    $("keep").disabled = isEmpty();
    draw();
    schedule();
  }

  // ---- drawing on the screen

  const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name);
  const penWidth = () => Math.max(5, Math.min(canvas.clientHeight, canvas.clientWidth) / 38);

  // Strokes that were drawn on a larger paper, before a phone was turned, are shown smaller.
  function scaleOf(strokes) {
    let right = 1;
    let bottom = 1;
    for (const line of strokes) {
      for (const [x, y] of line) {
        right = Math.max(right, x + 4);
        bottom = Math.max(bottom, y + 4);
      }
    }
    return Math.min(1, canvas.clientWidth / right, canvas.clientHeight / bottom);
  }

  function placeOf(image) {
    const scale = Math.min(canvas.clientWidth / image.width, canvas.clientHeight / image.height, 4);
    const left = (canvas.clientWidth - scale * image.width) / 2;
    return { scale, left, top: (canvas.clientHeight - scale * image.height) / 2 };
  }

  function draw() {
    const ratio = devicePixelRatio || 1;
    const size = [canvas.clientWidth * ratio, canvas.clientHeight * ratio].map(Math.round);
    if (canvas.width !== size[0] || canvas.height !== size[1]) [canvas.width, canvas.height] = size;
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, canvas.clientWidth, canvas.clientHeight);
    const { picture } = sheet();
    const scale = scaleOf(drawn());
    if (picture && !stroke) {
      const { scale, left, top } = placeOf(picture.image);
      pen.drawImage(
        picture.image, left, top, scale * picture.image.width, scale * picture.image.height,
      );
    } else {
      pen.save();
      pen.scale(scale, scale);
      inked(pen, stroke && picture ? [stroke] : drawn(), penWidth(), color("--ink"));
      pen.restore();
    }
    if (reading) marked(reading, picture ? 1 : scale);
    if (cursor && document.activeElement === canvas) crossed(scale);
  }

  function inked(context, strokes, width, ink) {
    context.lineCap = context.lineJoin = "round";
    context.lineWidth = width;
    context.strokeStyle = ink;
    for (const points of strokes) {
      context.beginPath();
      context.moveTo(...points[0]);
      if (points.length === 1) context.lineTo(points[0][0] + 0.01, points[0][1]);
      for (let n = 1; n < points.length - 1; n += 1) {
        const [x, y] = points[n];
        context.quadraticCurveTo(x, y, (x + points[n + 1][0]) / 2, (y + points[n + 1][1]) / 2);
      }
      if (points.length > 1) context.lineTo(...points[points.length - 1]);
      context.stroke();
    }
  }

  function marked({ fields, toPaper }, scale) {
    const names = parts(fields.number);
    pen.font = "600 14px system-ui, sans-serif";
    pen.textBaseline = "bottom";
    pen.textAlign = "center";
    fields.spans.forEach((span, n) => {
      const [left, top] = toPaper(span[0], span[1]).map((each) => each * scale);
      const [right, bottom] = toPaper(span[2], span[3]).map((each) => each * scale);
      pen.strokeStyle = pen.fillStyle = color(doubtful(fields, n) ? "--warn" : "--accent");
      pen.lineWidth = 1.5;
      pen.setLineDash(doubtful(fields, n) ? [5, 4] : []);
      const pad = 5;
      pen.strokeRect(left - pad, top - pad, right - left + 2 * pad, bottom - top + 2 * pad);
      pen.setLineDash([]);
      const label = `${names[n]} ${percent(fields.confidences[n])}`;
      const middle = (left + right) / 2;
      const above = top - pad - 3;
      const y = above > 18 ? above : Math.min(bottom + pad + 19, canvas.clientHeight - 2);
      const half = pen.measureText(label).width / 2 + 3;
      const x = Math.min(Math.max(middle, half), canvas.clientWidth - half);
      const narrow = right - left + 2 * pad < 2 * half - 6;
      const text = narrow ? names[n] : label;
      if (sheet().picture) {
        const wide = pen.measureText(text).width / 2 + 4;
        pen.fillRect(x - wide, y - 18, 2 * wide, 19);
        pen.fillStyle = color("--on-accent");
      }
      pen.fillText(text, x, y);
    });
  }

  function crossed(scale) {
    const [x, y] = [cursor.x * scale, cursor.y * scale];
    pen.strokeStyle = color("--accent");
    pen.lineWidth = cursor.down ? 3 : 1.5;
    pen.beginPath();
    pen.arc(x, y, 9, 0, 7);
    for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
      pen.moveTo(x + 5 * dx, y + 5 * dy);
      pen.lineTo(x + 14 * dx, y + 14 * dy);
    }
    pen.stroke();
  }

  // ---- pictures of what is on the paper

  function blobOf(surface, type = "image/png") {
    return new Promise((done) => surface.toBlob(done, type));
  }

  // Dark on light whatever the page looks like, cut to the ink with a margin.
  async function pictureOf(strokes) {
    const points = strokes.flat();
    const xs = points.map(([x]) => x);
    const ys = points.map(([, y]) => y);
    const width = penWidth();
    const [left, right] = [minimum(xs), maximum(xs)];
    const [top, bottom] = [minimum(ys), maximum(ys)];
    const margin = width + Math.max(0.2 * (bottom - top), 12);
    const [x0, y0] = [left - margin, top - margin];
    const [w, h] = [right - left + 2 * margin, bottom - top + 2 * margin];
    const scale = Math.min(LARGEST / Math.max(w, h), 2);
    const surface = document.createElement("canvas");
    surface.width = Math.max(1, Math.round(scale * w));
    surface.height = Math.max(1, Math.round(scale * h));
    const context = surface.getContext("2d");
    context.fillStyle = "#fff";
    context.fillRect(0, 0, surface.width, surface.height);
    context.scale(scale, scale);
    context.translate(-x0, -y0);
    inked(context, strokes, width, "#000");
    return { blob: await blobOf(surface), toPaper: (x, y) => [x0 + x / scale, y0 + y / scale] };
  }

  const minimum = (values) => values.reduce((a, b) => Math.min(a, b));
  const maximum = (values) => values.reduce((a, b) => Math.max(a, b));

  async function shown() {
    const { picture } = sheet();
    if (!picture || stroke) {
      return pictureOf(picture ? [stroke] : drawn());
    }
    return {
      blob: picture.blob,
      toPaper: (x, y) => {
        const { scale, left, top } = placeOf(picture.image);
        return [left + scale * x, top + scale * y];
      },
    };
  }

  async function take(blob) {
    if (!blob) return;
    let image;
    let isShown = true;
    try {
      image = await createImageBitmap(blob);
    } catch {
      isShown = false;
      // The server may know kinds of pictures that the browser does not show.
      image = document.createElement("canvas");
      [image.width, image.height] = [320, 120];
      const context = image.getContext("2d");
      context.fillStyle = "#8885";
      context.fillRect(0, 0, 320, 120);
      context.fillStyle = color("--text");
      context.font = "14px system-ui, sans-serif";
      context.textAlign = "center";
      context.fillText("This browser cannot show the picture", 160, 64);
    }
    cursor = null;
    change({ strokes: [], picture: { blob, image, isShown } });
  }

  // ---- reading

  let timer = 0;
  let running = null; // AbortController of the request under way
  let again = false; // something has changed since it was sent
  let quiet = 0;

  function schedule() {
    clearTimeout(quiet);
    if (isEmpty()) {
      clearTimeout(timer);
      timer = 0;
      again = false;
      running?.abort();
      show(null);
      return;
    }
    if (running) {
      again = true;
      if (sheet().picture) running.abort();
    } else if (!timer) {
      timer = setTimeout(read, PAUSE);
    }
  }

  async function read() {
    timer = 0;
    again = false;
    const own = new AbortController();
    running = own;
    const of = sheet();
    try {
      const { blob, toPaper } = await shown();
      if (!blob.size) throw new Error("The file is empty; choose another.");
      const fields = await reader.read(blob, own.signal, $("maps").open);
      // A newer drawing is on its way, but what grew since is still well described by this.
      if (!own.signal.aborted && (sheet() === of || !sheet().picture) && !isEmpty()) {
        reading = { fields, toPaper };
        show(fields);
      }
    } catch (error) {
      if (!own.signal.aborted) {
        const lost = error instanceof TypeError;
        show({
          number: "", confidences: [], spans: [],
          error: lost ? "The server does not answer; start it again." : error.message,
        });
        reading = null;
        draw();
      }
    } finally {
      if (running === own) running = null;
      if (again && !isEmpty() && !timer) timer = setTimeout(read, 0);
    }
  }

  const parts = (number) =>
    about.classes.every((name) => name.length === 1) ? [...number] : number.split(" ");
  const percent = (share) => {
    const rounded = Math.min(Math.floor(share * 1000) / 10, 99.9); // nothing is certain
    return `${rounded.toFixed(rounded < 99 ? 0 : 1)} %`;
  };
  const doubtful = (fields, n) => fields.sure === false && fields.confidences[n] < 0.99;

  function show(fields) {
    const number = $("number");
    const verdict = $("verdict");
    const seen = $("seen");
    $("digits").replaceChildren();
    seen.hidden = !fields?.view;
    $("maps").hidden = !about.maps || !fields?.view;
    showMaps(fields?.maps ?? []);
    verdict.className = "verdict";
    number.replaceChildren();
    number.className = "number";
    if (!fields || !fields.number) {
      const none = document.createElement("span");
      none.className = "none";
      none.textContent = "–";
      number.append(none);
      verdict.textContent = !fields
        ? "Nothing is written yet."
        : fields.error ? sentence(fields.error) : "The network sees no digit.";
      if (fields) verdict.classList.add("unsure");
      if (fields?.view) $("view").src = fields.view;
      if (fields) announce(verdict.textContent);
      draw();
      return;
    }
    const names = parts(fields.number);
    number.classList.toggle("long", names.length > 7);
    names.forEach((name, n) => {
      const unclear = doubtful(fields, n);
      const span = document.createElement("span");
      span.textContent = name;
      if (unclear) span.className = "doubtful";
      number.append(span);
      const share = fields.confidences[n];
      if (share === undefined) return;
      const item = document.createElement("li");
      if (unclear) item.className = "doubtful";
      const digit = document.createElement("b");
      digit.textContent = name;
      const text = document.createElement("span");
      text.textContent = percent(share);
      const bar = document.createElement("meter");
      Object.assign(bar, { min: 0, max: 1, high: 0.9, optimum: 1, value: share });
      bar.setAttribute("aria-hidden", "true");
      item.append(digit, text, bar);
      $("digits").append(item);
    });
    const whole = fields.confidence === null ? "" : `, ${percent(fields.confidence)}`;
    if (fields.sure === null) {
      verdict.textContent = `Read${whole}; how far to rely on it is not known.`;
    } else if (fields.sure) {
      verdict.textContent = `Sure${whole}`;
      verdict.classList.add("sure");
    } else {
      verdict.textContent = `Not sure${whole}: check it.`;
      verdict.classList.add("unsure");
    }
    if (fields.view) $("view").src = fields.view;
    announce(`${names.join(" ")}. ${verdict.textContent}`);
    draw();
  }

  // ---- feature maps, while they are asked for

  $("maps").addEventListener("toggle", () => {
    if ($("maps").open) schedule();
    else showMaps([]);
  });

  let shownMaps = 0; // how often, so that of two drawings the later is shown

  async function showMaps(maps) {
    shownMaps += 1;
    const own = shownMaps;
    const figures = await Promise.all(maps.map(figureOf));
    if (own === shownMaps) $("layers").replaceChildren(...figures);
  }

  // A layer's maps, which come one below the other, side by side; those of one row are the rows of
  // one picture.
  async function figureOf({ layer, rows, columns, channels, image }) {
    const sheet = new Image();
    sheet.src = image;
    await sheet.decode();
    const gap = rows > 1 ? 1 : 0;
    const room = $("seen").clientWidth || 300;
    const larger = Math.min(Math.max(Math.round(40 / columns), 1), 3);
    const most = gap ? Math.max(1, Math.floor(room / larger / (columns + gap))) : 1;
    const across = Math.ceil(channels / Math.ceil(channels / most)); // rows of one length
    const surface = document.createElement("canvas");
    surface.width = across * (columns + gap) - gap;
    surface.height = Math.ceil(channels / across) * (rows + gap) - gap;
    const context = surface.getContext("2d", { willReadFrequently: true });
    let responding = 0;
    for (let n = 0; n < channels; n += 1) {
      const place = [(n % across) * (columns + gap), Math.floor(n / across) * (rows + gap)];
      context.drawImage(sheet, 0, n * rows, columns, rows, ...place, columns, rows);
      const { data } = context.getImageData(...place, columns, rows);
      if (data.some((value, at) => value > 0 && at % 4 === 0)) responding += 1;
    }
    surface.style.width = `${gap ? larger * surface.width : room}px`;
    if (!gap) surface.style.height = `${surface.height}px`;
    const what = `${channels} maps of ${rows} by ${columns}`;
    surface.setAttribute("role", "img");
    surface.setAttribute("aria-label", `Layer ${layer}: ${what}, ${responding} of them respond`);
    const caption = document.createElement("figcaption");
    caption.textContent = `${layer}: ${what}`;
    const found = document.createElement("figure");
    found.append(caption, surface);
    return found;
  }

  $("view").addEventListener("load", () => {
    const view = $("view");
    const room = $("seen").clientWidth / view.naturalWidth;
    view.width = view.naturalWidth * Math.min(Math.max(1, Math.floor(room)), 3);
  });

  const sentence = (text) =>
    text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? "" : ".");

  function announce(text) {
    clearTimeout(quiet);
    quiet = setTimeout(() => {
      $("spoken").textContent = text;
    }, QUIET);
  }

  // ---- pointers: mouse, pen and finger

  const at = (event) => {
    const box = canvas.getBoundingClientRect();
    const scale = scaleOf(drawn());
    return [event.clientX - box.left, event.clientY - box.top].map(
      (each) => Math.round((each / scale) * 10) / 10,
    );
  };

  canvas.addEventListener("pointerdown", (event) => {
    if (stroke || event.button !== 0 || !event.isPrimary) return;
    event.preventDefault();
    canvas.classList.add("pointed"); // who points needs no ring of the focus
    canvas.focus({ preventScroll: true });
    canvas.setPointerCapture(event.pointerId);
    cursor = null;
    stroke = [at(event)];
    changed();
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!stroke || !event.isPrimary || !canvas.hasPointerCapture(event.pointerId)) return;
    const events = event.getCoalescedEvents?.() ?? [];
    for (const each of events.length ? events : [event]) stroke.push(at(each));
    changed();
  });
  const lift = (event) => {
    if (!stroke || !event.isPrimary) return;
    ended(stroke);
  };
  canvas.addEventListener("pointerup", lift);
  canvas.addEventListener("pointercancel", lift);

  function ended(line) {
    stroke = null;
    change({ strokes: [...sheet().strokes, line], picture: null });
  }

  // ---- keyboard

  canvas.addEventListener("keydown", (event) => {
    canvas.classList.remove("pointed");
    const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    cursor ??= { x: canvas.clientWidth / 4, y: canvas.clientHeight / 3, down: false };
    if (way[event.key]) {
      const by = STEP * (event.shiftKey ? 4 : 1);
      cursor.x = Math.min(Math.max(cursor.x + by * way[event.key][0], 4), canvas.clientWidth - 4);
      cursor.y = Math.min(Math.max(cursor.y + by * way[event.key][1], 4), canvas.clientHeight - 4);
      if (cursor.down) {
        stroke.push([cursor.x, cursor.y]);
        changed();
      }
      draw();
    } else if (event.key === " ") {
      cursor.down = !cursor.down;
      if (cursor.down) {
        stroke = [[cursor.x, cursor.y]];
        changed();
      } else {
        ended(stroke);
      }
      announce(cursor.down ? "Pen down" : "Pen up");
    } else {
      return;
    }
    event.preventDefault();
  });
  canvas.addEventListener("blur", () => {
    canvas.classList.remove("pointed");
    if (cursor?.down && stroke) {
      cursor.down = false;
      ended(stroke);
    }
    draw();
  });
  canvas.addEventListener("focus", () => draw());

  function act(name) {
    if (stroke) ended(stroke);
    if (cursor) cursor.down = false;
    if (name === "undo") step(-1);
    else if (name === "redo") step(1);
    else if (name === "clear" && !isEmpty()) change(EMPTY);
  }

  document.addEventListener("keydown", (event) => {
    if (event.target instanceof HTMLInputElement) return;
    const key = event.key.toLowerCase();
    const command = event.ctrlKey || event.metaKey;
    if (command && key === "z") act(event.shiftKey ? "redo" : "undo");
    else if (command && key === "y") act("redo");
    else if (!command && key === "delete") act("clear");
    else if (!command && !event.altKey && key === "o") $("file").click();
    else return;
    event.preventDefault();
  });
  for (const name of ["undo", "redo", "clear"]) {
    $(name).addEventListener("click", () => act(name));
  }

  // ---- pictures: chosen, photographed, pasted, dropped

  $("choose").addEventListener("click", () => $("file").click());
  $("photograph").addEventListener("click", () => $("camera").click());
  for (const id of ["file", "camera"]) {
    $(id).addEventListener("change", (event) => {
      take(event.target.files[0]);
      event.target.value = "";
    });
  }
  const pictureIn = (data) => [...(data?.files ?? [])].find((each) => each.type.startsWith("image/"));
  document.addEventListener("paste", (event) => {
    const found = pictureIn(event.clipboardData);
    if (!found) return;
    event.preventDefault();
    take(found);
  });
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    paper.classList.add("over");
  });
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) paper.classList.remove("over");
  });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    paper.classList.remove("over");
    const file = pictureIn(event.dataTransfer) ?? event.dataTransfer?.files[0];
    if (file) take(file);
    else say("No picture was dropped; drop a file.");
  });

  // ---- saving

  let kept = []; // rows of the labels.csv that is downloaded
  const say = (text) => {
    $("saved").textContent = text;
  };

  async function savedBlob() {
    const { picture } = sheet();
    if (!picture || about.saves) return (await shown()).blob;
    const { image, isShown } = picture;
    if (!isShown) throw new Error("This browser cannot show the picture, and so cannot save it.");
    const scale = Math.min(1, LARGEST_SAVED / Math.max(image.width, image.height));
    const surface = document.createElement("canvas");
    surface.width = Math.round(scale * image.width);
    surface.height = Math.round(scale * image.height);
    surface.getContext("2d").drawImage(image, 0, 0, surface.width, surface.height);
    return blobOf(surface);
  }

  function download(blob, name) {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  }

  $("save").addEventListener("submit", async (event) => {
    event.preventDefault();
    const number = $("truth").value.trim();
    if (isEmpty()) {
      say("Nothing is written yet: draw a number first.");
      return;
    }
    const strange = parts(number).find((name) => name && !about.classes.includes(name));
    if (!number || strange) {
      say(strange ? `${strange} is none of ${about.classes.join(", ")}.` : "Type the right number.");
      $("truth").focus();
      return;
    }
    if (cursor?.down && stroke) ended(stroke);
    try {
      const blob = await savedBlob();
      if (about.saves) {
        const { file } = await reader.save(blob, number);
        say(`Saved as ${file}.`);
      } else {
        const file = `drawing-${String(kept.length + 1).padStart(4, "0")}.png`;
        kept = [...kept, `${file},${number}`];
        download(blob, file);
        download(new Blob([`file,number\n${kept.join("\n")}\n`], { type: "text/csv" }), "labels.csv");
        say(`Downloaded ${file} and labels.csv, which has a row for each one since the page was opened.`);
      }
      $("truth").value = "";
    } catch (error) {
      say(sentence(error.message));
    }
  });

  // ---- start

  new ResizeObserver(() => draw()).observe(canvas);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => draw());
  reader.about().then((found) => {
    about = { ...about, ...found };
    if (about.saving) say(about.saving);
    const [fewest, most] = about.digits;
    const digits = fewest === most ? `${most === 1 ? "one digit" : `exactly ${most} digits`}`
      : `up to ${most} digits`;
    $("about").textContent =
      `Draw ${digits} below, or paste, drop or choose a picture.` +
      (about.once ? " It is read once here, not in moved views as this run's figures are." : "");
  }, () => {});
  changed();
})();
