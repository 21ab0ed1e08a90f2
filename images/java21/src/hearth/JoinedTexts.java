package hearth;

import java.io.IOException;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.MethodType;
import java.lang.invoke.StringConcatException;
import java.lang.invoke.StringConcatFactory;
import java.util.Collections;
import java.util.List;

/**
 * What compilers make of texts that functions join: calls that Java links when they are first made.
 * The first of a form has it write code, for which it loads and runs a compiler of its own.
 */
final class JoinedTexts {
    private static final String CONSTANT = "x";

    /** Forms are told apart by what is joined, and whether a constant comes between. */
    private static final List<MethodType> FORMS =
            List.of(
                    of(String.class),
                    of(Object.class),
                    of(int.class),
                    of(long.class),
                    of(double.class),
                    of(char.class),
                    of(boolean.class),
                    of(String.class, String.class),
                    of(Object.class, Object.class),
                    of(String.class, Object.class),
                    of(Object.class, String.class),
                    of(String.class, int.class),
                    of(int.class, String.class),
                    of(int.class, int.class),
                    of(String.class, long.class),
                    of(String.class, String.class, String.class),
                    of(Object.class, Object.class, Object.class),
                    of(String.class, int.class, String.class),
                    of(String.class, String.class, String.class, String.class));

    private JoinedTexts() {}

    private static MethodType of(Class<?>... parts) {
        return MethodType.methodType(String.class, parts);
    }

    static void link() throws IOException {
        MethodHandles.Lookup lookup = MethodHandles.lookup();
        try {
            for (MethodType form : FORMS) {
                int parts = form.parameterCount();
                String between = String.join(CONSTANT, Collections.nCopies(parts, "\1"));
                List<String> recipes =
                        List.of(
                                "\1".repeat(parts),
                                CONSTANT + between,
                                between + CONSTANT,
                                CONSTANT + between + CONSTANT);
                for (String recipe : recipes) {
                    StringConcatFactory.makeConcatWithConstants(lookup, "join", form, recipe)
                            .dynamicInvoker();
                }
            }
        } catch (StringConcatException broken) {
            throw new IOException("texts cannot be joined", broken);
        }
    }
}
