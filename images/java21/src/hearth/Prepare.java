package hearth;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Map;

/** A runtime that is captured before its function is known. */
final class Prepare {
    private static final String VARIABLE = "HEARTH_PREPARE";

    /** The bootstrap waits for it, and reads the new environment in this file. */
    private static final String HANDOVER_VARIABLE = "HEARTH_HANDOVER";

    private static final int EXIT_AGAIN = 79;

    private Prepare() {}

    static boolean isWanted() {
        return "1".equals(System.getenv(VARIABLE));
    }

    /** Whether the image is being built, and this is the run that shows which classes a start loads. */
    static boolean isRehearsal() {
        return "rehearsal".equals(System.getenv(VARIABLE));
    }

    /** Returns in a copy, when the environment is the function's and nothing is as in other copies. */
    static void untilFunctionIsKnown(RuntimeApi api) throws IOException {
        WarmUp.run();
        System.gc();
        byte[] environment = api.environment();
        Uniqueness.renew();
        Map<String, String> wanted = Json.texts(environment);
        if (Environment.needsAnotherJvm(wanted)) {
            Environment.hand(wanted, Path.of(System.getenv(HANDOVER_VARIABLE)));
            Main.exit(EXIT_AGAIN);
        }
        Environment.replace(wanted);
    }
}
