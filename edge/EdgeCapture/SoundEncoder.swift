import LibAV
import RecordingModel

/// Telephone sound (G.711), made into AAC, since no browser plays it in MP4. Gaps in the sound become silence, so that
/// it stays beside the picture.
final class SoundEncoder {
    /// A difference between sample count and timestamps that nobody hears; beyond it the timestamps win.
    private static let toleranceMilliseconds: Int64 = 30
    /// A longer gap begins anew instead of being filled with silence.
    private static let silenceSeconds: Int64 = 2
    /// Good for speech, and FFmpeg takes no more at 8 kHz than it needs.
    private static let bitsPerSecond = 32_000

    let timeBase: Rational
    /// What the segment's entry says of it.
    let record: EncodedSound
    var parameters: CodecParameters { encoder.parameters }
    private let source: Rational
    private let samplesPerSecond: Int64
    private let levels: [Float]
    private var encoder: AudioEncoder
    private let output: Packet
    private var frame: [Float] = []
    /// Of the next sample to come, in samples on the source's clock; nil before the first.
    private var nextTime: Int64?

    init(_ stream: StreamDescription) throws(LibAVError) {
        let rate = stream.parameters.sampleRateHertz
        source = stream.timeBase
        timeBase = Rational(1, Int32(clamping: rate))
        samplesPerSecond = Int64(rate)
        levels = (0...255).map { stream.parameters.codec == .g711ALaw ? G711.aLaw($0) : G711.muLaw($0) }
        encoder = try AudioEncoder(sampleRateHertz: rate, bitsPerSecond: Self.bitsPerSecond)
        output = try Packet()
        frame.reserveCapacity(encoder.frameSamples)
        record = EncodedSound(
            encoder: "aac, \(LibraryVersion.libavcodec)", settings: "AAC-LC, \(Self.bitsPerSecond) bit/s, one channel, aac_coder=fast",
            source: "G.711 \(stream.parameters.codec == .g711ALaw ? "A-law" : "µ-law"), \(rate) Hz")
    }

    func take(_ packet: borrowing Packet, _ body: (borrowing Packet) -> Void) throws(LibAVError) {
        let stamp = (packet.decodeTime ?? packet.presentationTime).flatMap { source.rescale($0, to: timeBase) }
        var skipped = 0
        if let stamp, let expected = nextTime {
            let difference = stamp - expected
            if difference.magnitude > (Self.silenceSeconds * samplesPerSecond).magnitude {
                frame.removeAll(keepingCapacity: true)
                nextTime = stamp
            } else if difference > Self.toleranceMilliseconds * samplesPerSecond / 1_000 {
                for _ in 0..<difference { try append(0, body) }
            } else if difference < -Self.toleranceMilliseconds * samplesPerSecond / 1_000 {
                skipped = min(packet.byteCount, Int(-difference))
            }
        } else if nextTime == nil {
            nextTime = stamp ?? 0
        }
        for byte in packet.bytes.dropFirst(skipped) { try append(levels[Int(byte)], body) }
    }

    private func append(_ sample: Float, _ body: (borrowing Packet) -> Void) throws(LibAVError) {
        frame.append(sample)
        nextTime = (nextTime ?? 0) + 1
        guard frame.count == encoder.frameSamples else { return }
        let start = (nextTime ?? 0) - Int64(frame.count)
        // Also when the encoder does not take it: a frame that has more samples than one is never full.
        defer { frame.removeAll(keepingCapacity: true) }
        try frame.withUnsafeBufferPointer { samples throws(LibAVError) in try encoder.send(samples, presentationTime: start) }
        // The encoder's delay stands in the packets' times: the first lies before the first sample.
        while try encoder.receive(into: output) == .done { body(output) }
    }
}

/// ITU-T G.711, decoding: tables 1 and 2 as formulas, to between -1 and 1.
enum G711 {
    static func muLaw(_ code: Int) -> Float {
        let bits = ~code & 0xff
        let magnitude = ((bits & 0xf) << 3 + 0x84) << (bits >> 4 & 7) - 0x84
        return Float(bits & 0x80 == 0 ? magnitude : -magnitude) / 32_768
    }

    static func aLaw(_ code: Int) -> Float {
        let bits = code ^ 0x55
        let exponent = bits >> 4 & 7
        let mantissa = (bits & 0xf) << 4 + 8
        let magnitude = exponent == 0 ? mantissa : (mantissa + 0x100) << (exponent - 1)
        return Float(bits & 0x80 == 0 ? -magnitude : magnitude) / 32_768
    }
}
