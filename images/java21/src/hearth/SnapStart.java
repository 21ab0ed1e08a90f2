package hearth;

import java.io.IOException;
import org.crac.CheckpointException;
import org.crac.Core;
import org.crac.RestoreException;

/** The function's own snapshot: its hooks, and the wait in which it is captured. */
final class SnapStart {
    private SnapStart() {}

    static boolean isWanted() {
        return "snap-start".equals(System.getenv("AWS_LAMBDA_INITIALIZATION_TYPE"));
    }

    /** Returns in a copy, when it differs from all others and the function's hooks have run. */
    static void untilRestored(RuntimeApi api) throws IOException {
        try {
            Core.getGlobalContext().beforeCheckpoint(null);
        } catch (CheckpointException failed) {
            api.failInit(report(failed));
            Main.exit(Main.EXIT_FAILED);
        }
        System.gc();
        api.restoreNext();
        Uniqueness.renew();
        try {
            Core.getGlobalContext().afterRestore(null);
        } catch (RestoreException failed) {
            api.failRestore(report(failed));
            Main.exit(Main.EXIT_FAILED);
        }
    }

    private static ErrorReport report(Exception failed) {
        System.out.print(ErrorReport.text(failed));
        for (Throwable reason : failed.getSuppressed()) {
            failed.initCause(reason);
            break;
        }
        return ErrorReport.of(failed);
    }
}
