package hearth;

import java.net.InetAddress;
import java.util.Collections;
import java.util.Map;
import java.util.NavigableSet;
import java.util.Random;
import java.util.SplittableRandom;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;

/**
 * Makes this copy of a snapshot differ from all others, wherever Java keeps state that it started
 * from something unpredictable, and has it forget what was true of another host.
 *
 * <p>Not renewed, because nothing can: the order of {@code Set.of} and {@code Map.of}, identity
 * hash codes, generators that the function itself made and keeps, and those that virtual threads
 * which are alive have begun. None of them is a source of secrets.
 */
final class Uniqueness {
    private Uniqueness() {}

    static void renew() {
        randoms();
        threads();
        nativeGenerators();
        names();
    }

    /** Where new generators get their seeds from, and the shared ones. */
    private static void randoms() {
        for (Class<?> owner : new Class<?>[] {Random.class, SplittableRandom.class, ThreadLocalRandom.class}) {
            String name =
                    owner == Random.class
                            ? "seedUniquifier"
                            : owner == SplittableRandom.class ? "defaultGen" : "seeder";
            // Odd, as the multiplicative generator of Random wants it.
            ((AtomicLong) Internals.read(owner, name, null)).set(KernelRandom.nextLong() | 1);
        }
        AtomicInteger probes =
                (AtomicInteger) Internals.read(ThreadLocalRandom.class, "probeGenerator", null);
        probes.set((int) KernelRandom.nextLong());
        Class<?> holder = Internals.type("java.lang.Math$RandomNumberGeneratorHolder");
        reseed((Random) Internals.read(holder, "randomNumberGenerator", null));
        // Of Collections.shuffle; made when it is first used.
        Random shuffler = (Random) Internals.read(Collections.class, "r", null);
        if (shuffler != null) {
            reseed(shuffler);
        }
    }

    private static void reseed(Random random) {
        random.setSeed(KernelRandom.nextLong());
    }

    /** ThreadLocalRandom's state is in the threads. */
    private static void threads() {
        for (Thread thread : Internals.threads()) {
            if ((int) Internals.read(Thread.class, "threadLocalRandomProbe", thread) == 0) {
                continue; // It has not begun, and will from the new seeds.
            }
            Internals.write(Thread.class, "threadLocalRandomSeed", thread, KernelRandom.nextLong());
            int secondary = (int) KernelRandom.nextLong();
            Internals.write(Thread.class, "threadLocalRandomSecondarySeed", thread, secondary);
        }
    }

    /** Only who names provider SUN uses them; each mixes in the kernel's bytes, out of a buffer. */
    private static void nativeGenerators() {
        for (String name : new String[] {"NativePRNG", "NativePRNG$Blocking", "NativePRNG$NonBlocking"}) {
            Class<?> owner = Internals.type("sun.security.provider." + name);
            Object state = Internals.read(owner, "INSTANCE", null);
            if (state != null) {
                Internals.write(state.getClass(), "buffered", state, 0);
            }
        }
    }

    /** The host's name is new, and addresses may be. */
    private static void names() {
        Internals.write(InetAddress.class, "cachedLocalHost", null, null);
        ((NavigableSet<?>) Internals.read(InetAddress.class, "expirySet", null)).clear();
        ((Map<?, ?>) Internals.read(InetAddress.class, "cache", null)).clear();
    }
}
