"""SnapStart: published versions that start from a snapshot."""

import pathlib
import tempfile
import unittest
import uuid

import botocore.exceptions

import clients
import harness
import packages

BROKEN = 'raise RuntimeError("broken as asked")'
ON = {"ApplyOn": "PublishedVersions"}
# The waiters' own attempts, looked at more often.
WAIT = {"Delay": 1, "MaxAttempts": 900}


class SnapStart(clients.FunctionTest):
    """boto3 as a user publishes with it."""

    def published(self, name, version, qualifier=None):
        """Waits as deployment tools do, and returns the version's configuration."""
        qualifier = qualifier or version
        self.lambda_.get_waiter("published_version_active").wait(
            FunctionName=name, Qualifier=qualifier, WaiterConfig=WAIT)
        found = self.lambda_.get_function_configuration(FunctionName=name, Qualifier=qualifier)
        self.assertEqual(found["Version"], version)
        return found

    def test_a_version_is_pending_then_active(self):
        name = self.make(SnapStart=ON)
        latest = self.lambda_.get_function_configuration(FunctionName=name)
        self.assertEqual(latest["SnapStart"], ON | {"OptimizationStatus": "Off"})
        pending = self.lambda_.publish_version(FunctionName=name)
        self.assertEqual(pending["Version"], "1")
        self.assertEqual(pending["State"], "Pending")
        self.assertEqual(pending["StateReasonCode"], "Creating")
        self.assertEqual(pending["LastUpdateStatus"], "InProgress")
        self.assertEqual(pending["SnapStart"], ON | {"OptimizationStatus": "Off"})
        self.assertEqual(self.invoke(name)["ExecutedVersion"], "$LATEST")

        active = self.published(name, "1")
        self.assertEqual(active["State"], "Active")
        self.assertEqual(active["LastUpdateStatus"], "Successful")
        self.assertEqual(active["SnapStart"], ON | {"OptimizationStatus": "On"})
        self.assertNotIn("StateReason", active)
        self.lambda_.get_waiter("function_active_v2").wait(
            FunctionName=name, Qualifier="1", WaiterConfig=WAIT)
        reply = self.invoke(name, {"n": 1}, Qualifier="1")
        self.assertEqual((reply["ExecutedVersion"], reply["Payload"]["event"]), ("1", {"n": 1}))
        same = self.lambda_.publish_version(FunctionName=name)
        self.assertEqual((same["Version"], same["RevisionId"]), ("1", active["RevisionId"]))

    def test_publishing_while_creating_and_updating(self):
        settings = self.settings(SnapStart=ON, Publish=True)
        name = settings["FunctionName"]
        made = self.lambda_.create_function(**settings)
        self.addCleanup(self.lambda_.delete_function, FunctionName=name)
        self.assertEqual((made["Version"], made["State"]), ("1", "Pending"))
        self.published(name, "1")
        self.lambda_.update_function_code(
            FunctionName=name, ZipFile=packages.actor("2"), Publish=True)
        self.published(name, "2")
        self.assertEqual(self.invoke(name, Qualifier="2")["Payload"]["edition"], "2")
        self.lambda_.update_function_configuration(
            FunctionName=name, SnapStart={"ApplyOn": "None"})
        plain = self.lambda_.publish_version(FunctionName=name)
        self.assertEqual((plain["Version"], plain["State"]), ("3", "Active"))
        self.assertEqual(plain["SnapStart"], {"ApplyOn": "None", "OptimizationStatus": "Off"})

    def test_the_version_before_serves_an_alias_meanwhile(self):
        name = self.make(SnapStart=ON)
        self.lambda_.publish_version(FunctionName=name)
        self.published(name, "1")
        self.lambda_.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
        self.lambda_.update_function_code(
            FunctionName=name, ZipFile=packages.actor("2"), Publish=True)
        self.lambda_.update_alias(FunctionName=name, Name="live", FunctionVersion="2")
        # Never refused, and from the moment that it is active by the new one.
        while True:
            state = self.lambda_.get_function_configuration(
                FunctionName=name, Qualifier="live")["State"]
            served = self.invoke(name, Qualifier="live")["ExecutedVersion"]
            if state == "Active":
                self.assertEqual(served, "2")
                break
            self.assertEqual(state, "Pending")
            self.assertIn(served, {"1", "2"})

    def test_a_function_that_does_not_initialise_says_why(self):
        name = self.make(SnapStart=ON, Code={"ZipFile": packages.zip_of({"app.py": BROKEN})})
        self.lambda_.publish_version(FunctionName=name)
        with self.assertRaises(botocore.exceptions.WaiterError):
            self.published(name, "1")
        failed = self.lambda_.get_function_configuration(FunctionName=name, Qualifier="1")
        self.assertEqual((failed["State"], failed["StateReasonCode"]), ("Failed", "FunctionError"))
        self.assertIn("broken as asked", failed["StateReason"])
        self.assertEqual(failed["LastUpdateStatus"], "Failed")
        self.refuses("ResourceConflictException", self.lambda_.invoke,
                     FunctionName=name, Qualifier="1")

    def test_what_cannot_be_had_is_refused(self):
        for settings in (
            {"Runtime": "provided.al2023"},
            {"EphemeralStorage": {"Size": 1024}},
        ):
            with self.subTest(settings):
                refused = self.refuses(
                    "InvalidParameterValueException", self.lambda_.create_function,
                    **self.settings(SnapStart=ON, **settings))
                self.assertIn("SnapStart", refused["Error"]["Message"])
        self.refuses("ValidationException", self.lambda_.create_function,
                     **self.settings(SnapStart={"ApplyOn": "Sometimes"}))


class Deploy(unittest.TestCase):
    """`hearth deploy --snap-start`."""

    def test_a_version_is_deployed_or_the_reason_told(self):
        name = f"snapstart-{uuid.uuid4().hex[:8]}"
        env = harness.client_environment()
        self.addCleanup(harness.hearth, "delete", name, env=env, code=None)
        code = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        (code / "app.py").write_text(packages.ACTOR)
        made = harness.hearth(
            "deploy", code, "--name", name, "--runtime", "python3.13", "--handler",
            "app.handler", "--timeout", 30, "--snap-start", env=env)
        self.assertIn(clients.arn(name, version="1"), made.stdout)
        (code / "app.py").write_text(BROKEN)
        failed = harness.hearth("deploy", code, "--name", name, "--snap-start", env=env, code=1)
        self.assertIn("broken as asked", failed.stderr)
