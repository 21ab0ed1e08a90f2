package hearth;

import com.amazonaws.services.lambda.runtime.LambdaLogger;
import java.io.BufferedOutputStream;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;

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
                    log(String.valueOf(message).getBytes(StandardCharsets.UTF_8));
                }

                @Override
                public void log(byte[] message) {
                    // On Lambda every call is an entry of its own; here every line is.
                    boolean ends = message.length > 0 && message[message.length - 1] == '\n';
                    byte[] line = ends ? message : Arrays.copyOf(message, message.length + 1);
                    line[line.length - 1] = '\n';
                    STDOUT.write(line, 0, line.length);
                }
            };

    private Log() {}

    /** Has all that the function prints go there. */
    static void install() {
        System.setOut(STDOUT);
        System.setErr(STDOUT);
    }
}
