// The house's own code in every JavaScript machine. It runs before the program's source, keeps the
// intrinsics that it needs to itself, and gives nothing of its own a name that the program can see.
// The host holds the functions of the last line; everything goes in and out as JSON text.
//
// Always holds: what a program does to globals or prototypes changes what that program computes,
// never the shape of what the host reads: texts are put together from parts of ours, by `+` alone.
'use strict';
(() => {
  const { parse, stringify } = JSON;
  const { apply } = Reflect;
  const { isArray } = Array;
  const { imul } = Math;
  const { isError } = Error;
  const { charCodeAt, slice } = String.prototype;
  const evaluate = eval;
  const TypeErrorOfOurs = TypeError;
  const RangeErrorOfOurs = RangeError;

  delete globalThis.WeakRef;
  delete globalThis.FinalizationRegistry;

  // The state of a run; the host sets it by `begin`.
  let entry, isPolicy = false;
  let answerMax = 0, outputMax = 0, printedMax = 0;
  let inputs, count = 0, index = 0, output = '', isOver = false;
  let printed = '', isPrintedOver = false;
  let seed0 = 0, seed1 = 0, seed2 = 0, seed3 = 0;

  // ---- Math.random: sfc32, seeded by the run's seed and the span's id and seq -----------------
  let a = 0, b = 0, c = 0, d = 0, isSeeded = false, id, seq;
  const next = () => {
    const t = (((a + b) | 0) + d) | 0;
    d = (d + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (c << 21) | (c >>> 11);
    c = (c + t) | 0;
    return t >>> 0;
  };
  const sow = () => {
    let subject = '';
    if (typeof id === 'string') subject = typeof seq === 'number' ? id + '/' + seq : id;
    a = seed0; b = seed1; c = seed2; d = seed3;
    for (let i = 0; i < subject.length; i++) {
      const code = apply(charCodeAt, subject, [i]);
      a = b ^ imul(a ^ code, 597399067);
      b = c ^ imul(b ^ code, 2869860233);
      c = d ^ imul(c ^ code, 951274213);
      d = a ^ imul(d ^ code, 2716044179);
    }
    for (let i = 0; i < 12; i++) next();
    isSeeded = true;
  };
  const { random } = {
    random() {
      if (!isSeeded) sow();
      return ((next() >>> 5) * 67108864 + (next() >>> 6)) / 9007199254740992;
    },
  };
  const hidden = { __proto__: null, writable: true, configurable: true, enumerable: false };
  const define = (object, name, value) =>
    Object.defineProperty(object, name, { __proto__: null, ...hidden, value });
  define(Math, 'random', random);

  // ---- print and console ----------------------------------------------------------------------
  const shown = (value) => {
    if (typeof value === 'string') return value;
    if (typeof value === 'object' && value !== null && !isError(value)) {
      try {
        const text = stringify(value);
        if (typeof text === 'string') return text;
      } catch {}
    }
    return typeof value === 'symbol' ? 'symbol' : `${value}`;
  };
  const { print } = {
    print(...values) {
      let line = '';
      for (let i = 0; i < values.length; i++) line += (i ? ' ' : '') + shown(values[i]);
      if (printed.length + line.length >= printedMax) {
        isPrintedOver = true;
        throw new RangeErrorOfOurs('printed too much');
      }
      printed += line + '\n';
    },
  };
  define(globalThis, 'print', print);
  const console = {};
  for (const name of ['log', 'info', 'warn', 'error', 'debug']) define(console, name, print);
  define(globalThis, 'console', console);

  // ---- lines of output: "=" and a value, or "!" and an error ----------------------------------
  const short = (value, most) => {
    const text = typeof value === 'string' ? value : `${value}`;
    return text.length > most ? apply(slice, text, [0, most]) : text;
  };
  const tell = (thrown) => {
    try {
      let type = 'Thrown', message = '', stack = '';
      if (isError(thrown)) {
        type = short(thrown.name, 60);
        message = short(thrown.message, 500);
        if (typeof thrown.stack === 'string') stack = short(thrown.stack, 4000);
      } else message = short(shown(thrown), 500);
      return '![' + stringify(type) + ',' + stringify(message) + ',' + stringify(stack) + ']';
    } catch {
      return '!["Error","an error that cannot be told",""]';
    }
  };
  const write = (answer) => {
    if (answer === undefined || answer === null) return '=null';
    if (isPolicy && !isArray(answer)) {
      throw new TypeErrorOfOurs('on(span) must return a list of actions');
    }
    const text = stringify(answer);
    if (typeof text !== 'string') throw new TypeErrorOfOurs('the answer is not JSON');
    if (text.length > answerMax) return '!["RangeError","the answer is too long","","size"]';
    return '=' + text;
  };
  const put = (line) => {
    if (output.length + line.length > outputMax) {
      isOver = true;
      index = count;
    } else output += line + '\n';
  };

  // ---- what the host calls --------------------------------------------------------------------
  // Find the entry function in what the source left behind. `name` is "on" or "main".
  const adopt = (name, namespace) => {
    isPolicy = name === 'on';
    if (namespace !== undefined) entry = namespace.default ?? namespace[name];
    if (typeof entry !== 'function') {
      entry = evaluate(`typeof ${name} === 'function' ? ${name} : undefined`);
    }
    if (typeof entry !== 'function') entry = globalThis.default;
    return typeof entry === 'function';
  };
  // Take the settings of this run and its inputs, a JSON list.
  const begin = (settings, text) => {
    const given = parse(settings);
    answerMax = given.answer_max;
    outputMax = given.output_max;
    printedMax = given.printed_max;
    // By index: destructuring would ask the program's own Array iterator.
    seed0 = given.seed[0];
    seed1 = given.seed[1];
    seed2 = given.seed[2];
    seed3 = given.seed[3];
    isSeeded = false;
    printed = '';
    inputs = parse(text);
    count = inputs.length;
  };
  // Go on with the inputs. Return the answer that may be a promise: the host looks, waits for it
  // and calls `keep` or `fail`; undefined when there is none left.
  const step = () => {
    while (index < count) {
      const input = inputs[index++];
      isSeeded = false;
      id = seq = undefined;
      try {
        if (isPolicy && typeof input === 'object' && input !== null) {
          id = input.id;
          seq = input.seq;
        }
        const answer = entry(input);
        if (isArray(answer) && answer.length === 0) put('=[]');
        else if (typeof answer === 'object' && answer !== null && !isArray(answer)) return answer;
        else put(write(answer));
      } catch (thrown) {
        put(tell(thrown));
      }
    }
    return undefined;
  };
  const keep = (answer) => {
    try {
      put(write(answer));
    } catch (thrown) {
      put(tell(thrown));
    }
  };
  const fail = (thrown) => put(tell(thrown));
  const finish = () =>
    '[' + isOver + ',' + isPrintedOver + ',' + stringify(printed) + ']\n' + output;
  return { __proto__: null, adopt, begin, step, keep, fail, tell, finish };
})()
