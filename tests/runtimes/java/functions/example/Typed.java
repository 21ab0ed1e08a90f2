package example;

import com.amazonaws.services.lambda.runtime.Context;
import com.amazonaws.services.lambda.runtime.RequestHandler;
import java.util.List;

/** What it takes is said by a class that it extends. */
public class Typed extends LastOf<Forms.Bean> {}

abstract class LastOf<T> implements RequestHandler<List<T>, T> {
    @Override
    public T handleRequest(List<T> input, Context context) {
        return input.get(input.size() - 1);
    }
}
