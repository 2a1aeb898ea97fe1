// A network as a list of operations, see mnist3/export/page_network.py: on arrays {shape, data} of
// float32, whose last axis varies fastest; truth is 1 and falsehood 0.

import { roundToEven } from "./arrays.js";

const sizeOf = (shape) => shape.reduce((product, size) => product * size, 1);
const newArray = (shape) => ({ shape, data: new Float32Array(sizeOf(shape)) });

// Of each axis how many numbers further its next value stands.
function stridesOf(shape) {
  const strides = new Array(shape.length).fill(1);
  for (let axis = shape.length - 2; axis >= 0; axis -= 1) {
    strides[axis] = strides[axis + 1] * shape[axis + 1];
  }
  return strides;
}

// Calls visit(from) for each place of a shape in order, `from` being its sum of steps of each axis.
function walk(shape, steps, start, visit) {
  const last = shape.length - 1;
  if (last < 0) {
    visit(start);
    return;
  }
  const along = (axis, from) => {
    for (let index = 0; index < shape[axis]; index += 1, from += steps[axis]) {
      if (axis === last) visit(from);
      else along(axis + 1, from);
    }
  };
  along(0, start);
}

// ---- constants

function halfToSingle(bits) {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

// content: ArrayBuffer of what `described` gives places in, little-endian.
export function constantsOf(described, content) {
  const view = new DataView(content);
  return described.map(({ shape, values, type, place }) => {
    if (values) return { shape, data: Float32Array.from(values) };
    const found = newArray(shape);
    for (let n = 0; n < found.data.length; n += 1) {
      found.data[n] = type === "float16"
        ? halfToSingle(view.getUint16(place + 2 * n, true))
        : view.getFloat32(place + 4 * n, true);
    }
    return found;
  });
}

// ---- operations on each number

const UNARY = {
  abs: Math.abs,
  ceil: Math.ceil,
  exp: Math.exp,
  floor: Math.floor,
  integer_pow: (x, step) => x ** step.power,
  log: Math.log,
  logistic: (x) => 1 / (1 + Math.exp(-x)),
  neg: (x) => -x,
  not: (x) => (x ? 0 : 1),
  round: roundToEven,
  rsqrt: (x) => 1 / Math.sqrt(x),
  same: (x) => x,
  convert_element_type: (x, step) => (step.whole ? Math.trunc(x) : x),
  sign: Math.sign,
  sqrt: Math.sqrt,
  square: (x) => x * x,
  tanh: Math.tanh,
};

const BINARY = {
  add: (x, y) => x + y,
  and: (x, y) => (x && y ? 1 : 0),
  div: (x, y, step) => (step.whole ? Math.trunc(x / y) : x / y),
  eq: (x, y) => (x === y ? 1 : 0),
  ge: (x, y) => (x >= y ? 1 : 0),
  gt: (x, y) => (x > y ? 1 : 0),
  le: (x, y) => (x <= y ? 1 : 0),
  lt: (x, y) => (x < y ? 1 : 0),
  max: (x, y) => Math.max(x, y),
  min: (x, y) => Math.min(x, y),
  mul: (x, y) => x * y,
  ne: (x, y) => (x === y ? 0 : 1),
  or: (x, y) => (x || y ? 1 : 0),
  rem: (x, y) => x % y,
  sub: (x, y) => x - y,
};

function relu(values) {
  const found = newArray(values.shape);
  const { data } = found;
  for (let n = 0; n < data.length; n += 1) data[n] = values.data[n] > 0 ? values.data[n] : 0;
  return found;
}

// An array repeated along the axes where it has a size of 1; one number stays one.
function broadcast(values, shape) {
  const size = sizeOf(shape);
  if (values.data.length === size || values.data.length === 1) return values;
  const strides = stridesOf(values.shape).map(
    (each, axis) => (values.shape[axis] === 1 ? 0 : each),
  );
  const found = newArray(shape);
  const channels = values.data.length;
  if (channels === shape.at(-1) && strides.at(-1) === 1) { // a bias
    for (let start = 0; start < size; start += channels) found.data.set(values.data, start);
    return found;
  }
  return taken(shape, strides, 0, values);
}

function elementwise(step, compute, values) {
  const found = newArray(step.shape);
  const { data } = found;
  const [x, y] = values.map((each) => broadcast(each, step.shape).data);
  if (values.length === 1) {
    for (let n = 0; n < data.length; n += 1) data[n] = compute(x[n], step);
    return found;
  }
  const [nextX, nextY] = [x, y].map((each) => (each.length === data.length ? 1 : 0));
  for (let n = 0; n < data.length; n += 1) data[n] = compute(x[n * nextX], y[n * nextY], step);
  return found;
}

// ---- operations on whole arrays

const REDUCED = {
  reduce_and: [1, BINARY.and],
  reduce_max: [-Infinity, Math.max],
  reduce_min: [Infinity, Math.min],
  reduce_or: [0, BINARY.or],
  reduce_prod: [1, BINARY.mul],
  reduce_sum: [0, BINARY.add],
};

function reduced(step, values) {
  const found = newArray(step.shape);
  const strides = stridesOf(values.shape);
  const kept = strides.filter((_, axis) => !step.axes.includes(axis));
  const [start, combine] = REDUCED[step.does];
  const shape = step.axes.map((axis) => values.shape[axis]);
  const steps = step.axes.map((axis) => strides[axis]);
  let to = 0;
  walk(step.shape, kept, 0, (from) => {
    let total = start;
    walk(shape, steps, from, (place) => {
      total = combine(total, values.data[place]);
    });
    found.data[to] = total;
    to += 1;
  });
  return found;
}

// Of several equal ones the first.
function argmax(step, values) {
  const found = newArray(step.shape);
  const strides = stridesOf(values.shape);
  const [axis] = step.axes;
  const kept = strides.filter((_, other) => other !== axis);
  let to = 0;
  walk(step.shape, kept, 0, (from) => {
    let best = 0;
    for (let n = 1; n < values.shape[axis]; n += 1) {
      const value = values.data[from + n * strides[axis]];
      if (value > values.data[from + best * strides[axis]]) best = n;
    }
    found.data[to] = best;
    to += 1;
  });
  return found;
}

function taken(shape, steps, start, values) {
  const found = newArray(shape);
  let to = 0;
  walk(shape, steps, start, (from) => {
    found.data[to] = values.data[from];
    to += 1;
  });
  return found;
}

// Writes an array into a larger one, from given places of its axes on.
function put(found, values, places) {
  const strides = stridesOf(found.shape);
  const start = places.reduce((sum, place, axis) => sum + place * strides[axis], 0);
  let from = 0;
  walk(values.shape, strides, start, (to) => {
    found.data[to] = values.data[from];
    from += 1;
  });
}

function padded(step, values, filling) {
  const found = newArray(step.shape);
  found.data.fill(filling.data[0]);
  put(found, values, step.before);
  return found;
}

function joined(step, values, axis) {
  const found = newArray(step.shape);
  let place = 0;
  for (const each of values) {
    put(found, each, step.shape.map((_, other) => (other === axis ? place : 0)));
    place += each.shape[axis];
  }
  return found;
}

function product(step, left, right) {
  const [summed, batch] = [step.summed, step.batch];
  const arranged = (values, side, last) => {
    const others = values.shape
      .map((_, axis) => axis)
      .filter((axis) => !summed[side].includes(axis) && !batch[side].includes(axis));
    const order = last
      ? [...batch[side], ...others, ...summed[side]]
      : [...batch[side], ...summed[side], ...others];
    const strides = stridesOf(values.shape);
    const shape = order.map((axis) => values.shape[axis]);
    return {
      data: taken(shape, order.map((axis) => strides[axis]), 0, values).data,
      count: sizeOf(others.map((axis) => values.shape[axis])),
    };
  };
  const [a, b] = [arranged(left, 0, true), arranged(right, 1, false)];
  const terms = sizeOf(summed[0].map((axis) => left.shape[axis]));
  const batches = sizeOf(batch[0].map((axis) => left.shape[axis]));
  const found = newArray(step.shape);
  const row = new Float64Array(b.count);
  for (let n = 0; n < batches; n += 1) {
    for (let i = 0; i < a.count; i += 1) {
      row.fill(0);
      for (let k = 0; k < terms; k += 1) {
        const factor = a.data[(n * a.count + i) * terms + k];
        if (factor === 0) continue;
        const from = (n * terms + k) * b.count;
        for (let j = 0; j < b.count; j += 1) row[j] += factor * b.data[from + j];
      }
      found.data.set(row, (n * a.count + i) * b.count);
    }
  }
  return found;
}

function pooled(step, images) {
  const [batch, rows, columns, channels] = step.shape;
  const [, height, width] = images.shape;
  const found = newArray(step.shape);
  found.data.fill(-Infinity);
  for (let n = 0, to = 0; n < batch; n += 1) {
    for (let row = 0; row < rows; row += 1) {
      for (let column = 0; column < columns; column += 1, to += channels) {
        for (let i = 0; i < step.window[1]; i += 1) {
          const y = row * step.steps[1] + i - step.before[1];
          if (y < 0 || y >= height) continue;
          for (let j = 0; j < step.window[2]; j += 1) {
            const x = column * step.steps[2] + j - step.before[2];
            if (x < 0 || x >= width) continue;
            const from = ((n * height + y) * width + x) * channels;
            for (let c = 0; c < channels; c += 1) {
              const value = images.data[from + c];
              if (value > found.data[to + c]) found.data[to + c] = value;
            }
          }
        }
      }
    }
  }
  return found;
}

// Kernels in fours of features, so that a few sums stay in registers: [fours, terms, 4].
const packed = new WeakMap();
function packedKernels(kernels) {
  if (!packed.has(kernels)) {
    const features = kernels.shape[3];
    const terms = kernels.data.length / features;
    const fours = Math.ceil(features / 4);
    const data = new Float64Array(fours * terms * 4);
    for (let k = 0; k < terms; k += 1) {
      for (let f = 0; f < features; f += 1) {
        data[((f >> 2) * terms + k) * 4 + (f & 3)] = kernels.data[k * features + f];
      }
    }
    packed.set(kernels, data);
  }
  return packed.get(kernels);
}

function convolved(step, images, kernels) {
  const [batch, rows, columns, features] = step.shape;
  const [, height, width, channels] = images.shape;
  const [kernelHeight, kernelWidth] = kernels.shape;
  const terms = kernelHeight * kernelWidth * channels;
  const weights = packedKernels(kernels);
  const found = newArray(step.shape);
  const even = columns + (columns & 1);
  const patches = new Float64Array(even * terms);
  for (let n = 0; n < batch; n += 1) {
    for (let row = 0; row < rows; row += 1) {
      fillPatches(patches, images.data, {
        top: row * step.steps[0] - step.before[0], left: -step.before[1], step: step.steps[1],
        start: n * height * width * channels, height, width, channels, columns,
        kernelHeight, kernelWidth,
      });
      multiplyPatches(
        patches, weights, found.data, (n * rows + row) * columns * features,
        columns, features, terms,
      );
    }
  }
  return found;
}

// What the kernels see of one row of results: [columns, kernel height, kernel width, channels].
function fillPatches(patches, data, sizes) {
  const { top, left, step, start, height, width, channels, columns } = sizes;
  const { kernelHeight, kernelWidth } = sizes;
  const terms = kernelHeight * kernelWidth * channels;
  for (let column = 0; column < columns; column += 1) {
    let to = column * terms;
    for (let i = 0; i < kernelHeight; i += 1) {
      const y = top + i;
      for (let j = 0; j < kernelWidth; j += 1) {
        const x = left + column * step + j;
        if (y < 0 || y >= height || x < 0 || x >= width) {
          for (let c = 0; c < channels; c += 1) patches[to + c] = 0;
        } else {
          const from = start + (y * width + x) * channels;
          for (let c = 0; c < channels; c += 1) patches[to + c] = data[from + c];
        }
        to += channels;
      }
    }
  }
}

function multiplyPatches(patches, weights, data, start, columns, features, terms) {
  for (let column = 0; column < columns; column += 2) {
    const first = column * terms;
    const to = start + column * features;
    const both = column + 1 < columns;
    for (let f = 0; f < features; f += 4) {
      let [a0, a1, a2, a3, b0, b1, b2, b3] = [0, 0, 0, 0, 0, 0, 0, 0];
      let w = f * terms;
      for (let p = first, q = first + terms; p < first + terms; p += 1, q += 1, w += 4) {
        const a = patches[p];
        const b = patches[q];
        const w0 = weights[w];
        const w1 = weights[w + 1];
        const w2 = weights[w + 2];
        const w3 = weights[w + 3];
        a0 += a * w0;
        a1 += a * w1;
        a2 += a * w2;
        a3 += a * w3;
        b0 += b * w0;
        b1 += b * w1;
        b2 += b * w2;
        b3 += b * w3;
      }
      const left = features - f;
      data[to + f] = a0;
      if (left > 1) data[to + f + 1] = a1;
      if (left > 2) data[to + f + 2] = a2;
      if (left > 3) data[to + f + 3] = a3;
      if (!both) continue;
      const next = to + features + f;
      data[next] = b0;
      if (left > 1) data[next + 1] = b1;
      if (left > 2) data[next + 2] = b2;
      if (left > 3) data[next + 3] = b3;
    }
  }
}

// Windows of an array from given places on, as XLA's gather.
function gathered(step, values, places) {
  const found = newArray(step.shape);
  const [strides, placeStrides] = [values.shape, places.shape].map(stridesOf);
  const [own, shared] = step.shared;
  const axesOfPlaces = places.shape.map((_, axis) => axis).slice(0, -1);
  const batchAxes = step.shape.map((_, axis) => axis).filter((axis) => !step.offset.includes(axis));
  const windowAxes = values.shape
    .map((_, axis) => axis)
    .filter((axis) => !step.collapsed.includes(axis) && !own.includes(axis));
  const index = new Array(step.shape.length).fill(0);
  for (let to = 0; to < found.data.length; to += 1) {
    let place = 0;
    axesOfPlaces.forEach((axis, n) => {
      place += index[batchAxes[n]] * placeStrides[axis];
    });
    let from = 0;
    let inside = true;
    step.started.forEach((axis, n) => {
      const asked = places.data[place + n];
      const highest = values.shape[axis] - step.sizes[axis];
      const start = Math.min(Math.max(asked, 0), highest);
      if (start !== asked) inside = false;
      from += start * strides[axis];
    });
    own.forEach((axis, n) => {
      from += index[batchAxes[axesOfPlaces.indexOf(shared[n])]] * strides[axis];
    });
    step.offset.forEach((axis, n) => {
      from += index[axis] * strides[windowAxes[n]];
    });
    found.data[to] = inside || step.held ? values.data[from] : NaN;
    for (let axis = index.length - 1; axis >= 0; axis -= 1) {
      index[axis] += 1;
      if (index[axis] < step.shape[axis]) break;
      index[axis] = 0;
    }
  }
  return found;
}

const WHOLE = {
  argmax,
  conv_general_dilated: convolved,
  dot_general: product,
  gather: gathered,
  pad: padded,
  reduce_window_max: pooled,
  broadcast_in_dim: (step, values) => {
    const strides = stridesOf(values.shape);
    const steps = new Array(step.shape.length).fill(0);
    step.axes.forEach((axis, n) => {
      steps[axis] = values.shape[n] === 1 ? 0 : strides[n];
    });
    return taken(step.shape, steps, 0, values);
  },
  clamp: (step, low, values, high) => {
    const above = elementwise(step, BINARY.max, [values, low]);
    return elementwise(step, BINARY.min, [above, high]);
  },
  concatenate: (step, ...values) => joined(step, values, step.axis),
  reshape: (step, values) => ({ shape: step.shape, data: values.data }),
  select_n: (step, ...values) => {
    const [which, no, yes] = values.map((each) => broadcast(each, step.shape).data);
    const found = newArray(step.shape);
    const at = (each, n) => each[each.length === 1 ? 0 : n];
    for (let n = 0; n < found.data.length; n += 1) found.data[n] = at(at(which, n) ? yes : no, n);
    return found;
  },
  slice: (step, values) => {
    const strides = stridesOf(values.shape);
    const start = step.starts.reduce((sum, place, axis) => sum + place * strides[axis], 0);
    const steps = strides.map((stride, axis) => stride * step.steps[axis]);
    return taken(step.shape, steps, start, values);
  },
  stack: (step, ...values) => {
    const one = values[0].shape.toSpliced(step.axis, 0, 1);
    return joined(step, values.map(({ data }) => ({ shape: one, data })), step.axis);
  },
  transpose: (step, values) => {
    const strides = stridesOf(values.shape);
    return taken(step.shape, step.axes.map((axis) => strides[axis]), 0, values);
  },
};

const isZero = (values) => values.data.length === 1 && values.data[0] === 0;

function done(step, values) {
  const { does } = step;
  if (does === "max" && isZero(values[1])) return relu(values[0]);
  if (UNARY[does]) return elementwise(step, UNARY[does], values);
  if (BINARY[does]) return elementwise(step, BINARY[does], values);
  if (REDUCED[does]) return reduced(step, ...values);
  return WHOLE[does](step, ...values);
}

// Returns the outputs of a program for an image, uint8 in rows: arrays, or lists of them, by their
// names.
export function run(program, constants, image) {
  const known = new Map([["image", { shape: program.shape, data: Float32Array.from(image) }]]);
  const valueOf = (name) => (name[0] === "c" ? constants[name.slice(1)] : known.get(name));
  for (const step of program.steps) known.set(step.to, done(step, step.of.map(valueOf)));
  return Object.fromEntries(
    Object.entries(program.outputs).map(([name, value]) =>
      [name, Array.isArray(value) ? value.map(valueOf) : valueOf(value)]),
  );
}
