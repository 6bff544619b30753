import Foundation
import TestSupport
import Testing

/// A person who signs in at the page, opens the player, and gives its HLS link to another player: ffmpeg.
struct OtherPlayer {
    let hub: Hub
    private let directory: TemporaryDirectory

    init(signedInTo hub: Hub) async throws {
        self.hub = hub
        directory = try TemporaryDirectory("player")
        let password = try directory.write(try await hub.setPassword(), to: "password")
        _ = try await curl("sign-in", ["--data-urlencode", "user=admin", "--data-urlencode", "password@\(password)"])
    }

    private func curl(_ path: String, _ arguments: [String] = []) async throws -> String {
        let jar = directory.path("cookies")
        return try await runSuccessfully("/usr/bin/curl", ["-sS", "-k", "--fail-with-body", "-b", jar, "-c", jar] + arguments + [hub.page + path]).output
    }

    /// The address that the player page of this time offers. It needs no cookie.
    func link(node: String, camera: String, from: Date, to: Date) async throws -> String {
        func milliseconds(_ date: Date) -> Int64 { Int64(date.timeIntervalSince1970 * 1000) }
        let page = try await curl("nodes/\(node)/cameras/\(camera)/play?from=\(milliseconds(from))&to=\(milliseconds(to))")
        guard let link = page.firstMatch(of: #/id="hls" href="/([^"]+)"/#)?.output.1 else { throw TestFailure("the player page has no HLS link: \(page.prefix(3000))") }
        return hub.page + String(link)
    }

    struct Played {
        var segments: Int
        /// Pictures decoded, and how far their times reach.
        var frames: Int
        var seconds: Double
        /// What the decoder complained about.
        var complaints: String
    }

    /// Fetches the list and its segments over HTTPS and decodes every picture.
    func play(_ link: String) async throws -> Played {
        let list = try await runSuccessfully("/usr/bin/curl", ["-sS", "-k", "--fail-with-body", link]).output
        let outcome = try await runSuccessfully(
            "/usr/bin/ffprobe", ["-v", "warning", "-select_streams", "v:0", "-show_entries", "frame=pts_time", "-of", "csv=p=0", link], within: .seconds(120))
        let times = outcome.output.split(separator: "\n").compactMap { Double($0.prefix { $0 != "," }) }
        let segments = list.split(separator: "\n").count { !$0.hasPrefix("#") }
        return Played(segments: segments, frames: times.count, seconds: (times.max() ?? 0) - (times.min() ?? 0), complaints: outcome.errors)
    }
}
