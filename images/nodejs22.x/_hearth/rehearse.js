// Runs once what the first invoke will run, so that it finds its code read,
// compiled and linked. Nothing comes of it: the Runtime API refuses, as it must
// before there is a function.
"use strict";

const fs = require("node:fs/promises");
const native = require("./native.node");

const NOBODY = "rehearsal";
// Enough for V8 to know the types of what it runs.
const ROUNDS = 16;
const EVENT = { key: "value", list: [1, 2.5, null, true], nested: { text: "ä" } };
const REQUEST = {
  bodyJson: JSON.stringify(EVENT),
  headers: {
    "lambda-runtime-aws-request-id": NOBODY,
    "lambda-runtime-deadline-ms": 0,
    "lambda-runtime-invoked-function-arn": `arn:aws:lambda:local:000000000000:function:${NOBODY}`,
    "lambda-runtime-trace-id": "",
  },
};
// What the client keeps in the global object.
const SYMBOLS = [
  "aws.lambda.beforeExit",
  "aws.lambda.runtime.requestId",
  "aws.lambda.runtime.tenantId",
];
const EVENTS = ["uncaughtException", "unhandledRejection", "beforeExit"];

exports.handler = async (event, context) => {
  const body = JSON.stringify({ event, left: context.getRemainingTimeInMillis() });
  return { statusCode: 200, body };
};

/** Runs AWS's client, which is at `client`, with a `next` of our own. */
exports.run = async (client) => {
  const runtimeApi = require(client + "rapid-client.node");
  const { run } = await import(client + "index.mjs");
  const undo = remember();
  const { next, done } = runtimeApi;
  let rounds = 0;
  await new Promise((resolve) => {
    runtimeApi.next = () => {
      if (rounds++ < ROUNDS) return Promise.resolve(REQUEST);
      resolve();
      // The rehearsal's loop waits here for ever.
      return new Promise(() => {});
    };
    // The client's native half says at length that it was refused.
    runtimeApi.done = (...result) => native.silently(() => done(...result));
    run(__dirname, "rehearse.handler");
  });
  Object.assign(runtimeApi, { next, done });
  undo();
  // Starts the threads that requests and files are waited for in.
  await fs.readFile(__filename);
};

/** Remembers what running the client changes; returns what undoes it. */
function remember() {
  const methods = { ...console };
  const listeners = EVENTS.map((event) => process.listeners(event));
  return () => {
    Object.assign(console, methods);
    EVENTS.forEach((event, i) => {
      process.removeAllListeners(event);
      listeners[i].forEach((listener) => process.on(event, listener));
    });
    for (const symbol of SYMBOLS) delete global[Symbol.for(symbol)];
  };
}
