package org.crac;

/** Resources, told in the reverse of the order they registered in, and after the restore in that order. */
public abstract class Context<R extends Resource> implements Resource {
    protected Context() {}

    @Override
    public abstract void beforeCheckpoint(Context<? extends Resource> context)
            throws CheckpointException;

    @Override
    public abstract void afterRestore(Context<? extends Resource> context) throws RestoreException;

    /** Holds the resource weakly: whoever registers it keeps it. */
    public abstract void register(R resource);
}
