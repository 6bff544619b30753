import EvidenceLog
import FoundationEssentials
import RecordingModel
import Zstd

/// A message that both sides have, against which the next one is compressed: what has not changed costs nothing.
package struct MessageReference: Hashable, Sendable {
    /// Longer messages are not kept.
    package static let byteLimit = 16 << 10
    package let plain: [UInt8]
    /// The first 8 bytes of the SHA-256; never `none`.
    package let tag: UInt64
    package static let none: UInt64 = 0

    /// Nil for a message that is too long to be kept.
    package init?(_ plain: [UInt8]) {
        guard plain.count <= Self.byteLimit else { return nil }
        self.plain = plain
        tag = max(1, ContentHash.sha256(plain).bytes.prefix(8).reduce(0) { $0 << 8 | UInt64($1) })
    }
}

/// The body of a hello and of its answer, from version 2 of the protocol on: the tag of the message that it is compressed
/// against (8 bytes, big-endian), the tag of the newest answer that the sender has (8), then a zstd frame.
package struct ReferencedMessage: Hashable, Sendable {
    package var reference: UInt64
    package var newestAnswer: UInt64
    private var frame: [UInt8]

    /// - Parameter dictionary: one that the other side has: in the reference's place where that makes it smaller.
    package init(_ plain: [UInt8], against reference: MessageReference?, newestAnswer: MessageReference? = nil, orWith dictionary: ZstdDictionary? = nil) throws {
        self.reference = reference?.tag ?? MessageReference.none
        self.newestAnswer = newestAnswer?.tag ?? MessageReference.none
        var compressor = try ZstdCompressor(dictionary: reference?.plain ?? [])
        frame = try compressor.compress(plain, level: 19)
        guard let dictionary else { return }
        let other = try MessageCoding.compress(plain, with: dictionary)
        if other.count < frame.count { (self.reference, frame) = (MessageReference.none, other) }
    }

    /// Nil for what is too short to be one.
    package init?(encoded bytes: [UInt8]) {
        var reader = ByteReader(bytes[...])
        guard let reference = reader.integer(8), let newest = reader.integer(8) else { return nil }
        (self.reference, newestAnswer, frame) = (reference, newest, Array(reader.rest))
    }

    package var encoded: [UInt8] {
        withUnsafeBytes(of: reference.bigEndian) { Array($0) } + withUnsafeBytes(of: newestAnswer.bigEndian) { Array($0) } + frame
    }

    /// - Parameter reference: the message whose tag this one names; nil when it names none
    package func plain(against reference: MessageReference?, knowing dictionaries: SharedDictionaries = .shipped) throws -> [UInt8] {
        guard let reference else { return try MessageCoding.decompress(frame, limitBytes: MessageCoding.plainByteLimit, knowing: dictionaries) }
        var decompressor = try ZstdDecompressor(dictionary: reference.plain)
        return try decompressor.decompress(frame, limitBytes: MessageCoding.plainByteLimit, ratioLimit: nil)
    }
}

/// An answer to a hello as version 2 writes it: the statement not as its signed bytes in base64, but in parts that compress, from
/// which the other side makes the same bytes again. Where it did not, the signature would not hold.
private struct ReferencedReply: Codable {
    struct Held: Codable {
        var stream: StreamID
        var ranges: String
    }
    var reply: HelloReply
    var statement: HoldingsStatement
    var held: [Held]

    init(_ reply: HelloReply) throws {
        statement = try MessageCoding.decode(HoldingsStatement.self, json: Array(reply.statement.bytes))
        held = statement.held.map { Held(stream: $0.stream, ranges: Self.steps($0.sequences)) }
        statement.held = []
        self.reply = reply
        self.reply.statement = SignedStatement(bytes: Data(), signature: reply.statement.signature)
    }

    func whole() throws -> HelloReply {
        var (reply, statement) = (reply, statement)
        statement.held = try held.map { StreamHoldings(stream: $0.stream, sequences: try Self.sequences($0.ranges)) }
        reply.statement = SignedStatement(bytes: Data(try MessageCoding.json(statement)), signature: reply.statement.signature)
        return reply
    }

    /// Lengths of holes and ranges in turn, from 0 on: a number is a range, `_` and a number the hole before it; a hole of one is
    /// `,` alone. A hundred holes are half as long as their bounds.
    static func steps(_ sequences: SequenceRanges) -> String {
        var text = ""
        var next: UInt64 = 0
        for range in sequences.ranges {
            let hole = range.lowerBound - next
            text += hole == 1 && !text.isEmpty ? "," : "_\(hole)+"
            text += "\(range.upperBound - range.lowerBound)"
            next = range.upperBound == .max ? .max : range.upperBound + 1
        }
        return text
    }

    static func sequences(_ text: String) throws -> SequenceRanges {
        var sequences = SequenceRanges()
        var next: UInt64 = 0
        var rest = text[...]
        func number() throws -> UInt64 {
            let digits = rest.prefix { $0.isASCII && $0.isNumber }
            rest = rest.dropFirst(digits.count)
            guard let value = UInt64(digits) else { throw SyncFault.unexpectedAnswer }
            return value
        }
        while let mark = rest.first {
            rest = rest.dropFirst()
            var hole: UInt64 = 1
            if mark == "_" {
                hole = try number()
                guard rest.first == "+" else { throw SyncFault.unexpectedAnswer }
                rest = rest.dropFirst()
            } else if mark != "," {
                throw SyncFault.unexpectedAnswer
            }
            let length = try number()
            let (low, isOver) = next.addingReportingOverflow(hole)
            let (high, isTooLong) = low.addingReportingOverflow(length)
            guard !isOver, !isTooLong, high < .max, sequences.ranges.count < SequenceRanges.rangeLimit else { throw SyncFault.unexpectedAnswer }
            sequences.insert(low...high)
            next = high + 1
        }
        return sequences
    }
}

extension MessageReference {
    /// What both sides can make before either has said a word: a hello and an answer as they often are, between these two.
    static func template(_ node: NodeID, _ hub: HubID) -> MessageReference? {
        let wall = WallEstimate(unixMilliseconds: 1_790_000_000_000, source: .ntp, uncertaintyMilliseconds: 20)
        guard let log = LogID(String(repeating: "0", count: 32)), let stream = StreamID("camera/main") else { return nil }
        let cameras = [CameraHealth.State.recording, .standby, .connecting].map {
            CameraHealth(camera: stream.camera, state: $0, sinceBootMilliseconds: 0, packets: 0, drops: 0, bytes: 0, connects: 1)
        }
        let request = HelloRequest(
            session: 1_790_000_000_000,
            status: NodeStatus(
                software: "", site: "", bootID: "", uptimeMilliseconds: 0, clock: wall, disk: .init(totalBytes: 0, availableBytes: 0), cameras: cameras),
            log: log, logSize: 0, checkpoint: nil, holdings: [StreamHoldings(stream: stream, sequences: SequenceRanges(closed: 0...9))], backlog: Backlog(),
            statementLogSize: 0, statementGeneration: 1)
        let statement = HoldingsStatement(
            hub: hub, generation: 1, node: node, log: log, logSize: 0, logRoot: MerkleTree.emptyRoot, held: request.holdings, level: .stored,
            issuedUnixMilliseconds: wall.unixMilliseconds)
        guard let hello = try? MessageCoding.json(request), let bytes = try? MessageCoding.json(statement),
            let reply = try? ReferencedReply(
                HelloReply(
                    version: ProtocolVersion.supported[0], hubUnixMilliseconds: wall.unixMilliseconds, logSize: 0, logRoot: MerkleTree.emptyRoot,
                    statement: SignedStatement(bytes: Data(bytes), signature: Data()), partials: [], grant: Grant(bytes: 256 << 20, seconds: 30))),
            let answer = try? MessageCoding.json(reply)
        else { return nil }
        // What a checkpoint begins with, as JSON has it.
        let note = #""checkpoint":"\#(log.origin)\n0\n"#
        return MessageReference(Array(note.utf8) + answer + hello)
    }
}

/// What a node remembers of its last hello.
package struct NodeHelloMemory: Sendable {
    package struct Message: Hashable, Sendable {
        package var type: String
        package var body: [UInt8]
    }
    /// The newest version that the hub is taken to speak. After a refusal version 1 is spoken until it has answered.
    private var hubVersion = ProtocolVersion.supported[0]
    private let template: MessageReference?
    private var answered: MessageReference?
    private var newestAnswer: MessageReference?
    /// Sent and not answered, oldest first, with the version spoken. As many as there may be unanswered requests.
    private var sent: [(version: Int, reference: MessageReference?)] = []
    package let dictionaries: SharedDictionaries
    /// The one that the hub's newest answer named; nil before the first, and after a refusal.
    package private(set) var dictionary: ZstdDictionary?
    package var dictionaryID: UInt32? { dictionary?.id }

    package init(node: NodeID, hub: HubID, dictionaries: SharedDictionaries = .shipped) {
        template = .template(node, hub)
        self.dictionaries = dictionaries
    }

    package mutating func encode(_ request: HelloRequest) throws -> Message {
        let plain = try MessageCoding.json(request)
        let version = hubVersion
        sent.append((version, MessageReference(plain)))
        guard version > 1 else { return Message(type: SyncRoutes.messageType, body: try MessageCoding.compress(plain)) }
        // What the hub has of this node is better than any dictionary; the template is not.
        let body = try ReferencedMessage(plain, against: answered ?? template, newestAnswer: newestAnswer ?? template, orWith: answered == nil ? dictionary : nil)
        return Message(type: SyncRoutes.referencedType, body: body.encoded)
    }

    /// The answer to the oldest hello that has none.
    /// - Throws: `SyncFault.unexpectedAnswer` when no hello was sent, and whatever decoding finds.
    package mutating func decode(_ body: [UInt8]) throws -> HelloReply {
        guard !sent.isEmpty else { throw SyncFault.unexpectedAnswer }
        let (version, request) = sent.removeFirst()
        let plain: [UInt8]
        if version > 1 {
            guard let message = ReferencedMessage(encoded: body) else { throw SyncFault.unexpectedAnswer }
            let reference = [newestAnswer, template].compactMap(\.self).first { $0.tag == message.reference }
            guard reference != nil || message.reference == MessageReference.none else { throw SyncFault.unexpectedAnswer }
            plain = try message.plain(against: reference, knowing: dictionaries)
        } else {
            plain = try MessageCoding.decompress(body, limitBytes: MessageCoding.plainByteLimit, knowing: dictionaries)
        }
        let reply = version > 1 ? try MessageCoding.decode(ReferencedReply.self, json: plain).whole() : try MessageCoding.decode(HelloReply.self, json: plain)
        hubVersion = reply.version
        if version > 1 { newestAnswer = MessageReference(plain) }
        answered = reply.version > 1 ? request : nil
        dictionary = reply.dictionary.flatMap { dictionaries[$0] }
        return reply
    }

    /// The connection ended; what was answered stays known.
    package mutating func disconnected() { sent = [] }

    /// The hub refused: it may be another than it was.
    package mutating func forget() { (hubVersion, answered, newestAnswer, sent, dictionary) = (1, nil, nil, [], nil) }
}

/// What a hub remembers of one node's hellos. Two of each: when an answer is lost, the node goes on from the one before.
package struct HubHelloMemory: Sendable {
    private var hellos: [MessageReference] = []
    private var answers: [MessageReference] = []
    private let template: MessageReference?
    private let dictionaries: SharedDictionaries
    /// The newest that the node named in its last hello and that is here too.
    package private(set) var dictionary: ZstdDictionary?
    package var dictionaryID: UInt32? { dictionary?.id }

    package init(node: NodeID, hub: HubID, dictionaries: SharedDictionaries = .shipped) {
        template = .template(node, hub)
        self.dictionaries = dictionaries
    }

    /// The message and the answer that its sender has, where it is known here.
    /// - Throws: `Problem` 412 when it is compressed against a message or with a dictionary that is not known here; the node begins
    ///   anew then.
    package mutating func decode(_ body: [UInt8]) throws -> (request: HelloRequest, newestAnswer: MessageReference?) {
        guard let message = ReferencedMessage(encoded: body) else { throw Problem(status: 400, title: "The message cannot be read.", field: "body") }
        let reference = (hellos + [template].compactMap(\.self)).first { $0.tag == message.reference }
        guard reference != nil || message.reference == MessageReference.none else {
            throw Problem(status: 412, title: "The hub does not have the message that this one is compressed against.", field: "reference")
        }
        let plain: [UInt8]
        do { plain = try message.plain(against: reference, knowing: dictionaries) } catch SyncFault.unknownDictionary(let id) { throw Problem.unknownDictionary(id) }
        let request = try MessageCoding.decode(HelloRequest.self, json: plain)
        hellos = [MessageReference(plain), reference].compactMap(\.self)
        dictionary = dictionaries.common(with: request.dictionaries)
        return (request, (answers + [template].compactMap(\.self)).first { $0.tag == message.newestAnswer })
    }

    /// A hello that came in the form of version 1.
    package mutating func take(compressed body: [UInt8]) throws -> HelloRequest {
        let plain = try MessageCoding.decompress(body, limitBytes: MessageCoding.plainByteLimit)
        hellos = [MessageReference(plain)].compactMap(\.self)
        let request = try MessageCoding.decode(HelloRequest.self, json: plain)
        dictionary = dictionaries.common(with: request.dictionaries)
        return request
    }

    package mutating func encode(_ reply: HelloReply, newestAnswer: MessageReference?) throws -> [UInt8] {
        let plain = try MessageCoding.json(try ReferencedReply(reply))
        answers = [MessageReference(plain), newestAnswer].compactMap(\.self)
        return try ReferencedMessage(plain, against: newestAnswer, orWith: newestAnswer == template ? dictionary : nil).encoded
    }
}
