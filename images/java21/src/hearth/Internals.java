package hearth;

import java.lang.reflect.Field;
import java.lang.reflect.Method;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;

/** Private fields of Java's own classes, in packages that this archive's manifest opens. */
final class Internals {
    /** Those found before a capture need not be found in every copy. */
    private static final Map<String, Field> FIELDS = new ConcurrentHashMap<>();

    /** Of Thread: all that are alive. {@code getAllStackTraces} stops each, to see where it is. */
    private static final Method ALL_THREADS = allThreads();

    private Internals() {}

    static Field field(Class<?> owner, String name) {
        String key = owner.getName() + '.' + name;
        Field known = FIELDS.get(key);
        if (known != null) {
            return known;
        }
        try {
            Field field = owner.getDeclaredField(name);
            field.setAccessible(true);
            FIELDS.put(key, field);
            return field;
        } catch (NoSuchFieldException changed) {
            // The image has one Java, and a test reads every field that is named here.
            throw new LinkageError("this Java has no " + owner.getName() + "." + name, changed);
        }
    }

    static Object read(Class<?> owner, String name, Object of) {
        try {
            return field(owner, name).get(of);
        } catch (IllegalAccessException closed) {
            throw new LinkageError("the manifest does not open " + owner.getName(), closed);
        }
    }

    static void write(Class<?> owner, String name, Object of, Object value) {
        try {
            field(owner, name).set(of, value);
        } catch (IllegalAccessException closed) {
            throw new LinkageError("the manifest does not open " + owner.getName(), closed);
        }
    }

    static Thread[] threads() {
        try {
            return (Thread[]) ALL_THREADS.invoke(null);
        } catch (ReflectiveOperationException changed) {
            throw new LinkageError("this Java does not tell its threads", changed);
        }
    }

    private static Method allThreads() {
        try {
            Method method = Thread.class.getDeclaredMethod("getAllThreads");
            method.setAccessible(true);
            return method;
        } catch (NoSuchMethodException changed) {
            throw new LinkageError("this Java has no Thread.getAllThreads", changed);
        }
    }

    static Class<?> type(String name) {
        try {
            return Class.forName(name);
        } catch (ClassNotFoundException changed) {
            throw new LinkageError("this Java has no " + name, changed);
        }
    }
}
