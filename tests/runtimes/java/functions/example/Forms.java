package example;

import com.amazonaws.services.lambda.runtime.Context;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/** Handlers without an interface, one of each form. */
public class Forms {
    static String last = "none";

    public enum Colour { RED, GREEN }

    public record Shape(Colour colour, List<Double> sides, Optional<String> label, Instant made, Duration age) {}

    /** Fields by methods, in the ways that beans have. */
    public static class Bean {
        public int open;
        private String firstName;
        private boolean ready;
        private String URL;
        private Bean inner;

        public String getFirstName() { return firstName; }

        public void setFirstName(String firstName) { this.firstName = firstName; }

        public boolean isReady() { return ready; }

        public void setReady(boolean ready) { this.ready = ready; }

        public String getURL() { return URL; }

        public void setURL(String URL) { this.URL = URL; }

        public Bean getInner() { return inner; }

        public void setInner(Bean inner) { this.inner = inner; }
    }

    public Bean bean(Bean in) { return in; }

    public Shape shape(Shape in, Context context) { return in; }

    public Map<String, Bean> beans(List<Bean> in) {
        return Map.of(in.get(0).getFirstName(), in.get(1));
    }

    public String string(String in) { return in + "!"; }

    public static int twice(int in) { return 2 * in; }

    public long counts(Map<String, Object> in) { return in.size(); }

    public void nothing(String in) { last = in; }

    public String told() { return last; }

    public String context(Context c) {
        return String.join(",", c.getFunctionName(), c.getFunctionVersion(), c.getInvokedFunctionArn(),
                c.getAwsRequestId(), c.getLogGroupName(), c.getLogStreamName(),
                Integer.toString(c.getMemoryLimitInMB()),
                Boolean.toString(c.getRemainingTimeInMillis() > 1000 && c.getRemainingTimeInMillis() <= 60_000),
                System.getProperty("com.amazonaws.xray.traceHeader"),
                c.getClientContext() == null ? "none" : c.getClientContext().getClient().getAppTitle()
                        + c.getClientContext().getCustom() + c.getClientContext().getEnvironment(),
                c.getIdentity() == null ? "none" : c.getIdentity().getIdentityId() + c.getIdentity().getIdentityPoolId());
    }

    public void streams(InputStream in, OutputStream out) throws IOException {
        out.write("raw:".getBytes());
        in.transferTo(out);
    }

    public String over(String in) { return "one"; }

    public String over(String in, Context context) { return "two"; }

    public String prints(String in, Context context) {
        System.out.print("out " + in);
        System.out.println(" ends");
        System.err.println("err é");
        context.getLogger().log("logged\n");
        context.getLogger().log("logged too");
        return "printed";
    }
}
