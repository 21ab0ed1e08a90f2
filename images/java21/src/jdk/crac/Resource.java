package jdk.crac;

/** What wants to know when a snapshot is taken, and when a copy of it begins to run. */
public interface Resource {
    void beforeCheckpoint(Context<? extends Resource> context) throws Exception;

    void afterRestore(Context<? extends Resource> context) throws Exception;
}
