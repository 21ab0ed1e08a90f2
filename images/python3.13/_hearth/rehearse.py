"""Runs once what the first invoke will run, so that it finds its code read,
linked and specialised. Nothing comes of it."""

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

from . import line

NOBODY = "rehearsal"
# Enough for the interpreter to specialise what it runs.
ROUNDS = 16
EVENT = {"key": "value", "list": [1, 2.5, None, True], "nested": {"text": "ä\n"}}


def run(api):
    """Runs it, and against the Runtime API at `api` what goes there."""
    _invoke()
    _log()
    _call(api)
    _greet()
    # As when the function's own source is read.
    with open(__file__, encoding="utf-8") as file:
        compile(file.read(), __file__, "exec")


def _handler(event, context):
    body = json.dumps({"event": event, "left": context.get_remaining_time_in_millis()})
    return {"statusCode": 200, "body": body, "name": os.environ.get("AWS_LAMBDA_FUNCTION_NAME")}


def _invoke():
    """With events of our own, and answers to nobody."""
    arn = f"arn:aws:lambda:local:000000000000:function:{NOBODY}"
    event = json.dumps(EVENT, ensure_ascii=False).encode()
    source, events = os.pipe()
    nowhere = os.open(os.devnull, os.O_WRONLY)
    line.attach(line.Line(source, nowhere))
    client = LambdaRuntimeClient(NOBODY)
    with bootstrap.create_log_sink() as log_sink:
        for _ in range(ROUNDS):
            deadline_ms = int(time.time() * 1000)
            head = f"{len(event)} 0 {NOBODY} {deadline_ms} {arn} Root=1\n"
            os.write(events, head.encode() + event)
            request = client.wait_next_invocation()
            bootstrap.update_xray_env_variable(None)
            bootstrap.handle_event_request(
                client, _handler, request.invoke_id, request.event_body,
                request.content_type, request.client_context, request.cognito_identity,
                request.invoked_function_arn, request.deadline_time_in_ms,
                request.tenant_id, log_sink, request.invocation_id,
            )  # fmt: skip
    for end in (source, events, nowhere):
        os.close(end)


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
