package example;

/** What can go wrong. */
public class Fails {
    public static class Construct {
        public Construct() { throw new IllegalStateException("not today"); }

        public String handleRequest(String in) { return in; }
    }

    public static class Initialise {
        static final int VALUE = Integer.parseInt("x");

        public String handleRequest(String in) { return in; }
    }

    public static class Private {
        private Private() {}

        public String handleRequest(String in) { return in; }
    }

    public abstract static class Abstract {
        public String handleRequest(String in) { return in; }
    }

    public static class Unwritable {
        public int getFine() { return 1; }

        public int getBroken() { throw new IllegalStateException("no value"); }
    }

    public static class Unreadable {
        public void setOpen(Integer open) {}

        public void setOpen(Boolean open) {}
    }

    public String unreadable(Unreadable in) { return "read"; }

    public String throwing(String in) {
        try {
            return deeper(in);
        } catch (IllegalArgumentException cause) {
            throw new IllegalStateException("outer \"" + in + "\"", cause);
        }
    }

    private static String deeper(String in) { throw new IllegalArgumentException(); }

    public String recursing(String in) { return recursing(in + "x").substring(1); }

    public byte[] hoarding(String in) { return new byte[Integer.MAX_VALUE]; }

    public Unwritable unwritable(String in) { return new Unwritable(); }

    public String exits(String in) {
        System.out.println("leaving");
        System.exit(5);
        return in;
    }
}
