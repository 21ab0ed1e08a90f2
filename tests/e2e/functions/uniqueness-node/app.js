// Answers with what it drew while it initialised, and draws now: what clones of one
// snapshot must all draw differently (`handler`), and what they have in common (`init`).
"use strict";

const crypto = require("node:crypto");
const fs = require("node:fs");
const os = require("node:os");
const path = require("node:path");
const tls = require("node:tls");
const { Duplex } = require("node:stream");

/** The random part and the session id of a TLS greeting. */
const clientHello = () =>
  new Promise((resolve, reject) => {
    // Nobody answers.
    const socket = new Duplex({
      read() {},
      write(hello) {
        // A record's head of 5 bytes, a message's of 4, the version of 2, the
        // random part, a length of 1, the session id.
        const hex = (from, to) => hello.subarray(from, to).toString("hex");
        resolve({ random: hex(11, 43), sessionId: hex(44, 76) });
        this.destroy();
      },
    });
    tls.connect({ socket, servername: "example.com" }).on("error", reject);
  });

/** The name of a temporary directory, which is removed again. */
function temporaryName() {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), "uniqueness-"));
  fs.rmdirSync(directory);
  return path.basename(directory);
}

/** One of each. */
const samples = async () => ({
  mathRandom: Array.from({ length: 5 }, Math.random),
  randomBytes: crypto.randomBytes(16).toString("hex"),
  randomUUID: crypto.randomUUID(),
  randomInt: crypto.randomInt(2 ** 48 - 1),
  getRandomValues: crypto.getRandomValues(new Uint32Array(4)).join(" "),
  clientHello: await clientHello(),
  now: Date.now(),
  mkdtemp: temporaryName(),
  hostname: os.hostname(),
  machineId: fs.readFileSync("/etc/machine-id").toString().trim(),
});

const init = samples();

exports.handler = async () => ({ init: await init, handler: await samples() });
