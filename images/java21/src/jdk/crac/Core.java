package jdk.crac;

import hearth.Hooks;

/** Where resources register. */
public class Core {
    private static final Context<Resource> GLOBAL = new Global();

    private Core() {}

    public static Context<Resource> getGlobalContext() {
        return GLOBAL;
    }

    /** Snapshots are taken from outside, when the function has initialised. */
    public static void checkpointRestore() throws CheckpointException, RestoreException {
        throw new UnsupportedOperationException("a function cannot have its own snapshot taken");
    }

    private static final class Global extends Context<Resource> {
        @Override
        public void beforeCheckpoint(Context<? extends Resource> context)
                throws CheckpointException {
            CheckpointException failed = new CheckpointException();
            if (!Hooks.beforeCheckpoint(failed)) {
                throw failed;
            }
        }

        @Override
        public void afterRestore(Context<? extends Resource> context) throws RestoreException {
            RestoreException failed = new RestoreException();
            if (!Hooks.afterRestore(failed)) {
                throw failed;
            }
        }

        @Override
        public void register(Resource resource) {
            Hooks.register(
                    resource,
                    r -> ((Resource) r).beforeCheckpoint(this),
                    r -> ((Resource) r).afterRestore(this));
        }
    }
}
