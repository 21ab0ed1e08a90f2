package hearth;

import java.io.IOException;
import java.lang.reflect.Constructor;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.TreeSet;

/** Gives a running JVM another environment. */
final class Environment {
    /** Read by the JVM, by the C library or by Java's start: no longer to be changed. */
    private static final List<String> READ_AT_START =
            List.of("JAVA_TOOL_OPTIONS", "_JAVA_OPTIONS", "JDK_JAVA_OPTIONS", "LANG", "LANGUAGE", "TZ");

    private static final List<String> PREFIXES_READ_AT_START =
            List.of("LD_", "LC_", "MALLOC_", "GLIBC_");

    private final NativeEnvironment inherited = new NativeEnvironment();
    private final Map<String, String> present = present();

    /** Whether {@code wanted} says anything else than this JVM was started with, of what it read. */
    static boolean needsAnotherJvm(Map<String, String> wanted) {
        Map<String, String> present = System.getenv();
        TreeSet<String> names = new TreeSet<>(present.keySet());
        names.addAll(wanted.keySet());
        return names.stream()
                .filter(Environment::isReadAtStart)
                .anyMatch(name -> !Objects.equals(present.get(name), wanted.get(name)));
    }

    private static boolean isReadAtStart(String name) {
        return READ_AT_START.contains(name)
                || PREFIXES_READ_AT_START.stream().anyMatch(name::startsWith);
    }

    /** Replaces all of it, for {@code System.getenv} and for processes that are started. */
    void replace(Map<String, String> wanted) {
        inherited.replace(present, wanted);
        present.keySet().retainAll(wanted.keySet());
        present.putAll(wanted);
    }

    /** What {@code System.getenv} shows, to be changed. */
    private static Map<String, String> present() {
        Class<?> owner = Internals.type("java.lang.ProcessEnvironment");
        Object bytes = Internals.read(owner, "theEnvironment", null);
        try {
            Constructor<?> view =
                    Internals.type("java.lang.ProcessEnvironment$StringEnvironment")
                            .getConstructor(Map.class);
            view.setAccessible(true);
            @SuppressWarnings("unchecked") // A view of the same map, as text.
            Map<String, String> text = (Map<String, String>) view.newInstance(bytes);
            return text;
        } catch (ReflectiveOperationException changed) {
            throw new LinkageError("this Java keeps its environment otherwise", changed);
        }
    }

    /** Writes a shell script that makes the shell's environment the wanted one. */
    static void hand(Map<String, String> wanted, Path script) throws IOException {
        StringBuilder text = new StringBuilder();
        for (String name : System.getenv().keySet()) {
            if (isName(name)) {
                text.append("unset ").append(name).append('\n');
            }
        }
        wanted.forEach((name, value) -> {
            if (isName(name)) {
                text.append("export ").append(name).append("='");
                text.append(value.replace("'", "'\\''")).append("'\n");
            }
        });
        Files.deleteIfExists(script);
        Files.createFile(
                script,
                PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rw-------")));
        Files.writeString(script, text, StandardOpenOption.WRITE);
    }

    private static boolean isName(String name) {
        return name.matches("[A-Za-z_][A-Za-z0-9_]*");
    }
}
