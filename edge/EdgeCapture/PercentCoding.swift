import RecordingModel

/// RFC 3986's `%XX` in addresses.
package enum PercentCoding {
    /// Everything but RFC 3986's unreserved characters becomes `%XX`.
    package static func encode(_ text: String) -> String {
        text.utf8.map { byte in
            let scalar = Unicode.Scalar(byte)
            let isUnreserved = byte < 0x80 && (scalar.properties.isAlphabetic || (0x30...0x39).contains(byte) || "-._~".utf8.contains(byte))
            return isUnreserved ? String(scalar) : "%" + Hex.encode([byte]).uppercased()
        }.joined()
    }

    /// Nil for a `%` without two hex digits, for what is no UTF-8, and for control characters.
    package static func decode(_ text: String) -> String? {
        var bytes: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            guard rest.count >= 2, let value = Hex.decode(String(decoding: rest.prefix(2), as: UTF8.self).lowercased()), value[0] >= 0x20 else { return nil }
            bytes += value
            rest = rest.dropFirst(2)
        }
        return String(validating: bytes, as: UTF8.self)
    }
}
