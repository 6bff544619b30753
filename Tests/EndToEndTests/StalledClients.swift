import Foundation
import TestSupport

/// Clients that stop in the middle, and never close.
enum StalledClient {
    /// Signs in, asks for a camera's largest segment, and stops reading after 1,000 bytes.
    /// - Returns: the client and the bytes that it was promised.
    static func download(from hub: Hub, camera: String) async throws -> (client: RunningProcess, promised: Int) {
        let script = """
            import json, socket, ssl, sys, time, urllib.request
            port, password, camera = int(sys.argv[1]), sys.argv[2], sys.argv[3]
            tls = ssl._create_unverified_context()
            def ask(path, token=None, body=None):
                headers = {"Content-Type": "application/json"} | ({"Authorization": "Bearer " + token} if token else {})
                request = urllib.request.Request(f"https://127.0.0.1:{port}{path}", data=body, headers=headers)
                return json.load(urllib.request.urlopen(request, context=tls, timeout=30))
            token = ask("/api/v1/session", body=json.dumps({"user": "admin", "password": password}).encode())["token"]
            node = ask("/api/v1/nodes", token)["nodes"][0]["node"]
            now = int(time.time() * 1000)
            segments = ask(f"/api/v1/nodes/{node}/cameras/{camera}/timeline?from={now - 3600000}&to={now + 3600000}", token)["segments"]
            largest = max((s["record"] for s in segments), key=lambda record: record["bytes"])
            plain = socket.socket()
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            plain.connect(("127.0.0.1", port))
            stream = tls.wrap_socket(plain)
            stream.sendall(f"GET /api/v1/segments/{largest['sha256']}?node={node}&camera={camera} HTTP/1.1\\r\\nHost: 127.0.0.1:{port}\\r\\nAuthorization: Bearer {token}\\r\\n\\r\\n".encode())
            answer = b""
            while len(answer) < 1000: answer += stream.recv(1000 - len(answer))
            print(json.dumps({"promised": largest["bytes"], "status": answer.split(b" ", 2)[1].decode()}), flush=True)
            time.sleep(600)
            """
        let client = try RunningProcess("/usr/bin/python3", ["-c", script, "\(hub.peoplePort)", try await hub.setPassword(), camera])
        let line = try await client.jsonLine()
        guard line["status"] as? String == "200", let promised = line["promised"] as? Int else { throw TestFailure("no download: \(line)") }
        return (client, promised)
    }

    /// On each port one that sends half of a ClientHello, and one that sends a whole one and no word more.
    static func handshakes(with ports: [Int]) async throws -> RunningProcess {
        let script = """
            import socket, ssl, sys, time
            kept = []
            for port in map(int, sys.argv[1:]):
                for part in (2, 1):
                    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
                    tls = ssl._create_unverified_context().wrap_bio(incoming, outgoing)
                    try: tls.do_handshake()
                    except ssl.SSLWantReadError: pass
                    hello = outgoing.read()
                    stream = socket.create_connection(("127.0.0.1", port))
                    stream.sendall(hello[:len(hello) // part])
                    if part == 1 and not stream.recv(100): raise SystemExit("no ServerHello")
                    kept.append((stream, tls))
            print('{"waiting": %d}' % len(kept), flush=True)
            time.sleep(600)
            """
        let client = try RunningProcess("/usr/bin/python3", ["-c", script] + ports.map(String.init))
        guard try await client.jsonLine()["waiting"] as? Int == 2 * ports.count else { throw TestFailure("no handshakes: \(client.output)") }
        return client
    }
}
