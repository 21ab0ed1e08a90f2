"""A Runtime API whose every answer the test gives: a call that the runtime makes
waits until the test has looked at it and answered."""

import http.server
import json
import queue
import sys
import threading

#: Longest that anything takes which must happen.
PATIENCE_S = 60
PREFIX = "/2018-06-01/runtime/"


class Call:
    """One request of the runtime's."""

    def __init__(self, request, body):
        self.method, self.path = request.command, request.path
        self.headers, self.body = request.headers, body
        self.connection = request.client_address
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
                call = Call(self, self.rfile.read(length))
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
