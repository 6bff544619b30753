import LibAV
import RecordingModel

/// Some RTSP servers put parameter sets into a packet of their own, before the picture of the same time. Such a packet
/// is no sample: its bytes go before the picture's, in the order that they came in.
struct AccessUnits {
    /// Parameter sets and SEI have some kilobytes; more without a picture is none of either.
    private static let limitBytes = 1 << 20
    private let codec: Codec
    private var held: [UInt8] = []
    private var presentationTime: Int64?
    private var decodeTime: Int64?

    init(_ codec: Codec) { self.codec = codec }

    enum Outcome { case picture, held, tooMuch }

    /// After `.picture` the packet holds all that belongs to it.
    mutating func join(_ packet: borrowing Packet) throws(CaptureFailure) -> Outcome {
        let isRandomAccess: Bool
        switch AnnexB.content(packet.bytes, codec) {
        case .picture(let isFirst): isRandomAccess = isFirst
        case .otherCodec: throw .failed(.cameraLost, "the camera changed its video codec")
        case .noPicture:
            if held.isEmpty { (presentationTime, decodeTime) = (packet.presentationTime, packet.decodeTime) }
            guard held.count + packet.byteCount <= Self.limitBytes else {
                held.removeAll()
                return .tooMuch
            }
            held.append(contentsOf: packet.bytes)
            return .held
        }
        guard !held.isEmpty else { return .picture }
        do throws(LibAVError) {
            try packet.prepend(held, presentationTime: presentationTime, decodeTime: decodeTime, isKey: isRandomAccess)
        } catch {
            throw CaptureFailure(error, whileOpening: false)
        }
        held.removeAll(keepingCapacity: true)
        return .picture
    }
}

enum JPEG {
    /// As the frame header says it; nil when there is none.
    static func size(_ bytes: UnsafeRawBufferPointer) -> (widthPixels: Int, heightPixels: Int)? {
        guard bytes.count > 4, bytes[0] == 0xff, bytes[1] == 0xd8 else { return nil }
        var position = 2
        while position + 9 <= bytes.count, bytes[position] == 0xff {
            let marker = bytes[position + 1]
            switch marker {
            case 0xff: position += 1
            case 0x01, 0xd0...0xd9: position += 2
            case 0xda: return nil
            case 0xc0...0xcf where marker != 0xc4 && marker != 0xc8 && marker != 0xcc:
                let height = Int(bytes[position + 5]) << 8 | Int(bytes[position + 6])
                let width = Int(bytes[position + 7]) << 8 | Int(bytes[position + 8])
                return width > 0 && height > 0 ? (width, height) : nil
            default: position += 2 + (Int(bytes[position + 2]) << 8 | Int(bytes[position + 3]))
            }
        }
        return nil
    }
}
