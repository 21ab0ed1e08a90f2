package hello;

import com.amazonaws.services.lambda.runtime.Context;
import com.amazonaws.services.lambda.runtime.RequestHandler;

/** Says hello, and which sandbox says it. */
public class Hello implements RequestHandler<Hello.Greeting, Hello.Answer> {
    public record Greeting(String name) {}

    public record Answer(String message, String java, int memoryMb, String logStream) {}

    @Override
    public Answer handleRequest(Greeting greeting, Context context) {
        String name = greeting == null || greeting.name() == null ? "world" : greeting.name();
        System.out.println("greeting " + name);
        return new Answer(
                "Hello, " + name + "!",
                System.getProperty("java.version"),
                context.getMemoryLimitInMB(),
                context.getLogStreamName());
    }
}
