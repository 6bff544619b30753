/// How one value is read from its text, and how its accepted values are described to a person.
package struct StrictType<Value> {
    struct Refusal: Error { var text: String }
    /// Completes the sentence "expected …".
    let expectation: String
    /// Takes the text, and whether it stands there without quotes.
    let parse: (String, Bool) -> Result<Value, Refusal>

    private init(_ expectation: String, _ parse: @escaping (String, Bool) -> Result<Value, Refusal>) {
        self.expectation = expectation
        self.parse = parse
    }

    /// A value with rules of its own; `parse` returns nil for what it refuses. The text is never repeated in the
    /// message, since it may be a secret.
    package static func custom(_ expectation: String, _ parse: @escaping (String) -> Value?) -> StrictType {
        StrictType(expectation) { text, _ in
            parse(text).map { .success($0) } ?? .failure(Refusal(text: "expected \(expectation)"))
        }
    }

    /// A value with rules of its own whose refusal explains itself.
    package static func explained(_ expectation: String, _ parse: @escaping (String) throws(ServiceSupportError) -> Value) -> StrictType {
        StrictType(expectation) { text, _ in
            do throws(ServiceSupportError) {
                return .success(try parse(text))
            } catch {
                return .failure(Refusal(text: "\(error); expected \(expectation)"))
            }
        }
    }
}

extension StrictType where Value == String {
    /// One line of text without control characters.
    package static func text(_ lengthBytes: ClosedRange<Int> = 1...1024, _ meaning: String = "text") -> StrictType {
        custom("\(meaning) of \(lengthBytes.lowerBound) to \(lengthBytes.upperBound) bytes in one line") { text in
            lengthBytes.contains(text.utf8.count) && !text.unicodeScalars.contains(where: LineEscape.isUnprintable) ? text : nil
        }
    }

    /// A path from the root, without `..` in it.
    package static var absolutePath: StrictType {
        custom("an absolute path, such as /var/lib/fieldpost") { text in
            let isClean = text.hasPrefix("/") && text.utf8.count <= 1024 && !text.unicodeScalars.contains(where: LineEscape.isUnprintable)
            return isClean && !text.split(separator: "/").contains("..") ? text : nil
        }
    }
}

extension StrictType where Value == Int {
    /// A whole number in decimal digits, without quotes.
    package static func integer(_ range: ClosedRange<Int>, unit: String = "") -> StrictType {
        let expectation = "a whole number from \(range.lowerBound) to \(range.upperBound)\(unit.isEmpty ? "" : " \(unit)")"
        return StrictType(expectation) { text, isPlain in
            guard isPlain, let value = Int(text), text == String(value) else { return .failure(Refusal(text: "expected \(expectation)")) }
            return range.contains(value) ? .success(value) : .failure(Refusal(text: "\(value) is out of range; expected \(expectation)"))
        }
    }
}

extension StrictType where Value == Double {
    /// A number such as `3` or `2.5`, without quotes.
    package static func number(_ range: ClosedRange<Double>, unit: String = "") -> StrictType {
        let expectation = "a number from \(range.lowerBound) to \(range.upperBound)\(unit.isEmpty ? "" : " \(unit)")"
        return StrictType(expectation) { text, isPlain in
            let isDecimal = text.utf8.allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) || $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: "-") }
            guard isPlain, isDecimal, let value = Double(text), value.isFinite else { return .failure(Refusal(text: "expected \(expectation)")) }
            return range.contains(value) ? .success(value) : .failure(Refusal(text: "\(value) is out of range; expected \(expectation)"))
        }
    }
}

extension StrictType where Value == Bool {
    /// `true` or `false`, without quotes. YAML's `yes` and `on` are refused: readers disagree about them.
    package static var boolean: StrictType {
        StrictType("true or false") { text, isPlain in
            switch (text, isPlain) {
            case ("true", true): .success(true)
            case ("false", true): .success(false)
            default: .failure(Refusal(text: "expected true or false"))
            }
        }
    }
}

extension StrictType where Value: CaseIterable & RawRepresentable, Value.RawValue == String {
    /// One of an enumeration's words.
    package static var choice: StrictType {
        let words = Value.allCases.map(\.rawValue)
        return custom(words.count == 1 ? words[0] : "one of \(words.joined(separator: ", "))") { Value(rawValue: $0) }
    }
}
