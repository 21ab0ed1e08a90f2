package hearth;

import java.lang.invoke.MethodHandle;
import java.lang.reflect.Array;
import java.lang.reflect.Method;
import java.util.Map;
import java.util.Optional;

/**
 * The C library's environment, which processes inherit that are started without one of their own.
 * Java reaches it by {@code java.lang.foreign}, here by reflection: in Java 21 that is a preview,
 * and {@code --enable-preview} would hold for the function too.
 */
final class NativeEnvironment {
    private static final int OVERWRITE = 1;

    private final Object memory;
    private final Method allocate;
    private final MethodHandle set;
    private final MethodHandle unset;

    /** Finds the functions. Takes long, so done before the snapshot. */
    NativeEnvironment() {
        try {
            Method permit = Module.class.getDeclaredMethod("implAddEnableNativeAccessToAllUnnamed");
            permit.setAccessible(true);
            permit.invoke(null);

            Class<?> arena = foreign("Arena");
            memory = arena.getMethod("global").invoke(null);
            allocate = foreign("SegmentAllocator").getMethod("allocateUtf8String", String.class);
            Object text = foreign("ValueLayout").getField("ADDRESS").get(null);
            Object number = foreign("ValueLayout").getField("JAVA_INT").get(null);
            set = function("setenv", number, text, text, number);
            unset = function("unsetenv", number, text);
        } catch (ReflectiveOperationException changed) {
            throw new LinkageError("this Java reaches the C library otherwise", changed);
        }
    }

    /** Makes it {@code wanted}, where it was {@code present}. */
    void replace(Map<String, String> present, Map<String, String> wanted) {
        try {
            for (String name : present.keySet()) {
                if (!wanted.containsKey(name)) {
                    check((int) unset.invokeWithArguments(segment(name)), name);
                }
            }
            for (Map.Entry<String, String> entry : wanted.entrySet()) {
                Object name = segment(entry.getKey());
                Object value = segment(entry.getValue());
                check((int) set.invokeWithArguments(name, value, OVERWRITE), entry.getKey());
            }
        } catch (Throwable failed) {
            throw new IllegalStateException("the environment cannot be set", failed);
        }
    }

    private static void check(int result, String name) {
        if (result != 0) {
            throw new IllegalArgumentException("not a variable: " + name);
        }
    }

    private Object segment(String text) throws ReflectiveOperationException {
        return allocate.invoke(memory, text);
    }

    private static MethodHandle function(String name, Object result, Object... parameters)
            throws ReflectiveOperationException {
        Class<?> linkers = foreign("Linker");
        Object linker = linkers.getMethod("nativeLinker").invoke(null);
        Object library = linkers.getMethod("defaultLookup").invoke(linker);
        Object symbol =
                ((Optional<?>) foreign("SymbolLookup").getMethod("find", String.class).invoke(library, name))
                        .orElseThrow();
        Class<?> layout = foreign("MemoryLayout");
        Object takes = Array.newInstance(layout, parameters.length);
        for (int n = 0; n < parameters.length; n++) {
            Array.set(takes, n, parameters[n]);
        }
        Class<?> descriptors = foreign("FunctionDescriptor");
        Object descriptor =
                descriptors.getMethod("of", layout, takes.getClass()).invoke(null, result, takes);
        Class<?> option = foreign("Linker$Option");
        Method link =
                linkers.getMethod(
                        "downcallHandle", foreign("MemorySegment"), descriptors, option.arrayType());
        return (MethodHandle) link.invoke(linker, symbol, descriptor, Array.newInstance(option, 0));
    }

    private static Class<?> foreign(String name) throws ClassNotFoundException {
        return Class.forName("java.lang.foreign." + name);
    }
}
