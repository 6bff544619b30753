import CXML2

/// What a document may cost. Everything is checked while it is read: a hostile document is left at the first excess.
struct XMLLimits: Sendable {
    var bytes: Int
    var depth = 64
    var elements = 10_000
    /// In one element. In the whole document there are at most `attributesInDocument`: libxml2 before 2.12 compares each
    /// attribute of an element with all others.
    var attributes = 64
    var attributesInDocument = 20_000
    /// Of one attribute's value or one element's text.
    var textBytes = 65_536

    /// An answer over HTTP; the largest seen in the field, GetProfiles of a 64-channel recorder, has some 400 KiB.
    static let answer = XMLLimits(bytes: 1 << 20)
    /// An answer to a probe; a UDP datagram holds no more.
    static let datagram = XMLLimits(bytes: 64 << 10)
}

enum XMLReader {
    /// Reads a document from a device. Nothing outside of the bytes is ever opened: there is no entity but XML's own five,
    /// and a document type declaration ends the reading where it begins.
    /// - Throws: `ONVIFError` with a sentence that repeats nothing of the document.
    static func read(_ bytes: [UInt8], limits: XMLLimits) throws -> XMLElement {
        guard bytes.count <= limits.bytes else { throw ONVIFError(.answer, "the answer has \(bytes.count) bytes; at most \(limits.bytes) are read") }
        // One encoding: what is checked here is then what libxml2 reads. SOAP 1.2 asks for UTF-8 or UTF-16; no camera is known to send the latter.
        guard !bytes.contains(0), String(validating: bytes, as: UTF8.self) != nil else { throw ONVIFError(.answer, "the answer is not UTF-8 text") }
        var signs = 0
        for byte in bytes where byte == UInt8(ascii: "=") { signs += 1 }
        guard signs <= limits.attributesInDocument else { throw ONVIFError(.answer, "the answer has more than \(limits.attributesInDocument) attributes") }
        let builder = XMLTreeBuilder(limits: limits)
        return try XMLParser(bytes, builder).parse()
    }
}

/// Owns one libxml2 parser context over bytes that stay where they are.
private struct XMLParser: ~Copyable {
    private let context: xmlParserCtxtPtr
    private let builder: XMLTreeBuilder

    /// libxml2 wants its tables made by one thread.
    private static let isReady: Bool = {
        xmlInitParser()
        return true
    }()

    init(_ bytes: [UInt8], _ builder: XMLTreeBuilder) throws {
        guard Self.isReady, !bytes.isEmpty, let context = bytes.withUnsafeBufferPointer({ buffer in
            // Copies the bytes.
            buffer.withMemoryRebound(to: CChar.self) { xmlCreateMemoryParserCtxt($0.baseAddress, Int32($0.count)) }
        }) else { throw ONVIFError(.answer, "the answer has no content") }
        self.context = context
        self.builder = builder
    }

    deinit { xmlFreeParserCtxt(context) }

    consuming func parse() throws -> XMLElement {
        var handler = xmlSAXHandler()
        handler.initialized = cxml2_sax2_magic
        handler.internalSubset = { data, _, _, _ in builderOf(data)?.stop("the answer has a document type declaration, which no ONVIF message has") }
        handler.startElementNs = { data, name, _, namespace, _, _, count, _, attributes in
            builderOf(data)?.start(text(name), text(namespace), count: Int(count), attributes)
        }
        handler.endElementNs = { data, _, _, _ in builderOf(data)?.end() }
        handler.characters = { data, characters, count in builderOf(data)?.append(characters, Int(count)) }
        handler.cdataBlock = { data, characters, count in builderOf(data)?.append(characters, Int(count)) }
        context.pointee.sax.pointee = handler
        builder.context = context
        context.pointee.userData = Unmanaged.passUnretained(builder).toOpaque()
        let options = XML_PARSE_NONET.rawValue | XML_PARSE_NOERROR.rawValue | XML_PARSE_NOWARNING.rawValue | XML_PARSE_IGNORE_ENC.rawValue
        _ = xmlCtxtUseOptions(context, Int32(options))
        // The context points at the builder without holding it.
        let result = withExtendedLifetime(builder) { xmlParseDocument(context) }
        if let reason = builder.reason { throw ONVIFError(.answer, reason) }
        guard result == 0, context.pointee.wellFormed == 1, let root = builder.root else {
            throw ONVIFError(.answer, "the answer is no well-formed XML (line \(context.pointee.lastError.line), libxml2 error \(context.pointee.lastError.code))")
        }
        return root
    }
}

private func builderOf(_ data: UnsafeMutableRawPointer?) -> XMLTreeBuilder? {
    data.map { Unmanaged<XMLTreeBuilder>.fromOpaque($0).takeUnretainedValue() }
}

private func text(_ pointer: UnsafePointer<xmlChar>?) -> String { pointer.map { String(cString: $0) } ?? "" }

/// Makes the tree out of libxml2's calls; used by one parse, on one thread.
private final class XMLTreeBuilder {
    private let limits: XMLLimits
    var context: xmlParserCtxtPtr?
    private(set) var root: XMLElement?
    private(set) var reason: String?
    private var open: [(element: XMLElement, text: [UInt8])] = []
    private var elements = 0

    init(limits: XMLLimits) { self.limits = limits }

    func stop(_ reason: String) {
        if self.reason == nil { self.reason = reason }
        if let context { xmlStopParser(context) }
    }

    func start(_ name: String, _ namespace: String, count: Int, _ attributes: UnsafeMutablePointer<UnsafePointer<xmlChar>?>?) {
        guard reason == nil else { return }
        elements += 1
        guard elements <= limits.elements else { return stop("the answer has more than \(limits.elements) elements") }
        guard open.count < limits.depth else { return stop("the answer's elements are nested more than \(limits.depth) deep") }
        guard count <= limits.attributes else { return stop("an element of the answer has more than \(limits.attributes) attributes") }
        var element = XMLElement(namespace: namespace, name: name)
        // Five pointers each: local name, prefix, namespace, and the value's begin and end.
        for index in 0..<count {
            guard let fields = attributes?.advanced(by: index * 5), let begin = fields[3], let end = fields[4] else { continue }
            guard end - begin <= limits.textBytes else { return stop("an attribute of the answer is longer than \(limits.textBytes) bytes") }
            // Without entity substitution libxml2 hands over an ampersand as a reference, and nothing else.
            let value = String(decoding: UnsafeBufferPointer(start: begin, count: end - begin), as: UTF8.self).replacing("&#38;", with: "&")
            element.attributes.append(.init(namespace: text(fields[2]), name: text(fields[0]), value: value))
        }
        open.append((element, []))
    }

    func append(_ characters: UnsafePointer<xmlChar>?, _ count: Int) {
        guard reason == nil, let characters, !open.isEmpty else { return }
        guard open[open.count - 1].text.count + count <= limits.textBytes else { return stop("an element of the answer has more than \(limits.textBytes) bytes of text") }
        open[open.count - 1].text += UnsafeBufferPointer(start: characters, count: count)
    }

    func end() {
        guard reason == nil, let (opened, text) = open.popLast() else { return }
        var element = opened
        func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || (0x09...0x0D).contains(byte) }
        element.text = String(decoding: Array(text.drop(while: isSpace).reversed().drop(while: isSpace).reversed()), as: UTF8.self)
        if open.isEmpty { root = element } else { open[open.count - 1].element.children.append(element) }
    }
}
