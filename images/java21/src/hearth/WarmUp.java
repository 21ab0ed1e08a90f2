package hearth;

import com.amazonaws.services.lambda.runtime.Context;
import com.amazonaws.services.lambda.runtime.RequestHandler;
import java.io.ByteArrayInputStream;
import java.io.File;
import java.io.IOException;
import java.io.OutputStream;
import java.net.SocketException;
import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import javax.net.ssl.SSLContext;

/** Does, before a snapshot, what every function will do after it: code that ran is there. */
final class WarmUp {
    /** The compiler takes up a method after 200 calls. */
    private static final int ROUNDS = 250;

    private static final String EVENT =
            "{\"name\":\"warm\",\"count\":3,\"ratio\":0.5,\"flag\":true,\"tags\":[\"a\",\"b\\n\"],"
                    + "\"nested\":{\"name\":\"x\",\"unknown\":null}}";

    private static final byte[] SAID =
            (EVENT.length() + " 0 8476a536-e9f4-11e8-9739-2dfe598c3fcd 1542409706888"
                    + " arn:aws:lambda:z:1:function:f"
                    + " Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Sampled=0\n" + EVENT)
                    .getBytes(StandardCharsets.ISO_8859_1);

    private WarmUp() {}

    static void run() throws IOException {
        List<Handler> handlers;
        try {
            ClassLoader ours = WarmUp.class.getClassLoader();
            handlers =
                    List.of(
                            HandlerLoader.load(Sample.class.getName(), ours),
                            HandlerLoader.load(Sample.class.getName() + "::bean", ours),
                            HandlerLoader.load(Sample.class.getName() + "::point", ours),
                            HandlerLoader.load(Sample.class.getName() + "::fails", ours));
        } catch (Throwable broken) {
            throw new IOException("the warm-up cannot load its own handlers", broken);
        }
        for (int round = 0; round < ROUNDS; round++) {
            for (Handler handler : handlers) {
                once(handler);
            }
            UUID.randomUUID();
        }
        JoinedTexts.link();
        try {
            // Not the default context: the function may yet say where its trust store is.
            SSLContext context = SSLContext.getInstance("TLS");
            context.init(null, null, null);
            context.createSSLEngine("localhost", 443);
        } catch (GeneralSecurityException broken) {
            throw new IOException("TLS cannot be set up", broken);
        }
    }

    /** Loads what a start and a first event load, also what only a real one would. */
    static void rehearse() throws IOException {
        run();
        SnapStart.isWanted();
        try {
            HandlerLoader.load("none", FunctionLoader.of(new File("/var/task")));
        } catch (Throwable absent) {
            ErrorReport.text(absent);
        }
        try {
            RuntimeApi.ofEnvironment().next();
        } catch (SocketException nobodyThere) {
            // It was the attempt that mattered.
        }
    }

    private static void once(Handler handler) throws IOException {
        Line line = new Line(new ByteArrayInputStream(SAID), OutputStream.nullOutputStream());
        RuntimeApi api = new RuntimeApi(null, line);
        RuntimeApi.Invocation invocation = api.next();
        try {
            byte[] answer = handler.handle(invocation.event(), new InvocationContext(invocation));
            api.respond(invocation.id(), answer);
        } catch (Throwable thrown) {
            ErrorReport.text(thrown);
            api.fail(invocation.id(), ErrorReport.of(thrown));
        }
    }

    /** A handler of each common form. */
    public static final class Sample implements RequestHandler<Map<String, Object>, Object> {
        @Override
        public Object handleRequest(Map<String, Object> event, Context context) {
            return Map.of("echo", event, "left", context.getRemainingTimeInMillis());
        }

        public Bean bean(Bean bean, Context context) {
            return bean;
        }

        public Point point(Point point, Context context) {
            return point;
        }

        public Point fails(Bean bean) {
            throw new IllegalStateException(new Point(1, bean.getName()).toString());
        }
    }

    /** A record. */
    public record Point(int count, String name) {}

    /** A bean. */
    public static final class Bean {
        private String name;
        private int count;
        private List<String> tags;
        private Bean nested;

        public String getName() {
            return name;
        }

        public void setName(String name) {
            this.name = name;
        }

        public int getCount() {
            return count;
        }

        public void setCount(int count) {
            this.count = count;
        }

        public List<String> getTags() {
            return tags;
        }

        public void setTags(List<String> tags) {
            this.tags = tags;
        }

        public Bean getNested() {
            return nested;
        }

        public void setNested(Bean nested) {
            this.nested = nested;
        }
    }
}
