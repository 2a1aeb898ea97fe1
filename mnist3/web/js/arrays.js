// Numbers in rows: order statistics, least squares, and pictures as {height, width, data}.

export const newGrid = (height, width, Kind = Float32Array) =>
  ({ height, width, data: new Kind(height * width) });

export const clip = (value, low, high) => Math.min(Math.max(value, low), high);

// Halves go to the even neighbour, as in NumPy and Python.
export function roundToEven(value) {
  const near = Math.round(value);
  return near - value === 0.5 && near % 2 !== 0 ? near - 1 : near;
}

// Orders numbers in place so that the one of rank k is where a sort would put it (Hoare's find).
export function selected(values, k) {
  let [low, high] = [0, values.length - 1];
  while (low < high) {
    const pivot = values[(low + high) >> 1];
    let [i, j] = [low, high];
    while (i <= j) {
      while (values[i] < pivot) i += 1;
      while (values[j] > pivot) j -= 1;
      if (i <= j) {
        const swapped = values[i];
        values[i] = values[j];
        values[j] = swapped;
        i += 1;
        j -= 1;
      }
    }
    if (k <= j) high = j;
    else if (k >= i) low = i;
    else break;
  }
  return values[k];
}

export function median(values) {
  const own = Float64Array.from(values);
  const half = own.length >> 1;
  const upper = selected(own, half);
  if (own.length % 2) return upper;
  let lower = -Infinity;
  for (let n = 0; n < half; n += 1) lower = Math.max(lower, own[n]);
  return (lower + upper) / 2;
}

// Percentiles with linear interpolation between the two nearest ranks.
export function percentiles(values, shares) {
  const own = Float64Array.from(values);
  return shares.map((share) => {
    const place = (share / 100) * (own.length - 1);
    const low = Math.floor(place);
    const lower = selected(own, low);
    if (place === low) return lower;
    let upper = Infinity;
    for (let n = low + 1; n < own.length; n += 1) if (own[n] < upper) upper = own[n];
    return lower + (place - low) * (upper - lower);
  });
}

export const sum = (values) => values.reduce((total, value) => total + value, 0);
export const mean = (values) => sum(values) / values.length;
export const largest = (values) => values.reduce((a, b) => Math.max(a, b), -Infinity);
export const smallest = (values) => values.reduce((a, b) => Math.min(a, b), Infinity);
export const isAny = (mask) => mask.includes(1);

// Eigenvalues and eigenvectors of a symmetric matrix (Jacobi's rotations); vectors are columns.
export function symmetricEigen(matrix) {
  const size = matrix.length;
  const a = matrix.map((row) => Array.from(row));
  const vectors = a.map((_, i) => a.map((__, j) => (i === j ? 1 : 0)));
  for (let sweep = 0; sweep < 60; sweep += 1) {
    let [off, all] = [0, 0];
    for (let i = 0; i < size; i += 1) {
      for (let j = 0; j < size; j += 1) {
        all += a[i][j] ** 2;
        if (i !== j) off += a[i][j] ** 2;
      }
    }
    if (off <= 1e-30 * all) break;
    for (let p = 0; p < size; p += 1) {
      for (let q = p + 1; q < size; q += 1) {
        if (a[p][q] === 0) continue;
        const theta = (a[q][q] - a[p][p]) / (2 * a[p][q]);
        const t = (theta >= 0 ? 1 : -1) / (Math.abs(theta) + Math.sqrt(theta * theta + 1));
        const cosine = 1 / Math.sqrt(t * t + 1);
        const sine = t * cosine;
        for (let k = 0; k < size; k += 1) {
          const [x, y] = [a[k][p], a[k][q]];
          a[k][p] = cosine * x - sine * y;
          a[k][q] = sine * x + cosine * y;
        }
        for (let k = 0; k < size; k += 1) {
          const [x, y] = [a[p][k], a[q][k]];
          a[p][k] = cosine * x - sine * y;
          a[q][k] = sine * x + cosine * y;
          const [v, w] = [vectors[k][p], vectors[k][q]];
          vectors[k][p] = cosine * v - sine * w;
          vectors[k][q] = sine * v + cosine * w;
        }
      }
    }
  }
  return { values: a.map((row, i) => row[i]), vectors };
}

// The shortest solution of normal equations, directions without weight left out, as NumPy's lstsq.
function solved(matrix, right) {
  const { values, vectors } = symmetricEigen(matrix);
  const least = largest(values.map(Math.abs)) * matrix.length * 2 ** -52;
  const found = new Array(matrix.length).fill(0);
  values.forEach((value, n) => {
    if (Math.abs(value) <= least) return;
    const along = sum(right.map((each, k) => each * vectors[k][n])) / value;
    found.forEach((_, k) => {
      found[k] += along * vectors[k][n];
    });
  });
  return found;
}

// Factors of the terms that most values lie near, given weights: rows of terms, in [rows * used].
export function weightedFit(terms, count, used, values, weights) {
  const rows = values.length;
  const matrix = Array.from({ length: used }, () => new Array(used).fill(0));
  const right = new Array(used).fill(0);
  for (let row = 0; row < rows; row += 1) {
    const weight = weights[row];
    if (weight === 0) continue;
    for (let i = 0; i < used; i += 1) {
      const weighted = weight * terms[row * count + i];
      right[i] += weighted * values[row];
      for (let j = 0; j <= i; j += 1) matrix[i][j] += weighted * terms[row * count + j];
    }
  }
  for (let i = 0; i < used; i += 1) {
    for (let j = i + 1; j < used; j += 1) matrix[i][j] = matrix[j][i];
  }
  return solved(matrix, right);
}

// The value that parts numbers in two groups around their means.
export function twoMeans(values) {
  let cut = mean(values);
  for (let round = 0; round < 10; round += 1) {
    let [above, below, count] = [0, 0, 0];
    for (const value of values) {
      if (value > cut) {
        above += value;
        count += 1;
      } else {
        below += value;
      }
    }
    if (count === 0 || count === values.length) break;
    cut = (above / count + below / (values.length - count)) / 2;
  }
  return cut;
}
