"""Two accounts: neither can see, guess at, or touch what the other has."""

import clients
import harness
import packages
import wire
from clients import arn


class TwoAccounts(clients.FunctionTest):
    """A function of ours, and a stranger who knows all about it."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.name = cls.make(Tags={"owner": "us"})
        cls.lambda_.publish_version(FunctionName=cls.name)
        cls.theirs = harness.other_account()
        cls.stranger = clients.client(cls.theirs)

    def calls(self, function, resource):
        """Every operation that names a function, as the stranger would call it."""
        s, zipped = self.stranger, packages.actor("theft")
        return [
            (s.get_function, {"FunctionName": function}),
            (s.get_function, {"FunctionName": function, "Qualifier": "1"}),
            (s.get_function_configuration, {"FunctionName": function}),
            (s.invoke, {"FunctionName": function}),
            (s.invoke, {"FunctionName": function, "InvocationType": "DryRun"}),
            (s.list_versions_by_function, {"FunctionName": function}),
            (s.publish_version, {"FunctionName": function}),
            (s.update_function_code, {"FunctionName": function, "ZipFile": zipped}),
            (s.update_function_configuration, {"FunctionName": function, "Timeout": 5}),
            (s.delete_function, {"FunctionName": function}),
            (s.list_tags, {"Resource": resource}),
            (s.tag_resource, {"Resource": resource, "Tags": {"a": "b"}}),
            (s.untag_resource, {"Resource": resource, "TagKeys": ["owner"]}),
        ]

    def test_a_stranger_lists_nothing_of_ours(self):
        pages = self.stranger.get_paginator("list_functions").paginate(FunctionVersion="ALL")
        listed = {f["FunctionArn"] for page in pages for f in page["Functions"]}
        self.assertFalse([a for a in listed if self.name in a])
        usage = self.stranger.get_account_settings()["AccountUsage"]
        self.assertEqual(usage["FunctionCount"], len(listed))

    def test_by_name_there_is_nothing(self):
        before = self.lambda_.get_function(FunctionName=self.name)
        for call, arguments in self.calls(self.name, arn(self.name, self.theirs)):
            with self.subTest(f"{call.__name__} {arguments}"):
                self.refuses("ResourceNotFoundException", call, **arguments)
        self.unchanged(before)

    def test_by_arn_the_answer_is_the_same_whether_it_exists_or_not(self):
        before = self.lambda_.get_function(FunctionName=self.name)
        real = self.calls(arn(self.name), arn(self.name))
        unreal = self.calls(arn("no-such-thing"), arn("no-such-thing"))
        for (call, arguments), (_, guesses) in zip(real, unreal, strict=True):
            with self.subTest(f"{call.__name__} {arguments}"):
                found = self.refuses("AccessDeniedException", call, **arguments)
                guessed = self.refuses("AccessDeniedException", call, **guesses)
                self.assertEqual(found["Error"], guessed["Error"])
                self.assertEqual(found["ResponseMetadata"]["HTTPStatusCode"], 403)
        self.unchanged(before)

    def test_by_partial_arn_likewise(self):
        account = harness.server().credentials.account
        for form in (f"{account}:{self.name}", f"{account}:function:{self.name}",
                     f"{account}:function:{self.name}:1"):
            with self.subTest(form):
                self.refuses("AccessDeniedException", self.stranger.get_function,
                             FunctionName=form)

    def test_hearths_own_calls_keep_to_the_account_too(self):
        own = f"/hearth/v1/functions/{self.name}"
        for path in (f"{own}/logs?from=0", f"{own}/code", f"{own}/code?Qualifier=1"):
            with self.subTest(path):
                reply = wire.call("GET", path, key=self.theirs)
                self.assertEqual((reply.status, reply.error), (404, "ResourceNotFoundException"))
        self.invoke(self.name)
        ours = wire.call("GET", "/hearth/v1/sandboxes")
        self.assertIn(self.name.encode(), ours.body)
        seen = wire.call("GET", "/hearth/v1/sandboxes", key=self.theirs)
        self.assertEqual(seen.status, 200)
        self.assertNotIn(self.name.encode(), seen.body)

    def test_one_name_can_be_two_functions(self):
        code = {"ZipFile": packages.actor("theirs")}
        self.make(cleanup=self.addCleanup, lambda_=self.stranger, FunctionName=self.name,
                  Code=code)
        ours = self.invoke(self.name)["Payload"]
        theirs = self.invoke(self.name, lambda_=self.stranger)["Payload"]
        self.assertEqual((ours["edition"], theirs["edition"]), ("1", "theirs"))
        self.assertNotEqual(ours["sandbox"], theirs["sandbox"])
        self.assertEqual(theirs["arn"], arn(self.name, self.theirs))
        self.stranger.delete_function(FunctionName=self.name)
        self.assertEqual(self.invoke(self.name)["Payload"]["edition"], "1")

    def unchanged(self, before):
        """Nothing that the stranger tried had an effect."""
        after = self.lambda_.get_function(FunctionName=self.name)
        self.assertEqual(after["Configuration"], before["Configuration"])
        self.assertEqual(after["Tags"], {"owner": "us"})
        versions = self.lambda_.list_versions_by_function(FunctionName=self.name)["Versions"]
        self.assertEqual([v["Version"] for v in versions], ["$LATEST", "1"])
