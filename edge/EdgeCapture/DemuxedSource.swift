import LibAV
import RecordingModel

/// A camera or file that FFmpeg opens.
final class DemuxedSource: CameraSource {
    private static let nanoseconds = Rational(1, 1_000_000_000)
    private static let arrivalTimeBase = Rational(1, InitSegment.videoTimescale)
    private var demuxer: Demuxer
    private let stop: StopSignal
    private var pacer: Pacer?
    /// When it was opened, for a live stream whose container knows no times; else nil.
    private let arrivalOrigin: Int64?
    let streams: [StreamDescription]

    init(_ configuration: CameraConfiguration, stop: StopSignal) throws(CaptureFailure) {
        self.stop = stop
        let settings = try InputSettings(configuration)
        let began = monotonicNanoseconds()
        do throws(LibAVError) {
            demuxer = try Demuxer(
                opening: settings.url, settings: Demuxer.Settings(options: settings.options, openMilliseconds: settings.openMilliseconds),
                interrupt: stop.interrupt)
        } catch {
            throw Self.failure(error, configuration, settings, afterNanoseconds: monotonicNanoseconds() - began, stop)
        }
        let isRecording = demuxer.isRecording
        // A live camera sets the pace itself; a recording would else run ahead of the clock.
        pacer = configuration.scheme == "file" || configuration.scheme.hasPrefix("http") && isRecording ? Pacer() : nil
        // FFmpeg would number the pictures as if there were 25 a second, whatever the camera sends.
        let isStamped = demuxer.isUntimed && !isRecording
        arrivalOrigin = isStamped ? monotonicNanoseconds() : nil
        streams = demuxer.streams.map { stream in
            StreamDescription(index: stream.index, timeBase: isStamped ? Self.arrivalTimeBase : stream.timeBase, parameters: stream.parameters)
        }
    }

    func select(_ streams: [Int]) { demuxer.discard(streamsOtherThan: streams) }

    func onWait(_ body: (() -> Void)?) { stop.interrupt.onWait(body) }

    func read(into packet: borrowing Packet, milliseconds: Int) throws(CaptureFailure) -> SourceEvent {
        // One deadline for the whole read, however often the demuxer has nothing yet.
        let deadline = monotonicNanoseconds() + Int64(milliseconds) * 1_000_000
        while true {
            let outcome: TransferOutcome
            let left = (deadline - monotonicNanoseconds()) / 1_000_000
            do throws(LibAVError) {
                guard left > 0 else { throw LibAVError(code: LibAVError.timedOut, operation: "read from the camera", interruption: .timedOut) }
                outcome = try demuxer.read(into: packet, milliseconds: Int(left))
            } catch {
                throw CaptureFailure(error, whileOpening: false)
            }
            switch outcome {
            case .ended: return .ended
            case .wouldBlock: try stop.sleep(nanoseconds: 5_000_000)
            case .done:
                if let arrivalOrigin { packet.setTime((monotonicNanoseconds() - arrivalOrigin) * 9 / 100_000) }
                try pace(packet)
                return .packet
            }
        }
    }

    private func pace(_ packet: borrowing Packet) throws(CaptureFailure) {
        let index = packet.streamIndex
        guard pacer != nil, let time = packet.decodeTime ?? packet.presentationTime, let stream = streams.first(where: { $0.index == index }),
            let nanoseconds = stream.timeBase.rescale(time, to: Self.nanoseconds)
        else { return }
        try pacer?.wait(forMedia: nanoseconds, stop: stop)
    }

    /// FFmpeg gives one code for "nobody there" and for "connected, says nothing": a maintainer looks at another end of
    /// the cable for each.
    private static func failure(
        _ error: LibAVError, _ configuration: CameraConfiguration, _ settings: InputSettings, afterNanoseconds: Int64, _ stop: StopSignal
    ) -> CaptureFailure {
        let failure = CaptureFailure(error, whileOpening: true)
        guard case .failed(_, let detail) = failure, !stop.isSet else { return failure }
        let hasTimedOut = error.interruption == .timedOut || error.code == LibAVError.timedOut
        if hasTimedOut, settings.isListening { return .failed(.cameraSilent, "\(detail) (nothing came)") }
        if configuration.scheme == "srt" {
            // libsrt gives one code for no answer and for a refusal, but a refusal is an answer.
            let connectNanoseconds = Int64(InputSettings.srtConnectMilliseconds(configuration)) * 1_000_000
            if hasTimedOut { return .failed(.cameraSilent, "\(detail) (it accepted the connection)") }
            if !settings.isListening, afterNanoseconds < connectNanoseconds { return .failed(.cameraRefused, "\(detail) (it refused: is the passphrase right?)") }
            return failure
        }
        if !hasTimedOut, configuration.scheme.hasPrefix("rtsp"), error.kind == .unsupported, error.operation.hasPrefix("open ") {
            // A connection that is closed in the middle of an answer is "invalid data" to FFmpeg.
            return .failed(.cameraUnreachable, "\(detail) (no RTSP answer)")
        }
        guard hasTimedOut, ConnectionProbe.accepts(url: configuration.url, milliseconds: 1_000) else { return failure }
        return .failed(.cameraSilent, "\(detail) (the port is open)")
    }
}
