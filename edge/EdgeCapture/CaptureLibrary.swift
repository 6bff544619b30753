import LibAV
import Logging

/// What must happen once in a process before the first camera: the FFmpeg that is loaded is the one the code was
/// built for, takes no more memory for one thing than any camera's picture needs, and what it says goes to our log, bounded and
/// without credentials.
package enum CaptureLibrary {
    /// - Throws: `LibraryVersion.Mismatch`, with what was expected and found.
    package static func prepare(logger: Logger) throws {
        try LibraryVersion.check()
        LibraryMemory.bound()
        LibraryLog.install(level: .error) { level, line in
            // A camera's oddities are no error of the recorder: what matters shows as a gap.
            logger.log(level: level == .error ? .info : .debug, "\(line)")
        }
    }
}
