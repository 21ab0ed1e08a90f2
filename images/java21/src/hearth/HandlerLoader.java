package hearth;

import com.amazonaws.services.lambda.runtime.Context;
import com.amazonaws.services.lambda.runtime.RequestHandler;
import com.amazonaws.services.lambda.runtime.RequestStreamHandler;
import com.fasterxml.jackson.databind.JavaType;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.InputStream;
import java.io.OutputStream;
import java.lang.reflect.Constructor;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.util.Arrays;
import java.util.Comparator;

/** From {@code package.Class::method} to something that can be called. */
final class HandlerLoader {
    private static final String DEFAULT_METHOD = "handleRequest";

    private HandlerLoader() {}

    static Handler load(String name, ClassLoader loader) throws Throwable {
        if (name == null || name.isBlank()) {
            throw new Fault(IllegalArgumentException.class, "the function names no handler");
        }
        int colons = name.indexOf("::");
        String className = colons < 0 ? name : name.substring(0, colons);
        String methodName = colons < 0 ? DEFAULT_METHOD : name.substring(colons + 2);
        Class<?> type = find(className, loader);
        if (methodName.equals(DEFAULT_METHOD)) {
            if (RequestStreamHandler.class.isAssignableFrom(type)) {
                return streams((RequestStreamHandler) instance(type));
            }
            if (RequestHandler.class.isAssignableFrom(type)) {
                return objects(type, (RequestHandler<?, ?>) instance(type));
            }
        }
        return method(type, methodName);
    }

    private static Class<?> find(String name, ClassLoader loader) throws Fault {
        try {
            return Class.forName(name, true, loader);
        } catch (ClassNotFoundException absent) {
            throw new Fault(ClassNotFoundException.class, "Class not found: " + name);
        } catch (NoClassDefFoundError absent) {
            throw new Fault(
                    NoClassDefFoundError.class,
                    "Error loading class " + name + ": " + absent.getMessage(),
                    absent);
        }
    }

    /** Constructs; what the constructor throws comes out as it is. */
    private static Object instance(Class<?> type) throws Throwable {
        if (type.isInterface() || Modifier.isAbstract(type.getModifiers())) {
            throw new Fault(
                    InstantiationException.class,
                    "Class " + type.getName() + " cannot be instantiated: it is abstract");
        }
        Constructor<?> constructor;
        try {
            constructor = type.getConstructor();
        } catch (NoSuchMethodException absent) {
            throw new Fault(
                    NoSuchMethodException.class,
                    "Class " + type.getName() + " has no public zero-argument constructor");
        }
        constructor.setAccessible(true);
        try {
            return constructor.newInstance();
        } catch (InvocationTargetException thrown) {
            throw thrown.getCause();
        }
    }

    private static Handler streams(RequestStreamHandler handler) {
        return (event, context) -> {
            ByteArrayOutputStream answer = new ByteArrayOutputStream();
            handler.handleRequest(new ByteArrayInputStream(event), answer, context);
            return answer.toByteArray();
        };
    }

    @SuppressWarnings("unchecked") // Its own type says what it takes.
    private static <I> Handler objects(Class<?> type, RequestHandler<I, ?> handler) {
        JavaType input = Json.parameter(type, RequestHandler.class, 0);
        Json.prepare(input, Json.parameter(type, RequestHandler.class, 1).getRawClass());
        return (event, context) ->
                Json.write(handler.handleRequest((I) Json.read(event, input), context));
    }

    private static Handler method(Class<?> type, String name) throws Throwable {
        // Of several, Lambda takes one that wants the context, then the one that wants most.
        Comparator<Method> preference =
                Comparator.comparing(HandlerLoader::wantsContext)
                        .thenComparing(Method::getParameterCount);
        Method method =
                Arrays.stream(type.getMethods())
                        .filter(m -> m.getName().equals(name) && !m.isBridge() && callable(m))
                        .max(preference)
                        .orElseThrow(() -> new Fault(
                                NoSuchMethodException.class,
                                "No public method named " + name
                                        + " with appropriate method signature found on class "
                                        + type.getName()));
        method.setAccessible(true);
        Object target = Modifier.isStatic(method.getModifiers()) ? null : instance(type);
        Class<?>[] takes = method.getParameterTypes();
        if (takesStreams(takes)) {
            return (event, context) -> {
                ByteArrayOutputStream answer = new ByteArrayOutputStream();
                InputStream input = new ByteArrayInputStream(event);
                call(method, target, takes.length == 2
                        ? new Object[] {input, answer}
                        : new Object[] {input, answer, context});
                return answer.toByteArray();
            };
        }
        boolean wantsContext = wantsContext(method);
        boolean wantsEvent = takes.length > (wantsContext ? 1 : 0);
        JavaType input =
                wantsEvent ? Json.within(type, method.getGenericParameterTypes()[0]) : null;
        Json.prepare(input, method.getReturnType());
        return (event, context) -> {
            Object[] arguments = new Object[takes.length];
            if (wantsEvent) {
                arguments[0] = Json.read(event, input);
            }
            if (wantsContext) {
                arguments[takes.length - 1] = context;
            }
            return Json.write(call(method, target, arguments));
        };
    }

    private static Object call(Method method, Object target, Object[] arguments) throws Throwable {
        try {
            return method.invoke(target, arguments);
        } catch (InvocationTargetException thrown) {
            throw thrown.getCause();
        }
    }

    /** Whether there is something to give to every parameter. */
    private static boolean callable(Method method) {
        Class<?>[] takes = method.getParameterTypes();
        return takes.length < 2 || takesStreams(takes) || takes.length == 2 && wantsContext(method);
    }

    private static boolean takesStreams(Class<?>[] takes) {
        return (takes.length == 2 || takes.length == 3 && takes[2] == Context.class)
                && takes[0].isAssignableFrom(InputStream.class)
                && takes[1].isAssignableFrom(OutputStream.class)
                && takes[0] != Object.class
                && takes[1] != Object.class;
    }

    private static boolean wantsContext(Method method) {
        Class<?>[] takes = method.getParameterTypes();
        return takes.length > 0 && takes[takes.length - 1] == Context.class;
    }
}
