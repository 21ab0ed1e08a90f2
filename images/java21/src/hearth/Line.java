package hearth;

import java.io.EOFException;
import java.io.FileDescriptor;
import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.ProtocolException;
import java.nio.charset.StandardCharsets;

/**
 * Two pipes to the agent, on which events come and answers go in place of HTTP: a copy runs
 * everything for the first time, and this is little.
 *
 * <pre>
 *   environment, restore, next, response ID BYTES, error ID BYTES  ──► agent
 *   runtime ◄── BYTES … and as many bytes
 * </pre>
 */
final class Line {
    /** Tells which descriptors it is. */
    private static final String VARIABLE = "HEARTH_LINE";

    /** What Java reads without asking the C library for memory. */
    private static final int BUFFER_BYTES = 8 << 10;

    private static final int HEAD_BYTES_MAX = 64 << 10;

    /** Of an event's head: lengths of event and context, id, deadline, ARN, trace. */
    private static final int EVENT_WORDS = 6;

    private final InputStream in;
    private final OutputStream out;
    private byte[] buffer = new byte[BUFFER_BYTES];
    private int at;
    private int end;

    Line(InputStream in, OutputStream out) {
        this.in = in;
        this.out = out;
    }

    /** The one that the agent gave us; null if it gave none. */
    static Line ofEnvironment() {
        String ends = System.getenv(VARIABLE);
        if (ends == null) {
            return null;
        }
        int comma = ends.indexOf(',');
        return new Line(
                new FileInputStream(descriptor(ends.substring(0, comma))),
                new FileOutputStream(descriptor(ends.substring(comma + 1))));
    }

    private static FileDescriptor descriptor(String number) {
        FileDescriptor descriptor = new FileDescriptor();
        Internals.write(FileDescriptor.class, "fd", descriptor, Integer.parseInt(number));
        return descriptor;
    }

    /** Asks for something that may come long after. */
    byte[] ask(String what) throws IOException {
        say(what);
        return bytes(Integer.parseInt(head()));
    }

    /** Waits for the next event. */
    RuntimeApi.Invocation next() throws IOException {
        say("next");
        String[] words = head().split(" ", EVENT_WORDS);
        if (words.length < EVENT_WORDS) {
            throw new ProtocolException("an event without a head");
        }
        int contextBytes = Integer.parseInt(words[1]);
        String context =
                contextBytes == 0 ? null : new String(bytes(contextBytes), StandardCharsets.UTF_8);
        byte[] event = bytes(Integer.parseInt(words[0]));
        String trace = words[5].isEmpty() ? null : words[5];
        long deadline = Long.parseLong(words[3]);
        return new RuntimeApi.Invocation(words[2], words[4], deadline, trace, context, null, event);
    }

    /** Says what became of an event. */
    void answer(String kind, String id, byte[] body) throws IOException {
        String head = kind + ' ' + id + ' ' + body.length + '\n';
        Http.send(out, head.getBytes(StandardCharsets.ISO_8859_1), body);
    }

    private void say(String what) throws IOException {
        out.write((what + '\n').getBytes(StandardCharsets.ISO_8859_1));
    }

    private String head() throws IOException {
        for (int seen = at; ; seen++) {
            if (seen == end) {
                if (end - at > HEAD_BYTES_MAX) {
                    throw new ProtocolException("too long a head");
                }
                seen -= at;
                fill();
            }
            if (buffer[seen] == '\n') {
                String head = new String(buffer, at, seen - at, StandardCharsets.ISO_8859_1);
                at = seen + 1;
                return head;
            }
        }
    }

    /** Reads more behind what is there, which is moved to the beginning. */
    private void fill() throws IOException {
        int rest = end - at;
        byte[] to = rest < buffer.length ? buffer : new byte[2 * buffer.length];
        System.arraycopy(buffer, at, to, 0, rest);
        buffer = to;
        at = 0;
        end = rest;
        int read = in.read(buffer, end, buffer.length - end);
        if (read <= 0) {
            throw new EOFException("the agent has hung up");
        }
        end += read;
    }

    private byte[] bytes(int length) throws IOException {
        byte[] bytes = new byte[length];
        int here = Math.min(length, end - at);
        System.arraycopy(buffer, at, bytes, 0, here);
        at += here;
        if (in.readNBytes(bytes, here, length - here) < length - here) {
            throw new EOFException("the agent has hung up");
        }
        return bytes;
    }
}
