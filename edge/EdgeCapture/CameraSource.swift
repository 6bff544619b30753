import LibAV
import RecordingModel

enum SourceEvent { case packet, ended }

/// One open connection to a camera, or what stands for one. Used by one thread.
protocol CameraSource: AnyObject {
    var streams: [StreamDescription] { get }
    /// Nothing of other streams is wanted.
    func select(_ streams: [Int])
    /// Fills the packet; blocks for at most `milliseconds`, then throws.
    func read(into packet: borrowing Packet, milliseconds: Int) throws(CaptureFailure) -> SourceEvent
    /// Has `body` called, within `read`, about every half second that it waits for a camera; nil ends that.
    func onWait(_ body: (() -> Void)?)
}

enum CameraSources {
    @Sendable
    static func open(_ configuration: CameraConfiguration, stop: StopSignal) throws(CaptureFailure) -> any CameraSource {
        switch configuration.scheme {
        case "test": try TestSource(configuration, stop: stop)
        case "rtsp", "rtsps", "rtmp", "rtmps", "srt", "udp", "rtp", "http", "https", "file": try DemuxedSource(configuration, stop: stop)
        default: throw .failed(.unsupported, "the URL's scheme is none of \(CameraConfiguration.schemes.joined(separator: ", "))")
        }
    }
}
