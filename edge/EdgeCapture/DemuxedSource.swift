import LibAV
import RecordingModel

/// A camera or file that FFmpeg opens.
final class DemuxedSource: CameraSource {
    private static let nanoseconds = Rational(1, 1_000_000_000)
    private var demuxer: Demuxer
    private let stop: StopSignal
    private var pacer: Pacer?
    let streams: [StreamDescription]

    init(_ configuration: CameraConfiguration, stop: StopSignal) throws(CaptureFailure) {
        self.stop = stop
        let settings = Demuxer.Settings(
            options: Self.options(configuration), openMilliseconds: configuration.connectTimeoutMilliseconds)
        do throws(LibAVError) {
            demuxer = try Demuxer(opening: configuration.url, settings: settings, interrupt: stop.interrupt)
        } catch {
            throw Self.failure(error, configuration, stop)
        }
        streams = demuxer.streams
        // A live camera sets the pace itself; a file over HTTP would else run ahead of the clock.
        pacer = configuration.scheme.hasPrefix("rtsp") ? nil : Pacer()
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

    /// Only the protocols and formats that the scheme needs: a playlist from the network must not open a file.
    private static func options(_ configuration: CameraConfiguration) -> [String: String] {
        // Later than our own deadline, which tells a timeout from an error and covers every call.
        let stallMicroseconds = String((configuration.stallTimeoutMilliseconds + 2_000) * 1_000)
        switch configuration.scheme {
        case "rtsp", "rtsps":
            return [
                "rtsp_transport": configuration.transport.rawValue, "timeout": stallMicroseconds, "format_whitelist": "rtsp",
                "protocol_whitelist": "rtsp,rtsps,rtp,srtp,tcp,udp,tls,crypto", "analyzeduration": "3000000", "user_agent": "fieldpost",
            ]
        case "http", "https":
            return [
                "timeout": stallMicroseconds, "protocol_whitelist": "http,https,tcp,tls,crypto", "analyzeduration": "3000000",
                "format_whitelist": "mpjpeg,mjpeg,mpegts,mov,matroska,flv,hls,h264,hevc", "user_agent": "fieldpost",
            ]
        default:
            return [
                "protocol_whitelist": "file", "format_whitelist": "mov,matroska,mpegts,mpeg,avi,flv,h264,hevc,mjpeg,mpjpeg,obu,ivf",
            ]
        }
    }

    /// FFmpeg gives one code for "nobody there" and for "connected, says nothing": for the second a plain
    /// connection still opens, and a maintainer looks at another end of the cable.
    private static func failure(_ error: LibAVError, _ configuration: CameraConfiguration, _ stop: StopSignal) -> CaptureFailure {
        let failure = CaptureFailure(error, whileOpening: true)
        let mayBeSilent = error.interruption == .timedOut || error.code == LibAVError.timedOut
        guard case .failed(_, let detail) = failure, mayBeSilent, !stop.isSet,
            ConnectionProbe.accepts(url: configuration.url, milliseconds: 1_000)
        else { return failure }
        return .failed(.cameraSilent, "\(detail) (the port is open)")
    }
}
