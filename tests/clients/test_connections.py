"""Clients that are slow, silent, many, or no HTTP clients at all: each is cut off
within a bound, and meanwhile everybody else is served.
"""

import os
import random
import resource
import select
import threading
import time
import unittest

import clients
import harness
import wire
from wire import FUNCTIONS, connect, read_to_end

HOST = b"Host: hearth\r\n"
# A head must be there within a minute, a small body within half of one; the
# rest is for a busy machine.
HEAD_S_MAX, BODY_S_MAX = 90, 60
# What a well-behaved client puts up with while others misbehave.
SERVED_S_MAX = 10
DRIBBLERS = 50
IDLE_CONNECTIONS = 3000
# The server's own bound on descriptors: well below what it was sent.
SERVER_DESCRIPTORS_MAX = 2000


def served() -> float:
    """A well-behaved client's call; how long it took."""
    started = time.monotonic()
    reply = wire.get(f"{FUNCTIONS}/").signed().send(timeout=HEAD_S_MAX)
    assert reply.status == 200, reply
    return time.monotonic() - started


class Slow(unittest.TestCase):
    """Slow-loris clients: bytes keep coming, and never are a request."""

    def dribble(self, request: bytes, seconds_max: float) -> tuple[float, bytes]:
        """Sends a byte of `request` each half second; when and how it was cut."""
        started, said, sent = time.monotonic(), b"", 0
        with connect() as connection:
            while (lasted := time.monotonic() - started) < seconds_max:
                readable, _, _ = select.select([connection], [], [], 0.5)
                try:
                    if readable:
                        piece = connection.recv(65536)
                        if not piece:
                            return lasted, said
                        said += piece
                        continue
                    connection.sendall(request[sent:sent + 1] or b"x")
                    sent += 1
                except ConnectionError:
                    return time.monotonic() - started, said
        raise AssertionError(f"still connected after {seconds_max} s; it said {said!r}")

    def test_all_kinds_are_cut_while_others_are_served(self):
        head = b"GET /2015-03-31/functions/ HTTP/1.1\r\n" + HOST + b"X-A: "
        body = wire.Request("PUT", f"{FUNCTIONS}/f/configuration", b" " * 500).signed()
        lines = "".join(f"{k}: {v}\r\n" for k, v in body.headers.items() if k != "Content-Length")
        whole_head = (f"PUT {body.path} HTTP/1.1\r\n{HOST.decode()}{lines}"
                      "Content-Length: 500\r\n\r\n").encode()
        kinds = {
            "nothing at all": (None, HEAD_S_MAX),
            "a head, byte by byte": (head, HEAD_S_MAX),
            "a body, byte by byte": (whole_head, BODY_S_MAX),
            "a body that stops": (whole_head + b" ", BODY_S_MAX),
            "an unsigned body, byte by byte":
                (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 500\r\n\r\n", BODY_S_MAX),
            "chunks, byte by byte":
                (whole_head.replace(b"Content-Length: 500", b"Transfer-Encoding: chunked"),
                 BODY_S_MAX),
        }
        outcomes = {}

        def misbehave(kind, opening, seconds_max):
            try:
                if opening is None:
                    with connect() as connection:
                        outcomes[kind] = (0, read_to_end(connection, seconds_max))
                elif opening is head:
                    outcomes[kind] = self.dribble(opening, seconds_max)
                else:
                    outcomes[kind] = self.after(opening, seconds_max, "stops" in kind)
            except Exception as error:  # the main thread reports it
                outcomes[kind] = error

        threads = [threading.Thread(target=misbehave, args=(kind, *how))
                   for kind, how in kinds.items() for _ in range(DRIBBLERS // len(kinds))]
        for thread in threads:
            thread.start()
        slowest = 0.0
        for thread in threads:
            while thread.is_alive():
                slowest = max(slowest, served())
                thread.join(1)
        self.assertLess(slowest, SERVED_S_MAX)
        for kind in kinds:
            with self.subTest(kind):
                outcome = outcomes[kind]
                self.assertNotIsInstance(outcome, Exception, outcome)
                lasted, said = outcome
                if said:
                    self.assertRegex(said, rb"^HTTP/1\.1 4\d\d ")

    def after(self, opening: bytes, seconds_max: float, stops: bool):
        """Sends a head at once, then its body a byte at a time, or not at all."""
        started, said = time.monotonic(), b""
        with connect() as connection:
            connection.sendall(opening)
            while (lasted := time.monotonic() - started) < seconds_max:
                readable, _, _ = select.select([connection], [], [], 0.5)
                try:
                    if readable:
                        piece = connection.recv(65536)
                        if not piece:
                            return lasted, said
                        said += piece
                    elif not stops:
                        connection.sendall(b" ")
                except ConnectionError:
                    return time.monotonic() - started, said
        raise AssertionError(f"still connected after {seconds_max} s; it said {said!r}")

    def test_a_response_that_nobody_reads_is_given_up(self):
        links = wire.call("GET", f"{FUNCTIONS}/?MaxItems=50")
        self.assertEqual(links.status, 200)
        before = harness.server().descriptors()
        held = []
        for _ in range(20):
            connection = connect()
            held.append(connection)
            self.addCleanup(connection.close)
            signed = wire.get(f"{FUNCTIONS}/").signed()
            lines = "".join(f"{k}: {v}\r\n" for k, v in signed.headers.items())
            request = f"GET {signed.path} HTTP/1.1\r\n{HOST.decode()}{lines}\r\n".encode()
            # Host is signed as the address; say it as botocore does.
            host = ":".join(map(str, harness.server().address)).encode()
            request = request.replace(b"Host: hearth", b"Host: " + host)
            connection.setblocking(False)
            for _ in range(2000):
                try:
                    connection.send(request)
                except BlockingIOError:
                    break
        harness.eventually(lambda: harness.server().descriptors() <= before + 2,
                           "connections that take no response are closed", HEAD_S_MAX, 0.5)
        self.assertLess(served(), SERVED_S_MAX)


class Many(unittest.TestCase):
    """More connections than anybody needs."""

    def test_thousands_of_idle_connections_lock_nobody_out(self):
        limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        count = min(IDLE_CONNECTIONS, limit - 200)
        idle = []
        try:
            for _ in range(count):
                connection = wire.socket.socket()
                connection.setblocking(False)
                connection.connect_ex(harness.server().address)
                idle.append(connection)
            self.assertLess(served(), SERVED_S_MAX)
            self.assertLess(harness.server().descriptors(), SERVER_DESCRIPTORS_MAX)
        finally:
            for connection in idle:
                connection.close()
        self.assertLess(served(), SERVED_S_MAX)

    def test_connections_that_come_and_go_leave_nothing(self):
        served()
        before = harness.server().descriptors()
        for _ in range(2000):
            connect().close()
        self.assertLess(served(), SERVED_S_MAX)
        harness.eventually(lambda: harness.server().descriptors() <= before + 5,
                           "descriptors are given back")


class Garbage(unittest.TestCase):
    """Bytes that are not HTTP, or are it only almost."""

    CASES = {
        "noise": random.Random(7).randbytes(4096),
        "zeros": bytes(4096),
        "TLS": bytes.fromhex("1603010200010001fc0303") + bytes(500),
        "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "an unknown version": b"GET / HTTP/9.9\r\n" + HOST + b"\r\n",
        "no version": b"GET /\r\n\r\n",
        "no host": b"GET / HTTP/1.1\r\n\r\n",
        "a header without a colon": b"GET / HTTP/1.1\r\n" + HOST + b"nonsense\r\n\r\n",
        "a header with a space": b"GET / HTTP/1.1\r\nHost : hearth\r\n\r\n",
        "a folded header": b"GET / HTTP/1.1\r\n" + HOST + b"A: b\r\n c\r\n\r\n",
        "a negative length": b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: -1\r\n\r\n",
        "a length that is no number":
            b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 0x10\r\n\r\n",
        "a length beyond numbers":
            b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: " + b"9" * 40 + b"\r\n\r\n",
        "two lengths":
            b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        "a chunk size that is none":
            b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        "an endless chunk size":
            b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n" + b"0" * 70_000,
        "an unknown coding":
            b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: gzip\r\n\r\n",
        "an endless request line": b"GET /" + b"a" * 200_000,
        "an endless header": b"GET / HTTP/1.1\r\n" + HOST + b"A: " + b"a" * 1_000_000,
        "endless headers": b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 100_000,
        "CONNECT": b"CONNECT example.com:443 HTTP/1.1\r\n" + HOST + b"\r\n",
        "a proxy's form": b"GET http://example.com/ HTTP/1.1\r\n" + HOST + b"\r\n",
    }

    def test_each_is_refused_and_nobody_else_notices(self):
        for what, garbage in self.CASES.items():
            with self.subTest(what):
                with connect() as connection:
                    try:
                        connection.sendall(garbage)
                        connection.shutdown(wire.socket.SHUT_WR)
                    except OSError:
                        pass  # it hung up in the middle: that is an answer
                    said = read_to_end(connection, 30)
                if said:
                    self.assertRegex(said, rb"^HTTP/1\.[01] [45]\d\d ")
                    self.assertNotRegex(said, rb"^HTTP/1\.[01] 500 ")
                self.assertLess(served(), SERVED_S_MAX)
        self.assertNotIn("panicked", harness.server().output())

    def test_two_lengths_of_a_body_cannot_smuggle_a_request(self):
        smuggled = b"GET /2015-03-31/functions/ HTTP/1.1\r\n" + HOST + b"\r\n"
        with connect() as connection:
            connection.sendall(
                b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: %d\r\n"
                b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" % (5 + len(smuggled)) + smuggled)
            connection.shutdown(wire.socket.SHUT_WR)
            said = read_to_end(connection, 30)
        self.assertLessEqual(said.count(b"HTTP/1.1 "), 1, said)

    def test_a_client_that_leaves_in_the_middle_takes_nothing_along(self):
        signed = wire.Request("PUT", f"{FUNCTIONS}/f/configuration", b"{}").signed()
        before = harness.server().descriptors()
        for cut in range(0, 400, 8):
            lines = "".join(f"{k}: {v}\r\n" for k, v in signed.headers.items())
            whole = f"PUT {signed.path} HTTP/1.1\r\nHost: h\r\n{lines}\r\n{{}}".encode()
            with connect() as connection:
                connection.sendall(whole[:cut])
        self.assertLess(served(), SERVED_S_MAX)
        harness.eventually(lambda: harness.server().descriptors() <= before + 5,
                           "descriptors are given back")


class Capacity(clients.FunctionTest):
    """More invokes than the host has room for."""

    INVOKES = 8

    def test_beyond_capacity_is_told_at_once_and_passes(self):
        pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        memory_mb = min(10_240, max(128, pages // (3 * 1024 * 1024)))
        name = self.make(MemorySize=memory_mb, Timeout=60)
        outcomes, lock = [], threading.Lock()

        def invoke(lambda_):
            started = time.monotonic()
            try:
                lambda_.invoke(FunctionName=name, Payload=b'{"do": "sleep", "seconds": 5}')
                outcome = "served"
            except lambda_.exceptions.TooManyRequestsException as error:
                outcome = error.response
            with lock:
                outcomes.append((outcome, time.monotonic() - started))

        threads = [threading.Thread(target=invoke, args=(clients.client(),))
                   for _ in range(self.INVOKES)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(harness.COMMAND_S_MAX)
        self.assertEqual(len(outcomes), self.INVOKES, "no invoke hangs")
        throttled = [(o, took) for o, took in outcomes if o != "served"]
        self.assertTrue(throttled, "the host cannot have room for all")
        self.assertLess(len(throttled), self.INVOKES, "there is room for some")
        for response, took in throttled:
            self.assertEqual(response["ResponseMetadata"]["HTTPStatusCode"], 429)
            self.assertEqual(response["Reason"], "ConcurrentInvocationLimitExceeded")
            self.assertTrue(response["ResponseMetadata"]["HTTPHeaders"].get("retry-after"))
            self.assertLess(took, SERVED_S_MAX)
        self.assertEqual(self.invoke(name)["StatusCode"], 200)
