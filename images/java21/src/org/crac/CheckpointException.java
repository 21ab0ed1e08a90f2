package org.crac;

/** A resource was not ready to be captured; the suppressed exceptions say why. */
public class CheckpointException extends Exception {
    private static final long serialVersionUID = 1L;

    public CheckpointException() {}

    public CheckpointException(String message) {
        super(message);
    }
}
