package hearth;

import com.amazonaws.services.lambda.runtime.Client;
import com.amazonaws.services.lambda.runtime.ClientContext;
import com.amazonaws.services.lambda.runtime.CognitoIdentity;
import com.amazonaws.services.lambda.runtime.Context;
import com.amazonaws.services.lambda.runtime.LambdaLogger;
import java.util.Map;
import java.util.TreeMap;

/** The context of one invocation, out of its headers and the environment. */
final class InvocationContext implements Context {
    private final RuntimeApi.Invocation invocation;
    private final CognitoIdentity identity;
    private final ClientContext client;

    InvocationContext(RuntimeApi.Invocation invocation) {
        this.invocation = invocation;
        this.identity = identity(invocation.cognitoIdentity());
        this.client = client(invocation.clientContext());
    }

    @Override
    public String getAwsRequestId() {
        return invocation.id();
    }

    @Override
    public String getLogGroupName() {
        return System.getenv("AWS_LAMBDA_LOG_GROUP_NAME");
    }

    @Override
    public String getLogStreamName() {
        return System.getenv("AWS_LAMBDA_LOG_STREAM_NAME");
    }

    @Override
    public String getFunctionName() {
        return System.getenv("AWS_LAMBDA_FUNCTION_NAME");
    }

    @Override
    public String getFunctionVersion() {
        return System.getenv("AWS_LAMBDA_FUNCTION_VERSION");
    }

    @Override
    public String getInvokedFunctionArn() {
        return invocation.functionArn();
    }

    @Override
    public CognitoIdentity getIdentity() {
        return identity;
    }

    @Override
    public ClientContext getClientContext() {
        return client;
    }

    @Override
    public int getRemainingTimeInMillis() {
        long remaining = invocation.deadlineUnixMs() - System.currentTimeMillis();
        return Math.clamp(remaining, 0, Integer.MAX_VALUE);
    }

    @Override
    public int getMemoryLimitInMB() {
        String memory = System.getenv("AWS_LAMBDA_FUNCTION_MEMORY_SIZE");
        return memory == null ? 0 : Integer.parseInt(memory);
    }

    @Override
    public LambdaLogger getLogger() {
        return Log.LOGGER;
    }

    private static CognitoIdentity identity(String json) {
        Map<?, ?> fields = json == null ? null : Json.object(json);
        if (fields == null) {
            return null;
        }
        String identity = text(fields, "cognitoIdentityId");
        String pool = text(fields, "cognitoIdentityPoolId");
        return new CognitoIdentity() {
            @Override
            public String getIdentityId() {
                return identity;
            }

            @Override
            public String getIdentityPoolId() {
                return pool;
            }
        };
    }

    private static ClientContext client(String json) {
        Map<?, ?> fields = json == null ? null : Json.object(json);
        if (fields == null) {
            return null;
        }
        Client client = fields.get("client") instanceof Map<?, ?> told ? application(told) : null;
        Map<String, String> custom = texts(fields, "custom");
        Map<String, String> environment = texts(fields, "env");
        return new ClientContext() {
            @Override
            public Client getClient() {
                return client;
            }

            @Override
            public Map<String, String> getCustom() {
                return custom;
            }

            @Override
            public Map<String, String> getEnvironment() {
                return environment;
            }
        };
    }

    private static Client application(Map<?, ?> fields) {
        return new Client() {
            @Override
            public String getInstallationId() {
                return text(fields, "installation_id");
            }

            @Override
            public String getAppTitle() {
                return text(fields, "app_title");
            }

            @Override
            public String getAppVersionName() {
                return text(fields, "app_version_name");
            }

            @Override
            public String getAppVersionCode() {
                return text(fields, "app_version_code");
            }

            @Override
            public String getAppPackageName() {
                return text(fields, "app_package_name");
            }
        };
    }

    private static String text(Map<?, ?> fields, String name) {
        Object value = fields.get(name);
        return value == null ? null : value.toString();
    }

    private static Map<String, String> texts(Map<?, ?> fields, String name) {
        if (!(fields.get(name) instanceof Map<?, ?> told)) {
            return null;
        }
        Map<String, String> texts = new TreeMap<>();
        told.forEach((key, value) -> texts.put(key.toString(), value == null ? null : value.toString()));
        return texts;
    }
}
