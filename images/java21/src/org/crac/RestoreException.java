package org.crac;

/** A resource could not go on after a restore; the suppressed exceptions say why. */
public class RestoreException extends Exception {
    private static final long serialVersionUID = 1L;

    public RestoreException() {}

    public RestoreException(String message) {
        super(message);
    }
}
