package hearth;

import com.amazonaws.services.lambda.runtime.Context;

/** A function, ready to be called: bytes in, bytes out. */
interface Handler {
    byte[] handle(byte[] event, Context context) throws Throwable;
}
