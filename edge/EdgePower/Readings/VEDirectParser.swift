/// What a VE.Direct device said in one text block whose checksum held.
package struct VEDirectBlock: Equatable, Sendable {
    /// By label, as sent: numbers in the protocol's own units.
    package var fields: [String: String]
    package func integer(_ label: String) -> Int? { fields[label].flatMap { Int($0) } }
}

/// A register that a device told by itself or when asked, in a HEX frame whose checksum held.
package struct VEDirectRegister: Equatable, Sendable {
    package var number: UInt16
    package var flags: UInt8
    /// Little-endian, as sent.
    package var value: [UInt8]
}

/// Takes the bytes of a VE.Direct line one by one: text blocks, and the HEX frames (`:…\n`) that come between or within them.
///
/// A text block is lines of CR LF, label, TAB, value; its last is `Checksum`, TAB and one byte of any value. All its bytes sum to
/// 0 modulo 256, HEX frames not counted. A HEX frame's digits, taken as the command's digit and then bytes, sum to 0x55.
/// (Victron, "VE.Direct Protocol", version 3.34, and "BlueSolar HEX protocol".)
/// Memory is bounded: what is longer than the limits spoils its block and is not kept.
package struct VEDirectParser: Sendable {
    package enum Output: Equatable, Sendable {
        case block(VEDirectBlock)
        case register(VEDirectRegister)
    }

    package struct Counts: Equatable, Sendable {
        package var blocks = 0
        package var rejectedBlocks = 0
        package var frames = 0
        package var rejectedFrames = 0
    }

    /// The protocol says 9, 33 and 22; newer devices send more fields.
    static let labelBytesMax = 16
    static let valueBytesMax = 48
    static let fieldsMax = 48
    static let blockBytesMax = 2_048
    static let frameDigitsMax = 160
    /// Between blocks a line is silent for most of a second, within one never as long as this.
    package static let silenceMilliseconds: Int64 = 500

    private enum Place { case outside, label, value, checksum }

    private var place = Place.outside
    private var isInFrame = false
    private var label: [UInt8] = []
    private var value: [UInt8] = []
    private var digits: [UInt8] = []
    private var fields: [String: String] = [:]
    private var sum: UInt8 = 0
    private var blockBytes = 0
    /// Something within the block broke the rules: it is rejected whatever its sum.
    private var isSpoilt = false
    package private(set) var counts = Counts()

    package init() {}

    /// After silence: what was begun will not go on.
    package mutating func reset() {
        if blockBytes > 0 { counts.rejectedBlocks += 1 }
        if isInFrame { counts.rejectedFrames += 1 }
        isInFrame = false
        digits.removeAll(keepingCapacity: true)
        beginBlock()
    }

    package mutating func take(_ bytes: some Sequence<UInt8>) -> [Output] {
        var outputs: [Output] = []
        for byte in bytes {
            if let output = take(byte) { outputs.append(output) }
        }
        return outputs
    }

    private mutating func take(_ byte: UInt8) -> Output? {
        if isInFrame { return takeDigit(byte) }
        // The checksum byte may be a colon and begins no frame then.
        if byte == UInt8(ascii: ":"), place != .checksum {
            isInFrame = true
            return nil
        }
        // A block begins with CR: a line that is taken up in the middle of one could sum to 0 by chance.
        if blockBytes == 0, byte != 0x0D { isSpoilt = true }
        sum &+= byte
        blockBytes += 1
        if blockBytes > Self.blockBytesMax, place != .checksum { return rejectLongBlock() }
        switch place {
        case .outside: if byte == 0x0A { beginLine() }
        case .label: takeLabel(byte)
        case .value: takeValue(byte)
        case .checksum: return endBlock()
        }
        return nil
    }

    private mutating func beginLine() {
        place = .label
        label.removeAll(keepingCapacity: true)
        value.removeAll(keepingCapacity: true)
    }

    private mutating func takeLabel(_ byte: UInt8) {
        switch byte {
        case 0x09: place = label.elementsEqual("Checksum".utf8) ? .checksum : .value
        case 0x0A:
            isSpoilt = true
            beginLine()
        case 0x21...0x7E where label.count < Self.labelBytesMax: label.append(byte)
        case 0x0D where label.isEmpty: place = .outside
        default: isSpoilt = true
        }
    }

    private mutating func takeValue(_ byte: UInt8) {
        switch byte {
        case 0x0A:
            keepField()
            beginLine()
        case 0x0D: break
        case 0x20...0x7E where value.count < Self.valueBytesMax: value.append(byte)
        default: isSpoilt = true
        }
    }

    private mutating func keepField() {
        let name = String(decoding: label, as: UTF8.self)
        guard !name.isEmpty, fields.count < Self.fieldsMax, fields[name] == nil else {
            isSpoilt = true
            return
        }
        fields[name] = String(decoding: value, as: UTF8.self)
    }

    private mutating func endBlock() -> Output? {
        defer { beginBlock() }
        guard sum == 0, !isSpoilt else {
            counts.rejectedBlocks += 1
            return nil
        }
        counts.blocks += 1
        return .block(VEDirectBlock(fields: fields))
    }

    private mutating func rejectLongBlock() -> Output? {
        counts.rejectedBlocks += 1
        beginBlock()
        return nil
    }

    private mutating func beginBlock() {
        place = .outside
        sum = 0
        blockBytes = 0
        isSpoilt = false
        fields.removeAll(keepingCapacity: true)
    }

    private mutating func takeDigit(_ byte: UInt8) -> Output? {
        if byte == 0x0A {
            isInFrame = false
            defer { digits.removeAll(keepingCapacity: true) }
            guard let frame = VEDirectFrame(digits: digits) else {
                counts.rejectedFrames += 1
                return nil
            }
            counts.frames += 1
            return frame.register.map { .register($0) }
        }
        if hexDigit(byte) != nil, digits.count < Self.frameDigitsMax {
            digits.append(byte)
        } else {
            // A colon out of a broken text: the block that it stands in has lost bytes.
            isInFrame = false
            digits.removeAll(keepingCapacity: true)
            counts.rejectedFrames += 1
            isSpoilt = true
        }
        return nil
    }
}

/// A HEX frame without its colon and line feed.
struct VEDirectFrame {
    var command: UInt8
    var payload: [UInt8]

    /// Nil where the digits are no whole bytes or the checksum does not hold.
    init?(digits: [UInt8]) {
        guard digits.count >= 3, digits.count % 2 == 1, let command = digits.first.flatMap(hexDigit) else { return nil }
        var bytes: [UInt8] = []
        for index in stride(from: 1, to: digits.count, by: 2) {
            guard let high = hexDigit(digits[index]), let low = hexDigit(digits[index + 1]) else { return nil }
            bytes.append(high << 4 | low)
        }
        guard bytes.reduce(command, &+) == 0x55 else { return nil }
        self.command = command
        payload = Array(bytes.dropLast())
    }

    /// Commands that carry a register: 7, the answer to a question, and A, told without being asked.
    var register: VEDirectRegister? {
        guard command == 0x7 || command == 0xA, payload.count >= 4 else { return nil }
        return VEDirectRegister(number: UInt16(payload[0]) | UInt16(payload[1]) << 8, flags: payload[2], value: Array(payload.dropFirst(3)))
    }
}

private func hexDigit(_ byte: UInt8) -> UInt8? {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
    case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
    default: nil
    }
}
