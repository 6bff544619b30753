import Foundation
import TestSupport

/// GStreamer's RTSP server with the cameras asked for, each with a tap of what it sent.
struct CameraServer {
    let process: RunningProcess
    let directory: TemporaryDirectory
    let urls: [String: String]

    /// - Parameter cameras: as deploy/rtsp-cameras.py takes them: `gate=h264,640x360`.
    static func start(_ cameras: [String], arguments: [String] = []) async throws -> CameraServer {
        let directory = try TemporaryDirectory("cameras")
        let process = try RunningProcess(
            "/usr/bin/python3",
            [Here.script("rtsp-cameras.py"), "--die-with-parent", "--tap", directory.path] + arguments + cameras.flatMap { ["--camera", $0] })
        guard let urls = try await process.jsonLine()["urls"] as? [String: String] else { throw TestFailure("the RTSP server named no address") }
        return CameraServer(process: process, directory: directory, urls: urls)
    }

    /// Fails unless the received files hold exactly what the camera sent, slice for slice, from their first key frame to their last frame.
    func compare(_ tap: String, with received: String) async throws -> [String: any Sendable] {
        // A copy: the camera goes on writing.
        let sent = directory.path("sent-\(tap)")
        try? FileManager.default.removeItem(atPath: sent)
        try FileManager.default.copyItem(atPath: directory.path(tap), toPath: sent)
        let outcome = try await run("/usr/bin/python3", [Here.script("compare-slices.py"), sent, received], within: .seconds(120))
        return try outcome.json()
    }
}
