package hearth;

import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.databind.BeanDescription;
import com.fasterxml.jackson.databind.DeserializationConfig;
import com.fasterxml.jackson.databind.DeserializationContext;
import com.fasterxml.jackson.databind.JavaType;
import com.fasterxml.jackson.databind.JsonDeserializer;
import com.fasterxml.jackson.databind.MapperFeature;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.deser.BeanDeserializerBase;
import com.fasterxml.jackson.databind.deser.DeserializationProblemHandler;
import com.fasterxml.jackson.databind.deser.SettableBeanProperty;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.module.SimpleDeserializers;
import com.fasterxml.jackson.databind.module.SimpleModule;
import java.io.IOException;
import java.util.Date;

/**
 * The events of AWS's own services, as {@code aws-lambda-java-events} models them. Their JSON says
 * {@code Records} and {@code detail-type} where the beans say {@code records} and {@code
 * detailType}; their times are seconds, or text that becomes one of Joda's.
 */
final class Events {
    private static final String PACKAGE = "com.amazonaws.services.lambda.runtime.events.";
    private static final String JODA_TIME = "org.joda.time.DateTime";

    private Events() {}

    static boolean has(JavaType type) {
        return type.getRawClass().getName().startsWith(PACKAGE);
    }

    /** Names regardless of case, hyphens left out. */
    static ObjectMapper mapper() {
        SimpleModule times = new SimpleModule("aws-event-times");
        times.setDeserializers(new Times());
        return JsonMapper.builder()
                .enable(MapperFeature.ACCEPT_CASE_INSENSITIVE_PROPERTIES)
                .addModule(times)
                .addHandler(new Hyphens())
                .build();
    }

    private static final class Times extends SimpleDeserializers {
        private static final long serialVersionUID = 1L;

        @Override
        public JsonDeserializer<?> findBeanDeserializer(
                JavaType type, DeserializationConfig config, BeanDescription bean) {
            Class<?> wanted = type.getRawClass();
            if (wanted == Date.class) {
                return new Seconds();
            }
            return wanted.getName().equals(JODA_TIME) ? new JodaTime(wanted) : null;
        }
    }

    /** A number is seconds here, where elsewhere it is milliseconds. */
    private static final class Seconds extends JsonDeserializer<Date> {
        @Override
        public Date deserialize(JsonParser json, DeserializationContext context)
                throws IOException {
            return json.currentToken().isNumeric()
                    ? new Date(Math.round(json.getDoubleValue() * 1000))
                    : context.parseDate(json.getText());
        }
    }

    /** By the constructor that reads what {@code toString} writes; the class is the function's. */
    private static final class JodaTime extends JsonDeserializer<Object> {
        private final Class<?> type;

        JodaTime(Class<?> type) {
            this.type = type;
        }

        @Override
        public Object deserialize(JsonParser json, DeserializationContext context)
                throws IOException {
            try {
                return type.getConstructor(Object.class).newInstance(json.getText());
            } catch (ReflectiveOperationException failed) {
                return context.handleInstantiationProblem(type, json.getText(), failed);
            }
        }
    }

    /** Hands {@code detail-type} to whatever takes {@code detailtype}; ignores what nothing takes. */
    private static final class Hyphens extends DeserializationProblemHandler {
        @Override
        public boolean handleUnknownProperty(
                DeserializationContext context,
                JsonParser json,
                JsonDeserializer<?> deserializer,
                Object bean,
                String name)
                throws IOException {
            SettableBeanProperty property =
                    deserializer instanceof BeanDeserializerBase d
                            ? d.findProperty(name.replace("-", ""))
                            : null;
            if (property == null || !name.contains("-")) {
                json.skipChildren();
            } else {
                property.deserializeAndSet(json, context, bean);
            }
            return true;
        }
    }
}
