import Crypto
import FoundationEssentials
import RecordingModel

/// A public key that signs notes: Ed25519, under a name. C2SP signed-note: key id is the first four bytes of
/// `SHA-256(name ‖ 0x0A ‖ algorithm ‖ key)`.
package struct NoteKey: Hashable, Sendable, Codable {
    package enum Algorithm: UInt8, Sendable, Codable {
        case ed25519 = 0x01
        /// C2SP tlog-cosignature: the signature carries a time and covers it.
        case cosignature = 0x04
    }
    package var name: String
    package var algorithm: Algorithm
    package var publicKey: [UInt8]

    /// Nil for a name that cannot stand in a note (empty, or with white space or `+`) or a key that is not 32 bytes.
    package init?(name: String, algorithm: Algorithm, publicKey: [UInt8]) {
        guard !name.isEmpty, !name.contains(where: { $0.isWhitespace || $0 == "+" }), publicKey.count == 32 else { return nil }
        self.name = name
        self.algorithm = algorithm
        self.publicKey = publicKey
    }

    package var id: [UInt8] {
        Array(ContentHash.sha256(Array(name.utf8) + [0x0A, algorithm.rawValue] + publicKey).bytes.prefix(4))
    }

    /// C2SP vkey text: `name+hex(id)+base64(algorithm ‖ key)`.
    package var text: String {
        "\(name)+\(Hex.encode(id))+\(Data([algorithm.rawValue] + publicKey).base64EncodedString())"
    }

    package init?(text: String) {
        let parts = text.split(separator: "+", maxSplits: 2, omittingEmptySubsequences: false).map(String.init)
        guard parts.count == 3, let bytes = Data(base64Encoded: parts[2]), let algorithm = bytes.first.flatMap(Algorithm.init) else { return nil }
        self.init(name: parts[0], algorithm: algorithm, publicKey: Array(bytes.dropFirst()))
        guard Hex.encode(id) == parts[1] else { return nil }
    }

    package func isValid(_ signature: some Sequence<UInt8>, for message: [UInt8]) -> Bool {
        guard let key = try? Curve25519.Signing.PublicKey(rawRepresentation: publicKey) else { return false }
        return key.isValidSignature(Array(signature), for: message)
    }
}

/// A text with signature lines (C2SP signed-note): the text ends with a newline, an empty line follows, then one
/// line a signature: `— name base64(key id ‖ signature)`.
package struct SignedNote: Hashable, Sendable {
    package struct Signature: Hashable, Sendable {
        package var name: String
        package var keyID: [UInt8]
        package var bytes: [UInt8]
    }

    package static let byteLimit = 16 << 10
    package static let signatureLimit = 8
    package var text: String
    package var signatures: [Signature]

    package init(text: String, signatures: [Signature] = []) {
        self.text = text
        self.signatures = signatures
    }

    package init?(encoded: String) {
        guard encoded.utf8.count <= Self.byteLimit, encoded.hasSuffix("\n") else { return nil }
        let lines = encoded.split(separator: "\n", omittingEmptySubsequences: false).dropLast().map(String.init)
        guard let blank = lines.lastIndex(of: ""), blank > 0, blank + 1 < lines.count, lines.count - blank - 1 <= Self.signatureLimit else { return nil }
        text = lines[..<blank].joined(separator: "\n") + "\n"
        signatures = []
        for line in lines[(blank + 1)...] {
            let parts = line.split(separator: " ", omittingEmptySubsequences: false).map(String.init)
            guard parts.count == 3, parts[0] == "\u{2014}", let bytes = Data(base64Encoded: parts[2]), bytes.count > 4 else { return nil }
            signatures.append(Signature(name: parts[1], keyID: Array(bytes.prefix(4)), bytes: Array(bytes.dropFirst(4))))
        }
    }

    package var encoded: String {
        text + "\n" + signatures.map { "\u{2014} \($0.name) \(Data($0.keyID + $0.bytes).base64EncodedString())\n" }.joined()
    }

    package mutating func sign(with key: NoteSigner) throws {
        signatures.append(Signature(name: key.verifier.name, keyID: key.verifier.id, bytes: try key.sign(Array(text.utf8))))
    }

    package func isSigned(by key: NoteKey) -> Bool {
        signatures.contains { $0.name == key.name && $0.keyID == key.id && key.isValid($0.bytes, for: Array(text.utf8)) }
    }

    /// Adds a cosignature (C2SP tlog-cosignature): "this hub saw this note at this time".
    package mutating func cosign(with key: NoteSigner, unixSeconds: UInt64) throws {
        let signature = try key.sign(Self.cosigned(text, unixSeconds: unixSeconds))
        let time = (0..<8).reversed().map { UInt8(truncatingIfNeeded: unixSeconds >> UInt64($0 * 8)) }
        signatures.append(Signature(name: key.verifier.name, keyID: key.verifier.id, bytes: time + signature))
    }

    /// The time of a valid cosignature by this key; nil when there is none.
    package func cosignatureUnixSeconds(by key: NoteKey) -> UInt64? {
        for signature in signatures where signature.name == key.name && signature.keyID == key.id && signature.bytes.count == 72 {
            let time = signature.bytes.prefix(8).reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
            if key.isValid(signature.bytes.dropFirst(8), for: Self.cosigned(text, unixSeconds: time)) { return time }
        }
        return nil
    }

    private static func cosigned(_ text: String, unixSeconds: UInt64) -> [UInt8] {
        Array("cosignature/v1\ntime \(unixSeconds)\n\(text)".utf8)
    }
}

/// A private key that signs notes. Its raw bytes are the owner's to keep and to destroy.
package struct NoteSigner: Sendable {
    package let verifier: NoteKey
    private let privateKey: Curve25519.Signing.PrivateKey

    package init?(name: String, algorithm: NoteKey.Algorithm, privateKeyBytes: [UInt8]? = nil) {
        guard let key = privateKeyBytes.map({ try? Curve25519.Signing.PrivateKey(rawRepresentation: $0) }) ?? Curve25519.Signing.PrivateKey(),
            let verifier = NoteKey(name: name, algorithm: algorithm, publicKey: Array(key.publicKey.rawRepresentation))
        else { return nil }
        self.privateKey = key
        self.verifier = verifier
    }

    package var privateKeyBytes: [UInt8] { Array(privateKey.rawRepresentation) }

    package func sign(_ message: [UInt8]) throws -> [UInt8] {
        Array(try privateKey.signature(for: message))
    }
}
