"""Runs once what the first invoke will run, so that it finds its code read,
linked and specialised. Nothing comes of it: the Runtime API refuses, as it must
before there is a function."""

import contextlib
import json
import logging
import os
import ssl
import time

from awslambdaric import bootstrap
from awslambdaric.lambda_runtime_client import (
    LambdaRuntimeClient,
    LambdaRuntimeClientError,
)

NOBODY = "rehearsal"
# Enough for the interpreter to specialise what it runs.
ROUNDS = 16
EVENT = {"key": "value", "list": [1, 2.5, None, True], "nested": {"text": "ä"}}


def run(api):
    """Runs it against the Runtime API at `api`."""
    with _silence():
        for _ in range(ROUNDS):
            _invoke(api)
    _log()
    _call(api)
    _greet()
    # As when the function's own source is read.
    with open(__file__, encoding="utf-8") as file:
        compile(file.read(), __file__, "exec")


@contextlib.contextmanager
def _silence():
    """The client's native half says at length that it was refused."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    streams = {stream: os.dup(stream) for stream in (1, 2)}
    for stream in streams:
        os.dup2(nowhere, stream)
    try:
        yield
    finally:
        for stream, kept in streams.items():
            os.dup2(kept, stream)
            os.close(kept)
        os.close(nowhere)


def _handler(event, context):
    body = json.dumps({"event": event, "left": context.get_remaining_time_in_millis()})
    return {"statusCode": 200, "body": body, "name": os.environ.get("AWS_LAMBDA_FUNCTION_NAME")}


def _invoke(api):
    event, deadline_ms = json.dumps(EVENT).encode(), int(time.time() * 1000)
    arn = f"arn:aws:lambda:local:000000000000:function:{NOBODY}"
    client = LambdaRuntimeClient(api)
    with bootstrap.create_log_sink() as log_sink:
        try:
            bootstrap.handle_event_request(
                client, _handler, NOBODY, event, "application/json",
                None, None, arn, deadline_ms, None, log_sink,
            )  # fmt: skip
        except RuntimeError:
            return
    raise RuntimeError("the Runtime API took an answer that nobody had asked for")


def _log():
    with open(os.devnull, "w") as nowhere:
        handler = logging.StreamHandler(nowhere)
        handler.setFormatter(logging.Formatter("[%(levelname)s]\t%(asctime)s\t%(message)s"))
        handler.emit(logging.makeLogRecord({"msg": "%s", "args": (NOBODY,)}))


def _call(api):
    try:
        LambdaRuntimeClient(api).call_rapid("GET", f"/{NOBODY}", 200)
    except LambdaRuntimeClientError:
        return
    raise RuntimeError("the Runtime API has an operation that it should not have")


def _greet():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    connection = context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname=NOBODY)
    try:
        connection.do_handshake()
    except ssl.SSLWantReadError:
        return
