"""boto3 as a user drives it: make, wait, invoke, change, publish, list, tag, delete."""

import base64
import hashlib
import json
import urllib.request
import uuid

import clients
import harness
import packages
import wire
from clients import WAIT, arn


class Configuration(clients.FunctionTest):
    """What the control calls answer: Terraform, SAM and CDK read these fields."""

    def check(self, configuration, name, version="$LATEST"):
        """Every field that deployment tools read, with its documented form."""
        suffix = "" if version == "$LATEST" else version
        self.assertEqual(configuration["FunctionName"], name)
        self.assertIn(configuration["FunctionArn"],
                      {arn(name, version=suffix), arn(name, version=version)})
        self.assertEqual(configuration["Version"], version)
        self.assertEqual(configuration["Runtime"], "python3.13")
        self.assertEqual(configuration["Handler"], "app.handler")
        self.assertEqual(configuration["Role"], clients.ROLE)
        self.assertGreater(configuration["CodeSize"], 0)
        self.assertEqual(len(base64.b64decode(configuration["CodeSha256"])), 32)
        self.assertEqual(configuration["PackageType"], "Zip")
        self.assertEqual(configuration["Architectures"], ["x86_64"])
        self.assertEqual(configuration["TracingConfig"], {"Mode": "PassThrough"})
        self.assertIn("Size", configuration["EphemeralStorage"])
        self.assertEqual(configuration["SnapStart"],
                         {"ApplyOn": "None", "OptimizationStatus": "Off"})
        self.assertEqual(configuration["LoggingConfig"]["LogFormat"], "Text")
        self.assertTrue(configuration["LoggingConfig"]["LogGroup"])
        self.assertRegex(configuration["LastModified"],
                         r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+0000$")
        self.assertTrue(uuid.UUID(configuration["RevisionId"]))
        self.assertIn("Description", configuration)

    def test_create_returns_the_whole_configuration(self):
        settings = self.settings(
            Description="a test", MemorySize=192, Timeout=17, EphemeralStorage={"Size": 600},
            Environment={"Variables": {"COLOUR": "blue", "EMPTY": ""}}, Tags={"team": "a"})
        name = settings["FunctionName"]
        created = self.lambda_.create_function(**settings)
        self.addCleanup(self.lambda_.delete_function, FunctionName=name)
        self.assertEqual(created["ResponseMetadata"]["HTTPStatusCode"], 201)
        self.check(created, name)
        self.assertIn(created["State"], {"Pending", "Active"})
        zipped = settings["Code"]["ZipFile"]
        self.assertEqual(created["CodeSize"], len(zipped))
        digest = base64.b64encode(hashlib.sha256(zipped).digest()).decode()
        self.assertEqual(created["CodeSha256"], digest)
        self.lambda_.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig=WAIT)
        self.lambda_.get_waiter("function_exists").wait(FunctionName=name)

        found = self.lambda_.get_function_configuration(FunctionName=name)
        self.check(found, name)
        self.assertEqual(found["State"], "Active")
        self.assertEqual(found["LastUpdateStatus"], "Successful")
        self.assertEqual(found["Description"], "a test")
        self.assertEqual(found["MemorySize"], 192)
        self.assertEqual(found["Timeout"], 17)
        self.assertEqual(found["EphemeralStorage"], {"Size": 600})
        self.assertEqual(found["Environment"], {"Variables": {"COLOUR": "blue", "EMPTY": ""}})

        whole = self.lambda_.get_function(FunctionName=name)
        self.check(whole["Configuration"], name)
        self.assertEqual(whole["Tags"], {"team": "a"})
        self.assertEqual(whole["Code"]["RepositoryType"], "S3")
        self.assertRegex(whole["Code"]["Location"], r"^https?://")

    def test_create_fills_in_the_documented_defaults(self):
        name = self.make(Timeout=None)
        found = self.lambda_.get_function_configuration(FunctionName=name)
        self.assertEqual(found["MemorySize"], 128)
        self.assertEqual(found["Timeout"], 3)
        self.assertEqual(found["EphemeralStorage"], {"Size": 512})
        self.assertEqual(found["Description"], "")
        self.assertEqual(found["LoggingConfig"]["LogGroup"], f"/aws/lambda/{name}")
        self.assertNotIn("Environment", found, "a function without variables shows none")

    def test_every_form_of_a_name_finds_the_function(self):
        name = self.make()
        full = arn(name)
        account = full.split(":")[4]
        for form in (name, full, f"{account}:function:{name}", f"{full}:$LATEST"):
            with self.subTest(form):
                found = self.lambda_.get_function_configuration(FunctionName=form)
                self.assertEqual(found["FunctionName"], name)

    def test_updates_change_what_is_named_and_nothing_else(self):
        name = self.make(MemorySize=256, Environment={"Variables": {"ONE": "1", "TWO": "2"}})
        before = self.lambda_.get_function_configuration(FunctionName=name)
        updated = self.lambda_.update_function_configuration(
            FunctionName=name, Timeout=9, Environment={"Variables": {"ONE": "3"}})
        self.check(updated, name)
        self.assertIn(updated["LastUpdateStatus"], {"InProgress", "Successful"})
        self.lambda_.get_waiter("function_updated_v2").wait(FunctionName=name, WaiterConfig=WAIT)
        after = self.lambda_.get_function_configuration(FunctionName=name)
        self.assertEqual(after["LastUpdateStatus"], "Successful")
        self.assertEqual((after["Timeout"], after["MemorySize"]), (9, 256))
        self.assertEqual(after["Environment"], {"Variables": {"ONE": "3"}})
        self.assertEqual(after["CodeSha256"], before["CodeSha256"])
        self.assertNotEqual(after["RevisionId"], before["RevisionId"])

    def test_a_stale_revision_changes_nothing(self):
        name = self.make()
        stale = self.lambda_.get_function_configuration(FunctionName=name)["RevisionId"]
        self.lambda_.update_function_configuration(FunctionName=name, Timeout=8, RevisionId=stale)
        self.lambda_.get_waiter("function_updated_v2").wait(FunctionName=name, WaiterConfig=WAIT)
        for call, change in (
            (self.lambda_.update_function_configuration, {"Timeout": 7}),
            (self.lambda_.update_function_code, {"ZipFile": packages.actor("stale")}),
            (self.lambda_.publish_version, {}),
        ):
            with self.subTest(call.__name__):
                self.refuses("PreconditionFailedException", call, FunctionName=name,
                             RevisionId=stale, **change)
        self.assertEqual(
            self.lambda_.get_function_configuration(FunctionName=name)["Timeout"], 8)
        versions = self.lambda_.list_versions_by_function(FunctionName=name)["Versions"]
        self.assertEqual([v["Version"] for v in versions], ["$LATEST"])

    def test_a_dry_run_of_a_code_update_changes_nothing(self):
        name = self.make()
        before = self.lambda_.get_function_configuration(FunctionName=name)
        self.lambda_.update_function_code(
            FunctionName=name, ZipFile=packages.actor("dry"), DryRun=True)
        after = self.lambda_.get_function_configuration(FunctionName=name)
        self.assertEqual(after["CodeSha256"], before["CodeSha256"])
        self.assertEqual(after["RevisionId"], before["RevisionId"])

    def test_the_code_can_be_downloaded(self):
        name = self.make()
        location = self.lambda_.get_function(FunctionName=name)["Code"]["Location"]
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(location, timeout=30) as reply:
            self.assertEqual(reply.read(), packages.actor())

    def test_versions_are_published_listed_and_deleted(self):
        name = self.make()
        first = self.lambda_.publish_version(FunctionName=name, Description="the first")
        self.check(first, name, version="1")
        self.assertEqual(first["FunctionArn"], arn(name, version="1"))
        self.assertEqual(first["Description"], "the first")
        same = self.lambda_.publish_version(FunctionName=name)
        self.assertEqual(same["Version"], "1", "nothing changed since: the same version")
        updated = self.lambda_.update_function_code(
            FunctionName=name, ZipFile=packages.actor("2"), Publish=True)
        self.assertEqual(updated["Version"], "2")
        self.lambda_.get_waiter("function_updated_v2").wait(FunctionName=name, WaiterConfig=WAIT)
        self.lambda_.get_waiter("published_version_active").wait(
            FunctionName=name, Qualifier="2")

        pages = self.lambda_.get_paginator("list_versions_by_function").paginate(
            FunctionName=name, PaginationConfig={"PageSize": 1})
        pages = list(pages)
        self.assertGreater(len(pages), 2, "a page size of one makes a page a version")
        versions = [v for page in pages for v in page["Versions"]]
        self.assertEqual([v["Version"] for v in versions], ["$LATEST", "1", "2"])
        self.assertNotEqual(versions[1]["CodeSha256"], versions[2]["CodeSha256"])
        for version in versions[1:]:
            self.check(version, name, version["Version"])

        by_qualifier = self.lambda_.get_function(FunctionName=name, Qualifier="1")
        by_arn = self.lambda_.get_function(FunctionName=arn(name, version="1"))
        self.assertEqual(by_qualifier["Configuration"]["CodeSha256"], first["CodeSha256"])
        self.assertEqual(by_arn["Configuration"]["Version"], "1")
        self.lambda_.delete_function(FunctionName=name, Qualifier="1")
        self.refuses("ResourceNotFoundException", self.lambda_.get_function,
                     FunctionName=name, Qualifier="1")
        self.refuses("InvalidParameterValueException", self.lambda_.delete_function,
                     FunctionName=name, Qualifier="$LATEST")
        left = self.lambda_.list_versions_by_function(FunctionName=name)["Versions"]
        self.assertEqual([v["Version"] for v in left], ["$LATEST", "2"])

    def test_functions_are_listed_in_pages(self):
        names = {self.make() for _ in range(3)}
        paginator = self.lambda_.get_paginator("list_functions")
        pages = list(paginator.paginate(PaginationConfig={"PageSize": 2}))
        self.assertTrue(all(len(page["Functions"]) <= 2 for page in pages))
        listed = [f["FunctionName"] for page in pages for f in page["Functions"]]
        self.assertEqual(len(listed), len(set(listed)), "nothing twice")
        self.assertLessEqual(names, set(listed))
        everything = {(f["FunctionName"], f["Version"])
                      for page in paginator.paginate(FunctionVersion="ALL")
                      for f in page["Functions"]}
        self.assertLessEqual({(name, "$LATEST") for name in names}, everything)

    def test_tags_are_set_listed_and_removed(self):
        name = self.make(Tags={"team": "a", "stage": "dev"})
        resource = arn(name)
        self.lambda_.tag_resource(Resource=resource, Tags={"stage": "live", "a b/ä": "=&"})
        self.assertEqual(self.lambda_.list_tags(Resource=resource)["Tags"],
                         {"team": "a", "stage": "live", "a b/ä": "=&"})
        self.lambda_.untag_resource(Resource=resource, TagKeys=["team", "a b/ä", "absent"])
        self.assertEqual(self.lambda_.list_tags(Resource=resource)["Tags"], {"stage": "live"})
        self.assertEqual(self.lambda_.get_function(FunctionName=name)["Tags"], {"stage": "live"})
        too_many = {f"k{n}": "v" for n in range(51)}
        with self.assertRaises(self.lambda_.exceptions.ClientError):
            self.lambda_.tag_resource(Resource=resource, Tags=too_many)
        self.assertEqual(self.lambda_.list_tags(Resource=resource)["Tags"], {"stage": "live"})

    def test_account_settings_count_what_is_there(self):
        before = self.lambda_.get_account_settings()
        limit, usage = before["AccountLimit"], before["AccountUsage"]
        self.assertEqual(limit["CodeSizeUnzipped"], packages.UNZIPPED_BYTES_MAX)
        self.assertEqual(limit["CodeSizeZipped"], packages.ZIP_BYTES_MAX)
        self.assertGreater(limit["TotalCodeSize"], 0)
        self.assertGreater(limit["ConcurrentExecutions"], 0)
        self.assertGreater(limit["UnreservedConcurrentExecutions"], 0)
        name = self.make()
        after = self.lambda_.get_account_settings()["AccountUsage"]
        self.assertEqual(after["FunctionCount"], usage["FunctionCount"] + 1)
        self.assertEqual(after["TotalCodeSize"], usage["TotalCodeSize"] + len(packages.actor()))
        self.lambda_.delete_function(FunctionName=name)
        self.assertEqual(self.lambda_.get_account_settings()["AccountUsage"], usage)

    def test_errors_come_as_their_exceptions(self):
        name, calls = self.make(), self.lambda_
        self.refuses("ResourceConflictException", calls.create_function,
                     **self.settings(FunctionName=name))
        for call in (calls.get_function, calls.get_function_configuration, calls.invoke,
                     calls.delete_function, calls.publish_version,
                     calls.list_versions_by_function, calls.update_function_configuration):
            with self.subTest(call.__name__):
                response = self.refuses("ResourceNotFoundException", call,
                                        FunctionName="there-is-none")
                self.assertEqual(response["ResponseMetadata"]["HTTPStatusCode"], 404)
                self.assertEqual(response["Error"]["Message"],
                                 f"Function not found: {arn('there-is-none')}")
        self.refuses("ResourceNotFoundException", calls.get_function,
                     FunctionName=name, Qualifier="7")
        self.refuses("ResourceNotFoundException", calls.list_tags, Resource=arn("there-is-none"))
        self.refuses("ResourceNotFoundException", calls.update_function_code,
                     FunctionName="there-is-none", ZipFile=packages.actor())

    def test_a_deleted_function_is_gone_and_its_name_is_free(self):
        name = self.make()
        self.lambda_.publish_version(FunctionName=name)
        done = self.lambda_.delete_function(FunctionName=name)
        self.assertIn(done["ResponseMetadata"]["HTTPStatusCode"], {200, 204})
        self.refuses("ResourceNotFoundException", self.lambda_.get_function, FunctionName=name)
        self.refuses("ResourceNotFoundException", self.lambda_.get_function,
                     FunctionName=name, Qualifier="1")
        self.refuses("ResourceNotFoundException", self.lambda_.delete_function, FunctionName=name)
        self.make(FunctionName=name)
        self.assertEqual(self.lambda_.list_tags(Resource=arn(name))["Tags"], {})
        versions = self.lambda_.list_versions_by_function(FunctionName=name)["Versions"]
        self.assertEqual([v["Version"] for v in versions], ["$LATEST"])


class Invoke(clients.FunctionTest):
    """One function, its invocations, and what their answers carry."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.name = cls.make(Environment={"Variables": {"COLOUR": "blue"}}, MemorySize=256)

    def test_the_answer_is_the_handlers(self):
        reply = self.invoke(self.name, {"ä": [1, None, "x"]})
        self.assertEqual(reply["StatusCode"], 200)
        self.assertEqual(reply["ExecutedVersion"], "$LATEST")
        self.assertNotIn("FunctionError", reply)
        self.assertNotIn("LogResult", reply)
        answer = reply["Payload"]
        self.assertEqual(answer["event"], {"ä": [1, None, "x"]})
        self.assertEqual(answer["request"], reply["ResponseMetadata"]["RequestId"])
        self.assertEqual(answer["arn"], arn(self.name))
        self.assertEqual(answer["version"], "$LATEST")
        self.assertEqual(int(answer["memory"]), 256)
        self.assertTrue(0 < answer["remaining_ms"] <= 30_000, answer)

    def test_a_sandbox_is_used_again(self):
        first = self.invoke(self.name)["Payload"]
        second = self.invoke(self.name)["Payload"]
        self.assertEqual(second["sandbox"], first["sandbox"])
        self.assertEqual(second["calls"], first["calls"] + 1)

    def test_an_empty_payload_is_an_empty_event(self):
        reply = self.lambda_.invoke(FunctionName=self.name)
        self.assertEqual(json.loads(reply["Payload"].read())["event"], {})

    def test_a_dry_run_runs_nothing(self):
        before = self.invoke(self.name)["Payload"]
        reply = self.lambda_.invoke(FunctionName=self.name, InvocationType="DryRun")
        self.assertEqual(reply["StatusCode"], 204)
        self.assertEqual(reply["Payload"].read(), b"")
        after = self.invoke(self.name)["Payload"]
        self.assertEqual((after["sandbox"], after["calls"]),
                         (before["sandbox"], before["calls"] + 1))

    def test_the_logs_tail_comes_when_asked_for(self):
        reply = self.invoke(self.name, {"do": "log", "line": "written by the test"},
                            LogType="Tail")
        log = base64.b64decode(reply["LogResult"]).decode()
        request = reply["ResponseMetadata"]["RequestId"]
        self.assertIn(f"START RequestId: {request} Version: $LATEST\n", log)
        self.assertIn("written by the test\n", log)
        self.assertIn(f"END RequestId: {request}\n", log)
        self.assertRegex(log, rf"REPORT RequestId: {request}\tDuration: [\d.]+ ms\t"
                              r"Billed Duration: \d+ ms\tMemory Size: 256 MB\t"
                              r"Max Memory Used: \d+ MB\t")

    def test_a_long_log_is_cut_to_its_last_4_kib(self):
        lines = "\n".join(f"line {n}" for n in range(5000))
        reply = self.invoke(self.name, {"do": "log", "line": lines}, LogType="Tail")
        log = base64.b64decode(reply["LogResult"])
        self.assertLessEqual(len(log), 4096)
        self.assertIn(b"line 4999\n", log)
        self.assertIn(b"REPORT RequestId", log)

    def test_the_client_context_reaches_the_function(self):
        context = {"custom": {"k": "v"}, "env": {}, "client": {}}
        encoded = base64.b64encode(json.dumps(context).encode()).decode()
        reply = self.invoke(self.name, ClientContext=encoded)
        self.assertEqual(reply["Payload"]["custom"], {"k": "v"})

    def test_the_environment_is_lambdas(self):
        found = self.invoke(self.name, {"do": "environment"})["Payload"]
        expected = {
            "COLOUR": "blue", "_HANDLER": "app.handler", "AWS_REGION": harness.REGION,
            "AWS_LAMBDA_FUNCTION_NAME": self.name, "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256", "LAMBDA_TASK_ROOT": "/var/task",
            "AWS_EXECUTION_ENV": "AWS_Lambda_python3.13",
        }
        self.assertEqual({k: found.get(k) for k in expected}, expected)

    def test_a_raised_error_is_the_answer_and_the_sandbox_lives_on(self):
        before = self.invoke(self.name)["Payload"]
        reply = self.invoke(self.name, {"do": "raise"})
        self.assertEqual(reply["StatusCode"], 200)
        self.assertEqual(reply["FunctionError"], "Unhandled")
        self.assertEqual(reply["Payload"]["errorType"], "ValueError")
        self.assertEqual(reply["Payload"]["errorMessage"], "raised as asked")
        self.assertTrue(reply["Payload"]["stackTrace"])
        after = self.invoke(self.name)["Payload"]
        self.assertEqual((after["sandbox"], after["calls"]),
                         (before["sandbox"], before["calls"] + 2))

    def test_a_dead_runtime_is_reported_and_replaced(self):
        before = self.invoke(self.name)["Payload"]
        reply = self.invoke(self.name, {"do": "exit", "status": 3})
        self.assertEqual(reply["FunctionError"], "Unhandled")
        self.assertEqual(reply["Payload"]["errorType"], "Runtime.ExitError")
        self.assertIn("exit status 3", reply["Payload"]["errorMessage"])
        after = self.invoke(self.name)["Payload"]
        self.assertNotEqual(after["sandbox"], before["sandbox"])
        self.assertEqual(after["calls"], 1)

    def test_a_missing_version_cannot_be_invoked(self):
        response = self.refuses("ResourceNotFoundException", self.lambda_.invoke,
                                FunctionName=self.name, Qualifier="99")
        self.assertEqual(response["Error"]["Message"],
                         f"Function not found: {arn(self.name, version='99')}")

    def test_asynchronous_invokes_are_refused_in_so_many_words(self):
        with self.assertRaises(self.lambda_.exceptions.ClientError) as caught:
            self.lambda_.invoke(FunctionName=self.name, InvocationType="Event", Payload=b"{}")
        response = caught.exception.response
        self.assertRegex(response["Error"]["Message"], "(?i)event")
        self.assertGreaterEqual(response["ResponseMetadata"]["HTTPStatusCode"], 400)


class Lifecycle(clients.FunctionTest):
    """Changes show in the next invoke, and only there."""

    def test_create_invoke_update_invoke_publish_delete(self):
        name = self.make(Environment={"Variables": {"COLOUR": "blue"}})
        self.assertEqual(self.invoke(name)["Payload"]["edition"], "1")
        first = self.lambda_.publish_version(FunctionName=name)["Version"]

        self.lambda_.update_function_code(FunctionName=name, ZipFile=packages.actor("2"))
        self.lambda_.get_waiter("function_updated_v2").wait(FunctionName=name, WaiterConfig=WAIT)
        self.assertEqual(self.invoke(name)["Payload"]["edition"], "2")

        self.lambda_.update_function_configuration(
            FunctionName=name, Environment={"Variables": {"COLOUR": "red"}})
        self.lambda_.get_waiter("function_updated_v2").wait(FunctionName=name, WaiterConfig=WAIT)
        self.assertEqual(self.invoke(name, {"do": "environment"})["Payload"]["COLOUR"], "red")

        published = self.invoke(name, Qualifier=first)
        self.assertEqual(published["ExecutedVersion"], "1")
        self.assertEqual(published["Payload"]["edition"], "1", "a version never changes")
        self.assertEqual(published["Payload"]["version"], "1")
        self.assertEqual(self.invoke(arn(name, version="1"))["ExecutedVersion"], "1")

        self.lambda_.delete_function(FunctionName=name)
        for qualifier in ({}, {"Qualifier": first}):
            self.refuses("ResourceNotFoundException", self.lambda_.invoke,
                         FunctionName=name, **qualifier)

    def test_a_timeout_is_answered_as_lambda_does(self):
        name = self.make(Timeout=3)
        reply = self.invoke(name, {"do": "sleep", "seconds": 60}, LogType="Tail")
        self.assertEqual(reply["FunctionError"], "Unhandled")
        self.assertEqual(reply["Payload"]["errorType"], "Sandbox.Timedout")
        request = reply["ResponseMetadata"]["RequestId"]
        self.assertEqual(reply["Payload"]["errorMessage"],
                         f"RequestId: {request} Error: Task timed out after 3.00 seconds")
        log = base64.b64decode(reply["LogResult"]).decode()
        self.assertIn(f"{request} Task timed out after 3.00 seconds\n", log)
        self.assertRegex(log, r"\tDuration: 3\d{3}\.\d\d ms\t.*Status: timeout")
        harness.eventually(
            lambda: name.encode() not in wire.call("GET", "/hearth/v1/sandboxes").body,
            "a sandbox that timed out is discarded")

    def test_a_node_function_runs(self):
        code = ("exports.handler = async (event, context) => "
                "({ twice: event.n * 2, node: process.version, fn: context.functionName });")
        name = self.make(Runtime="nodejs22.x", Handler="index.handler",
                         Code={"ZipFile": packages.zip_of({"index.js": code})})
        answer = self.invoke(name, {"n": 21})["Payload"]
        self.assertEqual(answer["twice"], 42)
        self.assertEqual(answer["fn"], name)
        self.assertRegex(answer["node"], r"^v22\.")
