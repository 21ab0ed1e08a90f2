// Requests to the agent, with as little in between as there can be: an answer
// may come after days that this machine spends as a snapshot.
"use strict";

const net = require("node:net");

// Lambda allows 4 KB of the user's environment; the rest is ours, credentials
// included. Other answers are shorter.
const ANSWER_BYTES_MAX = 256 * 1024;

/** Sends a request and resolves to the body of the answer, if it is as wanted. */
exports.ask = (method, path, { headers = {}, body = "", status = 200 } = {}) =>
  new Promise((resolve, reject) => {
    const address = process.env.AWS_LAMBDA_RUNTIME_API;
    const [host, port] = address.split(":");
    const parts = [];
    let bytes = 0;
    const socket = net.connect(Number(port), host);
    socket.on("error", reject);
    socket.on("data", (part) => {
      parts.push(part);
      bytes += part.length;
      if (bytes > ANSWER_BYTES_MAX) {
        socket.destroy(new Error(`${path} answered more than ${ANSWER_BYTES_MAX} bytes`));
      }
    });
    socket.on("end", () => {
      const answer = Buffer.concat(parts).toString();
      const [head] = answer.split("\r\n\r\n", 1);
      if (head.split(" ", 2)[1] !== String(status)) {
        reject(new Error(`${path} answered ${JSON.stringify(head.slice(0, 100))}`));
      }
      resolve(answer.slice(head.length + 4));
    });
    const lines = Object.entries({ Host: address, ...headers }).map(([k, v]) => `${k}: ${v}`);
    if (body) lines.push(`Content-Length: ${Buffer.byteLength(body)}`);
    // 1.0, so that the answer is neither chunked nor followed by another.
    socket.write(`${method} ${path} HTTP/1.0\r\n${lines.join("\r\n")}\r\n\r\n${body}`);
  });
