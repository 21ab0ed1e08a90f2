"""The line to the agent: two pipes on which events come and answers go, in place of
HTTP through AWS's native client. All that runs between a clone's restore and its
first answer runs for the first time there; this is a tenth of that code.

    environment, restore, next, response ID BYTES, error ID BYTES  ──► agent
    runtime ◄── BYTES … and as many bytes
"""

import os

from awslambdaric.lambda_runtime_client import InvocationRequest, LambdaRuntimeClient

# Tells which descriptors it is.
VARIABLE = "HEARTH_LINE"
READ_BYTES = 64 * 1024
# Of an event's head, after its length: its context's length, id, deadline, ARN, trace.
EVENT_WORDS = 5


class Line:
    """Our ends of it."""

    def __init__(self, source, sink):
        self._source, self._sink = source, sink
        # Called once, when the next event is here.
        self.before_event = None

    def ask(self, what):
        """Asks for something that may come long after."""
        self._write(what + b"\n")
        head, body = self._read_head()
        return self._read_body(body, int(head))

    def next(self):
        """The next event, as AWS's client puts it."""
        self._write(b"next\n")
        head, rest = self._read_head()
        length, context_length, request_id, deadline_ms, arn, trace = head.decode().split(
            " ", EVENT_WORDS
        )
        context_length = int(context_length)
        rest = self._read_body(rest, context_length + int(length))
        if self.before_event:
            act, self.before_event = self.before_event, None
            act()
        return InvocationRequest(
            invoke_id=request_id,
            x_amzn_trace_id=trace or None,
            invoked_function_arn=arn,
            deadline_time_in_ms=int(deadline_ms),
            client_context=rest[:context_length].decode() if context_length else None,
            cognito_identity=None,
            tenant_id=None,
            content_type="application/json",
            event_body=rest[context_length:] if context_length else rest,
            invocation_id=None,
        )

    def answer(self, kind, request_id, body):
        """What became of an event."""
        if not isinstance(body, bytes):
            body = body.encode("utf-8")
        self._write(f"{kind} {request_id} {len(body)}\n".encode() + body)

    def _read(self):
        data = os.read(self._source, READ_BYTES)
        if not data:
            raise ConnectionError("the agent has hung up")
        return data

    def _read_head(self):
        """The next message's first line, and what has come of the rest."""
        data = self._read()
        while b"\n" not in data:
            data += self._read()
        head, _, rest = data.partition(b"\n")
        return head, rest

    def _read_body(self, begun, length):
        """All of it."""
        if len(begun) == length:
            return begun
        parts = [begun]
        missing = length - len(begun)
        while missing > 0:
            parts.append(self._read())
            missing -= len(parts[-1])
        return b"".join(parts)

    def _write(self, data):
        written = os.write(self._sink, data)
        # A signal comes between.
        while written < len(data):
            written += os.write(self._sink, memoryview(data)[written:])


def from_environment(variables):
    """The line that the agent gave us. Programs that we start do not get it."""
    ends = [int(end) for end in variables[VARIABLE].split(",")]
    for end in ends:
        os.set_inheritable(end, False)
    return Line(*ends)


def attach(line):
    """Has AWS's client use it."""

    def wait_next_invocation(client):
        return line.next()

    def post_invocation_result(client, invoke_id, result_data, content_type=None, invocation_id=None):
        line.answer("response", invoke_id, result_data)

    def post_invocation_error(client, invoke_id, error_data, xray_fault, invocation_id=None):
        line.answer("error", invoke_id, error_data)

    LambdaRuntimeClient.wait_next_invocation = wait_next_invocation
    LambdaRuntimeClient.post_invocation_result = post_invocation_result
    LambdaRuntimeClient.post_invocation_error = post_invocation_error
