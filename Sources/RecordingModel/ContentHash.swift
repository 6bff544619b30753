/// A SHA-256 value: the name of content, of a key, of a tree. 32 bytes, written as 64 lower-case hex digits.
package struct ContentHash: Hashable, Sendable {
    package static let byteCount = 32
    private let words: (UInt64, UInt64, UInt64, UInt64)

    /// Thirty-two zero bytes: no content has this name.
    package static let zero = ContentHash()
    private init() { words = (0, 0, 0, 0) }

    /// Nil unless there are exactly 32 bytes.
    package init?(_ bytes: some Collection<UInt8>) {
        guard bytes.count == Self.byteCount else { return nil }
        var iterator = bytes.makeIterator()
        func word() -> UInt64 {
            var value: UInt64 = 0
            for _ in 0..<8 { value = value << 8 | UInt64(iterator.next() ?? 0) }
            return value
        }
        words = (word(), word(), word(), word())
    }

    package var bytes: [UInt8] {
        var result: [UInt8] = []
        result.reserveCapacity(Self.byteCount)
        for word in [words.0, words.1, words.2, words.3] {
            for shift in stride(from: 56, through: 0, by: -8) { result.append(UInt8(truncatingIfNeeded: word >> UInt64(shift))) }
        }
        return result
    }

    package var hex: String { Hex.encode(bytes) }

    /// Four groups of four digits, for two people to compare by voice.
    package var fingerprint: String {
        let digits = hex.prefix(16)
        return stride(from: 0, to: 16, by: 4).map { offset in
            let start = digits.index(digits.startIndex, offsetBy: offset)
            return String(digits[start..<digits.index(start, offsetBy: 4)])
        }.joined(separator: "-")
    }

    package static func == (left: Self, right: Self) -> Bool {
        // All words are compared whatever the first ones say, so that time tells nothing.
        (left.words.0 ^ right.words.0) | (left.words.1 ^ right.words.1) | (left.words.2 ^ right.words.2) | (left.words.3 ^ right.words.3) == 0
    }

    package func hash(into hasher: inout Hasher) {
        hasher.combine(words.0)
        hasher.combine(words.1)
    }
}

extension ContentHash: LosslessStringConvertible, Codable {
    package init?(_ description: String) {
        guard let bytes = Hex.decode(description) else { return nil }
        self.init(bytes)
    }

    package var description: String { hex }

    package init(from decoder: any Decoder) throws {
        self = try decodeText(from: decoder, expecting: "64 lower-case hex digits") { ContentHash($0) }
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(hex)
    }
}

package enum Hex {
    private static let digits = Array("0123456789abcdef".utf8)

    package static func encode(_ bytes: some Sequence<UInt8>) -> String {
        var text: [UInt8] = []
        for byte in bytes {
            text.append(digits[Int(byte >> 4)])
            text.append(digits[Int(byte & 15)])
        }
        return String(decoding: text, as: UTF8.self)
    }

    /// Lower case only: one content has one name.
    package static func decode(_ text: String) -> [UInt8]? {
        let utf8 = Array(text.utf8)
        guard utf8.count.isMultiple(of: 2) else { return nil }
        func value(_ digit: UInt8) -> UInt8? {
            switch digit {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): digit - UInt8(ascii: "0")
            case UInt8(ascii: "a")...UInt8(ascii: "f"): digit - UInt8(ascii: "a") + 10
            default: nil
            }
        }
        var bytes: [UInt8] = []
        for index in stride(from: 0, to: utf8.count, by: 2) {
            guard let high = value(utf8[index]), let low = value(utf8[index + 1]) else { return nil }
            bytes.append(high << 4 | low)
        }
        return bytes
    }
}

/// Decodes a value that is written as text, and refuses what does not parse with a sentence.
package func decodeText<Value>(from decoder: any Decoder, expecting: String, _ parse: (String) -> Value?) throws -> Value {
    let container = try decoder.singleValueContainer()
    let text = try container.decode(String.self)
    guard let value = parse(text) else {
        throw DecodingError.dataCorruptedError(in: container, debugDescription: "expected \(expecting)")
    }
    return value
}
