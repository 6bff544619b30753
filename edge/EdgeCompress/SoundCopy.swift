import EdgeCapture
import LibAV

/// In the worker: the source's packets of sound, until the pictures of their time leave the encoder, which looks ahead.
final class SoundCopy {
    /// Encoders look ahead by some seconds; a source that has more sound than pictures loses what is more.
    private static let waitingMax = 16_384
    private static let waitingBytesMax = 8 << 20

    let stream: StreamDescription
    /// Of the track in the file that is made.
    var timescale: Int32 = 0
    private var waiting: [(bytes: [UInt8], ticks90k: Int64, time: Int64)] = []
    private var waitingBytes = 0
    private var lastTime = Int64.min

    init(_ stream: StreamDescription) { self.stream = stream }

    /// False when the packet is left out.
    func take(_ packet: borrowing Packet, _ source: JobSource) -> Bool {
        let base = stream.timeBase
        guard waiting.count < Self.waitingMax, waitingBytes + packet.byteCount <= Self.waitingBytesMax, packet.byteCount > 0,
            let time = packet.presentationTime ?? packet.decodeTime, time > lastTime, let ticks = base.rescale(time, to: Rational(1, InitSegment.videoTimescale)), ticks >= 0
        else { return false }
        lastTime = time
        waiting.append((Array(packet.bytes), ticks, time))
        waitingBytes += packet.byteCount
        return true
    }

    /// Puts into the open fragment what is heard before a time; all of it where nothing follows. What it has no room for waits on.
    func give(to fragments: FragmentWriter, until ticks90k: Int64?) {
        guard timescale > 0 else { return }
        var given = 0
        for packet in waiting {
            guard packet.ticks90k < ticks90k ?? .max, let time = stream.timeBase.rescale(packet.time, to: Rational(1, timescale)),
                packet.bytes.withUnsafeBytes({ fragments.addAudio($0, at: MediaTimeline.Placement(decodeTime: time, compositionOffset: 0)) })
            else { break }
            given += 1
            waitingBytes -= packet.bytes.count
        }
        waiting.removeFirst(given)
    }
}
