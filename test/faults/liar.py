"""A proxy in front of each server that plants a bug which the campaign must find: a server with such a bug could not be told
from one behind this proxy."""
import http.client, http.server, json, random, socketserver, threading

PLANTS = ("lost-write", "old-read", "both-win", "double-dispatch", "lost-dispatch", "stale-read")


class Proxy:
    """Listens at a port of the hub; `targets` are what users turn to instead of the servers."""

    def __init__(self, world, hub, plant):
        self.plant, self.old, self.last, self.lock = plant, {}, {}, threading.Lock()
        self.rng, self.lies, self.servers, self.targets = random.Random(1), 0, [], []
        for s in world.servers:
            server = ThreadingServer((hub, 0), self.handler((s.ip, 4646)))
            threading.Thread(target=server.serve_forever, daemon=True).start()
            self.servers.append(server)
            self.targets.append(server.server_address)

    def close(self):
        for s in self.servers:
            s.shutdown()
            s.server_close()

    def chance(self, share):
        with self.lock:
            return self.rng.random() < share

    def answer(self, to, method, path, body):
        """(status, headers, body) of the server, or a lie."""
        job = path.split("?")[0]
        if method == "GET" and "stale" not in path:
            if self.plant == "old-read" and job in self.old and self.chance(0.05):
                self.lies += 1
                return self.old[job]
            if self.plant == "stale-read":
                self.lies += 1
                path = job + "?stale"
        if method == "PUT" and path == "/v1/jobs":
            if self.plant == "both-win" and b"EnforceIndex" in body:
                self.lies += 1
                body = json.dumps({"Job": json.loads(body)["Job"]}).encode()
            if self.plant == "lost-write" and "w" in self.last and self.chance(0.02):
                self.lies += 1
                status, headers, text = self.last["w"]
                index = json.loads(text)["JobModifyIndex"]
                return status, headers, json.dumps({"JobModifyIndex": index + 1, "EvalID": "", "Index": index + 1}).encode()
        if "/dispatch?" in path:
            if self.plant == "lost-dispatch" and self.chance(0.05):
                self.lies += 1
                return 200, [], json.dumps({"DispatchedJobID": job.split("/")[3] + "/dispatch-1-lost"}).encode()
            if self.plant == "double-dispatch" and self.chance(0.1):
                self.lies += 1
                self.pass_on(to, method, path + "-again", body)
        found = self.pass_on(to, method, path, body)
        if method == "PUT" and path == "/v1/jobs" and found[0] == 200:
            self.last["w"] = found
        if method == "GET" and found[0] == 200 and self.chance(0.1):
            self.old[job] = found
        return found

    def pass_on(self, to, method, path, body):
        c = http.client.HTTPConnection(*to, timeout=5)
        try:
            c.request(method, path, body or None)
            r = c.getresponse()
            return r.status, [(k, v) for k, v in r.getheaders() if k.startswith("X-Nomad")], r.read()
        finally:
            c.close()

    def handler(self, to):
        proxy = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def relay(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                try:
                    status, headers, text = proxy.answer(to, self.command, self.path, body)
                except (OSError, http.client.HTTPException):
                    self.close_connection = True
                    return
                self.send_response(status)
                for k, v in headers:
                    self.send_header(k, v)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            do_GET = do_PUT = do_DELETE = relay

            def log_message(self, *words):
                pass
        return Handler


class ThreadingServer(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True

    def handle_error(self, request, address):
        """Users hang up."""
