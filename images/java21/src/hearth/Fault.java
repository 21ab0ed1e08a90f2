package hearth;

/** A mistake in how the function is set up, reported under a type of its own, without our stack. */
final class Fault extends Exception {
    private static final long serialVersionUID = 1L;

    final String type;

    Fault(Class<? extends Throwable> type, String message, Throwable cause) {
        super(message, cause, false, false);
        this.type = type.getName();
    }

    Fault(Class<? extends Throwable> type, String message) {
        this(type, message, null);
    }
}
