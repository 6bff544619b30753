import FoundationEssentials
import RecordingModel

/// An invitation to join a hub, one line: where the hub is, which key it must show before the secret may be sent,
/// a 128-bit secret good for one use, and until when.
package struct JoinToken: Hashable, Sendable, Codable {
    private static let prefix = "fieldpost-join-1."
    /// Longest life of a token.
    package static let lifetimeSecondsMax: Int64 = 72 * 3600

    package var host: String
    package var port: Int
    package var hubKeyHash: ContentHash
    /// 16 bytes in hex.
    package var secret: String
    package var expiresUnixSeconds: Int64

    package init(host: String, port: Int, hubKeyHash: ContentHash, secret: String, expiresUnixSeconds: Int64) {
        self.host = host
        self.port = port
        self.hubKeyHash = hubKeyHash
        self.secret = secret
        self.expiresUnixSeconds = expiresUnixSeconds
    }

    package var line: String {
        get throws {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
            return Self.prefix + Base64URL.encode(Array(try encoder.encode(self)))
        }
    }

    /// Nil for a line that is not a whole token.
    package init?(line: String) {
        guard line.hasPrefix(Self.prefix), line.utf8.count <= 1024, let json = Base64URL.decode(String(line.dropFirst(Self.prefix.count))),
            let token = try? JSONDecoder().decode(JoinToken.self, from: Data(json)),
            (1...65_535).contains(token.port), token.secret.utf8.count == 32, Hex.decode(token.secret) != nil, !token.host.isEmpty
        else { return nil }
        self = token
    }
}

/// RFC 4648, section 5, without padding.
enum Base64URL {
    static func encode(_ bytes: [UInt8]) -> String {
        String(Data(bytes).base64EncodedString().compactMap { $0 == "+" ? "-" : $0 == "/" ? "_" : $0 == "=" ? nil : $0 })
    }

    static func decode(_ text: String) -> [UInt8]? {
        let standard = String(text.map { $0 == "-" ? "+" : $0 == "_" ? "/" : $0 })
        let padding = String(repeating: "=", count: (4 - standard.utf8.count % 4) % 4)
        return Data(base64Encoded: standard + padding).map(Array.init)
    }
}
