"""Code packages that are broken, hostile or too large: refused in AWS's words, at
once, and nothing of them stays behind.
"""

import stat
import time

import clients
import harness
import packages
from packages import MIB

# A bomb must be found out by counting, not by unpacking it all.
REFUSAL_S_MAX = 60
# What judging one package may add to the server's memory beyond its own bytes:
# the request in base64, the zip, and buffers.
MEMORY_GROWTH_MAX = 400 * MIB

REFUSED = {
    "no zip at all": b"this is not a zip",
    "empty": b"",
    "an empty zip": packages.zip_of({}),
    "only a zip's magic": b"PK\x03\x04" + bytes(100),
    "truncated": packages.actor()[:-30],
    "a broken entry": packages.actor().replace(b"PK\x03\x04", b"PK\x03\x05"),
    "a path out of the package": packages.with_entry("../../etc/cron.d/x"),
    "a path out of the package, hidden": packages.with_entry("a/../../x"),
    "an absolute path": packages.with_entry("/etc/cron.d/x"),
    "a backslash path": packages.with_entry("..\\x"),
    "a NUL in a name": packages.with_entry("a\0b"),
    "a link to outside": packages.link("l", "../../etc/shadow"),
    "an absolute link": packages.link("l", "/etc/shadow"),
    "a link that climbs out later": packages.link("d/l", "a/../../../x"),
    "a device": packages.with_entry("dev", b"", stat.S_IFCHR | 0o666),
    "a fifo": packages.with_entry("fifo", b"", stat.S_IFIFO | 0o666),
    "the same name twice": packages.raw_zip([
        (b"app.py", b"\x03\x00", 0, 0), (b"app.py", b"\x03\x00", 0, 0)]),
    "a file that is also a directory": packages.with_entry("app.py/inner"),
    "many names for one content": packages.overlapping(200),
    "a size that is a lie": packages.liar(claimed=10, real=300 * MIB),
    "a byte too much, unzipped": packages.zeros(packages.UNZIPPED_BYTES_MAX + 1),
    "a bomb: 2 GiB from 9 MB": packages.zeros(2048 * MIB),
    "a name of 300 bytes": packages.with_entry("n" * 300),
    "a path 2,000 levels deep": packages.with_entry("d/" * 2000 + "f"),
}


class Package(clients.FunctionTest):
    """Each refused package leaves the account and the disk as they were."""

    def setUp(self):
        self.before = self.snapshot()

    def snapshot(self):
        """The account's functions, its use, and the files of the object store."""
        pages = self.lambda_.get_paginator("list_functions").paginate(FunctionVersion="ALL")
        functions = {(f["FunctionArn"], f["RevisionId"]) for p in pages for f in p["Functions"]}
        usage = self.lambda_.get_account_settings()["AccountUsage"]
        return functions, usage, harness.server().stored_files()

    def unchanged(self):
        """Nothing half-created."""
        self.assertEqual(self.snapshot(), self.before)

    def test_bad_packages_are_refused(self):
        for what, package in REFUSED.items():
            with self.subTest(what):
                settings = self.settings(Code={"ZipFile": package})
                started, peak = time.monotonic(), harness.server().memory_peak_bytes()
                self.refuses("InvalidParameterValueException", self.lambda_.create_function,
                             **settings)
                self.assertLess(time.monotonic() - started, REFUSAL_S_MAX)
                growth = harness.server().memory_peak_bytes() - peak
                self.assertLess(growth, MEMORY_GROWTH_MAX)
                self.refuses("ResourceNotFoundException", self.lambda_.get_function,
                             FunctionName=settings["FunctionName"])
                self.unchanged()

    def test_a_bad_package_does_not_update_either(self):
        name = self.make()
        before, self.before = self.before, self.snapshot()
        self.assertNotEqual(before, self.before)
        for what in ("no zip at all", "a path out of the package", "a link to outside",
                     "a byte too much, unzipped"):
            for dry in (False, True):
                with self.subTest(f"{what}, dry run {dry}"):
                    self.refuses("InvalidParameterValueException",
                                 self.lambda_.update_function_code, FunctionName=name,
                                 ZipFile=REFUSED[what], DryRun=dry)
                    self.unchanged()

    def test_a_byte_over_50_mib_zipped(self):
        package = packages.incompressible(packages.ZIP_BYTES_MAX + 1)
        response = self.refuses("RequestEntityTooLargeException", self.lambda_.create_function,
                                **self.settings(Code={"ZipFile": package}))
        self.assertEqual(response["ResponseMetadata"]["HTTPStatusCode"], 413)
        self.unchanged()

    def test_far_over_every_bound(self):
        package = packages.incompressible(90 * MIB)
        self.refuses("RequestEntityTooLargeException", self.lambda_.create_function,
                     **self.settings(Code={"ZipFile": package}))
        self.unchanged()

    def test_the_bounds_themselves_are_legal(self):
        for what, package in {
            "50 MiB zipped": packages.incompressible(packages.ZIP_BYTES_MAX),
            "250 MiB unzipped": packages.zeros(packages.UNZIPPED_BYTES_MAX),
            "a link within": packages.link("d/l", "../app.py"),
        }.items():
            with self.subTest(what):
                name = self.make(cleanup=self.addCleanup, Code={"ZipFile": package})
                found = self.lambda_.get_function_configuration(FunctionName=name)
                self.assertEqual(found["CodeSize"], len(package))

    def test_code_that_is_not_a_zip_file_member(self):
        for code in ({}, {"S3Bucket": "b", "S3Key": "k"}, {"ImageUri": "example/image:1"}, None):
            with self.subTest(code):
                with self.assertRaises(self.lambda_.exceptions.ClientError) as caught:
                    self.lambda_.create_function(**self.settings(Code=code))
                response = caught.exception.response
                self.assertEqual(response["ResponseMetadata"]["HTTPStatusCode"], 400, response)
                self.unchanged()


class Handler(clients.FunctionTest):
    """Code that is well packed and cannot be run: told at the invoke."""

    def failing(self, error, **settings):
        """Makes and invokes; the function's error."""
        name = self.make(cleanup=self.addCleanup, **settings)
        reply = self.invoke(name)
        self.assertEqual(reply["StatusCode"], 200)
        self.assertEqual(reply["FunctionError"], "Unhandled")
        self.assertEqual(reply["Payload"]["errorType"], error)
        return reply["Payload"]["errorMessage"]

    def test_a_module_that_is_not_there(self):
        message = self.failing("Runtime.ImportModuleError", Handler="absent.handler")
        self.assertIn("absent", message)

    def test_a_function_that_is_not_there(self):
        message = self.failing("Runtime.HandlerNotFound", Handler="app.absent")
        self.assertIn("absent", message)

    def test_a_module_that_does_not_parse(self):
        code = {"ZipFile": packages.zip_of({"app.py": "def handler(:\n"})}
        self.failing("Runtime.UserCodeSyntaxError", Code=code)

    def test_a_bootstrap_that_is_not_there(self):
        self.failing("Runtime.InvalidEntrypoint", Runtime="provided.al2023")
