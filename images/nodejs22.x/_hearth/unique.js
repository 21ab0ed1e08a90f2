// Makes this process unlike every other clone of the snapshot that it was
// restored from: whatever remembers random numbers draws new ones. The kernel's
// generator is new already.
//
// Out of reach: the `Math.random` of other contexts and of workers that run
// already, the seed of hashes. See docs/uniqueness.md.
"use strict";

const crypto = require("node:crypto");
const native = require("./native.node");
const random = require("./random.js");

// How many numbers Node.js draws in advance, for each of its functions.
const UUIDS_AHEAD = 128;
const INTEGERS_AHEAD = 1024;

/** To be done before any of the function's code runs. */
exports.install = random.install;

/** Draws anew all that can be remembered before a function's code has run. */
exports.renew = () => {
  native.reseed();
  random.seed();
};

/** The same for a function: it may have had Node.js draw in advance. */
exports.renewFunction = () => {
  exports.renew();
  for (let i = 0; i < UUIDS_AHEAD; i++) crypto.randomUUID();
  for (let i = 0; i < INTEGERS_AHEAD; i++) crypto.randomInt(1);
};
