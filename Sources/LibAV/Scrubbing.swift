/// A text without the secrets of the URLs in it: user names, passwords, and query values that look like either.
///
/// It would rather hide too much: everything between `://` and the last `@` before the next blank or quote goes,
/// because passwords with an unescaped `/` or `@` are common in cameras' URLs.
package func scrubbed(_ text: String) -> String {
    let bytes = Array(text.utf8)
    var result: [UInt8] = []
    result.reserveCapacity(bytes.count)
    var position = 0
    while position < bytes.count {
        guard bytes[position...].starts(with: "://".utf8) else {
            result.append(bytes[position])
            position += 1
            continue
        }
        result.append(contentsOf: "://".utf8)
        var rest = bytes[(position + 3)...].prefix { !endsURL($0) }
        position = rest.endIndex
        if let at = rest.lastIndex(of: UInt8(ascii: "@")) {
            result.append(contentsOf: "***@".utf8)
            rest = rest[(at + 1)...]
        }
        result.append(contentsOf: scrubbedQuery(rest))
    }
    return String(decoding: result, as: UTF8.self)
}

private func endsURL(_ byte: UInt8) -> Bool {
    byte <= UInt8(ascii: " ") || [UInt8(ascii: "\""), UInt8(ascii: "'"), UInt8(ascii: "<"), UInt8(ascii: ">")].contains(byte)
}

private let secretWords = ["user", "usr", "login", "pass", "pwd", "psw", "token", "auth", "key", "secret", "sig", "credential"]

private func scrubbedQuery(_ url: ArraySlice<UInt8>) -> [UInt8] {
    guard let mark = url.firstIndex(of: UInt8(ascii: "?")) else { return Array(url) }
    let pairs = url[(mark + 1)...].split(separator: UInt8(ascii: "&"), omittingEmptySubsequences: false).map { pair -> [UInt8] in
        guard let equals = pair.firstIndex(of: UInt8(ascii: "=")) else { return Array(pair) }
        let name = String(decoding: pair[..<equals], as: UTF8.self).lowercased()
        return secretWords.contains { name.contains($0) } || name == "u" || name == "p" ? Array(pair[...equals]) + Array("***".utf8) : Array(pair)
    }
    return Array(url[...mark]) + pairs.joined(separator: [UInt8(ascii: "&")])
}
