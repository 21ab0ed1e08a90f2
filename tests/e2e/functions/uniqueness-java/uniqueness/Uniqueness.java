package uniqueness;

import com.amazonaws.services.lambda.runtime.Context;
import com.amazonaws.services.lambda.runtime.RequestHandler;
import java.io.File;
import java.io.IOException;
import java.net.InetAddress;
import java.net.UnknownHostException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.SecureRandom;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.SplittableRandom;
import java.util.UUID;
import java.util.concurrent.ThreadLocalRandom;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLEngine;
import javax.net.ssl.SSLException;

/**
 * Answers with what must differ from copy to copy of a snapshot. All of it is used while
 * initialising too, so that its state, if it has one, is in the snapshot.
 */
public class Uniqueness implements RequestHandler<Object, Map<String, Object>> {
    private static final int BYTES = 16;
    /** Of a TLS record and of the message in it, and of the version: the random is next. */
    private static final int BEFORE_RANDOM_BYTES = 5 + 4 + 2;

    private static final int RANDOM_BYTES = 32;

    private final SecureRandom kept = new SecureRandom();
    private final SecureRandom sun;
    private final SSLContext tls;

    public Uniqueness() throws GeneralSecurityException, IOException {
        sun = SecureRandom.getInstance("NativePRNG", "SUN");
        tls = SSLContext.getInstance("TLS");
        tls.init(null, null, null);
        handleRequest(null, null);
    }

    @Override
    public Map<String, Object> handleRequest(Object event, Context context) {
        try {
            return unique();
        } catch (IOException | GeneralSecurityException failed) {
            throw new IllegalStateException(failed);
        }
    }

    private Map<String, Object> unique() throws IOException, GeneralSecurityException {
        Map<String, Object> seen = new LinkedHashMap<>();
        seen.put("uuid", UUID.randomUUID().toString());
        seen.put("secure_random", hex(new SecureRandom()));
        seen.put("secure_random_kept", hex(kept));
        seen.put("secure_random_sun", hex(sun));
        seen.put("secure_random_strong", hex(SecureRandom.getInstanceStrong()));
        seen.put("random", Long.toHexString(new Random().nextLong()));
        seen.put("math_random", Math.random());
        seen.put("thread_local_random", Long.toHexString(ThreadLocalRandom.current().nextLong()));
        seen.put("splittable_random", Long.toHexString(new SplittableRandom().nextLong()));
        List<Integer> cards = new ArrayList<>();
        for (int card = 0; card < 52; card++) {
            cards.add(card);
        }
        Collections.shuffle(cards);
        seen.put("shuffle", cards.toString());
        File file = File.createTempFile("unique", null);
        Path path = Files.createTempFile("unique", null);
        seen.put("temp_file", file.getName());
        seen.put("temp_path", path.getFileName().toString());
        Files.delete(file.toPath());
        Files.delete(path);
        seen.put("tls_client_random", clientRandom());
        seen.put("time_ms", System.currentTimeMillis());
        seen.put("hostname", hostname());
        seen.put("log_stream", String.valueOf(System.getenv("AWS_LAMBDA_LOG_STREAM_NAME")));
        return seen;
    }

    private static String hex(SecureRandom random) {
        byte[] bytes = new byte[BYTES];
        random.nextBytes(bytes);
        return HexFormat.of().formatHex(bytes);
    }

    /** The random of the first message that a client would send. */
    private String clientRandom() throws SSLException {
        SSLEngine engine = tls.createSSLEngine("example.com", 443);
        engine.setUseClientMode(true);
        ByteBuffer hello = ByteBuffer.allocate(engine.getSession().getPacketBufferSize());
        engine.wrap(ByteBuffer.allocate(0), hello);
        byte[] random = new byte[RANDOM_BYTES];
        hello.position(BEFORE_RANDOM_BYTES).get(random);
        return HexFormat.of().formatHex(random);
    }

    private static String hostname() {
        try {
            return InetAddress.getLocalHost().getHostName();
        } catch (UnknownHostException unknown) {
            return unknown.getMessage();
        }
    }
}
