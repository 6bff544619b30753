import Foundation
import TestSupport

/// The files of this repository as git sees them: what is tracked, and what a commit would add.
struct Repository {
    static let root = URL(fileURLWithPath: #filePath).resolvingSymlinksInPath()
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent().path

    let paths: [String]

    init() throws {
        let listing = try runBlocking("/usr/bin/env", ["git", "-C", Self.root, "ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        paths = listing.output.split(separator: "\0").map(String.init)
            .filter { FileManager.default.fileExists(atPath: Self.root + "/" + $0) }
    }

    /// Swift sources of the product: everything but Package.swift and tests.
    var sources: [SourceFile] {
        get throws {
            try files { !$0.hasPrefix("Tests/") }
        }
    }

    var tests: [SourceFile] {
        get throws {
            try files { $0.hasPrefix("Tests/") }
        }
    }

    private func files(_ isIncluded: (String) -> Bool) throws -> [SourceFile] {
        try paths.filter { $0.hasSuffix(".swift") && $0.contains("/") && isIncluded($0) }.sorted().map { path in
            SourceFile(path: path, text: try String(contentsOfFile: Self.root + "/" + path, encoding: .utf8))
        }
    }
}

struct SourceFile {
    let path: String
    let lines: [String]

    init(path: String, text: String) {
        self.path = path
        lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
    }

    var lineCount: Int { lines.last == "" ? lines.count - 1 : lines.count }

    /// Sources, edge, hub or Tests.
    var folder: String { String(path.split(separator: "/")[0]) }
    var target: String { String(path.split(separator: "/")[1]) }

    /// The lines without what stands in comments and in string literals, so that a rule judges code only.
    var code: [(number: Int, text: String)] {
        var isInMultilineString = false
        return lines.enumerated().map { index, line in
            var text = ""
            for (number, part) in line.components(separatedBy: "\"\"\"").enumerated() {
                if number > 0 { isInMultilineString.toggle() }
                if !isInMultilineString { text += Self.withoutStringsAndComment(part) }
            }
            return (index + 1, text)
        }
    }

    private static func withoutStringsAndComment(_ line: String) -> String {
        var result = ""
        var isInString = false
        var previous: Character = " "
        for character in line {
            if character == "\"" && previous != "\\" {
                isInString.toggle()
            } else if !isInString {
                if character == "/" && previous == "/" {
                    result.removeLast()
                    break
                }
                result.append(character)
            }
            previous = character == "\\" && previous == "\\" ? " " : character
        }
        return result
    }

    var imports: [(number: Int, module: String)] {
        code.compactMap { number, text in
            guard let match = text.firstMatch(of: importLine) else { return nil }
            return (number, String(match.output.1))
        }
    }
}

// Regex is not Sendable; this one is never changed.
nonisolated(unsafe) private let importLine =
    #/^\s*(?:@\w+(?:\([^)]*\))?\s+)*(?:(?:public|package|internal|fileprivate|private)\s+)?import\s+(?:(?:struct|class|enum|protocol|func|var|let|typealias)\s+)?([A-Za-z_]\w*)/#
