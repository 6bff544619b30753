/// Makes any text fit into one line of a log, so that nobody who chooses a name can write lines of their own.
enum LineEscape {
    /// Control characters, line and paragraph separators, and the marks that turn the direction of text around.
    static func isUnprintable(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0..<0x20, 0x7F..<0xA0, 0x2028, 0x2029, 0x200E, 0x200F, 0x202A...0x202E, 0x2066...0x2069, 0xFEFF: true
        default: false
        }
    }

    /// The text between JSON string quotes (which logfmt readers accept too), cut with `…` so that the result has at
    /// most `limitBytes` of UTF-8.
    static func escaped(_ text: String, limitBytes: Int) -> String {
        let ellipsis = "…"
        var result = ""
        // The longest prefix that still leaves room for the ellipsis, should it be needed.
        var cut = 0
        var bytes = 0
        for scalar in text.unicodeScalars {
            let unit = escaped(scalar)
            if bytes + unit.utf8.count > limitBytes {
                let kept = result.utf8.prefix(cut)
                return String(decoding: Array(kept), as: UTF8.self) + (limitBytes >= ellipsis.utf8.count ? ellipsis : "")
            }
            result += unit
            bytes += unit.utf8.count
            if bytes + ellipsis.utf8.count <= limitBytes { cut = bytes }
        }
        return result
    }

    private static func escaped(_ scalar: Unicode.Scalar) -> String {
        switch scalar {
        case "\"": return "\\\""
        case "\\": return "\\\\"
        case "\n": return "\\n"
        case "\r": return "\\r"
        case "\t": return "\\t"
        default:
            guard isUnprintable(scalar) else { return String(scalar) }
            let digits = String(scalar.value, radix: 16)
            return "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
        }
    }

    /// A value as logfmt: bare where that is unambiguous, quoted otherwise.
    static func logfmt(_ text: String, limitBytes: Int) -> String {
        let isBare = !text.isEmpty && text.utf8.count <= limitBytes && text.unicodeScalars.allSatisfy { scalar in
            scalar.value > 0x20 && !isUnprintable(scalar) && scalar != "\"" && scalar != "=" && scalar != "\\" && !scalar.properties.isWhitespace
        }
        return isBare ? text : "\"\(escaped(text, limitBytes: max(0, limitBytes - 2)))\""
    }

    /// A field's name: letters, digits, `_`, `-` and `.`, at most 64; anything else becomes `_`.
    static func key(_ text: String) -> String {
        guard !text.isEmpty else { return "_" }
        return String(decoding: text.utf8.prefix(64).map { byte -> UInt8 in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
                UInt8(ascii: "_"), UInt8(ascii: "-"), UInt8(ascii: "."): byte
            default: UInt8(ascii: "_")
            }
        }, as: UTF8.self)
    }
}
