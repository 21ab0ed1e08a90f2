// The environment of the function that a prepared runtime becomes.
"use strict";

const api = require("./api.js");

// What Node.js, AWS's client or a library has read when it started, and will
// not read again: these, and all that begin so.
const READ_AT_START = new Set([
  "AWS_LAMBDA_EXEC_WRAPPER",
  "AWS_LAMBDA_NODEJS_NO_GLOBAL_AWSLAMBDA",
  "AWS_LAMBDA_RUNTIME_API",
  "AWS_LAMBDA_RUNTIME_VERBOSE",
  "GLIBC_TUNABLES",
  "LANG",
  "LD_AUDIT",
  "LD_BIND_NOW",
  "LD_DEBUG",
  "LD_LIBRARY_PATH",
  "LD_PRELOAD",
  "LOCPATH",
  "NODE_COMPILE_CACHE",
  "NODE_DEBUG",
  "NODE_DEBUG_NATIVE",
  "NODE_DISABLE_COLORS",
  "NODE_DISABLE_COMPILE_CACHE",
  "NODE_EXTRA_CA_CERTS",
  "NODE_ICU_DATA",
  "NODE_NO_WARNINGS",
  "NODE_OPTIONS",
  "NODE_PENDING_DEPRECATION",
  "NODE_PRESERVE_SYMLINKS",
  "NODE_PRESERVE_SYMLINKS_MAIN",
  "NODE_REDIRECT_WARNINGS",
  "NODE_USE_ENV_PROXY",
  "NODE_USE_SYSTEM_CA",
  "NODE_V8_COVERAGE",
  "SSL_CERT_DIR",
  "SSL_CERT_FILE",
]);
const BEGIN_LIKE_THOSE = ["LC_", "MALLOC_", "OPENSSL_", "UV_"];

/** The function's variables. Blocks until there is a function. */
exports.wait = async () => JSON.parse(await api.ask("GET", "/hearth/environment"));

/** Whether `variables` come too late for a process that started with others. */
exports.needsRestart = (startedWith, variables) =>
  Object.keys({ ...startedWith, ...variables }).some(
    (name) => isReadAtStart(name) && startedWith[name] !== variables[name],
  );

const isReadAtStart = (name) =>
  READ_AT_START.has(name) || BEGIN_LIKE_THOSE.some((begin) => name.startsWith(begin));

/** Begins anew as the same process, the slow way and with no preparation. */
exports.restart = (variables) => {
  const program = process.argv[1];
  process.execve(program, [program], variables);
};

/** Makes `variables` the whole environment. */
exports.apply = (variables) => {
  for (const name of Object.keys(process.env)) delete process.env[name];
  Object.assign(process.env, variables);
};
