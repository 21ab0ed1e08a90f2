package hearth;

import java.io.BufferedInputStream;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.InetSocketAddress;
import java.net.ProtocolException;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Locale;
import java.util.Map;

/**
 * HTTP/1.1 to one server over one connection that is kept: what the Runtime API needs of it.
 * {@code java.net.http} and {@code HttpURLConnection} load hundreds of classes for the same.
 */
final class Http {
    /** A client context may be as long as this, and it comes as a header. */
    private static final int LINE_BYTES_MAX = 64 << 10;

    private static final int HEADERS_MAX = 100;

    /** More than the largest event (6 MiB) and than any environment. */
    private static final int BODY_BYTES_MAX = 16 << 20;

    private static final int BUFFER_BYTES = 16 << 10;

    /** What Java writes without asking the C library for memory. */
    private static final int ONE_WRITE_BYTES_MAX = 8 << 10;

    /** What the server said. Names of headers are in lower case. */
    record Answer(int status, Map<String, String> headers, byte[] body) {
        String header(String name) {
            return headers.get(name);
        }

        boolean ok() {
            return status >= 200 && status < 300;
        }
    }

    private final String authority;
    private InputStream in;
    private OutputStream out;

    /** Talks to {@code HOST:PORT}; connects when it is first used. */
    Http(String authority) {
        this.authority = authority;
    }

    Answer get(String path) throws IOException {
        return exchange("GET", path, Map.of(), new byte[0]);
    }

    Answer post(String path, Map<String, String> headers, byte[] body) throws IOException {
        return exchange("POST", path, headers, body);
    }

    private Answer exchange(String method, String path, Map<String, String> headers, byte[] body)
            throws IOException {
        if (in == null) {
            connect();
        }
        StringBuilder head = new StringBuilder(256);
        head.append(method).append(' ').append(path).append(" HTTP/1.1\r\nHost: ").append(authority);
        headers.forEach((name, value) -> head.append("\r\n").append(name).append(": ").append(value));
        if (!method.equals("GET")) {
            head.append("\r\nContent-Length: ").append(body.length);
        }
        byte[] first = head.append("\r\n\r\n").toString().getBytes(StandardCharsets.ISO_8859_1);
        send(out, first, body);
        return answer();
    }

    /** In one write what is small: whoever reads it is woken once. */
    static void send(OutputStream out, byte[] head, byte[] body) throws IOException {
        if (head.length + body.length <= ONE_WRITE_BYTES_MAX) {
            byte[] whole = Arrays.copyOf(head, head.length + body.length);
            System.arraycopy(body, 0, whole, head.length, body.length);
            out.write(whole);
        } else {
            out.write(head);
            out.write(body);
        }
        out.flush();
    }

    private void connect() throws IOException {
        int colon = authority.lastIndexOf(':');
        int port = colon < 0 ? 80 : Integer.parseInt(authority.substring(colon + 1));
        String host = colon < 0 ? authority : authority.substring(0, colon);
        @SuppressWarnings("resource") // Kept until the process ends.
        Socket socket = new Socket();
        socket.setTcpNoDelay(true);
        socket.connect(new InetSocketAddress(host, port));
        in = new BufferedInputStream(socket.getInputStream(), BUFFER_BYTES);
        out = socket.getOutputStream();
    }

    private Answer answer() throws IOException {
        String[] status = line().split(" ", 3);
        if (status.length < 2 || !status[0].startsWith("HTTP/1.")) {
            throw new ProtocolException("not an HTTP answer");
        }
        int code = number(status[1], 10, 999);
        Map<String, String> headers = new HashMap<>();
        for (String line = line(); !line.isEmpty(); line = line()) {
            int colon = line.indexOf(':');
            if (colon < 0 || headers.size() == HEADERS_MAX) {
                throw new ProtocolException("a malformed header, or too many");
            }
            String name = line.substring(0, colon).toLowerCase(Locale.ROOT);
            headers.put(name, line.substring(colon + 1).trim());
        }
        byte[] body =
                "chunked".equalsIgnoreCase(headers.get("transfer-encoding"))
                        ? chunks()
                        : bytes(number(headers.getOrDefault("content-length", "0"), 10, BODY_BYTES_MAX));
        if ("close".equalsIgnoreCase(headers.get("connection"))) {
            in.close();
            in = null;
        }
        return new Answer(code, headers, body);
    }

    private byte[] chunks() throws IOException {
        byte[] body = new byte[0];
        while (true) {
            String size = line();
            int extension = size.indexOf(';');
            size = (extension < 0 ? size : size.substring(0, extension)).trim();
            int length = number(size, 16, BODY_BYTES_MAX - body.length);
            if (length == 0) {
                break;
            }
            byte[] chunk = bytes(length);
            int end = body.length;
            body = Arrays.copyOf(body, end + length);
            System.arraycopy(chunk, 0, body, end, length);
            line();
        }
        for (int trailers = 0; !line().isEmpty(); trailers++) {
            if (trailers == HEADERS_MAX) {
                throw new ProtocolException("too many trailers");
            }
        }
        return body;
    }

    private byte[] bytes(int length) throws IOException {
        byte[] bytes = in.readNBytes(length);
        if (bytes.length < length) {
            throw new EOFException("the connection ended within an answer");
        }
        return bytes;
    }

    private String line() throws IOException {
        byte[] line = new byte[128];
        int length = 0;
        for (int b = in.read(); b != '\n'; b = in.read()) {
            if (b < 0) {
                throw new EOFException("the connection ended within an answer");
            }
            if (length == LINE_BYTES_MAX) {
                throw new ProtocolException("too long a line");
            }
            if (length == line.length) {
                line = Arrays.copyOf(line, 2 * length);
            }
            line[length++] = (byte) b;
        }
        int end = length > 0 && line[length - 1] == '\r' ? length - 1 : length;
        return new String(line, 0, end, StandardCharsets.UTF_8);
    }

    private static int number(String digits, int radix, int max) throws ProtocolException {
        try {
            int number = Integer.parseInt(digits, radix);
            if (number >= 0 && number <= max) {
                return number;
            }
        } catch (NumberFormatException malformed) {
            // Told below, like a number out of bounds.
        }
        throw new ProtocolException("not a number up to " + max + ": " + digits);
    }
}
