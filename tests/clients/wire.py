"""Requests as they cross the wire, signed by botocore, so that a test can change
any part of one after it was signed.
"""

import dataclasses
import datetime
import http.client
import json
import socket
import time
import unittest.mock
import urllib.parse

import botocore.auth
import botocore.awsrequest
import botocore.credentials

import harness

FUNCTIONS = "/2015-03-31/functions"
REPLY_S_MAX = 60


@dataclasses.dataclass
class Reply:
    """An HTTP response that was read to its end."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def error(self) -> str:
        """`x-amzn-errortype`, without the namespace that some clients expect."""
        return self.headers.get("x-amzn-errortype", "").split(":")[0]

    @property
    def message(self) -> str:
        """The error's text, whichever way its member is spelt."""
        body = json.loads(self.body)
        return body.get("message") or body.get("Message") or ""


@dataclasses.dataclass
class Request:
    """A request that can still be changed."""

    method: str
    path: str
    body: bytes = b""
    headers: dict[str, str] = dataclasses.field(default_factory=dict)

    def signed(self, key=None, service="lambda", region=harness.REGION, clock_off_s=0,
               expires_s=None) -> "Request":
        """Signs as botocore does, in the header or, with `expires_s`, in the query."""
        key = key or harness.server().credentials
        credentials = botocore.credentials.Credentials(key.access_key, key.secret_key)
        signer = botocore.auth.SigV4Auth(credentials, service, region)
        if expires_s is not None:
            signer = botocore.auth.SigV4QueryAuth(credentials, service, region, expires=expires_s)
        request = botocore.awsrequest.AWSRequest(
            method=self.method, url=harness.server().endpoint + self.path, data=self.body,
            headers=self.headers)
        then = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(
            seconds=clock_off_s)
        with unittest.mock.patch("botocore.auth.get_current_datetime", return_value=then):
            signer.add_auth(request)
        url = urllib.parse.urlsplit(request.url)
        path = url.path + (f"?{url.query}" if url.query else "")
        return Request(self.method, path, self.body, dict(request.headers.items()))

    def but(self, **changes) -> "Request":
        """The same request with some parts exchanged."""
        return dataclasses.replace(self, **changes)

    def header(self, name: str, value: str | None) -> "Request":
        """The same request with one header set, or left out."""
        kept = {k: v for k, v in self.headers.items() if k.lower() != name.lower()}
        return self.but(headers=kept if value is None else kept | {name: value})

    def send(self, timeout=REPLY_S_MAX) -> Reply:
        """Sends it on a connection of its own."""
        connection = http.client.HTTPConnection(*harness.server().address, timeout=timeout)
        try:
            connection.request(self.method, self.path, self.body or None, self.headers)
            response = connection.getresponse()
            headers = {k.lower(): v for k, v in response.getheaders()}
            return Reply(response.status, headers, response.read())
        finally:
            connection.close()


def get(path: str) -> Request:
    """A GET."""
    return Request("GET", path)


def call(method: str, path: str, body=b"", key=None, **headers) -> Reply:
    """A well-signed call; a body that is not bytes is sent as JSON."""
    if not isinstance(body, bytes):
        body = json.dumps(body).encode()
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    return Request(method, path, body, headers).signed(key).send()


def connect(timeout: float = REPLY_S_MAX) -> socket.socket:
    """A bare connection to the server."""
    return socket.create_connection(harness.server().address, timeout=timeout)


def read_to_end(connection: socket.socket, seconds: float) -> bytes:
    """All that the server says until it hangs up; fails if it does not in time."""
    deadline, said = time.monotonic() + seconds, bytearray()
    while (left := deadline - time.monotonic()) > 0:
        connection.settimeout(left)
        try:
            piece = connection.recv(65536)
        except ConnectionError:
            return bytes(said)
        except TimeoutError:
            break
        if not piece:
            return bytes(said)
        said += piece
    raise AssertionError(f"still connected after {seconds:g} s; it said {bytes(said[:200])!r}")
