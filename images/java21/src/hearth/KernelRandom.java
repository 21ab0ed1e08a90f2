package hearth;

import java.io.FileInputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.security.Provider;
import java.security.SecureRandomSpi;
import java.security.Security;
import java.util.List;
import java.util.Map;

/**
 * Java's default source of secure randomness: the kernel, asked anew for every byte. Java's own
 * keeps a generator's state and a buffer in memory, which all copies of a snapshot would share;
 * the kernel's is renewed by the agent before a copy runs.
 */
public final class KernelRandom extends SecureRandomSpi {
    private static final long serialVersionUID = 1L;
    private static final String SOURCE = "/dev/urandom";
    private static final String ALGORITHM = "Kernel";
    private static final String PROVIDER = "Hearth";

    /** Java's names for its generators over the kernel's: who asks for them gets this one. */
    private static final List<String> ALIASES =
            List.of("NativePRNG", "NativePRNGBlocking", "NativePRNGNonBlocking");

    /** Unbuffered; reading it from several threads at once is sound. */
    private static final FileInputStream KERNEL = open();

    public KernelRandom() {}

    /** Puts it before all others. */
    static void install() {
        Security.insertProviderAt(new KernelProvider(), 1);
        Security.setProperty("securerandom.strongAlgorithms", ALGORITHM + ":" + PROVIDER);
    }

    static long nextLong() {
        long value = 0;
        for (byte b : bytes(Long.BYTES)) {
            value = value << Byte.SIZE | b & 0xff;
        }
        return value;
    }

    private static byte[] bytes(int count) {
        byte[] bytes = new byte[count];
        fill(bytes);
        return bytes;
    }

    private static void fill(byte[] bytes) {
        try {
            if (KERNEL.readNBytes(bytes, 0, bytes.length) < bytes.length) {
                throw new IOException(SOURCE + " ended");
            }
        } catch (IOException broken) {
            throw new UncheckedIOException("no randomness", broken);
        }
    }

    private static FileInputStream open() {
        try {
            return new FileInputStream(SOURCE);
        } catch (IOException absent) {
            throw new UncheckedIOException("no randomness", absent);
        }
    }

    @Override
    protected void engineNextBytes(byte[] bytes) {
        fill(bytes);
    }

    @Override
    protected byte[] engineGenerateSeed(int count) {
        return bytes(count);
    }

    /** A seed adds to what there is, and there is nothing to add to the kernel's. */
    @Override
    protected void engineSetSeed(byte[] seed) {}

    private static final class KernelProvider extends Provider {
        private static final long serialVersionUID = 1L;

        KernelProvider() {
            super(PROVIDER, "1", "randomness of the kernel, unbuffered");
            Map<String, String> attributes = Map.of("ThreadSafe", "true");
            putService(new Service(
                    this, "SecureRandom", ALGORITHM, KernelRandom.class.getName(), ALIASES, attributes) {
                @Override
                public Object newInstance(Object parameters) {
                    return new KernelRandom();
                }
            });
        }
    }
}
