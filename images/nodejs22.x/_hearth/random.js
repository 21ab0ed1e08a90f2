// In place of V8's `Math.random`, whose state nothing can change once it runs:
// xoshiro128** by Blackman and Vigna (https://prng.di.unimi.it), two draws a
// number. Like V8's it is fast and good, and no secret.
"use strict";

const { randomFillSync } = require("node:crypto");

const state = new Uint32Array(4);

/** Begins a new sequence. */
exports.seed = () => randomFillSync(state);

const rotate = (word, by) => (word << by) | (word >>> (32 - by));

function next() {
  const word = Math.imul(rotate(Math.imul(state[1], 5), 7), 9) >>> 0;
  const shifted = state[1] << 9;
  state[2] ^= state[0];
  state[3] ^= state[1];
  state[1] ^= state[2];
  state[0] ^= state[3];
  state[2] ^= shifted;
  state[3] = rotate(state[3], 11);
  return word;
}

/** Puts it there. Like what it replaces, it is a method and no constructor. */
exports.install = () => {
  exports.seed();
  const { random } = {
    random() {
      return ((next() >>> 5) * 0x4000000 + (next() >>> 6)) / 0x20000000000000;
    },
  };
  const description = Object.getOwnPropertyDescriptor(Math, "random");
  Object.defineProperty(Math, "random", { ...description, value: random });
};
