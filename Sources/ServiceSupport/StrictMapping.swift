import Yams

/// A section of a configuration file, while it is read. Every key asked for becomes an accepted one; when the
/// reading closure is done, every other key is refused.
package final class StrictMapping {
    let path: String
    private let mark: Mark?
    private let problems: ProblemList
    private var entries: [String: (key: Node, value: Node)] = [:]
    private var asked: Set<String> = []

    private init(_ mapping: Node.Mapping, path: String, _ problems: ProblemList) {
        self.path = path
        self.problems = problems
        mark = mapping.mark
        for (key, value) in mapping {
            guard let text = key.scalar.map({ problems.duplicates.original(of: $0.string) }), key.anchor == nil else {
                problems.add(path: path, at: key.mark, "a key must be plain text")
                continue
            }
            if let first = entries[text] {
                let line = first.key.mark?.line ?? 0
                problems.add(path: childPath(text), at: key.mark, "duplicate key, first given on line \(line); each key of a section may be given once")
            } else {
                entries[text] = (key, value)
            }
        }
    }

    /// Reads a node that must be a mapping. A section with nothing in it (all its lines commented out) is an empty one.
    static func reading<Value>(_ node: Node, path: String, _ problems: ProblemList, _ read: (StrictMapping) -> Value?) -> Value? {
        let mapping: Node.Mapping
        switch node {
        case .mapping(let found): mapping = found
        case .scalar where StrictNode.isNull(node): mapping = Self.empty(at: node.mark)
        default:
            problems.add(path: path, at: node.mark, "expected a section of keys, found \(StrictNode.kind(of: node))")
            return nil
        }
        guard node.anchor == nil else {
            problems.add(path: path, at: node.mark, "anchors and aliases are not accepted")
            return nil
        }
        let section = StrictMapping(mapping, path: path, problems)
        let value = read(section)
        section.refuseUnknownKeys()
        return value
    }

    /// The value of a key that must be there; nil when it was refused or is missing, which is then on record.
    package func required<Value>(_ key: String, _ type: StrictType<Value>) -> Value? {
        guard has(key) else {
            problems.add(path: childPath(key), at: mark, "missing; expected \(type.expectation)")
            return nil
        }
        return optional(key, type)
    }

    /// The value of a key that may be there; nil when it is not, or was refused.
    package func optional<Value>(_ key: String, _ type: StrictType<Value>) -> Value? {
        node(key)?.value(type)
    }

    /// A section within this one; a missing one is read as empty, so that its defaults stand in one place.
    package func section<Value>(_ key: String, _ read: (StrictMapping) -> Value?) -> Value? {
        (node(key) ?? StrictNode(.mapping(Self.empty(at: mark)), path: childPath(key), problems)).mapping(read)
    }

    /// A list. A missing one counts as empty, which the accepted count may forbid. An item that was refused is left
    /// out; the file as a whole is refused anyway.
    package func list<Value>(_ key: String, _ count: ClosedRange<Int>, _ read: (StrictNode) -> Value?) -> [Value] {
        let expectation = "expected a list of \(count.lowerBound) to \(count.upperBound) items"
        guard let node = node(key) else {
            if count.lowerBound > 0 { problems.add(path: childPath(key), at: mark, "missing; \(expectation)") }
            return []
        }
        guard let items = node.items(expectation) else { return [] }
        if !count.contains(items.count) { node.refuse("\(items.count) items; \(expectation)") }
        return items.prefix(count.upperBound).compactMap(read)
    }

    /// The value of a key whatever its kind, for what may be a word or a section; nil when it is not there.
    package func node(_ key: String) -> StrictNode? {
        guard has(key), let value = entries[key]?.value else { return nil }
        return StrictNode(value, path: childPath(key), problems)
    }

    /// Whether the key is given; asking makes it an accepted one.
    package func has(_ key: String) -> Bool {
        asked.insert(key)
        return entries[key] != nil
    }

    /// Puts a problem of a key on record, where only the reader can see it (two values that contradict each other).
    package func refuse(_ key: String, _ text: String) {
        problems.add(path: childPath(key), at: entries[key]?.value.mark ?? mark, text)
    }

    static func empty(at mark: Mark?) -> Node.Mapping {
        var mapping: Node.Mapping = [:]
        mapping.mark = mark
        return mapping
    }

    private func refuseUnknownKeys() {
        let accepted = asked.sorted().joined(separator: ", ")
        for (name, entry) in entries where !asked.contains(name) {
            problems.add(path: childPath(name), at: entry.key.mark, "unknown key; accepted here: \(accepted)")
        }
    }

    private func childPath(_ key: String) -> String {
        let name = OutputTable.printable(String(key.prefix(64)))
        return path.isEmpty ? name : "\(path).\(name)"
    }
}

/// One value of a configuration file, of any kind, while it is read.
package struct StrictNode {
    package let path: String
    private let node: Node
    private let problems: ProblemList

    init(_ node: Node, path: String, _ problems: ProblemList) {
        self.node = node
        self.path = path
        self.problems = problems
    }

    package var isSection: Bool { node.mapping != nil }

    package func refuse(_ text: String) { problems.add(path: path, at: node.mark, text) }

    package func value<Value>(_ type: StrictType<Value>) -> Value? {
        guard node.anchor == nil else {
            refuse("anchors and aliases are not accepted")
            return nil
        }
        guard case .scalar(let scalar) = node, !Self.isNull(node) else {
            refuse("expected \(type.expectation), found \(Self.kind(of: node))")
            return nil
        }
        switch type.parse(scalar.string, scalar.style == .plain || scalar.style == .any) {
        case .success(let value): return value
        case .failure(let refusal):
            refuse(refusal.text)
            return nil
        }
    }

    package func mapping<Value>(_ read: (StrictMapping) -> Value?) -> Value? {
        StrictMapping.reading(node, path: path, problems, read)
    }

    func items(_ expectation: String) -> [StrictNode]? {
        guard node.anchor == nil else {
            refuse("anchors and aliases are not accepted")
            return nil
        }
        if Self.isNull(node) { return [] }
        guard let sequence = node.sequence else {
            refuse("\(expectation), found \(Self.kind(of: node))")
            return nil
        }
        return sequence.enumerated().map { StrictNode($0.element, path: "\(path)[\($0.offset)]", problems) }
    }

    static func isNull(_ node: Node) -> Bool {
        guard case .scalar(let scalar) = node, scalar.style == .plain || scalar.style == .any else { return false }
        return ["", "~", "null", "Null", "NULL"].contains(scalar.string)
    }

    static func kind(of node: Node) -> String {
        switch node {
        case .mapping: "a section"
        case .sequence: "a list"
        case .alias: "an alias"
        case .scalar(let scalar):
            if isNull(node) { "nothing" } else if scalar.style != .plain && scalar.style != .any { "quoted text" } else { "text" }
        }
    }
}
