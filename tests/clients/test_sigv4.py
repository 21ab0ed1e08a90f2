"""Signatures, for real: what is not signed by the key's holder, in time, for this
service, and exactly as it arrives, is refused and has no effect.
"""

import http.client
import urllib.parse

import clients
import harness
import packages
import wire
from harness import Credentials, server
from wire import FUNCTIONS, Request, get

LIST = f"{FUNCTIONS}/"
# The server allows five minutes either way.
TOLERATED_S, TOO_MUCH_S = 4 * 60, 6 * 60


class SigV4(clients.FunctionTest):
    """One function that nobody may reach without its owner's key."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.name = cls.make()

    def denied(self, request: Request, error: str) -> wire.Reply:
        """Sends and expects a 403 of that name, in AWS's shape."""
        reply = request.send()
        self.assertEqual((reply.status, reply.error), (403, error), reply)
        self.assertTrue(reply.message)
        self.assertTrue(reply.headers.get("x-amzn-requestid"))
        self.assertNotIn(server().credentials.secret_key.encode(), reply.body)
        return reply

    def granted(self, request: Request) -> wire.Reply:
        """Sends and expects success: the control of every refusal here."""
        reply = request.send()
        self.assertEqual(reply.status, 200, reply)
        return reply


class Header(SigV4):
    """The `Authorization` header."""

    def test_unsigned(self):
        self.denied(get(LIST), "MissingAuthenticationTokenException")

    def test_unsigned_says_the_same_whatever_is_asked(self):
        for method, path in (("GET", f"{FUNCTIONS}/{self.name}"), ("GET", f"{FUNCTIONS}/none"),
                             ("POST", f"{FUNCTIONS}/{self.name}/invocations"),
                             ("DELETE", f"{FUNCTIONS}/{self.name}"),
                             ("GET", "/hearth/v1/sandboxes"),
                             ("GET", f"/hearth/v1/functions/{self.name}/logs"),
                             ("GET", f"/hearth/v1/functions/{self.name}/code")):
            with self.subTest(f"{method} {path}"):
                self.denied(Request(method, path), "MissingAuthenticationTokenException")
        self.granted(get(f"{FUNCTIONS}/{self.name}").signed())

    def test_wrong_secret(self):
        key = Credentials(server().credentials.access_key, "x" * 40)
        self.denied(get(LIST).signed(key), "InvalidSignatureException")

    def test_unknown_key(self):
        key = Credentials("AKIAIOSFODNN7EXAMPLE", server().credentials.secret_key)
        self.denied(get(LIST).signed(key), "UnrecognizedClientException")

    def test_a_session_token_that_was_never_given_out(self):
        request = Request("GET", LIST, headers={"X-Amz-Security-Token": "made-up"}).signed()
        self.denied(request, "UnrecognizedClientException")

    def test_clocks_may_be_off_by_less_than_five_minutes(self):
        for off in (-TOLERATED_S, TOLERATED_S):
            with self.subTest(off):
                self.granted(get(LIST).signed(clock_off_s=off))
        for off, word in ((-TOO_MUCH_S, "expired"), (TOO_MUCH_S, "not yet current")):
            with self.subTest(off):
                reply = self.denied(get(LIST).signed(clock_off_s=off),
                                    "InvalidSignatureException")
                self.assertIn(word, reply.message)

    def test_a_scope_of_another_service(self):
        for service in ("s3", "execute-api", "Lambda"):
            with self.subTest(service):
                reply = self.denied(get(LIST).signed(service=service),
                                    "InvalidSignatureException")
                self.assertIn("lambda", reply.message)

    def test_any_region_is_served(self):
        for region in ("local", "eu-central-1"):
            self.granted(get(LIST).signed(region=region))

    def test_another_region_than_was_signed(self):
        signed = get(LIST).signed(region="eu-central-1")
        forged = signed.headers["Authorization"].replace("eu-central-1", "us-east-1")
        self.denied(signed.header("Authorization", forged), "InvalidSignatureException")

    def test_another_method_than_was_signed(self):
        self.denied(get(f"{FUNCTIONS}/{self.name}").signed().but(method="DELETE"),
                    "InvalidSignatureException")
        self.granted(get(f"{FUNCTIONS}/{self.name}").signed())

    def test_another_path_than_was_signed(self):
        signed = get(f"{FUNCTIONS}/there-is-none").signed()
        self.denied(signed.but(path=f"{FUNCTIONS}/{self.name}"), "InvalidSignatureException")

    def test_another_query_than_was_signed(self):
        path = f"{LIST}?MaxItems=10"
        signed = get(path).signed()
        self.granted(signed)
        for query in ("MaxItems=11", "MaxItems=10&Marker=a", "", "MaxItems=10&MaxItems=10"):
            with self.subTest(query):
                self.denied(signed.but(path=f"{LIST}?{query}"), "InvalidSignatureException")

    def test_another_host_than_was_signed(self):
        signed = Request("GET", LIST, headers={"Host": "hearth.example"}).signed()
        self.granted(signed)
        self.denied(signed.header("Host", "else.example"), "InvalidSignatureException")

    def test_another_body_than_was_signed(self):
        before = self.lambda_.get_function_configuration(FunctionName=self.name)
        signed = Request("PUT", f"{FUNCTIONS}/{self.name}/configuration",
                         b'{"Timeout": 31}').signed()
        for body in (b'{"Timeout": 32}', b'{"Timeout": 31} ', b""):
            with self.subTest(body):
                self.denied(signed.but(body=body), "InvalidSignatureException")
        after = self.lambda_.get_function_configuration(FunctionName=self.name)
        self.assertEqual(after["Timeout"], before["Timeout"])

    def test_a_body_hash_that_is_not_the_bodys(self):
        empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        for declared in (empty, "UNSIGNED-PAYLOAD", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"):
            with self.subTest(declared):
                request = Request("PUT", f"{FUNCTIONS}/{self.name}/configuration", b"{}",
                                  {"X-Amz-Content-SHA256": declared})
                self.denied(request.signed(), "InvalidSignatureException")

    def test_another_header_than_was_signed(self):
        signed = Request("POST", f"{FUNCTIONS}/{self.name}/invocations", b"{}",
                         {"X-Amz-Invocation-Type": "DryRun"}).signed()
        self.assertEqual(signed.send().status, 204)
        for value in ("RequestResponse", None):
            with self.subTest(value):
                self.denied(signed.header("X-Amz-Invocation-Type", value),
                            "InvalidSignatureException")

    def test_an_aws_header_that_was_added_unsigned(self):
        signed = Request("POST", f"{FUNCTIONS}/{self.name}/invocations", b"{}").signed()
        self.denied(signed.header("X-Amz-Invocation-Type", "DryRun"),
                    "InvalidSignatureException")

    def test_a_changed_signature(self):
        signed = get(LIST).signed()
        header = signed.headers["Authorization"]
        last = "0" if header[-1] != "0" else "1"
        for forged in (header[:-1] + last, header[:-1], header[:-64], header + "00"):
            with self.subTest(forged[-70:]):
                reply = signed.header("Authorization", forged).send()
                self.assertEqual(reply.status, 403, reply)
                self.assertIn(reply.error,
                              {"InvalidSignatureException", "IncompleteSignatureException"})

    def test_headers_that_are_no_signature(self):
        good = get(LIST).signed()
        parts = good.headers["Authorization"]
        for header in ("Basic dXNlcjpwYXNz", "AWS4-HMAC-SHA256", "AWS4-HMAC-SHA256 ,,,",
                       parts.replace("Credential=", "Kredential="),
                       parts.replace("SignedHeaders=host;", "SignedHeaders="),
                       parts.replace("/aws4_request", ""),
                       parts.replace("AWS4-HMAC-SHA256", "AWS4-HMAC-SHA512"),
                       "AWS4-HMAC-SHA256 Credential=" + "/" * 5000):
            with self.subTest(header[:60]):
                reply = good.header("Authorization", header).send()
                self.assertEqual(reply.status, 403, reply)
                self.assertIn(reply.error, {
                    "IncompleteSignatureException", "InvalidSignatureException",
                    "MissingAuthenticationTokenException"})

    def test_without_a_date(self):
        self.denied(get(LIST).signed().header("X-Amz-Date", None),
                    "IncompleteSignatureException")

    def test_a_key_in_another_case_or_shortened_is_unknown(self):
        whole = server().credentials
        for access_key in (whole.access_key.lower(), whole.access_key[:-1], ""):
            with self.subTest(access_key):
                reply = get(LIST).signed(Credentials(access_key, whole.secret_key)).send()
                self.assertEqual(reply.status, 403, reply)


class Query(SigV4):
    """The presigned form."""

    def test_a_presigned_link_works_until_it_expires(self):
        self.granted(get(LIST).signed(expires_s=60))
        self.granted(get(LIST).signed(expires_s=3600, clock_off_s=-3000))
        old = get(LIST).signed(expires_s=60, clock_off_s=-90)
        reply = self.denied(old, "InvalidSignatureException")
        self.assertIn("expired", reply.message)

    def test_boto3s_own_presigned_links_work(self):
        url = self.lambda_.generate_presigned_url(
            "get_function", Params={"FunctionName": self.name}, ExpiresIn=60)
        path = url.removeprefix(server().endpoint)
        self.assertIn(self.name.encode(), self.granted(get(path)).body)

    def test_nothing_in_a_link_can_be_changed(self):
        signed = get(f"{LIST}?MaxItems=10").signed(expires_s=60)
        self.granted(signed)
        changes = {
            "MaxItems=10": "MaxItems=11",
            "X-Amz-Expires=60": "X-Amz-Expires=600",
            f"{harness.REGION}%2Flambda": "eu-west-1%2Flambda",
        }
        for old, new in changes.items():
            with self.subTest(new):
                self.assertIn(old, signed.path)
                self.denied(signed.but(path=signed.path.replace(old, new)),
                            "InvalidSignatureException")
        self.denied(signed.but(path=signed.path + "&Marker=a"), "InvalidSignatureException")
        self.denied(signed.but(path=signed.path.replace(LIST, f"{FUNCTIONS}/{self.name}")),
                    "InvalidSignatureException")
        self.denied(signed.but(method="POST", body=b"{}"), "InvalidSignatureException")

    def test_lifetimes_out_of_range(self):
        for expires in (0, -1, 7 * 24 * 3600 + 1, "x", 2**70):
            with self.subTest(expires):
                reply = get(LIST).signed(expires_s=expires).send()
                self.assertEqual(reply.status, 403, reply)
                self.assertIn("Signature", reply.error)

    def test_parts_missing_or_doubled(self):
        signed = get(LIST).signed(expires_s=60)
        query = urllib.parse.urlsplit(signed.path).query.split("&")
        for part in query:
            with self.subTest(f"without {part[:30]}"):
                left = "&".join(p for p in query if p != part)
                self.assertEqual(get(f"{LIST}?{left}").send().status, 403)
            with self.subTest(f"twice {part[:30]}"):
                self.assertEqual(get(f"{signed.path}&{part}").send().status, 403)

    def test_the_link_to_the_code_is_for_that_code_alone(self):
        other = self.make(Code={"ZipFile": packages.actor("other")})
        link = self.lambda_.get_function(FunctionName=self.name)["Code"]["Location"]
        path = link.removeprefix(server().endpoint)
        self.assertEqual(self.granted(get(path)).body, packages.actor())
        self.assertIn(self.name, path)
        self.denied(get(path.replace(self.name, other)), "InvalidSignatureException")


class Keys(SigV4):
    """Keys as an operator handles them."""

    def test_a_rotated_key_ends_at_once(self):
        old = server().new_account()
        settings = self.settings()
        name = settings["FunctionName"]
        clients.client(old).create_function(**settings)
        new = server().rotate_key(old.account)
        self.assertEqual(new.account, old.account)
        self.assertNotEqual(new.access_key, old.access_key)
        self.denied(get(LIST).signed(old), "UnrecognizedClientException")
        self.denied(get(LIST).signed(Credentials(new.access_key, old.secret_key)),
                    "InvalidSignatureException")
        self.granted(get(f"{FUNCTIONS}/{name}").signed(new))
        clients.client(new).delete_function(FunctionName=name)

    def test_an_open_connection_does_not_outlive_its_key(self):
        old = server().new_account()
        connection = http.client.HTTPConnection(*server().address, timeout=wire.REPLY_S_MAX)
        self.addCleanup(connection.close)
        statuses = []
        for step in (lambda: None, lambda: server().rotate_key(old.account)):
            step()
            signed = get(LIST).signed(old)
            connection.request("GET", signed.path, headers=signed.headers)
            response = connection.getresponse()
            response.read()
            statuses.append(response.status)
        self.assertEqual(statuses, [200, 403])
