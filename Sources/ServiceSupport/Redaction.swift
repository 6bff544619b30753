/// The last defence against a password in a log: what looks like one is taken out of every line, whoever wrote it.
/// When in doubt it takes out more.
package enum Redaction {
    package static let mark = "***"

    /// Fields whose value is never written.
    package static func isSecret(key: String) -> Bool {
        let key = key.lowercased()
        return secretWords.contains { key.contains($0) }
    }
    private static let secretWords = ["password", "passwd", "passphrase", "secret", "token", "credential", "authorization", "cookie", "private_key"]
    /// Names of query items and `name=value` pairs in text; cameras are often given `?user=…&pwd=…`.
    private static let secretItems = secretWords + ["pwd", "pass"]

    /// Takes out `user:password@` after `://`, and the value of `password=…` and its like.
    package static func scrub(_ text: String) -> String {
        guard text.utf8.contains(UInt8(ascii: "@")) || text.utf8.contains(UInt8(ascii: "=")) else { return text }
        return String(decoding: scrubItems(scrubUserInfo(Array(text.utf8))), as: UTF8.self)
    }

    private static func scrubUserInfo(_ bytes: [UInt8]) -> [UInt8] {
        let start = Array("://".utf8)
        var result: [UInt8] = []
        var position = 0
        while position < bytes.count {
            guard bytes[position...].starts(with: start) else {
                result.append(bytes[position])
                position += 1
                continue
            }
            result += start
            position += start.count
            let word = bytes[position...].prefix { !isEnd($0) }
            let authority = word.prefix { !"/?#".utf8.contains($0) }
            // A password may hold `/`, `?`, `#` or `@` that nobody escaped: with a colon in what looks like the
            // authority, everything up to the word's last `@` goes.
            let reach = authority.contains(UInt8(ascii: ":")) ? word : authority
            if let at = reach.lastIndex(of: UInt8(ascii: "@")) {
                result += Array(mark.utf8)
                position = at
            }
        }
        return result
    }

    private static func scrubItems(_ bytes: [UInt8]) -> [UInt8] {
        var result: [UInt8] = []
        var position = 0
        while position < bytes.count {
            result.append(bytes[position])
            position += 1
            guard result.last == UInt8(ascii: "=") else { continue }
            let name = result.dropLast().suffix(40).reversed().prefix { isNamePart($0) }.reversed()
            let text = String(decoding: Array(name), as: UTF8.self).lowercased()
            guard secretItems.contains(where: { text.hasSuffix($0) }) else { continue }
            let value = bytes[position...].prefix { !isEnd($0) && !"&;,)".utf8.contains($0) }
            guard !value.isEmpty else { continue }
            result += Array(mark.utf8)
            position = value.endIndex
        }
        return result
    }

    private static func isEnd(_ byte: UInt8) -> Bool { byte <= 0x20 || byte == 0x7F || "\"'<>`".utf8.contains(byte) }
    private static func isNamePart(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte) || (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte) || byte == UInt8(ascii: "_")
    }
}
