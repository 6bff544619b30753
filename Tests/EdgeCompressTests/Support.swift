import EdgeCapture
import EvidenceLog
import Foundation
import LibAV
import Logging
import RecordingModel
import StorageIO
import Synchronization
import SystemPackage
import TestSupport

@testable import EdgeCompress

/// A fragmented MP4 as a node stores it, made by ffmpeg.
func makeFootage(_ scratch: TemporaryDirectory, _ name: String, source: String, seconds: Int, framesPerSecond: Int = 25, arguments: [String]? = nil) throws -> String {
    let path = scratch.path(name)
    let encoding = arguments ?? ["-c:v", "libx264", "-preset", "ultrafast", "-g", "\(framesPerSecond * 2)", "-bf", "0"]
    let outcome = try runBlocking(
        "/usr/bin/ffmpeg",
        ["-nostdin", "-hide_banner", "-loglevel", "error", "-y", "-f", "lavfi", "-i", source, "-t", "\(seconds)", "-pix_fmt", "yuv420p"] + encoding
            + ["-movflags", "+frag_keyframe+empty_moov+default_base_moof", "-f", "mp4", path])
    guard outcome.status == 0 else { throw TestFailure("ffmpeg: \(outcome.errors)") }
    return path
}

/// Bytes in memory, read as a file.
final class MemoryFile: ReadingFile {
    let bytes: [UInt8]
    init(_ bytes: [UInt8]) { self.bytes = bytes }
    var length: Int64 { Int64(bytes.count) }
    func read(at offset: Int64, into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
        guard offset < bytes.count else { return 0 }
        let count = min(buffer.count, bytes.count - Int(offset))
        buffer.copyBytes(from: bytes[Int(offset)..<(Int(offset) + count)])
        return count
    }
}

/// The node's own worker; at normal priority, so that a test does not wait for an idle machine.
func workerSettings(threads: Int = 1) throws -> WorkerSettings {
    var settings = WorkerSettings(program: try Here.product("fieldpost-edge"), arguments: ["compress-worker", "--threads", "\(threads)"])
    settings.isIdle = false
    return settings
}

extension WorkerProcess {
    func thumbnails(_ file: MemoryFile, dues: [Int64], bytesMax: Int = 8_192) throws -> (images: [ThumbnailImage], figures: WorkerFigures) {
        var images: [ThumbnailImage] = []
        let figures = try perform(
            .thumbnails(ThumbnailJob(sourceBytes: file.length, dueTicks90k: dues, bytesMax: bytesMax)), source: file, cpuSeconds: 60, unless: { false }
        ) { answer in
            if case .image(let image) = answer { images.append(image) }
        }
        return (images, figures)
    }

    /// The whole file.
    func proxy(_ file: MemoryFile, _ job: ProxyJob) throws -> (bytes: [UInt8], header: ProxyHeader?, frames: Int) {
        var (bytes, header, frames) = ([UInt8](), ProxyHeader?.none, 0)
        _ = try perform(.proxy(job), source: file, cpuSeconds: 600, unless: { false }) { answer in
            switch answer {
            case .header(let found):
                header = found
                bytes += found.initBytes
            case .fragment(let fragment, let count, _):
                bytes += fragment
                frames += count
            default: break
            }
        }
        return (bytes, header, frames)
    }
}

func memoryFile(_ path: String) throws -> MemoryFile { MemoryFile(Array(try Data(contentsOf: URL(fileURLWithPath: path)))) }
