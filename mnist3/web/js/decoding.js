// Strings from logits of columns, as mnist3/tasks/ctc.py has them: [columns, outputs], blank last.

const UNREACHABLE = -1e30; // logarithm of the probability of no path
const BEAMS = 8; // prefixes that are kept at each column

const addedLogs = (a, b) => {
  const most = Math.max(a, b);
  return most + Math.log1p(Math.exp(-Math.abs(a - b)));
};

function logSoftmax(logits, outputs) {
  const logs = Float64Array.from(logits);
  for (let start = 0; start < logs.length; start += outputs) {
    let most = -Infinity;
    for (let n = 0; n < outputs; n += 1) most = Math.max(most, logs[start + n]);
    let total = 0;
    for (let n = 0; n < outputs; n += 1) total += Math.exp(logs[start + n] - most);
    const sum = most + Math.log(total);
    for (let n = 0; n < outputs; n += 1) logs[start + n] -= sum;
  }
  return logs;
}

const startsWith = (longer, shorter) => shorter.every((digit, n) => longer[n] === digit);

// The most probable string, as far as its prefixes are among the best.
function bestString(logs, outputs, longest) {
  const blankClass = outputs - 1;
  let beams = [{ prefix: [], blank: 0, digit: UNREACHABLE }];
  for (let start = 0; start < logs.length; start += outputs) {
    const ofBlank = logs[start + blankClass];
    const extended = (beam, digit) => {
      const last = beam.prefix.at(-1);
      const before = digit === last ? beam.blank : addedLogs(beam.blank, beam.digit);
      return before + logs[start + digit];
    };
    // In the order of mnist3/tasks/ctc.py, which decides between equals: prefixes as they are
    // come first.
    const found = beams.map((beam) => {
      const { prefix } = beam;
      const last = prefix.at(-1);
      const parent = beams.find(
        (each) => each.prefix.length === prefix.length - 1 && startsWith(prefix, each.prefix),
      );
      const entering = parent ? extended(parent, last) : UNREACHABLE;
      const staying = last === undefined ? UNREACHABLE : beam.digit + logs[start + last];
      const blank = addedLogs(beam.blank, beam.digit) + ofBlank;
      const digit = addedLogs(staying, entering);
      return { prefix, blank, digit, score: addedLogs(blank, digit) };
    });
    for (const beam of beams) {
      if (beam.prefix.length === longest) continue;
      for (let digit = 0; digit < blankClass; digit += 1) {
        const known = beams.some(
          (each) => each.prefix.length === beam.prefix.length + 1
            && each.prefix.at(-1) === digit && startsWith(each.prefix, beam.prefix),
        );
        if (known) continue;
        const score = extended(beam, digit);
        found.push({ parent: beam, added: digit, blank: UNREACHABLE, digit: score, score });
      }
    }
    beams = found
      .sort((a, b) => b.score - a.score)
      .slice(0, BEAMS)
      .map(({ prefix, parent, added, blank, digit }) => ({
        prefix: prefix ?? [...parent.prefix, added],
        blank: Math.max(blank, UNREACHABLE),
        digit: Math.max(digit, UNREACHABLE),
      }));
  }
  return beams[0].prefix;
}

// Classes at the states of a string: a blank, the first digit, a blank, ..., the last, a blank.
const statesOf = (digits, blank) => [blank, ...digits.flatMap((digit) => [digit, blank])];

// Calls visit(state, stay, step, skip) with what may enter each state at the next column.
function forStates(scores, states, blank, visit) {
  for (let state = 0; state < states.length; state += 1) {
    const skips = states[state] !== blank && state > 1 && states[state] !== states[state - 2];
    visit(
      state, scores[state], state > 0 ? scores[state - 1] : UNREACHABLE,
      skips ? scores[state - 2] : UNREACHABLE,
    );
  }
}

const startOf = (logs, states) =>
  states.map((kind, state) => (state < 2 ? 0 : UNREACHABLE) + logs[kind]);

// The logarithm of the probability of a string, summed over all its paths.
function logLikelihood(logs, outputs, digits) {
  const states = statesOf(digits, outputs - 1);
  let scores = startOf(logs, states);
  for (let start = outputs; start < logs.length; start += outputs) {
    const next = [];
    forStates(scores, states, outputs - 1, (state, stay, step, skip) => {
      const most = Math.max(stay, step, skip);
      const total = Math.exp(stay - most) + Math.exp(step - most) + Math.exp(skip - most);
      next.push(most + Math.log(total) + logs[start + states[state]]);
    });
    scores = next;
  }
  return digits.length ? addedLogs(scores.at(-1), scores.at(-2)) : scores[0];
}

// First and one-past-last column of each digit on the most probable path, -1 where none is, and the
// largest probability that it has there.
function spansOf(logs, outputs, digits) {
  const states = statesOf(digits, outputs - 1);
  let scores = startOf(logs, states);
  const steps = [];
  for (let start = outputs; start < logs.length; start += outputs) {
    const [next, taken] = [[], []];
    forStates(scores, states, outputs - 1, (state, stay, step, skip) => {
      const most = Math.max(stay, step, skip);
      taken.push(stay === most ? 0 : step === most ? 1 : 2);
      next.push(most + logs[start + states[state]]);
    });
    scores = next;
    steps.push(taken);
  }
  const last = states.length - 1;
  let state = last > 0 && scores[last - 1] >= scores[last] ? last - 1 : last;
  const spans = digits.map(() => [-1, -1]);
  const probabilities = digits.map(() => 0);
  if (scores[state] <= UNREACHABLE / 2) return { spans, probabilities };
  for (let column = logs.length / outputs - 1; column >= 0; column -= 1) {
    if (state % 2 === 1) {
      const place = (state - 1) / 2;
      if (spans[place][1] < 0) spans[place][1] = column + 1;
      spans[place][0] = column;
      const here = Math.exp(logs[column * outputs + digits[place]]);
      probabilities[place] = Math.max(probabilities[place], here);
    }
    if (column > 0) state -= steps[column - 1][state];
  }
  return { spans, probabilities };
}

// logits: {shape: [1, columns, outputs], data}, divided by the temperature.
// Returns the digits, the confidence in all of them, the probability and the columns of each.
export function decodeString({ shape, data }, longest) {
  const outputs = shape.at(-1);
  const logs = logSoftmax(data, outputs);
  const digits = bestString(logs, outputs, longest);
  const confidence = Math.exp(logLikelihood(logs, outputs, digits));
  return { digits, confidence, ...spansOf(logs, outputs, digits) };
}
