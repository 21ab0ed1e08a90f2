"""The environment of the function that a prepared runtime becomes."""

import json
import os
import socket
import sys
import time

PATH = "/hearth/environment"
# Lambda allows 4 KB of the user's; the rest is ours, credentials included.
ANSWER_BYTES_MAX = 256 * 1024
READ_BYTES = 16 * 1024

# What the interpreter or a library has read when it started, and will not read
# again: these, and all that begin so.
READ_AT_START = frozenset(
    (
        "AWS_LAMBDA_EXEC_WRAPPER",
        "AWS_LAMBDA_RUNTIME_API",
        "GLIBC_TUNABLES",
        "LANG",
        "LD_AUDIT",
        "LD_BIND_NOW",
        "LD_DEBUG",
        "LD_LIBRARY_PATH",
        "LD_PRELOAD",
        "LOCPATH",
    )
)
BEGIN_LIKE_THOSE = ("LC_", "MALLOC_", "OPENSSL_", "PYTHON")
# Except this one, which the bootstrap reads once the function is known.
READ_LATER = "PYTHONPATH"


def wait(api):
    """The function's variables. Blocks until there is a function, which may be
    after days that this machine spends as a snapshot."""
    return json.loads(get(api, PATH))


def get(api, path):
    """What the agent answers, which may be long after it was asked. With a socket
    alone: a clone of this process runs nothing quickly the first time."""
    host, _, port = api.rpartition(":")
    with socket.create_connection((host, int(port))) as connection:
        # 1.0, so that the answer is neither chunked nor followed by another.
        connection.sendall(f"GET {path} HTTP/1.0\r\nHost: {api}\r\n\r\n".encode())
        answer = b""
        while part := connection.recv(READ_BYTES):
            answer += part
            if len(answer) > ANSWER_BYTES_MAX:
                raise ValueError(f"{path} answered more than {ANSWER_BYTES_MAX} bytes")
    head, _, body = answer.partition(b"\r\n\r\n")
    status = head.split(b" ", 2)[1:2]
    if status != [b"200"]:
        raise ValueError(f"{path} answered {head[:100]!r}")
    return body


def needs_restart(started_with, variables):
    """Whether `variables` come too late for this process."""
    return any(
        _is_read_at_start(name) and started_with.get(name) != variables.get(name)
        for name in started_with.keys() | variables.keys()
    )


def _is_read_at_start(name):
    return name in READ_AT_START or (name.startswith(BEGIN_LIKE_THOSE) and name != READ_LATER)


def restart(variables):
    """Begins anew as the same process, the slow way and with no preparation."""
    program = sys.argv[0]
    os.execve(program, [program], variables)


def apply(variables):
    """Makes `variables` the whole environment."""
    os.environ.clear()
    os.environ.update(variables)
    time.tzset()
