"""Has AWS's client read again what it reads of the environment when it is
imported."""

import importlib

from awslambdaric import bootstrap
from awslambdaric.lambda_runtime_client import BaseLambdaRuntimeClient
from awslambdaric.lambda_runtime_marshaller import LambdaMarshaller

READ_AT_IMPORT = ("AWS_LAMBDA_LOG_FORMAT", "AWS_LAMBDA_LOG_LEVEL")


def read_environment(variables):
    """Does so where it matters: importing takes time."""
    # It encodes as the runtime's version does.
    BaseLambdaRuntimeClient.marshaller = LambdaMarshaller()
    if any(name in variables for name in READ_AT_IMPORT):
        importlib.reload(bootstrap)
