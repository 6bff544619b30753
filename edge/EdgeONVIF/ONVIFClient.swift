import AsyncHTTPClient
import FoundationEssentials
import NIOCore
import NIOHTTP1
import RecordingModel

/// SOAP 1.2 over HTTP to devices. One for a command or a set of subscriptions; `with` ends its connections. It makes no
/// event loops of its own.
package struct ONVIFClient: Sendable {
    private let http: HTTPClient
    let credentials: ONVIFCredentials?
    let clocks: any Clocks

    /// Redirects are not followed: an answer names no other host to ask.
    package static func with<Value: Sendable>(
        credentials: ONVIFCredentials?, clocks: any Clocks, _ body: (ONVIFClient) async throws -> Value
    ) async throws -> Value {
        var configuration = HTTPClient.Configuration()
        configuration.redirectConfiguration = .disallow
        configuration.timeout = .init(connect: .seconds(3))
        configuration.httpVersion = .http1Only
        configuration.connectionPool.idleTimeout = .seconds(5)
        configuration.connectionPool.retryConnectionEstablishment = false
        let http = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
        do {
            let value = try await body(ONVIFClient(http: http, credentials: credentials, clocks: clocks))
            try await http.shutdown()
            return value
        } catch {
            try? await http.shutdown()
            throw error
        }
    }

    package func device(at url: DeviceURL) -> ONVIFDevice { ONVIFDevice(client: self, url: url) }

    /// - Parameters:
    ///   - name: the local name of the element that must be in the answer's body.
    ///   - isSigned: false for what has to be answered before signing in.
    ///   - clockOffsetMilliseconds: the device's clock less ours.
    /// - Throws: `ONVIFError`.
    func call(
        _ request: SOAPRequest, at url: DeviceURL, expecting name: String, isSigned: Bool = true, clockOffsetMilliseconds: Int64 = 0, timeoutSeconds: Int64 = 5
    ) async throws -> XMLElement {
        let signer = isSigned ? credentials : nil
        let token = signer?.usernameToken(nonce: Self.random(16), createdUnixMilliseconds: clocks.now().wall.unixMilliseconds + clockOffsetMilliseconds)
        var answer = try await post(request, at: url, security: token, authorization: nil, timeoutSeconds: timeoutSeconds)
        if answer.status == 401, let signer, let challenge = answer.challenge {
            let value = challenge.authorization(signer, path: url.path, clientNonce: Hex.encode(Self.random(8)))
            answer = try await post(request, at: url, security: nil, authorization: value, timeoutSeconds: timeoutSeconds)
        }
        let document: XMLElement
        do {
            document = try XMLReader.read(answer.body, limits: .answer)
        } catch {
            guard answer.status == 200 else { throw refusal(answer.status, url) }
            throw error
        }
        guard answer.status == 200 || document.at("Body", "Fault") != nil else { throw refusal(answer.status, url) }
        do {
            return try SOAPAnswer.body(document, expecting: name)
        } catch let fault as ONVIFError where fault.kind == .fault && (answer.status == 401 || answer.status == 403) {
            throw ONVIFError(.credentials, fault.description)
        }
    }

    private func refusal(_ status: UInt, _ url: DeviceURL) -> ONVIFError {
        status == 401 || status == 403
            ? ONVIFError(.credentials, "the device refuses (HTTP \(status))") : ONVIFError(.answer, "\(url) answered with HTTP \(status) and no SOAP fault")
    }

    private struct Answer: Sendable {
        var status: UInt
        var challenge: DigestChallenge?
        var body: [UInt8]
    }

    private func post(_ request: SOAPRequest, at url: DeviceURL, security: String?, authorization: String?, timeoutSeconds: Int64) async throws -> Answer {
        var outgoing = HTTPClientRequest(url: url.description)
        outgoing.method = .POST
        outgoing.headers.add(name: "Content-Type", value: "application/soap+xml; charset=utf-8; action=\"\(request.action)\"")
        if let authorization { outgoing.headers.add(name: "Authorization", value: authorization) }
        outgoing.body = .bytes(ByteBuffer(string: request.envelope(security: security, messageID: "urn:uuid:\(Self.uuid())")))
        let late = ONVIFError(.unreachable, "\(url.scheme)://\(url.host):\(url.port) did not answer within \(timeoutSeconds) s")
        do {
            // The client's own time-out ends with the answer's head; a body may trickle for ever.
            return try await Self.within(.seconds(timeoutSeconds), late) { [http, outgoing] in
                let response = try await http.execute(outgoing, timeout: .seconds(timeoutSeconds))
                let body = try await response.body.collect(upTo: XMLLimits.answer.bytes)
                return Answer(status: response.status.code, challenge: DigestChallenge.best(of: response.headers["WWW-Authenticate"]), body: Array(body.readableBytesView))
            }
        } catch is NIOTooManyBytesError {
            throw ONVIFError(.answer, "the answer of \(url) has more than \(XMLLimits.answer.bytes) bytes")
        } catch let error where error is CancellationError || error is ONVIFError {
            throw error
        } catch {
            throw ONVIFError(.unreachable, "no answer from \(url.scheme)://\(url.host):\(url.port): \(Self.reason(error))")
        }
    }

    /// What `body` returns, or the error `late` after the limit; `body` is cancelled then.
    static func within<Value: Sendable>(_ limit: Duration, _ late: ONVIFError, _ body: @escaping @Sendable () async throws -> Value) async throws -> Value {
        try await withThrowingTaskGroup(of: Value.self) { tasks in
            defer { tasks.cancelAll() }
            tasks.addTask(operation: body)
            tasks.addTask {
                try await Task.sleep(for: limit)
                throw late
            }
            guard let value = try await tasks.next() else { throw late }
            return value
        }
    }

    private static func reason(_ error: any Error) -> String {
        guard let known = error as? HTTPClientError else { return SOAPAnswer.bounded("\(error)") }
        switch known {
        case .connectTimeout: return "no connection within 3 s"
        case .deadlineExceeded, .readTimeout: return "it took too long"
        case .remoteConnectionClosed: return "it closed the connection"
        default: return SOAPAnswer.bounded("\(known)")
        }
    }

    static func random(_ count: Int) -> [UInt8] {
        var generator = SystemRandomNumberGenerator()
        return (0..<count).map { _ in UInt8.random(in: 0...255, using: &generator) }
    }

    static func uuid() -> String { UUID().uuidString.lowercased() }
}
