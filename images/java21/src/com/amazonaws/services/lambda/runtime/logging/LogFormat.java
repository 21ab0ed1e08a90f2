package com.amazonaws.services.lambda.runtime.logging;

/** How log lines are written. */
public enum LogFormat {
    JSON,
    TEXT;

    public static LogFormat fromString(String name) {
        try {
            return valueOf(name.toUpperCase(java.util.Locale.ROOT));
        } catch (IllegalArgumentException unknown) {
            throw new IllegalArgumentException("no such log format: " + name, unknown);
        }
    }
}
