import Crypto
import FoundationEssentials
import RecordingModel

/// Leave to fetch one list and its segments without a cookie, since VLC and ffplay have none: who made it, which
/// camera, which window, until when. It names the session that made it and ends with it.
struct Capability: Codable, Equatable {
    static let lifetimeMilliseconds: Int64 = 12 * 3_600_000
    var user: String
    var session: String
    var node: NodeID
    var camera: CameraID
    var from: Int64
    var to: Int64
    var until: Int64

    var window: Range<Int64> { from..<max(from, to) }
}

/// Signs capabilities into a word of a URL path, and takes only its own back.
struct CapabilityIssuer: Sendable {
    let key: SymmetricKey

    func word(for capability: Capability) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = .sortedKeys
        let payload = try encoder.encode(capability)
        let code = HMAC<SHA256>.authenticationCode(for: payload, using: key)
        return "\(Hex.encode(payload)).\(Hex.encode(code))"
    }

    func capability(in word: String, nowUnixMilliseconds now: Int64) -> Capability? {
        let parts = word.split(separator: ".", omittingEmptySubsequences: false)
        guard word.utf8.count <= 2_048, parts.count == 2, let payload = Hex.decode(String(parts[0])), let code = Hex.decode(String(parts[1])),
            HMAC<SHA256>.isValidAuthenticationCode(code, authenticating: payload, using: key),
            let capability = try? JSONDecoder().decode(Capability.self, from: Data(payload)), now < capability.until
        else { return nil }
        return capability
    }
}
