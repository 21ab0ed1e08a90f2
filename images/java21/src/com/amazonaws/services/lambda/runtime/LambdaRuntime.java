package com.amazonaws.services.lambda.runtime;

import hearth.Log;

/** The log, for code that was handed no context. */
public class LambdaRuntime {
    private LambdaRuntime() {}

    public static LambdaLogger getLogger() {
        return Log.LOGGER;
    }
}
