/// One element of a document that was read by `XMLReader`, with everything below it. A plain value: no document, no parent.
struct XMLElement: Sendable, Hashable {
    struct Attribute: Sendable, Hashable {
        /// Empty for an attribute without a prefix.
        var namespace: String
        var name: String
        var value: String
    }

    /// The namespace's name, empty without one.
    var namespace: String
    /// The local name.
    var name: String
    var attributes: [Attribute] = []
    /// The character data directly in this element, trimmed of white space at both ends.
    var text = ""
    var children: [XMLElement] = []

    /// The first child of this local name. Cameras disagree about namespaces more often than about names, so that
    /// only names are compared; what is read stands at a fixed place of a fixed message.
    func child(_ name: String) -> XMLElement? { children.first { $0.name == name } }

    func children(_ name: String) -> [XMLElement] { children.filter { $0.name == name } }

    /// The element below by local names, such as `at("Body", "Fault")`.
    func at(_ path: String...) -> XMLElement? {
        var element = self
        for name in path {
            guard let next = element.child(name) else { return nil }
            element = next
        }
        return element
    }

    func attribute(_ name: String) -> String? { attributes.first { $0.name == name }?.value }

    /// The first element of this local name at any depth, itself included, in the document's order.
    func first(_ name: String) -> XMLElement? {
        if self.name == name { return self }
        for child in children { if let found = child.first(name) { return found } }
        return nil
    }

    /// Every element of this local name at any depth, itself included, in the document's order.
    func all(_ name: String) -> [XMLElement] { (self.name == name ? [self] : []) + children.flatMap { $0.all(name) } }

    /// The element as a document of its own, every namespace declared where it is used: what a device asks to have sent
    /// back (reference parameters of WS-Addressing).
    var serialized: String {
        let attributes = attributes.enumerated().map { index, attribute in
            attribute.namespace.isEmpty
                ? " \(attribute.name)=\"\(XMLText.escaped(attribute.value))\""
                : " xmlns:a\(index)=\"\(XMLText.escaped(attribute.namespace))\" a\(index):\(attribute.name)=\"\(XMLText.escaped(attribute.value))\""
        }.joined()
        let start = namespace.isEmpty ? "\(name) xmlns=\"\"" : "\(name) xmlns=\"\(XMLText.escaped(namespace))\""
        return "<\(start)\(attributes)>\(XMLText.escaped(text))\(children.map(\.serialized).joined())</\(name)>"
    }
}

enum XMLText {
    /// Text as character data or a quoted attribute value. Control characters that XML 1.0 cannot carry are left out.
    static func escaped(_ text: String) -> String {
        text.unicodeScalars.map { scalar in
            switch scalar {
            case "&": "&amp;"
            case "<": "&lt;"
            case ">": "&gt;"
            case "\"": "&quot;"
            case "'": "&apos;"
            case "\t", "\n", "\r": "&#\(scalar.value);"
            default: scalar.value < 0x20 || scalar.value == 0xFFFE || scalar.value == 0xFFFF ? "" : String(scalar)
            }
        }.joined()
    }
}
