package hearth;

import java.io.File;
import java.net.MalformedURLException;
import java.net.URL;
import java.net.URLClassLoader;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/** Where the function's classes come from: its package, its libraries, its layers' libraries. */
final class FunctionLoader {
    private static final File LAYERS = new File("/opt/java/lib");

    private FunctionLoader() {}

    static ClassLoader of(File task) throws MalformedURLException {
        List<URL> path = new ArrayList<>();
        path.add(task.toURI().toURL());
        for (File directory : List.of(new File(task, "lib"), LAYERS)) {
            File[] jars = directory.listFiles((d, name) -> name.endsWith(".jar"));
            if (jars != null) {
                // Lambda's order, and the same in every sandbox.
                Arrays.sort(jars);
                for (File jar : jars) {
                    path.add(jar.toURI().toURL());
                }
            }
        }
        return new URLClassLoader("function", path.toArray(URL[]::new), new Exports());
    }

    /** What a function sees of the runtime: Java itself, and the API below; not our Jackson. */
    private static final class Exports extends ClassLoader {
        private static final List<String> PACKAGES =
                List.of("com.amazonaws.services.lambda.runtime.", "org.crac.", "jdk.crac.");

        private final ClassLoader runtime = Exports.class.getClassLoader();

        Exports() {
            super("exports", ClassLoader.getPlatformClassLoader());
        }

        @Override
        protected Class<?> findClass(String name) throws ClassNotFoundException {
            for (String exported : PACKAGES) {
                if (name.startsWith(exported)) {
                    return runtime.loadClass(name);
                }
            }
            throw new ClassNotFoundException(name);
        }
    }
}
