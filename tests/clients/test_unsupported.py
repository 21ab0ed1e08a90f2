"""Every operation of botocore's model that Hearth lacks says so, in so many words;
and paths that are no operation at all are told apart from those.
"""

import unittest
import urllib.parse

import botocore
import botocore.session

import clients
import harness
import wire

# What deployment tools read after every create, of settings that nobody can change
# here: the answer is that of a function that never had them set.
DEFAULTS = {
    "GetFunctionCodeSigningConfig": {"FunctionName": "NAME"},
    "GetFunctionConcurrency": {},
    "GetFunctionRecursionConfig": {"RecursiveLoop": "Allow"},
    "GetRuntimeManagementConfig": {"UpdateRuntimeOn": "Auto", "FunctionArn": "ARN"},
    "GetPolicy": "ResourceNotFoundException",
}
IMPLEMENTED = {
    "CreateAlias", "CreateFunction", "DeleteAlias", "DeleteFunction", "GetAccountSettings",
    "GetAlias", "GetFunction", "GetFunctionConfiguration", "Invoke", "ListAliases",
    "ListFunctions", "ListTags", "ListVersionsByFunction", "PublishVersion", "TagResource",
    "UntagResource", "UpdateAlias", "UpdateFunctionCode", "UpdateFunctionConfiguration",
} | DEFAULTS.keys()
# What a path's parameter may look like; the rest are plain names.
PARAMETERS = {
    "Resource": "arn:aws:lambda:local:000000000000:function:f",
    "CodeSigningConfigArn": "arn:aws:lambda:local:000000000000:code-signing-config:csc-0",
    "DurableExecutionArn":
        "arn:aws:lambda:local:000000000000:function:f:1/durable-execution/n/i",
    "VersionNumber": "1",
    "UUID": "5b0b0b0b-0000-4000-8000-000000000000",
}


def operations():
    """Each operation of the model with its method and path."""
    model = botocore.session.get_session().get_service_model("lambda")
    return [model.operation_model(name) for name in model.operation_names]


def request(operation) -> wire.Request:
    """A request for it, every parameter of the path filled in."""
    path, _, query = operation.http["requestUri"].partition("?")
    parts = [
        urllib.parse.quote(PARAMETERS.get(part[1:-1].rstrip("+"), "f"), safe="")
        if part.startswith("{") else part
        for part in path.split("/")
    ]
    path = "/".join(parts) + (f"?{query}" if query else "")
    body = b"" if operation.http["method"] in {"GET", "DELETE"} else b"{}"
    return wire.Request(operation.http["method"], path, body)


class Operations(unittest.TestCase):
    """The model's operations, one by one."""

    def test_the_model_has_what_we_implement_and_more(self):
        names = {operation.name for operation in operations()}
        self.assertLess(IMPLEMENTED, names)

    def test_missing_operations_say_that_they_are_missing(self):
        for operation in operations():
            if operation.name in IMPLEMENTED:
                continue
            with self.subTest(operation.name):
                reply = request(operation).signed().send(timeout=10)
                self.assertEqual((reply.status, reply.error),
                                 (501, "UnsupportedOperationException"), reply)
                self.assertIn(operation.name, reply.message)
                self.assertEqual(reply.headers["content-type"], "application/json")
                self.assertTrue(reply.headers["x-amzn-requestid"])

    def test_implemented_operations_do_not_say_so(self):
        for operation in operations():
            if operation.name in IMPLEMENTED:
                with self.subTest(operation.name):
                    reply = request(operation).signed().send()
                    self.assertLess(reply.status, 500, reply)

    def test_an_sdk_user_reads_which_operation_is_missing(self):
        with self.assertRaises(clients.client().exceptions.ClientError) as caught:
            clients.client().create_function_url_config(FunctionName="f", AuthType="NONE")
        error = caught.exception.response["Error"]
        self.assertEqual(error["Code"], "UnsupportedOperationException")
        self.assertIn("CreateFunctionUrlConfig", error["Message"])

    def test_nobody_learns_anything_unsigned(self):
        for operation in operations():
            with self.subTest(operation.name):
                reply = request(operation).send(timeout=10)
                self.assertEqual((reply.status, reply.error),
                                 (403, "MissingAuthenticationTokenException"), reply)


class Defaults(clients.FunctionTest):
    """Terraform, SAM and CDK get through a function that was only just made."""

    def test_settings_that_nobody_can_change_read_as_unset(self):
        name = self.make()
        for operation, expected in DEFAULTS.items():
            call = getattr(self.lambda_, botocore.xform_name(operation))
            with self.subTest(operation):
                if isinstance(expected, str):
                    self.refuses(expected, call, FunctionName=name)
                    continue
                answer = call(FunctionName=name)
                del answer["ResponseMetadata"]
                filled = {"NAME": name, "ARN": clients.arn(name)}
                self.assertEqual(answer, {k: filled.get(v, v) if isinstance(v, str) else v
                                          for k, v in expected.items()})
                self.refuses("ResourceNotFoundException", call, FunctionName="there-is-none")


class Paths(unittest.TestCase):
    """Paths and methods that are no operation."""

    def test_they_get_json_too(self):
        function = f"{wire.FUNCTIONS}/f"
        for method, path in [
            ("GET", "/"), ("GET", "/favicon.ico"), ("POST", "/"), ("PATCH", wire.FUNCTIONS),
            ("PUT", wire.FUNCTIONS), ("GET", "/2015-03-31"), ("GET", "/2015-03-31/nothing"),
            ("GET", f"{function}/invocations/more"), ("GET", f"{function}/invocations"),
            ("GET", "/hearth/v1/accounts"), ("POST", "/hearth/v1/accounts"),
            ("GET", "/hearth/v1/nothing"), ("OPTIONS", function), ("FROB", function),
        ]:
            with self.subTest(f"{method} {path}"):
                reply = wire.Request(method, path).signed().send(timeout=10)
                self.assertIn(reply.status, {400, 404, 405}, reply)
                self.assertTrue(reply.error.endswith("Exception"), reply)
                self.assertTrue(reply.message)
                self.assertTrue(reply.headers["x-amzn-requestid"])

    def test_a_path_cannot_climb(self):
        for path in (f"{wire.FUNCTIONS}/../../etc/passwd", f"{wire.FUNCTIONS}/..%2f..%2fetc",
                     "/%2e%2e/%2e%2e/etc/passwd", f"{wire.FUNCTIONS}/%00"):
            with self.subTest(path):
                reply = wire.Request("GET", path).signed().send(timeout=10)
                self.assertIn(reply.status, {400, 404}, reply)
                self.assertTrue(reply.error, reply)

    def test_the_server_still_serves(self):
        self.assertEqual(wire.call("GET", f"{wire.FUNCTIONS}/").status, 200)
        self.assertIsNone(harness.server().process.poll())
