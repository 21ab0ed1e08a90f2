"""`hearth` as a user types it: every command, its tables and its JSON, and what it
says and returns when something is wrong.
"""

import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import tempfile
import unittest
import uuid

import clients
import harness
import packages

FAILED, USAGE, SERVER_ERROR, FUNCTION_ERROR, UNREACHABLE = 1, 2, 3, 4, 5


class CliTest(unittest.TestCase):
    """A directory with a function's code, and a name for it."""

    def setUp(self):
        self.dir = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.code = self.dir / "code"
        self.code.mkdir()
        self.edition("1")
        self.name = f"cli-{uuid.uuid4().hex[:8]}"

    def edition(self, edition: str):
        """Writes the code, told apart from others by its edition."""
        (self.code / "app.py").write_text(packages.ACTOR.replace("EDITION", edition))

    def hearth(self, *arguments, **how):
        """Runs a client command against the run's server."""
        return harness.hearth(*arguments, env=harness.client_environment(), **how)

    def json(self, *arguments, **how):
        """What a command prints under `--output json`."""
        return json.loads(self.hearth(*arguments, "--output", "json", **how).stdout)

    def deploy(self, *arguments, **how):
        """Deploys the directory."""
        self.addCleanup(self.hearth, "delete", self.name, code=None)
        return self.hearth("deploy", self.code, "--name", self.name, "--runtime", "python3.13",
                           "--handler", "app.handler", "--timeout", 30, *arguments, **how)

    def fails(self, code, *arguments, mentions="", **how):
        """A failing command: its code, nothing on stdout, one clear line on stderr."""
        done = self.hearth(*arguments, code=code, **how)
        lines = done.stderr.splitlines()
        self.assertEqual(len(lines), 1, done.stderr)
        self.assertEqual(done.stdout, "")
        self.assertTrue(lines[0].startswith("hearth: "), lines[0])
        self.assertIn(mentions, lines[0])
        self.assertNotIn("panicked", lines[0])
        return lines[0]


class Functions(CliTest):
    """deploy, invoke, functions, logs, sandboxes, delete."""

    def test_a_functions_life(self):
        made = self.deploy("--memory", 192, "--env", "COLOUR=blue", "--env", "EMPTY=",
                           "--description", "typed by hand")
        self.assertTrue(made.stdout.startswith(f"created {self.name} "), made.stdout)
        self.assertIn(clients.arn(self.name), made.stdout)

        answer = json.loads(self.hearth("invoke", self.name, "--payload", '{"n": 1}').stdout)
        self.assertEqual((answer["event"], answer["edition"]), ({"n": 1}, "1"))

        again = self.deploy()
        self.assertTrue(again.stdout.startswith("unchanged "), again.stdout)
        self.edition("2")
        updated = self.deploy("--memory", 256)
        self.assertTrue(updated.stdout.startswith("updated "), updated.stdout)
        self.assertIn("256 MB", updated.stdout)
        answer = json.loads(self.hearth("invoke", self.name).stdout)
        self.assertEqual((answer["edition"], answer["memory"]), ("2", "256"))
        kept = json.loads(
            self.hearth("invoke", self.name, "--payload", '{"do": "environment"}').stdout)
        self.assertEqual((kept["COLOUR"], kept["EMPTY"]), ("blue", ""),
                         "an update changes only what it names")

        listed = {f["FunctionName"]: f for f in self.json("functions")}
        self.assertEqual(listed[self.name]["MemorySize"], 256)
        table = self.hearth("functions").stdout
        self.assertRegex(table, r"^NAME +RUNTIME ")
        self.assertIn(self.name, table)

        sandbox = next(s for s in self.json("sandboxes") if s["function"] == self.name)
        self.assertEqual(sandbox["state"], "idle")
        self.assertGreaterEqual(sandbox["invocations"], 1)
        self.assertIn(self.name, self.hearth("sandboxes").stdout)

        done = self.hearth("delete", self.name)
        self.assertEqual(done.stdout, f"deleted {self.name}\n")
        self.assertNotIn(self.name, self.hearth("functions").stdout)
        harness.eventually(
            lambda: not [s for s in self.json("sandboxes") if s["function"] == self.name],
            "a deleted function's sandboxes are gone")

    def test_a_zip_is_deployed_as_it_is(self):
        path = self.dir / "code.zip"
        path.write_bytes(packages.actor("zipped"))
        self.addCleanup(self.hearth, "delete", self.name, code=None)
        made = self.json("deploy", path, "--name", self.name, "--runtime", "python3.13",
                         "--handler", "app.handler", "--timeout", 30)
        self.assertEqual(made["CodeSize"], len(packages.actor("zipped")))
        answer = json.loads(self.hearth("invoke", self.name).stdout)
        self.assertEqual(answer["edition"], "zipped")

    def test_payloads_come_from_arguments_files_and_pipes(self):
        self.deploy()
        event = self.dir / "event.json"
        event.write_text('{"from": "file"}')
        for payload, stdin, expected in (
            ('{"from": "argument"}', None, {"from": "argument"}),
            (f"@{event}", None, {"from": "file"}),
            ("-", b'{"from": "pipe"}', {"from": "pipe"}),
        ):
            with self.subTest(payload):
                done = self.hearth("invoke", self.name, "--payload", payload, stdin=stdin)
                self.assertEqual(json.loads(done.stdout)["event"], expected)
        self.assertEqual(json.loads(self.hearth("invoke", self.name).stdout)["event"], {})

    def test_invoke_tells_what_it_is_asked_to(self):
        self.deploy()
        done = self.hearth("invoke", self.name, "--log", "--timing", "--payload",
                           '{"do": "log", "line": "seen in the log"}')
        json.loads(done.stdout)  # the answer alone is on stdout
        for word in ("START RequestId", "seen in the log", "REPORT RequestId", "run"):
            self.assertIn(word, done.stderr)
        document = self.json("invoke", self.name)
        self.assertEqual(document["statusCode"], 200)
        self.assertEqual(document["executedVersion"], "$LATEST")
        self.assertIsNone(document["functionError"])
        self.assertEqual(document["start"], "warm")
        self.assertEqual(document["payload"]["event"], {})
        self.assertIn("REPORT RequestId", document["log"])
        took = document["timingMs"]
        self.assertTrue(0 < took["run"] < took["total"], took)

    def test_a_version_is_named_by_its_qualifier(self):
        self.deploy()
        clients.client().publish_version(FunctionName=self.name)
        self.edition("2")
        self.deploy()
        for qualifier, edition in (("1", "1"), ("$LATEST", "2")):
            document = self.json("invoke", self.name, "--qualifier", qualifier)
            self.assertEqual(document["executedVersion"], qualifier)
            self.assertEqual(document["payload"]["edition"], edition)

    def test_a_functions_error_is_printed_and_told(self):
        self.deploy()
        done = self.hearth("invoke", self.name, "--payload", '{"do": "raise"}',
                           code=FUNCTION_ERROR)
        self.assertEqual(json.loads(done.stdout)["errorType"], "ValueError")
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
        self.assertIn("ValueError: raised as asked", done.stderr)

    def test_logs_are_kept_and_followed(self):
        self.deploy()
        self.assertEqual(self.hearth("logs", self.name).stdout, "")
        self.hearth("invoke", self.name, "--payload", '{"do": "log", "line": "the first"}')
        log = self.hearth("logs", self.name).stdout
        self.assertRegex(log, re.compile(
            r"START RequestId: .*^the first$.*END RequestId: .*REPORT RequestId: ",
            re.DOTALL | re.MULTILINE))

        seen = self.dir / "followed"
        with open(seen, "wb") as out:
            follower = subprocess.Popen(
                [harness.binary(), "logs", self.name, "--follow"], stdout=out,
                stderr=subprocess.STDOUT, env=harness.client_environment())
        self.addCleanup(follower.wait)
        self.addCleanup(follower.kill)
        harness.eventually(lambda: "the first" in seen.read_text(), "it prints what there is")
        self.hearth("invoke", self.name, "--payload", '{"do": "log", "line": "the second"}')
        harness.eventually(lambda: "the second" in seen.read_text(), "it prints what comes")
        self.assertEqual(seen.read_text().count("the first"), 1)
        self.assertIsNone(follower.poll(), "it goes on until it is interrupted")
        follower.send_signal(signal.SIGINT)
        follower.wait(10)

    def test_an_empty_account_says_what_to_do_next(self):
        key = harness.server().new_account()
        path = self.dir / "credentials"
        path.write_text(f"[default]\naws_access_key_id = {key.access_key}\n"
                        f"aws_secret_access_key = {key.secret_key}\n")
        env = harness.client_environment(path)
        done = harness.hearth("functions", env=env)
        self.assertEqual(done.stdout, "")
        self.assertIn("hearth deploy", done.stderr)
        self.assertEqual(json.loads(harness.hearth("functions", "--output", "json",
                                                   env=env).stdout), [])
        self.assertEqual(json.loads(harness.hearth("sandboxes", "--output", "json",
                                                   env=env).stdout), [])

    def test_a_profile_says_whose_key_signs(self):
        other = harness.server().new_account()
        path = self.dir / "credentials"
        path.write_text("".join(
            f"[{name}]\naws_access_key_id = {key.access_key}\n"
            f"aws_secret_access_key = {key.secret_key}\n"
            for name, key in (("default", harness.server().credentials), ("other", other))))
        env = harness.client_environment(path)

        def names(*arguments):
            done = harness.hearth("functions", "--output", "json", *arguments, env=env)
            return [f["FunctionName"] for f in json.loads(done.stdout)]

        self.deploy()
        self.assertIn(self.name, names())
        self.assertEqual(names("--profile", "other"), [])
        done = harness.hearth("functions", "--profile", "absent", env=env, code=FAILED)
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
        self.assertIn("absent", done.stderr)

    def test_a_region_is_signed_for_and_shown(self):
        made = self.deploy("--region", "eu-middle-7")
        self.assertIn(f"arn:aws:lambda:eu-middle-7:{harness.server().credentials.account}:",
                      made.stdout)
        self.hearth("invoke", self.name, "--region", "us-elsewhere-2")

    def test_what_is_left_out_of_a_directory(self):
        for junk in (".git/config", "__pycache__/app.pyc", ".DS_Store"):
            (self.code / junk).parent.mkdir(exist_ok=True)
            (self.code / junk).write_text("junk")
        first = self.deploy().stdout
        (self.code / "__pycache__/app.pyc").write_text("more junk")
        self.assertTrue(first.startswith("created "))
        self.assertTrue(self.deploy().stdout.startswith("unchanged "))


class Errors(CliTest):
    """One line on stderr, and a code that tells what kind it is."""

    def test_the_server_refuses(self):
        self.fails(SERVER_ERROR, "invoke", "there-is-none", mentions="ResourceNotFoundException")
        self.fails(SERVER_ERROR, "delete", "there-is-none", mentions="ResourceNotFoundException")
        self.fails(SERVER_ERROR, "logs", "there-is-none", mentions="ResourceNotFoundException")

    def test_bad_json_is_told(self):
        self.deploy()
        self.fails(SERVER_ERROR, "invoke", self.name, "--payload", "{",
                   mentions="InvalidRequestContentException")

    def test_wrong_arguments(self):
        deploy = ("deploy", self.code, "--name", self.name)
        for arguments, mentions in (
            ((*deploy, "--memory", "100"), "128 to 10240"),
            ((*deploy, "--memory", "20000"), "128 to 10240"),
            ((*deploy, "--timeout", "0"), "1 to 900"),
            ((*deploy, "--timeout", "901"), "1 to 900"),
            ((*deploy, "--runtime", "cobol85"), "python3.13"),
            ((*deploy, "--env", "NOVALUE"), "KEY=VALUE"),
            (("deploy", self.code, "--name", "n" * 200), "64"),
            (("invoke",), "NAME"),
            (("frobnicate",), "frobnicate"),
            (("functions", "--frobnicate"), "--frobnicate"),
            (("functions", "--output", "yaml"), "yaml"),
            (("up", "--isolation", "docker"), "docker"),
            (("up", "--listen", "nowhere"), "nowhere"),
        ):
            with self.subTest(str(arguments[-3:])):
                self.fails(USAGE, *arguments, mentions=mentions)

    def test_wrong_files(self):
        absent = self.dir / "absent"
        broken = self.dir / "broken.zip"
        broken.write_bytes(b"not a zip")
        create = ("--name", self.name, "--runtime", "python3.13", "--handler", "app.handler")
        self.fails(FAILED, "deploy", absent, *create, mentions="absent")
        line = self.hearth("deploy", broken, *create, code=None)
        self.assertIn(line.returncode, {FAILED, SERVER_ERROR})
        self.assertEqual(len(line.stderr.splitlines()), 1, line.stderr)
        self.fails(FAILED, "invoke", self.name, "--payload", f"@{absent}", mentions="absent")
        self.fails(FAILED, "deploy", self.code, "--name", self.name, mentions="--runtime")

    def test_a_payload_that_is_too_large(self):
        path = self.dir / "large"
        path.write_bytes(b'"' + b"x" * (6 * 1024 * 1024) + b'"')
        self.fails(FAILED, "invoke", self.name, "--payload", f"@{path}", mentions="larger")

    def test_no_server(self):
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            closed = f"http://127.0.0.1:{unused.getsockname()[1]}"
            for command in (("functions",), ("invoke", "f"), ("logs", "f"), ("sandboxes",),
                            ("delete", "f"), ("bench", "f", "--count", "1"),
                            ("deploy", self.code, "--name", "f")):
                with self.subTest(command[0]):
                    line = self.fails(UNREACHABLE, *command, "--endpoint-url", closed)
                    self.assertIn(closed.removeprefix("http://"), line)

    def test_wrong_credentials(self):
        path = self.dir / "credentials"
        path.write_text("[default]\naws_access_key_id = AKIAIOSFODNN7EXAMPLE\n"
                        "aws_secret_access_key = nobody\n")
        done = harness.hearth("functions", env=harness.client_environment(path),
                              code=SERVER_ERROR)
        self.assertIn("UnrecognizedClientException", done.stderr)
        self.assertIn("AWS_SHARED_CREDENTIALS_FILE", done.stderr, "it says how to mend it")
        none = harness.client_environment(self.dir / "absent")
        done = harness.hearth("functions", env=none, code=FAILED)
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)

    def test_help_and_version_are_no_errors(self):
        self.assertIn("Exit codes", self.hearth("--help").stdout)
        self.assertNotIn("\x1b", self.hearth("--help").stdout, "colours are for terminals")
        self.assertRegex(self.hearth("--version").stdout, r"^hearth \d+\.\d+\.\d+")
        commands = re.findall(r"^  ([a-z]+) ", self.hearth("--help").stdout, re.MULTILINE)
        self.assertIn("bench", commands)
        for command in set(commands) - {"help"}:
            with self.subTest(command):
                self.assertTrue(self.hearth(command, "--help").stdout)


class Operator(CliTest):
    """accounts, doctor, images, up: what is done on the server's own machine."""

    def data_dir(self):
        """The operator's way to the running server."""
        return ("--data-dir", harness.server().data_dir)

    def test_accounts_are_made_listed_and_rekeyed(self):
        made = harness.read_key(harness.hearth(
            "accounts", "create", "by-hand", *self.data_dir(), "--output", "json").stdout)
        listed = json.loads(harness.hearth(
            "accounts", "list", *self.data_dir(), "--output", "json").stdout)
        found = next(a for a in listed if a["account"] == made.account)
        self.assertEqual((found["name"], found["access_key_ids"]), ("by-hand", [made.access_key]))
        table = harness.hearth("accounts", "list", *self.data_dir()).stdout
        self.assertIn("by-hand", table)
        self.assertNotIn(made.secret_key, table)

    def test_a_new_key_is_printed_as_a_credentials_file(self):
        made = harness.hearth("accounts", "create", "to-file", *self.data_dir()).stdout
        path = self.dir / "credentials"
        path.write_text(made)
        env = harness.client_environment(path)
        self.assertEqual(json.loads(
            harness.hearth("functions", "--output", "json", env=env).stdout), [])
        account = re.search(r"\d{12}", made)[0]
        rotated = harness.hearth("accounts", "rotate-key", account, *self.data_dir()).stdout
        harness.hearth("functions", env=env, code=SERVER_ERROR)
        path.write_text(rotated)
        harness.hearth("functions", env=env)

    def test_account_errors(self):
        for arguments, code, mentions in (
            (("rotate-key", "999999999999", *self.data_dir()), FAILED, "999999999999"),
            (("rotate-key", "12", *self.data_dir()), USAGE, "12"),
            (("create", "", *self.data_dir()), FAILED, "name"),
            (("list", "--data-dir", self.dir), UNREACHABLE, "hearth up"),
        ):
            with self.subTest(arguments[0]):
                self.fails(code, "accounts", *arguments, mentions=mentions)

    def test_the_operators_socket_is_the_owners_alone(self):
        path = harness.server().data_dir / "operator.sock"
        self.assertEqual(path.stat().st_mode & 0o777, 0o600)
        self.assertEqual(path.stat().st_uid, os.geteuid())

    def test_one_server_a_directory(self):
        line = self.fails(FAILED, "up", *self.data_dir(), "--listen", "127.0.0.1:0",
                          "--image-cache", harness.image_cache())
        self.assertIn(str(harness.server().data_dir), line)
        self.hearth("functions")

    def test_a_taken_port_is_told(self):
        taken = ":".join(map(str, harness.server().address))
        done = harness.hearth("up", "--data-dir", self.dir / "data", "--listen", taken,
                              "--image-cache", harness.image_cache(), code=FAILED)
        last = done.stderr.splitlines()[-1]
        self.assertTrue(last.startswith("hearth: "), done.stderr)
        self.assertIn(taken, last)

    def test_an_isolation_that_is_not_built_in_is_told(self):
        done = harness.hearth("up", "--data-dir", self.dir / "data", "--listen", "127.0.0.1:0",
                              "--image-cache", harness.image_cache(),
                              "--isolation", "firecracker", code=FAILED)
        last = done.stderr.splitlines()[-1]
        self.assertTrue(last.startswith("hearth: firecracker isolation is not available"), last)
        self.assertIn("use qemu or auto", last)

    def test_doctor_says_what_this_host_can_run(self):
        cache = ("--image-cache", harness.image_cache())
        table = harness.hearth("doctor", *cache).stdout
        for what in ("QEMU", "KVM", "cgroups", "guest images"):
            self.assertRegex(table, rf"(?m)^[✓!] {what} ")
        findings = json.loads(harness.hearth("doctor", *cache, "--output", "json").stdout)
        for finding in findings:
            self.assertIn(finding["verdict"], {"ok", "weak"})
            self.assertEqual("mend" in finding, finding["verdict"] != "ok", finding)

    def test_doctor_tells_how_to_mend_what_is_missing(self):
        absent = self.dir / "absent"
        done = harness.hearth("doctor", "--image-cache", absent, code=FAILED)
        self.assertRegex(done.stdout, r"✗ guest images .*\n.*→ .*hearth images build")
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
        self.assertFalse(absent.exists(), "a doctor changes nothing")

    def test_up_without_images_says_how_to_get_them(self):
        done = harness.hearth("up", "--data-dir", self.dir / "data", "--listen", "127.0.0.1:0",
                              "--image-cache", self.dir / "none", code=FAILED)
        self.assertIn("hearth images build", done.stderr.splitlines()[-1])

    def test_images_are_built_once(self):
        images = pathlib.Path(harness.image_cache()) / "images"
        before = _files(images)
        self.assertTrue(before)
        harness.hearth("images", "build", "--image-cache", harness.image_cache())
        self.assertEqual(_files(images), before, "nothing is built anew")


class Bench(CliTest):
    """The measuring instrument."""

    def test_a_small_run_in_every_form(self):
        self.deploy("--memory", 256)
        page, graph = self.dir / "bench.html", self.dir / "bench.svg"
        report = self.json("bench", self.name, "--count", 20, "--html", page, "--svg", graph)
        self.assertEqual((report["answered"], report["failures"]), (20, {}))
        self.assertEqual(sum(kind["count"] for kind in report["kinds"].values()), 20)
        warm = report["kinds"]["warm"]["stagesMs"]
        for stage in ("run", "total", "overhead"):
            at = warm[stage]
            self.assertTrue(0 < at["p50"] <= at["p90"] <= at["p99"] <= at["max"], (stage, at))
        self.assertLess(warm["run"]["p50"], warm["total"]["p50"])
        html = page.read_text()
        self.assertRegex(html, r"(?i)^<!doctype html>")
        self.assertIn("<svg", html)
        self.assertIn(self.name, html)
        self.assertNotRegex(html, r"(?:src|href)=[\"']https?://", "it stands alone")
        self.assertTrue(graph.read_text().startswith("<svg"))

        table = self.hearth("bench", self.name, "--count", 20, "--concurrency", 2).stdout.lower()
        for word in ("warm", "p50", "p90", "p99", "max", "run", "overhead"):
            self.assertIn(word, table)

    def test_a_run_goes_on_for_as_long_as_it_is_told(self):
        self.deploy("--memory", 256)
        self.hearth("invoke", self.name)  # or the cold start would take all of the time
        report = self.json("bench", self.name, "--duration", 1)
        self.assertEqual(report["failures"], {})
        self.assertGreater(report["answered"], 1)
        # The last invoke began within the second.
        slowest = max(kind["stagesMs"]["total"]["max"] for kind in report["kinds"].values())
        self.assertGreaterEqual(report["elapsedS"], 1)
        self.assertLess(report["elapsedS"], 2 + slowest / 1000)

    def test_cold_starts_can_be_forced(self):
        self.deploy("--memory", 256, "--description", "mine")
        report = self.json("bench", self.name, "--cold", "--count", 2)
        self.assertEqual(report["answered"], 2)
        self.assertNotIn("warm", report["kinds"])
        found = clients.client().get_function_configuration(FunctionName=self.name)
        self.assertEqual(found["Description"], "mine", "it is put back")

    def test_one_run_shows_cold_and_warm(self):
        self.deploy("--memory", 256)
        report = self.json("bench", self.name, "--cold", "--count", 1, "--warm-each", 5)
        counts = {kind: of["count"] for kind, of in report["kinds"].items()}
        self.assertEqual(counts.pop("warm"), 5)
        # Booted, or cold once its runtime's snapshot is there.
        self.assertEqual(list(counts.values()), [1])

    def test_errors(self):
        for arguments in ((), ("--cold",), ("--qualifier", "7")):
            self.fails(SERVER_ERROR, "bench", "there-is-none", *arguments,
                       mentions="ResourceNotFoundException")
        self.fails(USAGE, "bench", "f", "--count", 0, mentions="count")
        self.fails(USAGE, "bench", "f", "--count", 1, "--duration", 1, mentions="--duration")
        self.fails(USAGE, "bench", "f", "--warm-each", 5, mentions="--cold")
        self.fails(USAGE, "bench", mentions="NAME")


def _files(directory) -> dict[str, tuple[int, int]]:
    """Every image with its size and inode: one that is built anew is a new file.
    Its time of change says only when it was used last."""
    found = (path for path in pathlib.Path(directory).iterdir())
    return {str(path): (path.stat().st_size, path.stat().st_ino) for path in found}
