"use strict";
// Draws, shows and saves; what reads is `globalThis.mnist3Reader` of server.js or offline.js:
//   about() -> promise of {classes, digits, once, saves, maps}
//   read(source, signal, withMaps) -> promise of the fields of POST /read?views=1, and maps=1
//   save(source, number) -> promise of {file}; only where `saves` is true
// A source is {canvas} of a drawing, or {blob, width, height} of a file: upright, px, 0 of one that
// the browser does not show.
(() => {
  const LARGEST = 640; // px of the picture that is made of a drawing
  const LARGEST_SHOWN = 1600; // px of a picture of a file as it is shown and downloaded
  const MOST_PIXELS = 64e6; // of a file; what has more is not shown
  const PAUSE = 120; // ms between a stroke and its reading
  const QUIET = 700; // ms without a change until a number is announced
  const EDGE = 4; // px of the paper that the pen keeps away from its edge
  const STEP = 10; // px that an arrow key moves the pen

  const missing = async () => {
    throw new Error("a part of the page did not load; load it again, or try a newer browser.");
  };
  const reader = globalThis.mnist3Reader ?? { about: missing, read: missing };

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
  let reading = null; // {fields, toPaper, of}: what was read, of content that is still there
  let changes = 0; // of what is on the paper
  let about = { classes: [..."0123456789"], saves: false, once: false, maps: false };
  let cursor = null; // of the keyboard: {x, y, down}

  const sheet = () => history[now];
  const drawn = () => (stroke ? [...sheet().strokes, stroke] : sheet().strokes);
  // What there is to read: a picture, or strokes, the first of which takes its place.
  const content = () => ({ picture: stroke ? null : sheet().picture, strokes: drawn() });
  const isEmpty = () => !sheet().picture && drawn().length === 0;

  // Whether all of some content is still on the paper, with more strokes or without.
  function lasts({ picture, strokes }) {
    const there = content();
    return picture === there.picture && strokes.every((line, n) => line === there.strokes[n]);
  }

  function change(next) {
    history = [...history.slice(0, now + 1), next];
    now += 1;
    changed();
  }

  function step(by) {
    const to = Math.min(Math.max(now + by, 0), history.length - 1);
    if (to === now) return;
    now = to;
    changed();
  }

  function changed() {
    changes += 1;
    if (reading && !lasts(reading.of)) reading = null;
    // Buttons that were disabled would lose the focus.
    $("undo").setAttribute("aria-disabled", now === 0 && !stroke);
    $("redo").setAttribute("aria-disabled", now === history.length - 1);
    $("clear").setAttribute("aria-disabled", isEmpty());
    $("hint").hidden = !isEmpty();
    draw();
    schedule();
    if (!reading) show(null);
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
        right = Math.max(right, x + EDGE);
        bottom = Math.max(bottom, y + EDGE);
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
    const { picture, strokes } = content();
    const scale = scaleOf(strokes);
    if (picture) {
      const { image } = picture;
      const { scale, left, top } = placeOf(image);
      pen.drawImage(image, left, top, scale * image.width, scale * image.height);
    } else {
      pen.save();
      pen.scale(scale, scale);
      inked(pen, strokes, penWidth(), color("--ink"));
      pen.restore();
    }
    if (reading && (!picture || picture.isShown)) marked(reading, picture ? 1 : scale);
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

  function marked({ fields, toPaper, of }, scale) {
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
      if (of.picture) {
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

  // Dark on light whatever the page looks like, cut to the ink with a margin.
  function drawingOf(strokes) {
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
    const context = surface.getContext("2d", { willReadFrequently: true });
    context.fillStyle = "#fff";
    context.fillRect(0, 0, surface.width, surface.height);
    context.scale(scale, scale);
    context.translate(-x0, -y0);
    inked(context, strokes, width, "#000");
    return {
      source: { canvas: surface }, toPaper: (x, y) => [x0 + x / scale, y0 + y / scale],
    };
  }

  const minimum = (values) => values.reduce((a, b) => Math.min(a, b));
  const maximum = (values) => values.reduce((a, b) => Math.max(a, b));

  // What the reader gets of content, and where on the paper a place in that is.
  function sourceOf({ picture, strokes }) {
    if (!picture) return drawingOf(strokes);
    const toPaper = (x, y) => {
      const { scale, left, top } = placeOf(picture.image);
      const own = (scale * picture.image.width) / picture.width;
      return [left + own * x, top + own * y];
    };
    return { source: picture, toPaper };
  }

  function placeholder(text) {
    const surface = document.createElement("canvas");
    [surface.width, surface.height] = [320, 120];
    const context = surface.getContext("2d");
    context.fillStyle = "#8885";
    context.fillRect(0, 0, 320, 120);
    context.fillStyle = color("--text");
    context.font = "14px system-ui, sans-serif";
    context.textAlign = "center";
    context.fillText(text, 160, 64);
    return surface;
  }

  // {blob, width, height, image, isShown} of a file; the image is what is kept of it to be shown.
  async function pictureOf(blob) {
    const whole = new Image();
    whole.src = URL.createObjectURL(blob);
    try {
      await new Promise((loaded, failed) => {
        Object.assign(whole, { onload: loaded, onerror: failed });
      });
      const { naturalWidth: width, naturalHeight: height } = whole;
      if (width * height > MOST_PIXELS) {
        return { blob, width, height, image: placeholder("Too large to be shown"), isShown: false };
      }
      await whole.decode();
      const share = Math.min(1, LARGEST_SHOWN / Math.max(width, height));
      const image = document.createElement("canvas");
      image.width = Math.max(1, Math.round(share * width));
      image.height = Math.max(1, Math.round(share * height));
      image.getContext("2d").drawImage(whole, 0, 0, image.width, image.height);
      return { blob, width, height, image, isShown: true };
    } catch {
      // The server may know kinds of pictures that the browser does not show.
      const image = placeholder("This browser cannot show the picture");
      return { blob, width: 0, height: 0, image, isShown: false };
    } finally {
      URL.revokeObjectURL(whole.src);
    }
  }

  // Puts a picture on the paper, unless that changes while the picture is opened.
  async function take(blob) {
    if (!blob) return;
    finish();
    changes += 1;
    const own = changes;
    const picture = await pictureOf(blob);
    if (own !== changes) return;
    cursor = null;
    change({ strokes: [], picture });
  }

  // ---- reading

  let timer = 0;
  let running = null; // {own: AbortController, of: content} of what is being read
  let again = false; // something has changed since
  let quiet = 0;

  function schedule() {
    clearTimeout(quiet);
    if (isEmpty()) {
      clearTimeout(timer);
      timer = 0;
      again = false;
      running?.own.abort();
    } else if (running) {
      again = true;
      if (!lasts(running.of)) running.own.abort();
    } else if (!timer) {
      timer = setTimeout(read, PAUSE);
    }
    $("answer").setAttribute("aria-busy", Boolean(timer || running));
  }

  async function read() {
    timer = 0;
    again = false;
    const [own, of] = [new AbortController(), content()];
    const { source, toPaper } = sourceOf(of);
    running = { own, of };
    let fields;
    try {
      if (source.blob?.size === 0) throw new Error("The file is empty; choose another.");
      fields = await reader.read(source, own.signal, $("maps").open);
    } catch (error) {
      fields = failed(error);
    }
    running = null;
    if (again && !isEmpty()) timer = setTimeout(read, 0);
    $("answer").setAttribute("aria-busy", Boolean(timer));
    // What was drawn meanwhile is read next, but what there was is still well described by this.
    if (own.signal.aborted || !lasts(of)) return;
    reading = { fields, toPaper, of };
    show(fields);
    draw();
  }

  const failed = (error) => ({ number: "", confidences: [], spans: [], error: error.message });
  const parts = (number) =>
    about.classes.every((name) => name.length === 1) ? [...number] : number.split(" ");
  const percent = (share) => {
    const thousandths = Math.min(Math.floor(share * 1000 + 1e-6), 999); // nothing is certain
    return `${thousandths < 990 ? Math.floor(thousandths / 10) : thousandths / 10} %`;
  };
  const doubtful = (fields, n) => fields.sure === false && fields.confidences[n] < 0.99;

  function show(fields) {
    const number = $("number");
    const verdict = $("verdict");
    const seen = $("seen");
    $("digits").replaceChildren();
    seen.hidden = !fields?.view;
    // While the next answer is on its way nothing that may have the focus is hidden.
    if (fields || isEmpty()) $("maps").hidden = !about.maps || !fields?.view;
    showMaps(fields?.maps ?? []);
    verdict.className = "verdict";
    number.replaceChildren();
    number.className = "number";
    if (!fields || !fields.number) {
      const none = document.createElement("span");
      none.className = "none";
      none.textContent = "–";
      number.append(none);
      if (!fields) verdict.textContent = isEmpty() ? "Nothing is written yet." : "Reading…";
      else verdict.textContent = fields.error ? sentence(fields.error) : "The network sees no digit.";
      if (fields) verdict.classList.add("unsure");
      if (fields?.view) $("view").src = fields.view;
      announce(verdict.textContent);
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
    const figures = await Promise.all(maps.map(figureOf))
      .catch(() => ["This browser cannot show the feature maps."]);
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

  let pointer = null; // id of the one that draws

  // A place on the paper, or the nearest one on it, so that no stroke makes the others smaller.
  function onPaper(x, y, scale) {
    const held = (place, length) => Math.max(Math.min(place, length / scale - EDGE), EDGE);
    return [held(x, canvas.clientWidth), held(y, canvas.clientHeight)];
  }

  function at(event) {
    const box = canvas.getBoundingClientRect();
    const scale = scaleOf(drawn());
    return onPaper((event.clientX - box.left) / scale, (event.clientY - box.top) / scale, scale);
  }

  canvas.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || !event.isPrimary) return;
    event.preventDefault();
    canvas.classList.add("pointed"); // who points needs no ring of the focus
    canvas.focus({ preventScroll: true });
    finish();
    canvas.setPointerCapture(event.pointerId);
    pointer = event.pointerId;
    cursor = null;
    stroke = [at(event)];
    changed();
  });
  canvas.addEventListener("pointermove", (event) => {
    if (event.pointerId !== pointer) return;
    const events = event.getCoalescedEvents?.() ?? [];
    for (const each of events.length ? events : [event]) stroke.push(at(each));
    changed();
  });
  for (const name of ["pointerup", "pointercancel", "lostpointercapture"]) {
    canvas.addEventListener(name, (event) => {
      if (event.pointerId === pointer) finish();
    });
  }

  // Ends the stroke that is being drawn.
  function finish() {
    if (cursor?.down) lower(false);
    pointer = null;
    if (!stroke) return;
    const line = stroke;
    stroke = null;
    change({ strokes: [...sheet().strokes, line], picture: null });
  }

  // ---- keyboard

  function lower(down) {
    cursor.down = down;
    $("pen").textContent = down ? "Pen down" : "Pen up";
  }

  function press() {
    if (cursor.down) {
      finish();
      return;
    }
    lower(true);
    stroke = [[cursor.x, cursor.y]];
    changed();
  }

  canvas.addEventListener("keydown", (event) => {
    canvas.classList.remove("pointed");
    const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    cursor ??= { x: canvas.clientWidth / 4, y: canvas.clientHeight / 3, down: false };
    if (way[event.key]) {
      const by = STEP * (event.shiftKey ? 4 : 1);
      const [x, y] = way[event.key];
      const to = onPaper(cursor.x + by * x, cursor.y + by * y, scaleOf(drawn()));
      [cursor.x, cursor.y] = to;
      if (cursor.down) {
        stroke.push(to);
        changed();
      }
      draw();
    } else if (event.key === " ") {
      if (!event.repeat) press();
    } else {
      return;
    }
    event.preventDefault();
  });
  canvas.addEventListener("blur", () => {
    canvas.classList.remove("pointed");
    if (cursor?.down) finish();
    draw();
  });
  canvas.addEventListener("focus", () => draw());

  function act(name) {
    finish();
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

  function download(blob, name) {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  }

  // A name that no other picture has, nor had before the page was loaded again.
  async function downloadWith(number, { picture, strokes }) {
    if (picture && !picture.isShown) {
      throw new Error("This browser cannot show the picture, and so cannot save it.");
    }
    const surface = picture ? picture.image : drawingOf(strokes).source.canvas;
    const blob = await new Promise((done) => surface.toBlob(done));
    const stamp = new Date().toISOString().replace(/[-:Z]/g, "").replace(/[T.]/g, "-");
    const [file, labels] = [`drawing-${stamp}.png`, `labels-${stamp}.csv`];
    kept = [...kept, `${file},${number}`];
    download(blob, file);
    download(new Blob([`file,number\n${kept.join("\n")}\n`], { type: "text/csv" }), labels);
    return `Downloaded ${file} and ${labels}, which has a row for each picture since the page was `
      + "opened; name the last of these labels.csv, beside the pictures.";
  }

  let isSaving = false;

  $("save").addEventListener("submit", async (event) => {
    event.preventDefault();
    if (isSaving) return;
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
    finish();
    isSaving = true;
    try {
      if (about.saves) {
        const { file } = await reader.save(sourceOf(content()).source, number);
        say(`Saved as ${file}.`);
      } else {
        say(await downloadWith(number, content()));
      }
      $("truth").value = "";
    } catch (error) {
      say(sentence(error.message));
    } finally {
      isSaving = false;
    }
  });

  // ---- start

  new ResizeObserver(() => draw()).observe(canvas);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => draw());
  reader.about().then((found) => {
    about = { ...about, ...found };
    const [fewest, most] = about.digits;
    const digits = fewest === most ? `${most === 1 ? "one digit" : `exactly ${most} digits`}`
      : `up to ${most} digits`;
    $("about").textContent =
      `Draw ${digits} below, or paste, drop or choose a picture.` +
      (about.once ? " It is read once here, not in moved views as this run's figures are." : "");
  }).catch((error) => show(failed(error)));
  changed();
})();
