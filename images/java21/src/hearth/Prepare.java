package hearth;

import java.io.File;
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
        Environment environment = new Environment();
        WarmUp.run();
        rehearse(environment);
        System.gc();
        byte[] json = api.environment();
        Uniqueness.renew();
        Map<String, String> wanted = Json.texts(json);
        if (Environment.needsAnotherJvm(wanted)) {
            Environment.hand(wanted, Path.of(System.getenv(HANDOVER_VARIABLE)));
            Main.exit(EXIT_AGAIN);
        }
        environment.replace(wanted);
    }

    /** What follows the restore, once before it, to no effect. */
    private static void rehearse(Environment environment) throws IOException {
        Uniqueness.renew();
        Map<String, String> present = Map.copyOf(System.getenv());
        if (!Environment.needsAnotherJvm(present)) {
            environment.replace(present);
        }
        FunctionLoader.of(new File("/var/task")).getResource("none");
    }
}
