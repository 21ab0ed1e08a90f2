package example;

import com.amazonaws.services.lambda.runtime.Context;
import com.amazonaws.services.lambda.runtime.RequestHandler;
import java.util.ArrayList;
import java.util.List;
import org.crac.Core;
import org.crac.Resource;

/** Registers three hooks, by both APIs; some fail where the environment says so. */
public class Hooked implements RequestHandler<Object, List<String>> {
    private static final List<String> SEEN = new ArrayList<>();
    private static final Named FIRST = new Named("first");
    private static final Other SECOND = new Other();
    private static final Named THIRD = new Named("third");

    public Hooked() {
        Core.getGlobalContext().register(FIRST);
        jdk.crac.Core.getGlobalContext().register(SECOND);
        Core.getGlobalContext().register(THIRD);
        // Nobody keeps this one.
        Core.getGlobalContext().register(new Named("dropped"));
        SEEN.add("constructed");
        System.gc();
    }

    @Override
    public List<String> handleRequest(Object input, Context context) {
        SEEN.add("handled");
        return SEEN;
    }

    private static void see(String what) {
        SEEN.add(what);
        System.out.println(what);
        if (System.getenv().getOrDefault("FAILS", "").contains(what)) {
            throw new IllegalStateException(what + " fails");
        }
    }

    private record Named(String name) implements Resource {
        @Override
        public void beforeCheckpoint(org.crac.Context<? extends Resource> context) {
            see("before " + name);
        }

        @Override
        public void afterRestore(org.crac.Context<? extends Resource> context) {
            see("after " + name);
        }
    }

    private static final class Other implements jdk.crac.Resource {
        @Override
        public void beforeCheckpoint(jdk.crac.Context<? extends jdk.crac.Resource> context) {
            see("before second");
        }

        @Override
        public void afterRestore(jdk.crac.Context<? extends jdk.crac.Resource> context) {
            see("after second");
        }
    }
}
