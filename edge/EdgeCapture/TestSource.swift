import LibAV
import RecordingModel

/// The built-in `test:` camera: a picture a frame through libx264, in real time.
final class TestSource: CameraSource {
    private let stop: StopSignal
    private let pattern: TestPattern
    private var picture: Picture
    private var encoder: VideoEncoder
    private let framesPerSecond: Int64
    private let start: Int64
    private var frame: Int64 = 0
    let streams: [StreamDescription]

    init(_ configuration: CameraConfiguration, stop: StopSignal) throws(CaptureFailure) {
        self.stop = stop
        let options: TestPattern.Options
        switch TestPattern.Options.parse(configuration.url) {
        case .success(let parsed): options = parsed
        case .failure(let problem): throw .failed(.unsupported, problem.sentence)
        }
        do throws(LibAVError) {
            picture = try Picture(widthPixels: options.widthPixels, heightPixels: options.heightPixels)
            encoder = try VideoEncoder(
                VideoEncoder.Settings(
                    widthPixels: options.widthPixels, heightPixels: options.heightPixels, framesPerSecond: options.framesPerSecond,
                    groupFrames: options.groupFrames, bitsPerSecond: options.bitsPerSecond))
        } catch {
            throw CaptureFailure(error, whileOpening: true)
        }
        pattern = TestPattern(options)
        streams = [StreamDescription(index: 0, timeBase: encoder.timeBase, parameters: encoder.parameters)]
        framesPerSecond = Int64(options.framesPerSecond)
        start = monotonicNanoseconds()
    }

    func select(_ streams: [Int]) {}
    /// It never waits longer than a frame lasts.
    func onWait(_ body: (() -> Void)?) {}

    func read(into packet: borrowing Packet, milliseconds: Int) throws(CaptureFailure) -> SourceEvent {
        // From the frame's number, not from the frame before: the rate stays exact.
        let due = start + frame * 1_000_000_000 / framesPerSecond
        try stop.sleep(nanoseconds: due - monotonicNanoseconds())
        do throws(LibAVError) {
            while true {
                if try encoder.receive(into: packet) == .done { return .packet }
                try pattern.draw(frame: frame, into: &picture)
                _ = try encoder.send(picture, presentationTime: frame)
                frame += 1
            }
        } catch {
            throw CaptureFailure(error, whileOpening: false)
        }
    }
}
