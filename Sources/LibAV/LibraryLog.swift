import CLibAV
import Synchronization

/// FFmpeg's log, which is one for the whole process: bounded lines, few a second, without secrets.
package enum LibraryLog {
    package enum Level: Sendable { case error, warning }
    package typealias Handler = @Sendable (Level, String) -> Void

    /// FFmpeg cuts a line here.
    static let lineBytes = 512
    /// A camera with a broken stream logs a line a packet; more than this a second says nothing new.
    static let linesPerSecond = 20

    private struct State {
        var handler: Handler?
        var second: Int64 = 0
        var lines = 0
    }
    private static let state = Mutex(State())

    /// Called once, at start. Without a handler FFmpeg says nothing at all.
    package static func install(level: Level = .error, handler: Handler?) {
        _ = silenced
        state.withLock { $0.handler = handler }
        av_log_set_level(level == .error ? AV_LOG_ERROR : AV_LOG_WARNING)
    }

    /// Touched by whatever opens something: FFmpeg's own default writes to standard error, with credentials.
    static let silenced: Void = {
        av_log_set_level(AV_LOG_ERROR)
        av_log_set_callback(logCallback)
    }()

    fileprivate static func handle(level: Int32, line: String) {
        let handler = state.withLock { state -> Handler? in
            let second = monotonicNanoseconds() / 1_000_000_000
            if second != state.second {
                state.second = second
                state.lines = 0
            }
            state.lines += 1
            return state.lines <= linesPerSecond ? state.handler : nil
        }
        handler?(level <= AV_LOG_ERROR ? .error : .warning, scrubbed(line))
    }
}

/// May be called from any thread that FFmpeg runs on.
private func logCallback(context: UnsafeMutableRawPointer?, level: Int32, format: UnsafePointer<CChar>?, arguments: CVaListPointer?) {
    guard level <= av_log_get_level(), let format, let arguments else { return }
    let line = withUnsafeTemporaryAllocation(of: CChar.self, capacity: LibraryLog.lineBytes) { buffer -> String in
        buffer.initialize(repeating: 0)
        guard let base = buffer.baseAddress else { return "" }
        clibav_format_log_line(context, level, format, arguments, base, Int32(buffer.count))
        return String(cString: base)
    }
    let trimmed = String(line.drop { $0.isWhitespace }.reversed().drop { $0.isWhitespace }.reversed())
    if !trimmed.isEmpty { LibraryLog.handle(level: level, line: trimmed) }
}

package enum LibraryMemory {
    /// The largest thing that a peer may have FFmpeg put together: four times the largest packet that is taken.
    package static let allocationBytesMax = 64 << 20

    /// For the whole process. Without it a stream that never ends its picture grows to 2 GiB.
    package static func bound() { av_max_alloc(allocationBytesMax) }
}

/// The FFmpeg that this process runs with must be the one it was compiled for: structures change with the major number.
package enum LibraryVersion {
    package struct Mismatch: Error, CustomStringConvertible {
        package var library: String
        package var compiledMajor: Int
        package var runningMajor: Int
        package var description: String { "\(library) \(runningMajor) is loaded, but this program was built for \(compiledMajor)" }
    }

    package static func check() throws(Mismatch) {
        try check("libavformat", LIBAVFORMAT_VERSION_MAJOR, avformat_version())
        try check("libavcodec", LIBAVCODEC_VERSION_MAJOR, avcodec_version())
        try check("libavutil", LIBAVUTIL_VERSION_MAJOR, avutil_version())
    }

    package static var description: String {
        [("libavformat", avformat_version()), ("libavcodec", avcodec_version()), ("libavutil", avutil_version())].map { name, version in
            "\(name) \(version >> 16).\(version >> 8 & 255).\(version & 255)"
        }.joined(separator: ", ")
    }

    private static func check(_ library: String, _ compiled: Int32, _ running: UInt32) throws(Mismatch) {
        guard Int(running >> 16) == Int(compiled) else {
            throw Mismatch(library: library, compiledMajor: Int(compiled), runningMajor: Int(running >> 16))
        }
    }
}
