package example;

import com.amazonaws.services.lambda.runtime.Context;
import com.amazonaws.services.lambda.runtime.RequestHandler;
import com.amazonaws.services.lambda.runtime.events.SampleEvent;
import java.util.List;

/** Takes an event of one of AWS's services. */
public class Served implements RequestHandler<SampleEvent, List<Object>> {
    @Override
    public List<Object> handleRequest(SampleEvent event, Context context) {
        SampleEvent.Record first = event.getRecords().get(0);
        return List.of(
                event.getDetailType(), first.getEventSourceArn(), first.getBody(), first.getSentTimestamp().getTime());
    }
}
