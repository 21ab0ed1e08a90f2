package com.amazonaws.services.lambda.runtime;

/** What a function can learn about the invocation it serves. */
public interface Context {
    String getAwsRequestId();

    String getLogGroupName();

    String getLogStreamName();

    String getFunctionName();

    String getFunctionVersion();

    String getInvokedFunctionArn();

    /** Null unless the caller is a mobile client that gave one. */
    CognitoIdentity getIdentity();

    /** Null unless the caller gave one. */
    ClientContext getClientContext();

    int getRemainingTimeInMillis();

    int getMemoryLimitInMB();

    LambdaLogger getLogger();
}
