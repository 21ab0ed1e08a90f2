// The snapshot of an initialised function: it is taken before the first event
// is asked for. The function hears of it by events of `process`:
//
//   process.on("beforeSnapshot", async () => { … });   the last registered first
//   process.on("afterRestore", async () => { … });     in the order of registration
"use strict";

const api = require("./api.js");
const unique = require("./unique.js");

const RUNTIME = "/2018-06-01/runtime";
const BEFORE = {
  event: "beforeSnapshot",
  path: `${RUNTIME}/init/error`,
  type: "Runtime.BeforeSnapshotError",
  exitCode: 64,
};
const AFTER = {
  event: "afterRestore",
  path: `${RUNTIME}/restore/error`,
  type: "Runtime.AfterRestoreError",
  exitCode: 65,
};
// The client would ask with it where we do not see it.
const OTHER_CLIENT = "AWS_LAMBDA_NODEJS_USE_ALTERNATIVE_CLIENT_1";

/** Runs `begin`, which runs the client, with the snapshot before its `next`. */
exports.around = (client, begin) => {
  unique.install();
  const runtimeApi = require(client + "rapid-client.node");
  const { next } = runtimeApi;
  runtimeApi.next = async () => {
    runtimeApi.next = next;
    await snapshot();
    return next();
  };
  // It is read before `begin` first waits for something.
  const otherClient = process.env[OTHER_CLIENT];
  delete process.env[OTHER_CLIENT];
  const running = begin();
  if (otherClient !== undefined) process.env[OTHER_CLIENT] = otherClient;
  return running;
};

async function snapshot() {
  await during(BEFORE, async () => {
    for (const hook of process.listeners(BEFORE.event).reverse()) await hook();
    await api.ask("GET", `${RUNTIME}/restore/next`);
  });
  unique.renewFunction();
  await during(AFTER, async () => {
    for (const hook of process.listeners(AFTER.event)) await hook();
  });
}

/** Runs a stage, and ends the process if that fails, as Lambda does. */
async function during({ path, type, exitCode }, run) {
  try {
    await run();
  } catch (error) {
    console.error(error);
    await api.ask("POST", path, {
      headers: { "Content-Type": "application/json", "Lambda-Runtime-Function-Error-Type": type },
      body: JSON.stringify(report(error)),
      status: 202,
    });
    process.exit(exitCode);
  }
}

/** An error in Lambda's words. */
function report(error) {
  if (!(error instanceof Error)) {
    return { errorType: typeof error, errorMessage: String(error), trace: [] };
  }
  return { errorType: error.name, errorMessage: error.message, trace: error.stack.split("\n") };
}
