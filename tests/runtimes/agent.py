"""The agent's part: a Runtime API, over HTTP and over lines, that hands each request
to the test, which says when and with what it is answered.
"""

import http.server
import json
import queue
import threading

import guest

ADDRESS = ("127.0.0.1", 9001)
BASE = "/2018-06-01/runtime"
NEXT = f"{BASE}/invocation/next"
RESTORE_NEXT = f"{BASE}/restore/next"
RESTORE_ERROR = f"{BASE}/restore/error"
INIT_ERROR = f"{BASE}/init/error"
ENVIRONMENT = "/hearth/environment"
# What is said over a line.
ASKED = {"environment": ENVIRONMENT, "restore": RESTORE_NEXT, "next": NEXT}
ANSWERS = ("response", "error")
EXPECTED = (NEXT, RESTORE_NEXT, RESTORE_ERROR, INIT_ERROR, ENVIRONMENT)


class Request:
    """A request that waits for its answer."""

    def __init__(self, method: str, path: str, headers, body: bytes):
        self.method, self.path, self.headers, self.body = method, path, headers, body
        self._answer = queue.Queue(1)

    def json(self):
        """What it says."""
        return json.loads(self.body)

    def answer(self, status: int, body=b"", **headers: str):
        """Answers it."""
        self._answer.put((status, body if isinstance(body, bytes) else json.dumps(body).encode(),
                          {name.replace("_", "-"): value for name, value in headers.items()}))

    def answered(self):
        """The answer, once the test has given it; None if the run ends first."""
        return self._answer.get()


class Api:
    """The server; a context."""

    def __enter__(self):
        self.requests = queue.Queue()
        # An answer is taken only between the event and the next `next`.
        self.running = None
        self._open = []
        api = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def log_message(self, *_):
                pass

            def handle_any(self):
                length = int(self.headers.get("Content-Length", 0))
                answer = api._take(
                    Request(self.command, self.path, self.headers, self.rfile.read(length)))
                if answer is None:
                    self.close_connection = True
                    return
                status, body, headers = answer
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = handle_any

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            allow_reuse_address = True

            def handle_error(self, *_):
                """A runtime that is killed breaks its connections."""

        self._server = Server(ADDRESS, Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        for request in self._open:
            request._answer.put_nowait(None) if request._answer.empty() else None
        self._server.shutdown()
        self._server.server_close()

    def serve_line(self, from_runtime, to_runtime):
        """Serves a runtime's line, by our ends of it, until the runtime ends."""
        threading.Thread(target=self._converse, args=(from_runtime, to_runtime),
                         daemon=True).start()

    def _converse(self, from_runtime, to_runtime):
        with from_runtime, to_runtime:
            for line in from_runtime:
                what, *words = line.decode().split()
                if what in ANSWERS:
                    request_id, length = words
                    path = f"{BASE}/invocation/{request_id}/{what}"
                    self._take(Request("POST", path, {}, from_runtime.read(int(length))))
                    continue
                answer = self._take(Request("GET", ASKED[what], {}, b""))
                if answer is None or answer[0] != 200:
                    return
                _, body, headers = answer
                if what == "next":
                    names = ("Aws-Request-Id", "Deadline-Ms", "Invoked-Function-Arn", "Trace-Id")
                    known = [headers[f"Lambda-Runtime-{name}"] for name in names]
                    head = f"{len(body)} 0 {' '.join(known)}"
                else:
                    head = f"{len(body)}"
                to_runtime.write(head.encode() + b"\n" + body)
                to_runtime.flush()

    def _take(self, request: Request):
        """Refuses as the agent does; else leaves it to the test."""
        operation = request.path.removeprefix(f"{BASE}/invocation/")
        if operation in (f"{self.running}/response", f"{self.running}/error"):
            self.running = None
        elif operation.endswith(("/response", "/error")) and request.path not in EXPECTED:
            return 403, b'{"errorType":"InvalidStateTransition"}', {}
        elif request.path not in EXPECTED:
            return 404, b'{"errorType":"InvalidRequest"}', {}
        self._open.append(request)
        self.requests.put(request)
        return request.answered()

    def expect(self, path: str, runtime=None) -> Request:
        """The next request, which must be this."""
        def arrived():
            if runtime and runtime.process.poll() is not None and self.requests.empty():
                raise AssertionError(f"exited with {runtime.process.returncode} before {path}:\n"
                                     + runtime.output())
            try:
                return self.requests.get(timeout=0.02)
            except queue.Empty:
                return None
        request = guest.eventually(arrived, f"a request of {path}")
        assert request.path == path, f"{request.method} {request.path} in place of {path}"
        return request

    def invoke(self, event, runtime=None):
        """Gives the runtime an event and returns its answer."""
        waiting = self.expect(NEXT, runtime)
        self.running = "request-1"
        waiting.answer(200, event, Lambda_Runtime_Aws_Request_Id=self.running,
                       Lambda_Runtime_Deadline_Ms="4102444800000", Lambda_Runtime_Trace_Id="",
                       Lambda_Runtime_Invoked_Function_Arn="arn:aws:lambda:local:1:function:probe")
        result = self.expect(f"{BASE}/invocation/{self.running}/response", runtime)
        result.answer(202)
        return result.json()
