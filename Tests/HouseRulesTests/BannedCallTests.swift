import Testing

@Suite struct BannedCallTests {
    /// Where work must outlive the task that starts it, each with the reason.
    let mayDetach: [String: String] = [:]

    private let libraries = Set(importTable.keys.filter { !$0.hasPrefix("fieldpost") })

    @Test func nothingCrashesOnPurpose() throws {
        try expectNone(of: ["try!", "as!", "fatalError("], because: "a node must not stop for what can be answered with an error")
    }

    @Test func thereIsOneHTTPClientASideAndItIsNotFoundations() throws {
        try expectNone(of: ["URLSession"], because: "it has no back-pressure and no client certificates here")
    }

    @Test func noTaskIsDetachedWithoutAReason() throws {
        try expectNone(of: ["Task.detached"], because: "it escapes cancellation and the graceful stop") { mayDetach[$0.path] == nil }
    }

    @Test func noStreamIsUnbounded() throws {
        try expectNone(of: [".unbounded"], because: "memory on a node is bounded; say what happens when the reader is slow")
        for file in try Repository().sources {
            for (number, text) in file.code where text.contains("makeStream(") || text.contains(#/Async(Throwing)?Stream\s*[<{(]/#) {
                let call = file.lines[(number - 1)..<min(number + 3, file.lines.count)].joined(separator: " ")
                let isType = !text.contains("makeStream(") && text.contains(#/[:>]\s*(some\s+|any\s+)?Async(Throwing)?Stream<[^(]*$/#)
                guard !isType, !text.contains("unfolding:") else { continue }
                #expect(
                    call.contains("bufferingPolicy:") || call.contains("bufferingNewest") || call.contains("unfolding:")
                        || text.contains(#/(let|var|->)[^=]*Async(Throwing)?Stream<[^=(]*$/#),
                    "\(file.path):\(number): a stream without bufferingPolicy is unbounded")
            }
        }
    }

    @Test func librariesLogAndNeverPrint() throws {
        try expectNone(of: [#"print("#], because: "libraries log") { libraries.contains($0.target) }
    }

    @Test func everyUncheckedPromiseSaysWhyItHolds() throws {
        for file in try Repository().sources {
            for (number, text) in file.code where text.contains("@unchecked Sendable") || text.contains("nonisolated(unsafe)") {
                let before = file.lines[max(0, number - 4)..<number]
                #expect(before.contains { $0.contains("//") }, "\(file.path):\(number): no comment says why this is safe")
            }
        }
    }

    private func expectNone(of banned: [String], because reason: String, where applies: (SourceFile) -> Bool = { _ in true }) throws {
        for file in try Repository().sources where applies(file) {
            for (number, text) in file.code {
                for word in banned where contains(word, in: text) {
                    Issue.record("\(file.path):\(number): \(word) — \(reason)")
                }
            }
        }
    }

    /// The word itself, and not the end of a longer one: `print(` and not `blueprint(`.
    private func contains(_ word: String, in text: String) -> Bool {
        var rest = text[...]
        while let range = rest.firstRange(of: word) {
            let before = range.lowerBound > text.startIndex ? text[text.index(before: range.lowerBound)] : " "
            if word.hasPrefix(".") || !(before.isLetter || before.isNumber || before == "_" || before == ".") { return true }
            rest = rest[range.upperBound...]
        }
        return false
    }
}
