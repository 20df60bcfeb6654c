// An HTTP program. It listens on the descriptor, the path or the port that its
// argument is.
const http = require("http");

const server = http.createServer((request, response) => {
  const url = new URL(request.url, "http://localhost");
  let length = 0;
  request.on("data", (piece) => { length += piece.length; });
  request.on("end", () => {
    response.setHeader("Content-Type", "text/plain");
    switch (url.searchParams.get("do")) {
      case "pid":
        response.end(String(process.pid));
        break;
      case "sleep":
        setTimeout(() => response.end("slept\n"), Number(url.searchParams.get("ms")));
        break;
      case "hang":
        for (;;);
      case "say":
        console.error("a line of the program");
        response.end("said\n");
        break;
      default:
        response.end(`${request.method} ${request.url} ${request.headers["x-forwarded-host"] ? "" : "?"} ${length}\n`);
    }
  });
});

const where = process.argv[2];
if (where === "fd") server.listen({ fd: 0 });
else if (/^[0-9]+$/.test(where)) server.listen(Number(where), "127.0.0.1");
else server.listen(where);
