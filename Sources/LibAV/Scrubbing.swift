/// A text without the secrets of the URLs in it. It would rather hide too much:
///
/// - Everything between `://` and the last `@` before the next blank or quote goes, because passwords with an
///   unescaped `/` or `@` are common in cameras' URLs; so does every query.
/// - From the first `name=` on that looks like a secret's, the rest up to the next blank or quote goes, wherever it
///   stands: many cameras take user and password in the path (`/user=a&password=b&channel=1`, `/user=a_password=b_…`).
/// - So does a part of the path that has a colon within, as in `/0/user:password/main`.
package func scrubbed(_ text: String) -> String {
    let bytes = Array(text.utf8)
    var result: [UInt8] = []
    result.reserveCapacity(bytes.count)
    var position = 0
    while position < bytes.count {
        let word = bytes[position...].prefix { !endsURL($0) }
        if word.isEmpty {
            result.append(bytes[position])
            position += 1
        } else {
            result.append(contentsOf: scrubbedWord(word))
            position = word.endIndex
        }
    }
    return String(decoding: result, as: UTF8.self)
}

/// The same for what is known to be one URL: a blank or a quote does not end it.
package func withoutSecrets(ofURL url: String) -> String {
    let blank = UInt8(ascii: "+")
    return String(decoding: scrubbedWord(ArraySlice(url.utf8.map { endsURL($0) ? blank : $0 })), as: UTF8.self)
}

private let hidden = Array("***".utf8)

/// Text without a blank: perhaps with a URL in it.
private func scrubbedWord(_ word: ArraySlice<UInt8>) -> [UInt8] {
    guard let mark = word.firstRange(of: "://".utf8) else { return withoutPairs(word) }
    var rest = word[mark.upperBound...]
    var result = withoutPairs(word[..<mark.upperBound])
    if let at = rest.lastIndex(of: UInt8(ascii: "@")) {
        result += hidden + [UInt8(ascii: "@")]
        rest = rest[(at + 1)...]
    }
    let authority = rest.prefix { $0 != UInt8(ascii: "/") && $0 != UInt8(ascii: "?") && $0 != UInt8(ascii: "#") }
    let path = rest[authority.endIndex...].prefix { $0 != UInt8(ascii: "?") && $0 != UInt8(ascii: "#") }
    let parts = path.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false).map { part -> [UInt8] in
        // A colon at the end is the sentence's.
        part.dropLast().contains(UInt8(ascii: ":")) ? hidden : Array(part)
    }
    result += withoutPairs(authority + parts.joined(separator: [UInt8(ascii: "/")]))
    if path.endIndex < rest.endIndex { result += [rest[path.endIndex]] + hidden }
    return result
}

private func endsURL(_ byte: UInt8) -> Bool {
    byte <= UInt8(ascii: " ") || [UInt8(ascii: "\""), UInt8(ascii: "'"), UInt8(ascii: "<"), UInt8(ascii: ">")].contains(byte)
}

private let secretWords = [
    "user", "usr", "login", "pass", "pwd", "psw", "token", "auth", "key", "secret", "sig", "cred", "account", "session",
]
private let secretNames: Set<String> = ["u", "p", "pw", "un", "id", "sid", "pin", "code", "name"]

/// Cut off behind the first `name=` that looks like a secret's.
private func withoutPairs(_ text: some Collection<UInt8>) -> [UInt8] {
    let bytes = Array(text)
    var nameStart = 0
    for (index, byte) in bytes.enumerated() {
        let isEscaped = bytes[index...].starts(with: "%3d".utf8) || bytes[index...].starts(with: "%3D".utf8)
        if byte == UInt8(ascii: "=") || isEscaped {
            if isSecret(bytes[nameStart..<index]) { return bytes[..<(index + (isEscaped ? 3 : 1))] + hidden }
            nameStart = index + 1
        } else if !isNameByte(byte) {
            nameStart = index + 1
        }
    }
    return bytes
}

private func isNameByte(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
        UInt8(ascii: "_"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "["), UInt8(ascii: "]"), UInt8(ascii: "%"), 0x80...:
        true
    default: false
    }
}

private func isSecret(_ name: ArraySlice<UInt8>) -> Bool {
    let name = String(decoding: name, as: UTF8.self).lowercased()
    // `1_password` in `channel=1_password=x` is a value with the next name behind it.
    let last = name.split(separator: "_").last.map(String.init) ?? name
    return secretNames.contains(name) || secretNames.contains(last) || secretWords.contains { name.contains($0) }
}
