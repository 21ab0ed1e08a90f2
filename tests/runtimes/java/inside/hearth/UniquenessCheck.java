package hearth;

import java.net.InetAddress;
import java.net.UnknownHostException;
import java.security.SecureRandom;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.SplittableRandom;
import java.util.UUID;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;

/**
 * Is a copy of a snapshot as far as chance goes: brings every state to one and the same point, has
 * it renewed or not, and prints what comes out. Two runs print the same, unless it was renewed.
 */
public final class UniquenessCheck {
    private static final long SAME = 42;

    private UniquenessCheck() {}

    public static void main(String[] arguments) throws Exception {
        KernelRandom.install();
        // All of these have been used before the snapshot.
        Math.random();
        ThreadLocalRandom.current().nextLong();
        Collections.shuffle(new ArrayList<>(List.of(1, 2, 3)));
        try {
            InetAddress.getByName("name.invalid");
        } catch (UnknownHostException expected) {
            // That it is unknown is remembered too.
        }
        SecureRandom buffered = SecureRandom.getInstance("NativePRNG", "SUN");
        buffered.nextBytes(new byte[8]);

        ((AtomicLong) Internals.read(Random.class, "seedUniquifier", null)).set(SAME);
        ((AtomicLong) Internals.read(SplittableRandom.class, "defaultGen", null)).set(SAME);
        ((AtomicLong) Internals.read(ThreadLocalRandom.class, "seeder", null)).set(SAME);
        ((AtomicInteger) Internals.read(ThreadLocalRandom.class, "probeGenerator", null)).set((int) SAME);
        Class<?> holder = Class.forName("java.lang.Math$RandomNumberGeneratorHolder");
        ((Random) Internals.read(holder, "randomNumberGenerator", null)).setSeed(SAME);
        ((Random) Internals.read(Collections.class, "r", null)).setSeed(SAME);
        Internals.write(Thread.class, "threadLocalRandomSeed", Thread.currentThread(), SAME);
        Object state =
                Internals.read(Class.forName("sun.security.provider.NativePRNG"), "INSTANCE", null);
        int before = (int) Internals.read(state.getClass(), "buffered", state);

        if (arguments[0].equals("renewed")) {
            Uniqueness.renew();
        }
        Map<String, Object> seen = new LinkedHashMap<>();
        seen.put("seeds of Random", Internals.read(Random.class, "seedUniquifier", null));
        seen.put("seeds of SplittableRandom", new SplittableRandom().nextLong());
        seen.put("Math.random", Math.random());
        List<Integer> cards = new ArrayList<>();
        for (int card = 0; card < 52; card++) {
            cards.add(card);
        }
        Collections.shuffle(cards);
        seen.put("shuffle", cards);
        seen.put("ThreadLocalRandom", ThreadLocalRandom.current().nextLong());
        long[] other = new long[1];
        Thread thread = new Thread(() -> other[0] = ThreadLocalRandom.current().nextLong());
        thread.start();
        thread.join();
        seen.put("ThreadLocalRandom of a new thread", other[0]);
        seen.put("bytes that were buffered",
                before > 0 ? Internals.read(state.getClass(), "buffered", state).equals(before) : "none");
        Map<?, ?> names = (Map<?, ?>) Internals.read(InetAddress.class, "cache", null);
        seen.put("names that were cached", !names.isEmpty());
        seen.forEach((name, value) -> System.out.println(name + "\t" + value));

        // These have no state of their own in any case.
        SecureRandom secure = new SecureRandom();
        System.out.println("provider\t" + secure.getProvider().getName());
        System.out.println("strong\t" + SecureRandom.getInstanceStrong().getProvider().getName());
        System.out.println("native\t" + SecureRandom.getInstance("NativePRNG").getProvider().getName());
        System.out.println("uuid\t" + UUID.randomUUID());
        System.out.println("bytes\t" + secure.nextLong() + " " + secure.generateSeed(8).length);
    }
}
