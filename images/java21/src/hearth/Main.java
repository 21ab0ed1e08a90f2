package hearth;

import java.io.File;
import java.io.IOException;

/**
 * The runtime of {@code java21}: finds the function, then serves one event after the other.
 *
 * <pre>
 *   start ──► prepared? ──► warm up ──► GET environment ┄┄ captured, copied ┄┄► another JVM? ─► exit
 *     │                                                                              │ no
 *     └──────────────────────────────► load handler ◄───────────────────────────────┘
 *                                           │
 *                     SnapStart? ──► hooks ──► GET restore/next ┄┄ captured, copied ┄┄► hooks
 *                         │                                                             │
 *                         └──────────────────► next ─► handle ─► response ◄─────────────┘
 * </pre>
 */
public final class Main {
    private static final String DEFAULT_TASK = "/var/task";
    private static final String TRACE_PROPERTY = "com.amazonaws.xray.traceHeader";
    static final int EXIT_FAILED = 1;

    private Main() {}

    public static void main(String[] arguments) {
        Log.install();
        try {
            RuntimeApi api = RuntimeApi.ofEnvironment();
            if (Prepare.isWanted() || Prepare.isRehearsal() || SnapStart.isWanted()) {
                // Takes half as long as all the rest, and only copies need it.
                KernelRandom.install();
            }
            if (Prepare.isRehearsal()) {
                WarmUp.rehearse();
                exit(0);
            }
            if (Prepare.isWanted()) {
                Prepare.untilFunctionIsKnown(api);
            }
            Handler handler = load(api);
            if (SnapStart.isWanted()) {
                SnapStart.untilRestored(api);
            }
            serve(api, handler);
        } catch (IOException broken) {
            // Without the Runtime API there is nobody to tell but the log.
            System.out.println("runtime: " + broken.getMessage());
        } catch (Throwable broken) {
            broken.printStackTrace();
        }
        // Also where threads of the function's go on.
        exit(EXIT_FAILED);
    }

    private static Handler load(RuntimeApi api) throws IOException {
        try {
            String task = System.getenv("LAMBDA_TASK_ROOT");
            ClassLoader loader = FunctionLoader.of(new File(task == null ? DEFAULT_TASK : task));
            Thread.currentThread().setContextClassLoader(loader);
            return HandlerLoader.load(System.getenv("_HANDLER"), loader);
        } catch (Throwable thrown) {
            System.out.print(ErrorReport.text(thrown));
            api.failInit(ErrorReport.of(thrown));
            exit(EXIT_FAILED);
            throw new AssertionError(thrown);
        }
    }

    private static void serve(RuntimeApi api, Handler handler) throws IOException {
        while (true) {
            RuntimeApi.Invocation invocation = api.next();
            if (invocation.traceId() == null) {
                System.clearProperty(TRACE_PROPERTY);
            } else {
                System.setProperty(TRACE_PROPERTY, invocation.traceId());
            }
            byte[] answer = null;
            Throwable failure = null;
            try {
                answer = handler.handle(invocation.event(), new InvocationContext(invocation));
            } catch (Throwable thrown) {
                failure = thrown;
            }
            if (failure == null) {
                api.respond(invocation.id(), answer);
                continue;
            }
            System.out.print(ErrorReport.text(failure));
            api.fail(invocation.id(), ErrorReport.of(failure));
            if (failure instanceof VirtualMachineError) {
                // Out of memory, out of stack: what is left of this process cannot be relied on.
                exit(EXIT_FAILED);
            }
        }
    }

    /** Ends the process without the function's shutdown hooks, which a broken one may hang in. */
    static void exit(int status) {
        System.out.flush();
        Runtime.getRuntime().halt(status);
    }
}
