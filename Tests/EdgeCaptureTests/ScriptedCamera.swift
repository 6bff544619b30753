@testable import EdgeCapture
import LibAV

/// What a camera sends, as a test wants it.
struct ScriptedPacket: Sendable {
    var bytes: [UInt8]
    var presentationTime: Int64?
    var decodeTime: Int64?
    var isKey: Bool

    init(_ bytes: [UInt8], time: Int64?, isKey: Bool) {
        self.bytes = bytes
        presentationTime = time
        decodeTime = time
        self.isKey = isKey
    }
}

/// A camera at 25 pictures a second of real H.264, whose packets a script makes.
final class ScriptedCamera: CameraSource {
    struct Script: Sendable {
        var groupFrames = 25
        /// Pictures until the stream ends.
        var frames = Int64.max
        var bitsPerSecond = 100_000
        /// By default what an honest camera sends.
        var packets: @Sendable (_ frame: Int64, _ bytes: [UInt8], _ isKey: Bool) -> [ScriptedPacket] = { frame, bytes, isKey in
            [ScriptedPacket(bytes, time: frame * 3_600, isKey: isKey)]
        }
    }

    private let stop: StopSignal
    private let script: Script
    private let pattern: TestPattern
    private var encoder: VideoEncoder
    private var picture: Picture
    private var queue: [ScriptedPacket] = []
    private var frame: Int64 = 0
    private let start = monotonicNanoseconds()
    let streams: [StreamDescription]

    init(_ configuration: CameraConfiguration, stop: StopSignal, script: Script) throws(CaptureFailure) {
        self.stop = stop
        self.script = script
        var options = TestPattern.Options()
        (options.widthPixels, options.heightPixels) = (160, 90)
        pattern = TestPattern(options)
        do throws(LibAVError) {
            encoder = try VideoEncoder(
                VideoEncoder.Settings(
                    widthPixels: 160, heightPixels: 90, framesPerSecond: 25, groupFrames: script.groupFrames, bitsPerSecond: script.bitsPerSecond))
            picture = try Picture(widthPixels: 160, heightPixels: 90)
        } catch {
            throw CaptureFailure(error, whileOpening: true)
        }
        streams = [StreamDescription(index: 0, timeBase: Rational(1, 90_000), parameters: encoder.parameters)]
    }

    func select(_ streams: [Int]) {}
    func onWait(_ body: (() -> Void)?) {}

    func read(into packet: borrowing Packet, milliseconds: Int) throws(CaptureFailure) -> SourceEvent {
        do throws(LibAVError) {
            while queue.isEmpty {
                if frame == script.frames { return .ended }
                try pattern.draw(frame: frame, into: &picture)
                _ = try encoder.send(picture, presentationTime: frame)
                guard try encoder.receive(into: packet) == .done else { continue }
                queue = script.packets(frame, Array(packet.bytes), packet.isKey)
                frame += 1
            }
            let next = queue.removeFirst()
            try packet.fill(next.bytes, streamIndex: 0, presentationTime: next.presentationTime, decodeTime: next.decodeTime, isKey: next.isKey)
        } catch {
            throw CaptureFailure(error, whileOpening: false)
        }
        try stop.sleep(nanoseconds: start + frame * 40_000_000 - monotonicNanoseconds())
        return .packet
    }
}
