// The way of a runtime that is started before its function is known.
"use strict";

const environment = require("./environment.js");
const heap = require("./heap.js");
const rehearse = require("./rehearse.js");
const unique = require("./unique.js");

// Where a runtime starts; the function's code is mounted there later.
const HOME = "/var/task";
// Part of the executable, so nothing of the function's can stand before them.
const MODULES = [
  "assert",
  "async_hooks",
  "buffer",
  "child_process",
  "crypto",
  "dns",
  "events",
  "fs/promises",
  "http",
  "https",
  "os",
  "path",
  "perf_hooks",
  "querystring",
  "readline",
  "stream/promises",
  "string_decoder",
  "timers/promises",
  "tls",
  "url",
  "util",
  "v8",
  "worker_threads",
  "zlib",
];

/** Does beforehand what every function needs, and returns as one function. */
exports.becomeAFunction = async (client) => {
  const startedWith = { ...process.env };
  for (const name of MODULES) require(`node:${name}`);
  // `fetch` and its classes are loaded by whoever asks for one of them.
  new Headers();
  unique.install();
  await rehearse.run(client);

  // The snapshot is taken within.
  const variables = await environment.wait();
  variables.AWS_LAMBDA_RUNTIME_API ??= startedWith.AWS_LAMBDA_RUNTIME_API;
  if (environment.needsRestart(startedWith, variables)) environment.restart(variables);
  environment.apply(variables);
  unique.renew();
  // To what is mounted there now.
  process.chdir(HOME);
  heap.fit();
};
