package hearth;

import java.io.IOException;
import java.util.Map;

/**
 * The Lambda Runtime API, and what Hearth adds to it for snapshots: over the line to the agent if
 * there is one, but for what goes wrong before the first event.
 */
final class RuntimeApi {
    private static final String VERSION = "/2018-06-01/runtime/";
    /** The address within every guest; a function's environment names it too. */
    private static final String DEFAULT_AUTHORITY = "127.0.0.1:9001";

    /** An event and what came with it. Strings are null where nothing came. */
    record Invocation(
            String id,
            String functionArn,
            long deadlineUnixMs,
            String traceId,
            String clientContext,
            String cognitoIdentity,
            byte[] event) {}

    private final Http http;
    private final Line line;

    RuntimeApi(Http http, Line line) {
        this.http = http;
        this.line = line;
    }

    /** The one that the environment names. */
    static RuntimeApi ofEnvironment() {
        String authority = System.getenv("AWS_LAMBDA_RUNTIME_API");
        Http http = new Http(authority == null ? DEFAULT_AUTHORITY : authority);
        return new RuntimeApi(http, Line.ofEnvironment());
    }

    /** Waits for the next event. */
    Invocation next() throws IOException {
        if (line != null) {
            return line.next();
        }
        Http.Answer answer = expect(http.get(VERSION + "invocation/next"));
        String deadline = answer.header("lambda-runtime-deadline-ms");
        return new Invocation(
                answer.header("lambda-runtime-aws-request-id"),
                answer.header("lambda-runtime-invoked-function-arn"),
                deadline == null ? 0 : Long.parseLong(deadline),
                answer.header("lambda-runtime-trace-id"),
                answer.header("lambda-runtime-client-context"),
                answer.header("lambda-runtime-cognito-identity"),
                answer.body());
    }

    void respond(String id, byte[] answer) throws IOException {
        if (line != null) {
            line.answer("response", id, answer);
            return;
        }
        taken(http.post(VERSION + "invocation/" + id + "/response", Map.of(), answer));
    }

    void fail(String id, ErrorReport report) throws IOException {
        if (line != null) {
            line.answer("error", id, report.json());
            return;
        }
        taken(error("invocation/" + id + "/error", report));
    }

    void failInit(ErrorReport report) throws IOException {
        taken(error("init/error", report));
    }

    void failRestore(ErrorReport report) throws IOException {
        taken(error("restore/error", report));
    }

    /** Says that the function is ready to be captured; returns in a copy. */
    void restoreNext() throws IOException {
        if (line != null) {
            line.ask("restore");
            return;
        }
        expect(http.get(VERSION + "restore/next"));
    }

    /** Says that the runtime is ready to be captured; returns in a copy, with its environment. */
    byte[] environment() throws IOException {
        if (line != null) {
            return line.ask("environment");
        }
        return expect(http.get("/hearth/environment")).body();
    }

    private Http.Answer error(String path, ErrorReport report) throws IOException {
        Map<String, String> headers =
                Map.of(
                        "Content-Type", "application/vnd.aws.lambda.error+json",
                        "Lambda-Runtime-Function-Error-Type", report.type());
        return http.post(VERSION + path, headers, report.json());
    }

    private static Http.Answer expect(Http.Answer answer) throws IOException {
        if (!answer.ok()) {
            throw new IOException("the Runtime API answered " + answer.status());
        }
        return answer;
    }

    /**
     * An answer that is refused (it is too large, the time is up) has been turned into an error of
     * the invocation by the one who refused it, and the next event will come.
     */
    private static void taken(Http.Answer answer) throws IOException {
        if (answer.status() >= 500) {
            expect(answer);
        }
    }
}
