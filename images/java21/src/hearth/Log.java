package hearth;

import com.amazonaws.services.lambda.runtime.LambdaLogger;
import java.io.BufferedOutputStream;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;

/** The function's output: one stream, every call written at once, so that a line stays in one piece. */
public final class Log {
    /** The longest line that goes out in one write. */
    private static final int BUFFER_BYTES = 8192;

    private static final PrintStream STDOUT =
            new PrintStream(
                    new BufferedOutputStream(new FileOutputStream(FileDescriptor.out), BUFFER_BYTES),
                    true,
                    StandardCharsets.UTF_8);

    public static final LambdaLogger LOGGER =
            new LambdaLogger() {
                @Override
                public void log(String message) {
                    STDOUT.print(message);
                    STDOUT.flush();
                }

                @Override
                public void log(byte[] message) {
                    STDOUT.write(message, 0, message.length);
                    STDOUT.flush();
                }
            };

    private Log() {}

    /** Has all that the function prints go there. */
    static void install() {
        System.setOut(STDOUT);
        System.setErr(STDOUT);
    }
}
