package com.amazonaws.services.lambda.runtime;

/** A function that takes and returns objects, which the runtime reads from and writes as JSON. */
public interface RequestHandler<I, O> {
    O handleRequest(I input, Context context);
}
