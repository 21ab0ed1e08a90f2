"""Aliases, as boto3, the AWS CLI and deployment tools use them."""

import collections
import json
import subprocess

import clients
import harness
import packages
from clients import arn


class Aliases(clients.FunctionTest):
    """Named versions of one function."""

    def setUp(self):
        self.name = self.make()
        self.lambda_.publish_version(FunctionName=self.name)
        self.lambda_.update_function_code(
            FunctionName=self.name, ZipFile=packages.actor("2"), Publish=True)

    def test_an_alias_lives_and_dies(self):
        made = self.lambda_.create_alias(
            FunctionName=self.name, Name="live", FunctionVersion="1", Description="in use")
        self.assertEqual(made.pop("ResponseMetadata")["HTTPStatusCode"], 201)
        self.assertEqual(made, {
            "AliasArn": arn(self.name, version="live"), "Name": "live", "FunctionVersion": "1",
            "Description": "in use", "RevisionId": made["RevisionId"]})
        found = self.lambda_.get_alias(FunctionName=self.name, Name="live")
        del found["ResponseMetadata"]
        self.assertEqual(found, made)

        for version in ("2", "1", "$LATEST", "2"):
            updated = self.lambda_.update_alias(
                FunctionName=self.name, Name="live", FunctionVersion=version)
            self.assertEqual((updated["FunctionVersion"], updated["Description"]),
                             (version, "in use"))
            reply = self.invoke(self.name, Qualifier="live")
            self.assertEqual(reply["ExecutedVersion"], version)
            self.assertEqual(reply["Payload"]["version"], version)
            self.assertEqual(reply["Payload"]["arn"], arn(self.name, version="live"))
        for form in (arn(self.name, version="live"), f"{self.name}:live"):
            self.assertEqual(self.invoke(form)["ExecutedVersion"], "2")
            found = self.lambda_.get_function_configuration(FunctionName=form)
            self.assertEqual((found["FunctionArn"], found["Version"]),
                             (arn(self.name, version="live"), "2"))

        refused = self.refuses("ResourceConflictException", self.lambda_.delete_function,
                               FunctionName=self.name, Qualifier="2")
        self.assertEqual(
            refused["Error"]["Message"],
            "Unable to delete version because the following aliases reference it: [live]")
        self.lambda_.delete_alias(FunctionName=self.name, Name="live")
        self.lambda_.delete_alias(FunctionName=self.name, Name="live")
        self.refuses("ResourceNotFoundException", self.lambda_.get_alias,
                     FunctionName=self.name, Name="live")
        self.refuses("ResourceNotFoundException", self.lambda_.invoke,
                     FunctionName=self.name, Qualifier="live")
        self.lambda_.delete_function(FunctionName=self.name, Qualifier="2")

    def test_aliases_are_listed_in_pages(self):
        for alias, version in (("a", "1"), ("b", "2"), ("c", "1")):
            self.lambda_.create_alias(
                FunctionName=self.name, Name=alias, FunctionVersion=version)
        pages = self.lambda_.get_paginator("list_aliases")

        def names(**arguments):
            found = pages.paginate(
                FunctionName=self.name, PaginationConfig={"PageSize": 1}, **arguments)
            return [alias["Name"] for page in found for alias in page["Aliases"]]

        self.assertEqual(names(), ["a", "b", "c"])
        self.assertEqual(names(FunctionVersion="1"), ["a", "c"])

    def test_weights_share_the_invokes(self):
        weights = {"AdditionalVersionWeights": {"2": 0.5}}
        made = self.lambda_.create_alias(
            FunctionName=self.name, Name="both", FunctionVersion="1", RoutingConfig=weights)
        self.assertEqual(made["RoutingConfig"], weights)
        served = collections.Counter(
            self.invoke(self.name, Qualifier="both")["ExecutedVersion"] for _ in range(60))
        # Fewer than 8 of 60 fair coins fall once in 10^9 times.
        self.assertEqual(set(served), {"1", "2"})
        self.assertGreaterEqual(min(served.values()), 8, served)
        single = self.lambda_.update_alias(
            FunctionName=self.name, Name="both", RoutingConfig={"AdditionalVersionWeights": {}})
        self.assertNotIn("RoutingConfig", single)

    def test_what_makes_no_sense_is_refused(self):
        create = self.lambda_.create_alias
        self.refuses("ResourceNotFoundException", create,
                     FunctionName="there-is-none", Name="a", FunctionVersion="1")
        self.refuses("ResourceNotFoundException", create,
                     FunctionName=self.name, Name="a", FunctionVersion="9")
        self.refuses("ValidationException", create,
                     FunctionName=self.name, Name="12", FunctionVersion="1")
        made = create(FunctionName=self.name, Name="a", FunctionVersion="1")
        self.refuses("ResourceConflictException", create,
                     FunctionName=self.name, Name="a", FunctionVersion="1")
        self.refuses("InvalidParameterValueException", self.lambda_.update_alias,
                     FunctionName=self.name, Name="a",
                     RoutingConfig={"AdditionalVersionWeights": {"1": 0.1}})
        self.lambda_.update_alias(FunctionName=self.name, Name="a", FunctionVersion="2")
        self.refuses("PreconditionFailedException", self.lambda_.update_alias,
                     FunctionName=self.name, Name="a", RevisionId=made["RevisionId"])

    def test_the_aws_cli_makes_and_reads_them(self):
        def aws(*arguments):
            done = subprocess.run(
                ["aws", "lambda", *arguments], capture_output=True, text=True, check=True,
                env=harness.client_environment(), timeout=harness.COMMAND_S_MAX)
            return json.loads(done.stdout) if done.stdout.strip() else None

        named = ["--function-name", self.name, "--name", "shell"]
        aws("create-alias", *named, "--function-version", "1",
            "--routing-config", "AdditionalVersionWeights={2=0.25}")
        found = aws("get-alias", *named)
        self.assertEqual(found["RoutingConfig"], {"AdditionalVersionWeights": {"2": 0.25}})
        updated = aws("update-alias", *named, "--function-version", "2",
                      "--routing-config", "AdditionalVersionWeights={}")
        self.assertEqual(updated["FunctionVersion"], "2")
        listed = aws("list-aliases", "--function-name", self.name)
        self.assertEqual([alias["Name"] for alias in listed["Aliases"]], ["shell"])
        aws("delete-alias", *named)
