<%@ page import="java.io.*, java.nio.charset.StandardCharsets, java.nio.file.*, java.security.MessageDigest, java.util.*" session="false" buffer="none" trimDirectiveWhitespaces="true" %><%!
// The mirror of mirror.py, for Tomcat.
static String json(String s) {
    StringBuilder b = new StringBuilder("\"");
    for (char c : s.toCharArray()) {
        if (c < 32 || c > 126 || c == '"' || c == '\\') b.append(String.format("\\u%04x", (int) c));
        else b.append(c);
    }
    return b.append('"').toString();
}
// PEP 3333's form of a decoded path: its bytes as latin-1.
static String latin(String s) { return new String(s.getBytes(StandardCharsets.UTF_8), StandardCharsets.ISO_8859_1); }
static void put(Map<String, String> m, String name, String value) { if (value != null) m.put(name, value); }
%><%
String query = request.getQueryString();
Map<String, String> q = new HashMap<>();
for (String part : (query == null ? "" : query).split("&")) {
    String[] pair = part.split("=", 2);
    if (pair.length == 2) q.put(pair[0], java.net.URLDecoder.decode(pair[1], "UTF-8"));
}
OutputStream raw = response.getOutputStream();
switch (q.getOrDefault("do", "")) {
case "status":
    response.setStatus(Integer.parseInt(q.get("code")));
    if (!q.get("code").equals("204") && !q.get("code").equals("304")) raw.write("status\n".getBytes());
    return;
case "redirect":
    response.setStatus(302);
    response.setHeader("Location", q.get("to"));
    return;
case "big": {
    int size = Integer.parseInt(q.get("size"));
    response.setContentType("application/octet-stream");
    if (q.containsKey("length")) response.setContentLength(size);
    StringBuilder line = new StringBuilder();
    for (int n = 0; n < 8192; n++) line.append(String.format("%07d\n", n));
    byte[] bytes = line.toString().getBytes();
    for (; size > 0; size -= bytes.length) raw.write(bytes, 0, Math.min(size, bytes.length));
    return;
}
case "headers":
    for (int n = 0; n < 100; n++) response.setHeader("X-H" + n, "v" + n);
    return;
case "stream":
    response.setContentType("text/event-stream");
    raw.write("one\n".getBytes());
    response.flushBuffer();
    raw.write(Files.readAllBytes(Paths.get(q.get("gate"))));
    return;
case "endless":
    response.setContentType("application/octet-stream");
    try {
        while (true) { raw.write(new byte[65536]); response.flushBuffer(); }
    } catch (IOException e) {
        Files.write(Paths.get(q.get("file")), "closed".getBytes());
    }
    return;
}
MessageDigest sum = MessageDigest.getInstance("SHA-256");
long length = 0;
byte[] buffer = new byte[65536];
InputStream in = request.getInputStream();
for (int n; (n = in.read(buffer)) > 0; length += n) sum.update(buffer, 0, n);
Map<String, String> environ = new TreeMap<>();
put(environ, "REQUEST_METHOD", request.getMethod());
put(environ, "QUERY_STRING", query == null ? "" : query);
put(environ, "REQUEST_URI", request.getRequestURI());
put(environ, "SERVER_PROTOCOL", request.getProtocol());
put(environ, "REMOTE_ADDR", request.getRemoteAddr());
put(environ, "REMOTE_USER", request.getRemoteUser());
put(environ, "SERVER_NAME", request.getServerName());
put(environ, "SERVER_PORT", "" + request.getServerPort());
put(environ, "REQUEST_SCHEME", request.getScheme());
environ.put("SCRIPT_NAME", "");
environ.put("PATH_INFO", latin(request.getPathInfo() == null ? request.getServletPath() : request.getPathInfo()));
for (String name : Collections.list(request.getHeaderNames()))
    environ.put("HTTP_" + name.toUpperCase().replace('-', '_'), String.join(", ", Collections.list(request.getHeaders(name))));
StringBuilder text = new StringBuilder("{\"environ\": {");
String comma = "";
for (Map.Entry<String, String> e : environ.entrySet()) {
    text.append(comma).append(json(e.getKey())).append(": ").append(json(e.getValue()));
    comma = ", ";
}
text.append("}, \"length\": ").append(length).append(", \"sha256\": \"");
for (byte b : sum.digest()) text.append(String.format("%02x", b));
response.setContentType("application/json");
raw.write(text.append("\"}").toString().getBytes());
%>
