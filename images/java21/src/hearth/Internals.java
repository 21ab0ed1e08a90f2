package hearth;

import java.lang.reflect.Field;

/** Private fields of Java's own classes, in packages that this archive's manifest opens. */
final class Internals {
    private Internals() {}

    static Field field(Class<?> owner, String name) {
        try {
            Field field = owner.getDeclaredField(name);
            field.setAccessible(true);
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

    static Class<?> type(String name) {
        try {
            return Class.forName(name);
        } catch (ClassNotFoundException changed) {
            throw new LinkageError("this Java has no " + name, changed);
        }
    }
}
