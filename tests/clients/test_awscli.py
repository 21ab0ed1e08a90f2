"""The AWS CLI as a user drives it: the same life of a function, by shell commands."""

import base64
import json
import os
import pathlib
import subprocess
import tempfile
import unittest
import urllib.request
import uuid

import clients
import harness
import packages


class AwsCli(unittest.TestCase):
    """`aws lambda …` with nothing set but what our own documentation names."""

    def setUp(self):
        self.dir = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.name = f"awscli-{uuid.uuid4().hex[:8]}"

    def aws(self, *arguments, fails=False):
        """Runs `aws lambda …`; its JSON, or its stderr if it is to fail."""
        done = subprocess.run(
            ["aws", "lambda", *map(str, arguments)], capture_output=True, text=True,
            env=harness.client_environment(), cwd=self.dir, timeout=harness.COMMAND_S_MAX)
        # Which number it fails with differs between its first and second edition.
        self.assertEqual(done.returncode != 0, fails, f"{arguments}\n{done.stdout}{done.stderr}")
        if fails:
            return done.stderr
        return json.loads(done.stdout) if done.stdout.strip() else None

    def write(self, name: str, content: bytes) -> str:
        """A file next to which `aws` runs, as the CLI wants it named."""
        (self.dir / name).write_bytes(content)
        return f"fileb://{name}"

    def create(self, **package):
        """Creates and waits."""
        made = self.aws(
            "create-function", "--function-name", self.name, "--runtime", "python3.13",
            "--handler", "app.handler", "--role", clients.ROLE, "--timeout", 30,
            "--zip-file", self.write("code.zip", packages.actor(**package)),
            "--environment", "Variables={COLOUR=blue}", "--tags", "team=a")
        self.addCleanup(self.remove)
        self.aws("wait", "function-active-v2", "--function-name", self.name)
        return made

    def remove(self):
        """Deletes what a test may have deleted itself."""
        subprocess.run(["aws", "lambda", "delete-function", "--function-name", self.name],
                       capture_output=True, env=harness.client_environment(), check=False)

    def invoke(self, event, *arguments):
        """Invokes; the CLI's own answer, and the function's."""
        out = self.dir / "answer.json"
        payload = self.write("event.json", json.dumps(event).encode())
        said = self.aws("invoke", "--function-name", self.name, "--payload", payload,
                        *arguments, out)
        return said, json.loads(out.read_bytes())

    def test_the_life_of_a_function(self):
        made = self.create()
        self.assertEqual(made["FunctionName"], self.name)
        self.assertIn(made["State"], {"Pending", "Active"})

        said, answer = self.invoke({"n": 1}, "--log-type", "Tail")
        self.assertEqual((said["StatusCode"], said["ExecutedVersion"]), (200, "$LATEST"))
        self.assertEqual((answer["event"], answer["edition"]), ({"n": 1}, "1"))
        log = base64.b64decode(said["LogResult"]).decode()
        for word in ("START RequestId: ", "END RequestId: ", "REPORT RequestId: "):
            self.assertIn(word, log)

        said, answer = self.invoke({"do": "raise"})
        self.assertEqual(said["FunctionError"], "Unhandled")
        self.assertEqual(answer["errorType"], "ValueError")

        self.aws("update-function-code", "--function-name", self.name, "--zip-file",
                 self.write("code2.zip", packages.actor("2")))
        self.aws("wait", "function-updated-v2", "--function-name", self.name)
        _, answer = self.invoke({})
        self.assertEqual(answer["edition"], "2")

        self.aws("update-function-configuration", "--function-name", self.name,
                 "--environment", "Variables={COLOUR=red}", "--memory-size", 192)
        self.aws("wait", "function-updated", "--function-name", self.name)
        _, answer = self.invoke({"do": "environment"})
        self.assertEqual(answer["COLOUR"], "red")

        published = self.aws("publish-version", "--function-name", self.name)
        self.assertEqual(published["Version"], "1")
        self.aws("wait", "published-version-active", "--function-name", self.name,
                 "--qualifier", "1")
        said, _ = self.invoke({}, "--qualifier", "1")
        self.assertEqual(said["ExecutedVersion"], "1")

        self.aws("delete-function", "--function-name", self.name)
        gone = self.aws("get-function", "--function-name", self.name, fails=True)
        self.assertIn("(ResourceNotFoundException)", gone)

    def test_lists_tags_and_settings_without_a_microvm(self):
        self.create()
        names = self.aws("list-functions", "--page-size", 1, "--query",
                         "Functions[].FunctionName")
        self.assertIn(self.name, names)
        versions = self.aws("list-versions-by-function", "--function-name", self.name)
        self.assertEqual([v["Version"] for v in versions["Versions"]], ["$LATEST"])
        arn = clients.arn(self.name)
        self.aws("tag-resource", "--resource", arn, "--tags", "stage=live")
        self.aws("untag-resource", "--resource", arn, "--tag-keys", "team")
        self.assertEqual(self.aws("list-tags", "--resource", arn)["Tags"], {"stage": "live"})
        self.assertIn("AccountLimit", self.aws("get-account-settings"))
        found = self.aws("get-function-configuration", "--function-name", self.name)
        self.assertEqual(found["Environment"], {"Variables": {"COLOUR": "blue"}})

    def test_a_presigned_link_downloads_the_code(self):
        self.create()
        location = self.aws("get-function", "--function-name", self.name)["Code"]["Location"]
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(location, timeout=30) as reply:
            self.assertEqual(reply.read(), packages.actor())

    def test_a_dry_run_runs_nothing(self):
        self.create()
        said = self.aws("invoke", "--function-name", self.name, "--invocation-type", "DryRun",
                        os.devnull)
        self.assertEqual(said["StatusCode"], 204)

    def test_errors_are_told_by_name(self):
        self.create()
        again = self.aws(
            "create-function", "--function-name", self.name, "--runtime", "python3.13",
            "--handler", "app.handler", "--role", clients.ROLE, "--zip-file",
            self.write("again.zip", packages.actor()), fails=True)
        self.assertIn("(ResourceConflictException)", again)
        self.assertIn(f"Function already exist: {self.name}", again)
        broken = self.aws("update-function-code", "--function-name", self.name, "--zip-file",
                          self.write("broken.zip", packages.with_entry("../x")), fails=True)
        self.assertIn("(InvalidParameterValueException)", broken)
        missing = self.aws("invoke", "--function-name", "there-is-none", os.devnull, fails=True)
        self.assertIn("(ResourceNotFoundException)", missing)
        unsupported = self.aws("list-layers", fails=True)
        self.assertIn("(UnsupportedOperationException)", unsupported)
        self.assertIn("ListLayers", unsupported)
