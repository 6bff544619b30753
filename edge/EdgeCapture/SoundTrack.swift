import LibAV
import RecordingModel

/// A camera's sound on its way into the file: copied where MP4 and browsers know it, else made into AAC.
final class SoundTrack {
    private enum Treatment {
        case copied
        /// AAC with a header before each frame (ADTS), as in MPEG-TS; MP4 has it once, in `moov`.
        case unwrapped
        case encoded(SoundEncoder)
    }

    let index: Int
    /// Of the packets that `take` hands out.
    let timeBase: Rational
    /// What a sample lasts whose successor is not known, in samples: 1,024 of AAC, 20 ms of Opus.
    let frameTicks: Int64
    private(set) var parameters: CodecParameters
    /// The parameters are others than when `adopt` was called last.
    private(set) var hasChanged = false
    private let treatment: Treatment
    private var header: ADTSHeader?

    /// Nil for what cannot be kept.
    init?(_ stream: StreamDescription) {
        let source = stream.parameters
        guard (1_000...768_000).contains(source.sampleRateHertz) else { return nil }
        index = stream.index
        switch source.codec {
        case .opus:
            (treatment, timeBase, parameters) = (.copied, stream.timeBase, source)
        case .aac where !source.extradata.isEmpty:
            (treatment, timeBase, parameters) = (.copied, stream.timeBase, source)
        case .aac:
            // What is announced may leave out how the sound is extended; the first header has the last word.
            guard let header = ADTSHeader(sampleRateHertz: source.sampleRateHertz, channelCount: source.channelCount),
                let unwrapped = try? header.describe(source)
            else { return nil }
            self.header = header
            (treatment, timeBase, parameters) = (.unwrapped, stream.timeBase, unwrapped)
        case .g711MuLaw, .g711ALaw:
            guard source.channelCount == 1, let encoder = try? SoundEncoder(stream) else { return nil }
            (treatment, timeBase, parameters) = (.encoded(encoder), encoder.timeBase, encoder.parameters)
        default: return nil
        }
        frameTicks = source.codec == .opus ? Int64(source.sampleRateHertz) / 50 : 1_024
    }

    /// Nil where packets are copied.
    var encoded: EncodedSound? { if case .encoded(let encoder) = treatment { encoder.record } else { nil } }

    /// A run begins with the parameters as they are.
    func adopt() { hasChanged = false }

    /// Hands out what the packet becomes: nothing, itself, or some others. False when it is no sound.
    func take(_ packet: borrowing Packet, _ body: (borrowing Packet) -> Void) -> Bool {
        switch treatment {
        case .copied: body(packet)
        case .unwrapped:
            guard let found = ADTSHeader(packet.bytes) else { return false }
            if found != header {
                guard let described = try? found.describe(parameters) else { return false }
                (header, parameters, hasChanged) = (found, described, true)
            }
            // It would be decoded as what the run's header says.
            if hasChanged { return true }
            packet.removeFirst(found.headerBytes)
            body(packet)
        case .encoded(let encoder):
            do throws(LibAVError) { try encoder.take(packet, body) } catch { return false }
        }
        return true
    }
}

/// What stands before each frame of AAC in a transport stream: ISO/IEC 13818-7, 6.2.
struct ADTSHeader: Equatable {
    private static let ratesHertz = [96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350]
    /// MPEG-4's, of which ADTS can say 1 to 4.
    private let objectType: UInt8
    private let rateIndex: UInt8
    /// 1 to 7; 0 says that it stands in the stream, which is not kept.
    private let channels: UInt8
    let headerBytes: Int

    /// AAC-LC, which nearly every camera sends.
    init?(sampleRateHertz: Int, channelCount: Int) {
        guard let rate = Self.ratesHertz.firstIndex(of: sampleRateHertz), (1...8).contains(channelCount), channelCount != 7 else { return nil }
        (objectType, rateIndex, channels, headerBytes) = (2, UInt8(rate), UInt8(channelCount == 8 ? 7 : channelCount), 7)
    }

    /// Nil when there is none, or when it covers more than one frame.
    init?(_ bytes: UnsafeRawBufferPointer) {
        guard bytes.count > 7, bytes[0] == 0xff, bytes[1] & 0xf6 == 0xf0 else { return nil }
        objectType = (bytes[2] >> 6) + 1
        rateIndex = bytes[2] >> 2 & 0xf
        channels = bytes[2] << 2 & 4 | bytes[3] >> 6
        // With a checksum it is longer.
        headerBytes = bytes[1] & 1 == 1 ? 7 : 9
        let frameBytes = Int(bytes[3] & 3) << 11 | Int(bytes[4]) << 3 | Int(bytes[5]) >> 5
        guard bytes[6] & 3 == 0, frameBytes == bytes.count, frameBytes > headerBytes, channels > 0, rateIndex < Self.ratesHertz.count else { return nil }
    }

    static func == (left: ADTSHeader, right: ADTSHeader) -> Bool {
        left.objectType == right.objectType && left.rateIndex == right.rateIndex && left.channels == right.channels
    }

    /// With the AudioSpecificConfig of ISO/IEC 14496-3, 1.6.2.1: object type in 5 bits, rate in 4, channels in 4.
    func describe(_ parameters: CodecParameters) throws(LibAVError) -> CodecParameters {
        let configuration = [objectType << 3 | rateIndex >> 1, rateIndex << 7 | channels << 3]
        return try parameters.replacing(audioConfiguration: configuration, sampleRateHertz: Self.ratesHertz[Int(rateIndex)])
    }
}
