/// A node, known by the hash of its identity key (SHA-256 over the SubjectPublicKeyInfo in DER).
package struct NodeID: Hashable, Sendable, Codable, LosslessStringConvertible {
    package let keyHash: ContentHash
    package init(keyHash: ContentHash) { self.keyHash = keyHash }
    package init?(_ description: String) {
        guard let hash = ContentHash(description) else { return nil }
        keyHash = hash
    }
    package var description: String { keyHash.hex }
    package init(from decoder: any Decoder) throws { keyHash = try ContentHash(from: decoder) }
    package func encode(to encoder: any Encoder) throws { try keyHash.encode(to: encoder) }
}

/// A hub, known the same way.
package struct HubID: Hashable, Sendable, Codable, LosslessStringConvertible {
    package let keyHash: ContentHash
    package init(keyHash: ContentHash) { self.keyHash = keyHash }
    package init?(_ description: String) {
        guard let hash = ContentHash(description) else { return nil }
        keyHash = hash
    }
    package var description: String { keyHash.hex }
    package init(from decoder: any Decoder) throws { keyHash = try ContentHash(from: decoder) }
    package func encode(to encoder: any Encoder) throws { try keyHash.encode(to: encoder) }
}

/// A camera's name at its node: 1 to 32 of `a-z 0-9 _ -`, beginning with a letter or digit.
/// It is used as a folder name on the node, and only there; the check is what makes that safe.
package struct CameraID: Hashable, Sendable, Codable, Comparable, LosslessStringConvertible {
    package static let expectation = "1 to 32 characters of a-z, 0-9, _ and -, beginning with a letter or digit"
    package let description: String

    package init?(_ description: String) {
        let utf8 = description.utf8
        func isAlphanumeric(_ byte: UInt8) -> Bool {
            (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte) || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
        }
        guard (1...32).contains(utf8.count), let first = utf8.first, isAlphanumeric(first),
            utf8.allSatisfy({ isAlphanumeric($0) || $0 == UInt8(ascii: "_") || $0 == UInt8(ascii: "-") })
        else { return nil }
        self.description = description
    }

    package init(from decoder: any Decoder) throws {
        self = try decodeText(from: decoder, expecting: Self.expectation) { CameraID($0) }
    }
    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
    package static func < (left: Self, right: Self) -> Bool { left.description < right.description }
}

package enum StreamKind: String, Sendable, Codable, CaseIterable {
    case main, proxy, thumbs
}

/// One encoded sequence of a camera, written `camera/kind`.
package struct StreamID: Hashable, Sendable, Codable, Comparable, LosslessStringConvertible {
    package let camera: CameraID
    package let kind: StreamKind

    package init(camera: CameraID, kind: StreamKind) {
        self.camera = camera
        self.kind = kind
    }

    package init?(_ description: String) {
        let parts = description.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2, let camera = CameraID(String(parts[0])), let kind = StreamKind(rawValue: String(parts[1])) else { return nil }
        self.init(camera: camera, kind: kind)
    }

    package var description: String { "\(camera)/\(kind.rawValue)" }

    package init(from decoder: any Decoder) throws {
        self = try decodeText(from: decoder, expecting: "camera/main, camera/proxy or camera/thumbs") { StreamID($0) }
    }
    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
    package static func < (left: Self, right: Self) -> Bool { left.description < right.description }
}

/// A segment's name at its node. `sequence` starts at 0 for a stream, has no holes and is never used twice.
package struct SegmentID: Hashable, Sendable, Codable, Comparable, CustomStringConvertible {
    package let stream: StreamID
    package let sequence: UInt64
    package init(stream: StreamID, sequence: UInt64) {
        self.stream = stream
        self.sequence = sequence
    }
    package var description: String { "\(stream)/\(sequence)" }
    package static func < (left: Self, right: Self) -> Bool {
        (left.stream, left.sequence) < (right.stream, right.sequence)
    }
}
