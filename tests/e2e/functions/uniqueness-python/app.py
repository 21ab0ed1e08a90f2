"""Answers with what it drew while it initialised, and draws now: what clones of one
snapshot must all draw differently (`handler`), and what they have in common (`init`).
"""

import os
import random
import secrets
import socket
import ssl
import tempfile
import time
import uuid

try:
    import numpy
except ImportError:
    numpy = None

CONTEXT = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def client_hello():
    """The random part and the session id of a TLS greeting."""
    greeting = ssl.MemoryBIO()
    connection = CONTEXT.wrap_bio(ssl.MemoryBIO(), greeting, server_hostname="example.com")
    try:
        connection.do_handshake()
    except ssl.SSLWantReadError:
        # A record's head of 5 bytes, a message's of 4, the version of 2, the
        # random part, a length of 1, the session id.
        hello = greeting.read()
    return {"random": hello[11:43].hex(), "session_id": hello[44:76].hex()}


def temporary_name():
    """The name of a temporary directory, which is removed again."""
    with tempfile.TemporaryDirectory() as directory:
        return os.path.basename(directory)


def machine_id():
    with open("/etc/machine-id") as file:
        return file.read().strip()


def samples():
    """One of each."""
    return {
        "uuid4": str(uuid.uuid4()),
        "uuid1": str(uuid.uuid1()),
        "urandom": os.urandom(16).hex(),
        "random": [random.random() for _ in range(5)],
        "secrets": secrets.token_hex(16),
        "tempfile": temporary_name(),
        "rand_bytes": ssl.RAND_bytes(16).hex(),
        "numpy": numpy and numpy.random.random(),
        "client_hello": client_hello(),
        "time": time.time(),
        "hostname": socket.gethostname(),
        "machine_id": machine_id(),
    }


INIT = samples()


def handler(event, context):
    return {"init": INIT, "handler": samples()}
