"""A Runtime API whose every answer the test gives: a call that the runtime makes
waits until the test has looked at it and answered."""

import http.server
import json
import os
import queue
import sys
import threading

#: Longest that anything takes which must happen.
PATIENCE_S = 60
PREFIX = "/2018-06-01/runtime/"
#: What is asked over a line, and what an event is told with there.
ASKED = {"environment": "/hearth/environment", "restore": PREFIX + "restore/next",
         "next": PREFIX + "invocation/next"}
EVENT = ("Aws-Request-Id", "Deadline-Ms", "Invoked-Function-Arn", "Trace-Id")
#: The connection of a call that came over one.
LINE = "line"


class Call:
    """One request of the runtime's."""

    def __init__(self, method, path, headers, body, connection):
        self.method, self.path = method, path
        self.headers, self.body = headers, body
        self.connection = connection
        self.reply = queue.Queue(maxsize=1)

    def answer(self, status=202, body=b"", headers=()):
        self.reply.put((status, body, dict(headers)))

    def json(self):
        return json.loads(self.body)


class Server(http.server.ThreadingHTTPServer):
    def handle_error(self, request, client_address):
        # Runtimes end as they like.
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class RuntimeApi:
    """Listens on a port of its own until closed."""

    def __init__(self):
        calls = self.calls = queue.Queue(maxsize=16)

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def serve(self):
                length = int(self.headers.get("Content-Length", 0))
                body = self.rfile.read(length)
                call = Call(self.command, self.path, self.headers, body, self.client_address)
                calls.put(call)
                status, body, headers = call.reply.get()
                self.send_response(status)
                chunked = headers.get("Transfer-Encoding") == "chunked"
                for name, value in headers.items():
                    self.send_header(name, value)
                if not chunked:
                    self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
                self.wfile.flush()

            do_GET = do_POST = serve

            def log_message(self, *arguments):
                pass

        self.server = Server(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.address = "127.0.0.1:%d" % self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def line(self):
        """The runtime's ends of a new line, on which it makes the same calls."""
        from_runtime, sink = os.pipe()
        source, to_runtime = os.pipe()
        ours = open(from_runtime, "rb"), open(to_runtime, "wb")
        threading.Thread(target=self.converse, args=ours, daemon=True).start()
        return source, sink

    def converse(self, from_runtime, to_runtime):
        with from_runtime, to_runtime:
            for line in from_runtime:
                what, *words = line.decode().split()
                if what in ASKED:
                    call = Call("GET", ASKED[what], {}, b"", LINE)
                else:
                    path = "%sinvocation/%s/%s" % (PREFIX, words[0], what)
                    call = Call("POST", path, {}, from_runtime.read(int(words[1])), LINE)
                self.calls.put(call)
                status, body, headers = call.reply.get()
                if what not in ASKED:
                    continue
                if status != 200:
                    return
                head = str(len(body))
                if what == "next":
                    known = [headers.get("Lambda-Runtime-" + name, "") for name in EVENT]
                    head = " ".join([head, "0", *known])
                to_runtime.write(head.encode() + b"\n" + body)
                to_runtime.flush()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def expect(self, method, path):
        """The next call, which must be this one."""
        call = self.calls.get(timeout=PATIENCE_S)
        assert (call.method, call.path) == (method, path), (call.method, call.path, call.body)
        return call

    def next(self):
        return self.expect("GET", PREFIX + "invocation/next")
