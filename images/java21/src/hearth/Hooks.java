package hearth;

import java.lang.ref.WeakReference;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Objects;

/** The function's checkpoint hooks, whichever of the two APIs they were registered through. */
public final class Hooks {
    /** Tells a resource. */
    public interface Call {
        void on(Object resource) throws Exception;
    }

    /** The resource is held weakly, as CRaC says: a hook must not keep what the function dropped. */
    private record Hook(WeakReference<Object> resource, Call before, Call after) {}

    private static final List<Hook> REGISTERED = new ArrayList<>();

    private Hooks() {}

    /** Adds a resource after those there are; one that is there already moves to the end. */
    public static void register(Object resource, Call before, Call after) {
        Objects.requireNonNull(resource);
        synchronized (REGISTERED) {
            REGISTERED.removeIf(h -> h.resource.refersTo(resource) || h.resource.refersTo(null));
            REGISTERED.add(new Hook(new WeakReference<>(resource), before, after));
        }
    }

    /** Runs all, last registered first; whether none failed. Failures are added to {@code failed}. */
    public static boolean beforeCheckpoint(Exception failed) {
        List<Hook> hooks = registered();
        Collections.reverse(hooks);
        return run(hooks, true, failed);
    }

    /** Runs all, first registered first; whether none failed. Failures are added to {@code failed}. */
    public static boolean afterRestore(Exception failed) {
        return run(registered(), false, failed);
    }

    private static List<Hook> registered() {
        synchronized (REGISTERED) {
            return new ArrayList<>(REGISTERED);
        }
    }

    private static boolean run(List<Hook> hooks, boolean before, Exception failed) {
        for (Hook hook : hooks) {
            Object resource = hook.resource.get();
            if (resource == null) {
                continue;
            }
            try {
                (before ? hook.before : hook.after).on(resource);
            } catch (VirtualMachineError fatal) {
                throw fatal;
            } catch (Throwable thrown) {
                failed.addSuppressed(thrown);
            }
        }
        return failed.getSuppressed().length == 0;
    }
}
