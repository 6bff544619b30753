import AsyncHTTPClient
import EvidenceLog
import FoundationEssentials
import NIOCore
import NIOHTTP1
import RecordingModel

/// The hub's API as the commands use it. One instance for one command; `with` ends its connections.
struct HubClient: Sendable {
    private static let answerBytesMax = 256 << 20
    let base: String
    let token: String?
    private let http: HTTPClient

    private init(base: String, token: String?, http: HTTPClient) {
        self.base = base
        self.token = token
        self.http = http
    }

    /// With the saved sign-in, after the hub has shown the key that was pinned.
    static func with<Value>(_ credentials: Credentials, _ body: (HubClient) async throws -> Value) async throws -> Value {
        let address = try HubAddress(credentials.url)
        let trust = try await HubTrust.fetch(host: address.host, port: address.port)
        guard trust.keyHash.hex == credentials.pin else {
            throw Failure(
                "The hub at \(address.url) has another key than the one you signed in to (now \(trust.keyHash.fingerprint)). If it was replaced, run fieldpost login again; if not, somebody stands in between.")
        }
        return try await with(address, trust: trust, token: credentials.token, body)
    }

    static func with<Value>(_ address: HubAddress, trust: HubTrust, token: String?, _ body: (HubClient) async throws -> Value) async throws -> Value {
        var configuration = HTTPClient.Configuration(tlsConfiguration: HubTrust.tlsConfiguration)
        configuration.http1_1ConnectionDebugInitializer = { trust.check($0) }
        configuration.redirectConfiguration = .disallow
        configuration.timeout = .init(connect: .seconds(10), read: .seconds(60))
        configuration.httpVersion = .http1Only
        // A key that is not the pinned one does not become so by trying again.
        configuration.connectionPool.retryConnectionEstablishment = false
        let http = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
        do {
            let value = try await body(HubClient(base: address.url, token: token, http: http))
            try await http.shutdown()
            return value
        } catch {
            try? await http.shutdown()
            throw error
        }
    }

    func nodes() async throws -> NodeList { try await get("/api/v1/nodes") }

    /// Who the hub is; nil for a hub that is older than the question.
    func identity() async throws -> HubIdentity? {
        do {
            return try await get("/api/v1/hub")
        } catch let refusal as HubRefusal where refusal.status == 404 {
            return nil
        }
    }

    func timeline(node: NodeID, camera: CameraID, _ window: Range<Int64>) async throws -> CameraTimeline {
        try await get("/api/v1/nodes/\(node)/cameras/\(camera)/timeline?from=\(window.lowerBound)&to=\(window.upperBound)")
    }

    func proof(node: NodeID, segments: [SegmentID]) async throws -> ProofBundle {
        try await post("/api/v1/nodes/\(node)/proof", ["segments": segments])
    }

    func syncStatuses() async throws -> SyncStatusList { try await get("/api/v1/sync") }
    func ask(_ node: NodeID, _ new: NewFootageRequest) async throws -> FootageRequest { try await post("/api/v1/nodes/\(node)/requests", new) }
    func requests(withEnded: Bool) async throws -> FootageRequestList { try await get("/api/v1/requests?ended=\(withEnded ? 1 : 0)") }

    func withdraw(_ id: Int64) async throws -> FootageRequest {
        var request = request("/api/v1/requests/\(id)")
        request.method = .DELETE
        return try await decode(request)
    }

    func post<Value: Decodable>(_ path: String, _ body: some Encodable) async throws -> Value {
        var request = request(path)
        request.method = .POST
        request.headers.add(name: "Content-Type", value: "application/json")
        request.body = .bytes(ByteBuffer(bytes: Array(try JSONEncoder().encode(body))))
        return try await decode(request)
    }

    /// Hands over a segment's bytes as they arrive.
    func download(_ hash: ContentHash, node: NodeID, camera: CameraID, _ take: (ByteBuffer) throws -> Void) async throws {
        let response = try await send(request("/api/v1/segments/\(hash)?node=\(node)&camera=\(camera)"), timeout: .hours(1))
        for try await chunk in response.body { try take(chunk) }
    }

    private func get<Value: Decodable>(_ path: String) async throws -> Value { try await decode(request(path)) }

    private func request(_ path: String) -> HTTPClientRequest {
        var request = HTTPClientRequest(url: base + path)
        request.headers.add(name: "Accept", value: "application/json")
        if let token { request.headers.add(name: "Authorization", value: "Bearer \(token)") }
        return request
    }

    private func decode<Value: Decodable>(_ request: HTTPClientRequest) async throws -> Value {
        let response = try await send(request, timeout: .minutes(2))
        let body = try await response.body.collect(upTo: Self.answerBytesMax)
        do {
            return try JSONDecoder().decode(Value.self, from: Data(body.readableBytesView))
        } catch {
            throw Failure("The hub's answer was not understood. Is it newer than this program?")
        }
    }

    private struct ProblemDocument: Decodable {
        var detail: String?
        var code: String?
    }

    private func send(_ request: HTTPClientRequest, timeout: TimeAmount) async throws -> HTTPClientResponse {
        let response: HTTPClientResponse
        do {
            response = try await http.execute(request, timeout: timeout)
        } catch {
            throw Failure("The hub at \(base) could not be reached: \(error).")
        }
        guard response.status != .ok else { return response }
        let body = try? await response.body.collect(upTo: 64 << 10)
        let problem = body.flatMap { try? JSONDecoder().decode(ProblemDocument.self, from: Data($0.readableBytesView)) }
        throw HubRefusal(status: Int(response.status.code), detail: problem?.detail ?? "the hub answered \(response.status.code)", code: problem?.code)
    }
}

/// What the hub would not do, in its own words and ours.
struct HubRefusal: Error, CustomStringConvertible {
    var status: Int
    var detail: String
    var code: String?

    var description: String {
        switch (status, code) {
        case (401, nil): "You are not signed in any more. Run fieldpost login again."
        default: detail
        }
    }
}

/// `https://host:port`, and nothing after it.
struct HubAddress: Equatable {
    var host: String
    var port: Int
    var url: String

    init(_ text: String) throws {
        guard let parsed = URL(string: text), parsed.scheme == "https", let host = parsed.host(), !host.isEmpty,
            ["", "/"].contains(parsed.path()), parsed.query() == nil, parsed.user() == nil
        else { throw Failure("The hub's address must look like https://hub.example:8443, not \(text).") }
        self.host = host.hasPrefix("[") ? String(host.dropFirst().dropLast()) : host
        port = parsed.port ?? 443
        url = "https://\(host.contains(":") && !host.hasPrefix("[") ? "[\(host)]" : host):\(port)"
    }
}
