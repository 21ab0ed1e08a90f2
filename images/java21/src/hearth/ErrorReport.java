package hearth;

import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.charset.StandardCharsets;

/** An error as Lambda tells it: type, message, stack and causes, in JSON. */
record ErrorReport(String type, byte[] json) {
    /** Of one throwable; a recursion that overflowed has thousands. */
    private static final int FRAMES_MAX = 256;

    private static final int CAUSES_MAX = 16;

    /** A response header's worth; types are names of classes. */
    private static final int TYPE_CHARS_MAX = 512;

    /** Below a frame of ours, nothing is of interest to the function's owner. */
    private static final String OUR_PACKAGE = "hearth.";

    private static final String OUR_LOADER = "app";

    static ErrorReport of(Throwable thrown) {
        StringBuilder json = new StringBuilder(512);
        write(json, thrown, 0);
        return new ErrorReport(headerSafe(typeOf(thrown)), json.toString().getBytes(StandardCharsets.UTF_8));
    }

    /** As it goes to the log, whole. */
    static String text(Throwable thrown) {
        StringWriter text = new StringWriter();
        text.append(messageOf(thrown)).append(": ").append(typeOf(thrown)).append('\n');
        if (!(thrown instanceof Fault) || thrown.getCause() != null) {
            Throwable shown = thrown instanceof Fault ? thrown.getCause() : thrown;
            shown.printStackTrace(new PrintWriter(text, true));
        }
        return text.toString();
    }

    private static void write(StringBuilder json, Throwable thrown, int depth) {
        json.append("{\"errorMessage\":");
        string(json, messageOf(thrown));
        json.append(",\"errorType\":");
        string(json, typeOf(thrown));
        json.append(",\"stackTrace\":[");
        StackTraceElement[] frames = thrown.getStackTrace();
        int count = Math.min(theirs(frames), FRAMES_MAX);
        for (int n = 0; n < count; n++) {
            if (n > 0) {
                json.append(',');
            }
            string(json, frame(frames[n]));
        }
        json.append(']');
        Throwable cause = thrown.getCause();
        if (cause != null && depth < CAUSES_MAX) {
            json.append(",\"cause\":");
            write(json, cause, depth + 1);
        }
        json.append('}');
    }

    private static String typeOf(Throwable thrown) {
        return thrown instanceof Fault fault ? fault.type : thrown.getClass().getName();
    }

    private static String messageOf(Throwable thrown) {
        try {
            String message = thrown.getMessage();
            return message == null ? typeOf(thrown) : message;
        } catch (RuntimeException theirs) {
            return typeOf(thrown);
        }
    }

    /** How many frames, from the top, come before ours and before the reflection that called. */
    private static int theirs(StackTraceElement[] frames) {
        int end = frames.length;
        for (int n = 0; n < frames.length; n++) {
            if (isOurs(frames[n])) {
                end = n;
                break;
            }
        }
        while (end > 0 && isReflection(frames[end - 1].getClassName())) {
            end--;
        }
        return end;
    }

    private static boolean isOurs(StackTraceElement frame) {
        return OUR_LOADER.equals(frame.getClassLoaderName())
                && frame.getClassName().startsWith(OUR_PACKAGE);
    }

    private static boolean isReflection(String name) {
        return name.startsWith("java.lang.reflect.")
                || name.startsWith("jdk.internal.reflect.")
                || name.startsWith("java.lang.invoke.");
    }

    private static String frame(StackTraceElement frame) {
        String at = frame.getClassName() + "." + frame.getMethodName();
        if (frame.isNativeMethod()) {
            return at + "(Native Method)";
        }
        if (frame.getFileName() == null) {
            return at + "(Unknown Source)";
        }
        String line = frame.getLineNumber() >= 0 ? ":" + frame.getLineNumber() : "";
        return at + "(" + frame.getFileName() + line + ")";
    }

    private static String headerSafe(String type) {
        StringBuilder safe = new StringBuilder();
        for (int n = 0; n < Math.min(type.length(), TYPE_CHARS_MAX); n++) {
            char c = type.charAt(n);
            safe.append(c > ' ' && c < 127 ? c : '?');
        }
        return safe.toString();
    }

    private static void string(StringBuilder json, String text) {
        json.append('"');
        for (int n = 0; n < text.length(); n++) {
            char c = text.charAt(n);
            switch (c) {
                case '"', '\\' -> json.append('\\').append(c);
                case '\n' -> json.append("\\n");
                case '\r' -> json.append("\\r");
                case '\t' -> json.append("\\t");
                default -> {
                    // What is not a character by itself must not be written as one.
                    if (c < ' ' || Character.isSurrogate(c)) {
                        json.append("\\u").append(Character.forDigit(c >> 12, 16));
                        json.append(Character.forDigit(c >> 8 & 15, 16));
                        json.append(Character.forDigit(c >> 4 & 15, 16));
                        json.append(Character.forDigit(c & 15, 16));
                    } else {
                        json.append(c);
                    }
                }
            }
        }
        json.append('"');
    }
}
