"""Values out of bounds and requests out of shape: AWS's error, nothing changed."""

import base64
import json

import clients
import harness
import packages
import wire
from wire import FUNCTIONS

MIB = 1024 * 1024
LAYER = "arn:aws:lambda:local:000000000000:layer:l:1"


def variables(measured: int) -> dict:
    """Environment variables that AWS measures as exactly that many bytes of JSON."""
    around = len(json.dumps({"KEY": ""}, separators=(",", ":")))
    return {"Variables": {"KEY": "v" * (measured - around)}}


# What is set, and the error that AWS has for it.
BAD_SETTINGS = [
    ("ValidationException", {"MemorySize": 100}),
    ("ValidationException", {"MemorySize": 127}),
    ("ValidationException", {"MemorySize": 10_241}),
    ("ValidationException", {"MemorySize": 20_000}),
    ("ValidationException", {"MemorySize": 2**40}),
    ("ValidationException", {"Timeout": 0}),
    ("ValidationException", {"Timeout": -1}),
    ("ValidationException", {"Timeout": 901}),
    ("ValidationException", {"EphemeralStorage": {"Size": 511}}),
    ("ValidationException", {"EphemeralStorage": {"Size": 10_241}}),
    ("ValidationException", {"Handler": "a b"}),
    ("ValidationException", {"Handler": "a\0b"}),
    ("ValidationException", {"Handler": "h" * 129}),
    ("ValidationException", {"Role": "admin"}),
    ("ValidationException", {"Description": "d" * 257}),
    ("ValidationException", {"Environment": {"Variables": {"1A": "x"}}}),
    ("ValidationException", {"Environment": {"Variables": {"A-B": "x"}}}),
    ("ValidationException", {"Environment": {"Variables": {"_HANDLER": "x"}}}),
    ("InvalidParameterValueException", {"Runtime": "cobol85"}),
    ("InvalidParameterValueException", {"Runtime": "python2.7"}),
    ("InvalidParameterValueException", {"Runtime": ""}),
    ("InvalidParameterValueException", {"Environment": variables(4097)}),
    ("InvalidParameterValueException", {"Environment": variables(100_000)}),
    ("InvalidParameterValueException",
     {"Environment": {"Variables": {"AWS_LAMBDA_FUNCTION_NAME": "x"}}}),
    ("InvalidParameterValueException", {"Environment": {"Variables": {"LAMBDA_TASK_ROOT": "/"}}}),
    ("InvalidParameterValueException", {"Environment": {"Variables": {"AB": "a\0b"}}}),
    ("SerializationException", {"MemorySize": "many"}),
    ("SerializationException", {"Timeout": 1.5}),
    ("SerializationException", {"Environment": ["A", "b"]}),
    ("SerializationException", {"Environment": {"Variables": {"AB": 1}}}),
    # Asked for and not to be had: to ignore it would give something else.
    ("InvalidParameterValueException", {"Layers": [LAYER]}),
    ("InvalidParameterValueException", {"Architectures": ["arm64"]}),
    ("InvalidParameterValueException",
     {"VpcConfig": {"SubnetIds": ["subnet-1"], "SecurityGroupIds": ["sg-1"]}}),
    ("InvalidParameterValueException", {"TracingConfig": {"Mode": "Active"}}),
]
# Only when a function is made.
BAD_CREATE = BAD_SETTINGS + [
    ("ValidationException", {"FunctionName": ""}),
    ("ValidationException", {"FunctionName": "a b"}),
    ("ValidationException", {"FunctionName": "a/b"}),
    ("ValidationException", {"FunctionName": "../a"}),
    ("ValidationException", {"FunctionName": "ä"}),
    ("ValidationException", {"FunctionName": "n" * 200}),
    ("InvalidParameterValueException", {"FunctionName": "n" * 65}),
    ("ValidationException", {"FunctionName": None}),
    ("ValidationException", {"Role": None}),
    ("ValidationException", {"Code": None}),
    ("InvalidParameterValueException", {"Runtime": None}),
    ("InvalidParameterValueException", {"Handler": None}),
    ("InvalidParameterValueException", {"Tags": {f"k{n}": "v" for n in range(51)}}),
    ("InvalidParameterValueException", {"Tags": {"k" * 129: "v"}}),
    ("InvalidParameterValueException", {"Tags": {"aws:x": "v"}}),
    ("InvalidParameterValueException", {"PackageType": "Image"}),
]


class Settings(clients.FunctionTest):
    """What a function may be set to."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.name = cls.make()

    def snapshot(self):
        """All functions and all files."""
        pages = self.lambda_.get_paginator("list_functions").paginate()
        functions = {(f["FunctionName"], f["RevisionId"]) for p in pages for f in p["Functions"]}
        return functions, harness.server().stored_files()

    def send(self, method, path, settings):
        """Sends settings as they are: an SDK would refuse some of them itself."""
        return wire.call(method, path, settings)

    def refused(self, reply, error, change):
        """The error, in AWS's shape, naming what is wrong."""
        self.assertEqual((reply.status, reply.error), (400, error), reply)
        self.assertTrue(reply.message)
        self.assertNotIn("panicked", reply.message)
        self.assertEqual(reply.headers["content-type"], "application/json", change)

    def test_create_refuses(self):
        before = self.snapshot()
        for error, change in BAD_CREATE:
            with self.subTest(str(change)[:80]):
                settings = self.settings(Code={"ZipFile": _base64(packages.actor("bad"))})
                settings = {k: v for k, v in (settings | change).items() if v is not None}
                self.refused(self.send("POST", FUNCTIONS, settings), error, change)
                self.assertEqual(self.snapshot(), before)

    def test_update_refuses(self):
        before = self.snapshot()
        for error, change in BAD_SETTINGS:
            with self.subTest(str(change)[:80]):
                reply = self.send("PUT", f"{FUNCTIONS}/{self.name}/configuration", change)
                self.refused(reply, error, change)
                self.assertEqual(self.snapshot(), before)

    def test_the_bounds_themselves_are_legal(self):
        name = self.make(
            cleanup=self.addCleanup, FunctionName="n" * 64, MemorySize=10_240, Timeout=900,
            EphemeralStorage={"Size": 10_240}, Description="d" * 256, Environment=variables(4096),
            Tags={f"k{n}": "v" for n in range(50)})
        for smallest in ({"MemorySize": 128}, {"Timeout": 1}, {"EphemeralStorage": {"Size": 512}}):
            self.lambda_.update_function_configuration(FunctionName=name, **smallest)
            self.lambda_.get_waiter("function_updated_v2").wait(
                FunctionName=name, WaiterConfig=clients.WAIT)
            found = self.lambda_.get_function_configuration(FunctionName=name)
            self.assertEqual(found | smallest, found)

    def test_requests_out_of_shape(self):
        create, update = ("POST", FUNCTIONS), ("PUT", f"{FUNCTIONS}/{self.name}/configuration")
        code = ("PUT", f"{FUNCTIONS}/{self.name}/code")
        before = self.snapshot()
        for (method, path), body, error in [
            (create, b"{", "InvalidRequestContentException"),
            (create, b"\xff\xfe", "InvalidRequestContentException"),
            (create, b"[" * 100_000, "SerializationException"),
            (create, b'{"a":' * 100_000, "InvalidRequestContentException"),
            (create, b"[]", "SerializationException"),
            (create, b'"text"', "SerializationException"),
            (create, b"", "ValidationException"),
            (update, b"{]", "InvalidRequestContentException"),
            (update, b'{"Timeout": 1} {"Timeout": 2}', "InvalidRequestContentException"),
            (update, b'{"Timeout": "\\ud800"}', "InvalidRequestContentException"),
            (code, b'{"ZipFile": "@@@@"}', "SerializationException"),
            (code, b'{"ZipFile": "QQ"}', "SerializationException"),
            (code, b'{"ZipFile": 7}', "SerializationException"),
            (code, b"{}", "InvalidParameterValueException"),
        ]:
            with self.subTest(body[:40]):
                self.refused(wire.call(method, path, body), error, body[:40])
        self.assertEqual(self.snapshot(), before)

    def test_queries_out_of_shape(self):
        for path, error in [
            (f"{FUNCTIONS}/?MaxItems=0", "ValidationException"),
            (f"{FUNCTIONS}/?MaxItems=10001", "ValidationException"),
            (f"{FUNCTIONS}/?MaxItems=x", "SerializationException"),
            (f"{FUNCTIONS}/?MaxItems=99999999999999999999", "SerializationException"),
            (f"{FUNCTIONS}/?FunctionVersion=SOME", "ValidationException"),
            (f"{FUNCTIONS}/?Marker=made-up", "InvalidParameterValueException"),
            (f"{FUNCTIONS}/?Marker=%00", "InvalidParameterValueException"),
            (f"{FUNCTIONS}/?Marker={'a' * 5000}", "InvalidParameterValueException"),
            (f"{FUNCTIONS}/{self.name}?Qualifier=a%20b", "ValidationException"),
            (f"{FUNCTIONS}/{self.name}%2F..?Qualifier=1", "ValidationException"),
            (f"{FUNCTIONS}/{'n' * 141}", "ValidationException"),
            (f"{FUNCTIONS}/%ff%fe", "ValidationException"),
            ("/2017-03-31/tags/no-arn", "ValidationException"),
        ]:
            with self.subTest(path[-40:]):
                self.refused(wire.call("GET", path), error, path)

    def test_a_control_call_over_its_bound(self):
        body = {"Description": "d" * (2 * MIB)}
        reply = wire.call("PUT", f"{FUNCTIONS}/{self.name}/configuration", body)
        self.assertEqual((reply.status, reply.error), (413, "RequestEntityTooLargeException"))


class Payload(clients.FunctionTest):
    """What may be sent to a function."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.name = cls.make(MemorySize=512)
        cls.path = f"{FUNCTIONS}/{cls.name}/invocations"

    def test_payloads_that_are_not_json(self):
        for payload in (b"{", b"hello", b"{'a': 1}", b"{} {}", b"\xff", b'"\xff"', b"NaN",
                        b"[" * 200_000, b"\0"):
            with self.subTest(payload[:20]):
                response = self.refuses("InvalidRequestContentException", self.lambda_.invoke,
                                        FunctionName=self.name, Payload=payload)
                self.assertEqual(response["ResponseMetadata"]["HTTPStatusCode"], 400)
                self.assertIn("Could not parse", response["Error"]["Message"])

    def test_any_json_value_is_a_payload(self):
        for payload in (b"null", b"1", b'"text"', b"[]", b' {"a": "\\u0000"} '):
            with self.subTest(payload):
                reply = self.lambda_.invoke(FunctionName=self.name, Payload=payload)
                self.assertNotIn("FunctionError", reply)
                self.assertEqual(json.loads(reply["Payload"].read())["event"],
                                 json.loads(payload))

    def test_six_mib_and_a_byte_more(self):
        around = len(json.dumps({"do": "length", "text": ""}))
        length = 6 * MIB - around
        reply = self.invoke(self.name, {"do": "length", "text": "x" * length})
        self.assertEqual(reply["Payload"], length)
        response = self.refuses(
            "RequestTooLargeException", self.lambda_.invoke, FunctionName=self.name,
            Payload=json.dumps({"do": "length", "text": "x" * (length + 1)}))
        self.assertEqual(response["ResponseMetadata"]["HTTPStatusCode"], 413)

    def test_headers_out_of_shape(self):
        for header, value, error in [
            ("X-Amz-Invocation-Type", "Sometimes", "ValidationException"),
            ("X-Amz-Log-Type", "Head", "ValidationException"),
            ("X-Amz-Client-Context", "@@@", "InvalidRequestContentException"),
            ("X-Amz-Client-Context", "bm90IGpzb24=", "InvalidRequestContentException"),
            ("X-Amz-Client-Context", "A" * 4000, "InvalidRequestContentException"),
        ]:
            with self.subTest(f"{header}: {value[:20]}"):
                reply = wire.call("POST", self.path, b"{}", **{header: value})
                self.assertEqual((reply.status, reply.error), (400, error), reply)

    def test_qualifiers_that_do_not_agree(self):
        self.refuses("InvalidParameterValueException", self.lambda_.invoke,
                     FunctionName=f"{self.name}:1", Qualifier="2")


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()
