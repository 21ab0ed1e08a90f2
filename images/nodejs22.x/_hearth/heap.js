// The size that V8's heap may have. It was chosen when this process started,
// in a sandbox that may have had another size.
"use strict";

const os = require("node:os");
const native = require("./native.node");

// As in the bootstrap's first line.
const HEAP_PERCENT = 90;

/** The memory that this sandbox has, in bytes. */
const memory = () => Math.min(process.constrainedMemory() || Infinity, os.totalmem());
const startedWith = memory();

/** Chooses it anew, if that changes it. */
exports.fit = () => {
  if (memory() !== startedWith) native.limitHeap((memory() / 100) * HEAP_PERCENT);
};
