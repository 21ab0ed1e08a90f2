package hearth;

import com.fasterxml.jackson.core.JsonGenerator;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JavaType;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.SerializationFeature;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.type.TypeFactory;
import com.fasterxml.jackson.datatype.jdk8.Jdk8Module;
import com.fasterxml.jackson.datatype.jsr310.JavaTimeModule;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.reflect.Type;
import java.util.Map;

/**
 * Events to objects and objects to answers, by Jackson, as on Lambda. The function does not see
 * this Jackson: it brings its own if it uses one, whose annotations therefore say nothing here.
 */
final class Json {
    private static final ObjectMapper MAPPER =
            JsonMapper.builder()
                    .addModules(new Jdk8Module(), new JavaTimeModule())
                    .disable(DeserializationFeature.FAIL_ON_UNKNOWN_PROPERTIES)
                    .disable(SerializationFeature.FAIL_ON_EMPTY_BEANS)
                    .disable(SerializationFeature.WRITE_DATES_AS_TIMESTAMPS)
                    .disable(SerializationFeature.WRITE_DURATIONS_AS_TIMESTAMPS)
                    .disable(SerializationFeature.CLOSE_CLOSEABLE)
                    .disable(JsonGenerator.Feature.AUTO_CLOSE_TARGET)
                    .build();

    /** Made only for a function that takes such an event. */
    private static final class OfEvents {
        static final ObjectMapper MAPPER = Events.mapper();
    }

    private Json() {}

    /** The type by which {@code type} names a parameter of {@code generic}. */
    static JavaType parameter(Class<?> type, Class<?> generic, int index) {
        TypeFactory types = MAPPER.getTypeFactory();
        JavaType[] parameters = types.findTypeParameters(types.constructType(type), generic);
        return parameters == null || parameters.length <= index
                ? TypeFactory.unknownType()
                : parameters[index];
    }

    /** What {@code used} means in a member of {@code type}, or of what it extends. */
    static JavaType within(Class<?> type, Type used) {
        TypeFactory types = MAPPER.getTypeFactory();
        return types.resolveMemberType(used, types.constructType(type).getBindings());
    }

    /** Reads an event; one without bytes is as if it were null. */
    static Object read(byte[] json, JavaType type) {
        try {
            return json.length == 0 ? null : mapperOf(type).readValue(json, type);
        } catch (IOException malformed) {
            throw failure("An error occurred during JSON parsing", malformed);
        }
    }

    /**
     * Has Jackson find out how events and answers of these types are read and written, which the
     * first event need not wait for. What goes wrong will do so again with that event, and be told.
     */
    static void prepare(JavaType event, Class<?> answer) {
        try {
            if (event != null) {
                mapperOf(event).readerFor(event);
            }
            MAPPER.canSerialize(answer);
        } catch (RuntimeException | LinkageError toldLater) {
            // By the first event.
        }
    }

    static byte[] write(Object value) {
        try {
            ByteArrayOutputStream json = new ByteArrayOutputStream();
            MAPPER.writeValue(json, value);
            return json.toByteArray();
        } catch (IOException unwritable) {
            throw failure("An error occurred during JSON serialization of response", unwritable);
        }
    }

    /** An object with any fields; null where it is none. */
    static Map<?, ?> object(String json) {
        try {
            return MAPPER.readValue(json, Object.class) instanceof Map<?, ?> object ? object : null;
        } catch (IOException malformed) {
            return null;
        }
    }

    /** An object whose fields are all text. */
    static Map<String, String> texts(byte[] json) throws IOException {
        JavaType type =
                MAPPER.getTypeFactory().constructMapType(Map.class, String.class, String.class);
        return MAPPER.readValue(json, type);
    }

    private static ObjectMapper mapperOf(JavaType type) {
        return Events.has(type) ? OfEvents.MAPPER : MAPPER;
    }

    private static RuntimeException failure(String message, IOException cause) {
        return new RuntimeException(message, new UncheckedIOException(cause));
    }
}
