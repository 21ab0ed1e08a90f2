"""boto3 clients of the run's server, and the base class of tests that make
functions.
"""

import json
import unittest
import uuid

import boto3
import botocore.config

import harness
import packages

ROLE = "arn:aws:iam::000000000000:role/test"
# The waiters' own: a second between looks, five minutes at most.
WAIT = {"Delay": 1, "MaxAttempts": 300}


def client(key: harness.Credentials | None = None, **config):
    """A boto3 Lambda client that neither retries nor corrects what it is given."""
    key = key or harness.server().credentials
    settings = {
        "retries": {"total_max_attempts": 1}, "parameter_validation": False, "proxies": {},
        "read_timeout": 120, "connect_timeout": 10,
    } | config
    return boto3.client(
        "lambda", endpoint_url=harness.server().endpoint, region_name=harness.REGION,
        aws_access_key_id=key.access_key, aws_secret_access_key=key.secret_key,
        config=botocore.config.Config(**settings))


def arn(name: str, key: harness.Credentials | None = None, version: str = "") -> str:
    """A function's ARN, or a version's."""
    account = (key or harness.server().credentials).account
    suffix = f":{version}" if version else ""
    return f"arn:aws:lambda:{harness.REGION}:{account}:function:{name}{suffix}"


class FunctionTest(unittest.TestCase):
    """Makes functions that are gone when the test, or the class, is over."""

    @classmethod
    def setUpClass(cls):
        cls.lambda_ = client()

    @classmethod
    def settings(cls, **settings) -> dict:
        """A legal CreateFunction under a new name, changed as told; a member
        that is told to be None is left out."""
        defaults = {
            "FunctionName": f"{cls.__name__.lower()}-{uuid.uuid4().hex[:8]}",
            "Runtime": "python3.13", "Handler": "app.handler", "Role": ROLE,
            "Code": {"ZipFile": packages.actor()}, "Timeout": 30,
        }
        return {k: v for k, v in (defaults | settings).items() if v is not None}

    @classmethod
    def make(cls, cleanup=None, lambda_=None, **settings) -> str:
        """Creates a function, waits until it is active, and returns its name."""
        lambda_, settings = lambda_ or cls.lambda_, cls.settings(**settings)
        name = settings["FunctionName"]
        lambda_.create_function(**settings)
        (cleanup or cls.addClassCleanup)(cls._delete, lambda_, name)
        lambda_.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig=WAIT)
        return name

    @staticmethod
    def _delete(lambda_, name):
        try:
            lambda_.delete_function(FunctionName=name)
        except lambda_.exceptions.ResourceNotFoundException:
            pass  # the test did it

    def invoke(self, name, event=None, lambda_=None, **arguments) -> dict:
        """Invokes and returns the response with `Payload` parsed."""
        reply = (lambda_ or self.lambda_).invoke(
            FunctionName=name, Payload=json.dumps({} if event is None else event), **arguments)
        body = reply["Payload"].read()
        return reply | {"Payload": json.loads(body) if body else None}

    def refuses(self, error: str, call, **arguments):
        """Calls, expects that error by its client class, and returns its response."""
        lambda_ = call.__self__
        expected = getattr(lambda_.exceptions, error, lambda_.exceptions.ClientError)
        with self.assertRaises(expected) as caught:
            call(**arguments)
        response = caught.exception.response
        self.assertEqual(response["Error"]["Code"], error, response)
        self.assertTrue(response["Error"]["Message"], "an error must say what is wrong")
        self.assertTrue(response["ResponseMetadata"]["RequestId"])
        return response
