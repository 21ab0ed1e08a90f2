// Run by the image's Node.js, as the first process of its namespace: draws random
// numbers, then makes clones of itself that have the same memory and the same process
// id, as those of a snapshot have. Each prints what it draws.
//
// usage: clones.js COUNT renew|as-they-are
"use strict";

const assert = require("node:assert");
const crypto = require("node:crypto");
const fs = require("node:fs");
const inClone = require("./clone.node");
const unique = require("/var/runtime/_hearth/unique.js");

unique.install();
const draw = () => ({
  "Math.random": Math.random(),
  randomBytes: crypto.randomBytes(16).toString("hex"),
  randomUUID: crypto.randomUUID(),
  getRandomValues: crypto.getRandomValues(new Uint32Array(1))[0],
  randomInt: crypto.randomInt(2 ** 40),
  key: crypto.generateKeyPairSync("x25519").privateKey.export({ format: "jwk" }).d,
});

const [count, mode] = process.argv.slice(2);
assert.equal(process.pid, 1);
draw();
for (let i = 0; i < Number(count); i++) {
  const status = inClone(() => {
    assert.equal(process.pid, 1);
    if (mode === "renew") unique.renewFunction();
    fs.writeSync(1, JSON.stringify(draw()) + "\n");
  });
  assert.equal(status, 0);
}
