import Yams

/// Reads YAML strictly: what a program does not know is refused, not passed over. Problems are collected, so that
/// one run shows all of them. Anchors, aliases, merge keys and a second document are refused too: in a configuration
/// they hide more than they save.
///
///     let settings = try StrictYAML.decode(bytes, file: "edge.yaml") { root -> Settings? in
///         let seconds = root.optional("segment_seconds", .integer(2...600)) ?? 60
///         let cameras = root.list("cameras", 1...64) { $0.mapping { item in item.required("id", .text) } }
///         guard let cameras else { return nil }
///         return Settings(seconds: seconds, cameras: cameras)
///     }
package enum StrictYAML {
    package static let fileBytesMax = 1 << 20

    /// - Parameters:
    ///   - bytes: the file.
    ///   - file: its name for messages.
    ///   - read: takes what it needs from the root mapping. It asks for **every** key it knows, also after a
    ///     failure, since the keys asked for are the ones accepted; it returns nil only where something it asked
    ///     for was refused.
    /// - Throws: `ConfigurationError` with all problems, if there are any.
    package static func decode<Value>(_ bytes: some Collection<UInt8>, file: String, _ read: (StrictMapping) -> Value?) throws -> Value {
        let problems = ProblemList()
        var value: Value?
        if let (parser, root) = parse(bytes, problems) {
            // Nodes hold their anchors weakly; the parser keeps them, so that they can be seen and refused.
            value = withExtendedLifetime(parser) { StrictMapping.reading(root, path: "", problems, read) }
        }
        guard problems.isEmpty, let value else {
            if problems.isEmpty { problems.add(path: "", at: nil, "something required is missing") }
            throw ConfigurationError(file: file, problems: problems.all)
        }
        return value
    }

    private static func parse(_ bytes: some Collection<UInt8>, _ problems: ProblemList) -> (Parser, Node)? {
        guard bytes.count <= fileBytesMax else {
            problems.add(path: "", at: nil, "the file is larger than \(fileBytesMax) bytes")
            return nil
        }
        guard var text = String(validating: bytes, as: UTF8.self) else {
            problems.add(path: "", at: nil, "the file is not UTF-8 text")
            return nil
        }
        while true {
            do {
                let parser = try Parser(yaml: text)
                return (parser, try parser.singleRoot() ?? .mapping([:]))
            } catch YamlError.duplicatedKeysInMapping(let names, let context) {
                guard let renamed = problems.duplicates.rename(names, at: context.mark, in: text) else {
                    problems.add(path: "", at: context.mark, "duplicate key; each key of a section may be given once")
                    return nil
                }
                text = renamed
            } catch YamlError.scanner(_, let problem, let mark, _), YamlError.parser(_, let problem, let mark, _), YamlError.composer(_, let problem, let mark, _) {
                // Yams's own description quotes the line, which may hold a password.
                problems.add(path: "", at: mark, "not valid YAML: \(problem)")
            } catch YamlError.reader(let problem, _, _, _) {
                problems.add(path: "", at: nil, "not valid YAML: \(problem)")
            } catch {
                problems.add(path: "", at: nil, "not valid YAML")
            }
            if !problems.isEmpty { return nil }
        }
    }
}

/// The problems of one file, shared by everything that reads from it.
final class ProblemList {
    private(set) var all: [ConfigurationProblem] = []
    let duplicates = DuplicateKeys()
    var isEmpty: Bool { all.isEmpty }

    func add(path: String, at mark: Mark?, _ text: String) {
        let problem = ConfigurationProblem(path: path, line: mark?.line ?? 0, column: mark?.column ?? 0, text: text)
        if !all.contains(problem) { all.append(problem) }
    }
}
