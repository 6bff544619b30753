import CConfine
import Crypto
import LibAV
import RecordingModel

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// The process that decodes and encodes. It has one descriptor, its end of a socket pair, and asks through it for every
/// byte that it reads.
package enum CompressWorker {
    /// Ends when the node closes its end. One job at a time.
    /// - Parameter threads: of decoder and encoder.
    package static func run(threads: Int) -> Never {
        serve(threads: threads)
        // At once: what would end the program otherwise needs threads, which it may not have any more.
        _exit(0)
    }

    private static func serve(threads: Int) {
        let channel = WorkerChannel(owning: CCONFINE_CHANNEL)
        do {
            // The encoders' tables, the library's log: what opens nothing once it is there.
            _ = LibraryVersion.hasEncoder("libx264")
            let kept: String
            do { kept = try Confinement.enter(threads: threads) } catch {
                try channel.send(WorkerAnswer.failed("\(error)").message)
                return
            }
            try channel.send(WorkerAnswer.ready(kept).message)
            while true {
                guard case .job(let job) = try WorkerRequest(channel.receive()) else { return }
                try channel.send(perform(job, channel).message)
            }
        } catch {
            // The node is gone, or said what no node says.
            return
        }
    }

    private static func perform(_ job: WorkerJob, _ channel: WorkerChannel) throws -> WorkerAnswer {
        let began = processCPUNanoseconds()
        do {
            var figures =
                switch job {
                case .thumbnails(let job): try ThumbnailMaker(job).run(channel)
                case .proxy(let job): try ProxyMaker.run(job, channel)
                case .trial(let job): try EncoderTrial.run(job)
                }
            figures.cpuMilliseconds = (processCPUNanoseconds() - began) / 1_000_000
            return .done(figures)
        } catch let error as LibAVError {
            return .failed("\(error)")
        } catch let error as UnusableSource {
            return .failed(error.description)
        }
    }
}

/// Of all threads.
private func processCPUNanoseconds() -> Int64 {
    var time = timespec()
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
    return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
}

/// A source without anything to decode.
struct UnusableSource: Error, CustomStringConvertible {
    let description: String
}

/// The source of a job, whose bytes the node gives, and its video.
final class JobSource {
    /// Centuries; a time beyond is a damaged one.
    private static let ticksMax: Int64 = 1 << 52

    private(set) var file: MediaFile
    let video: StreamDescription

    init(_ bytes: Int64, _ channel: WorkerChannel) throws {
        file = try MediaFile(named: "the segment", length: bytes) { offset, target in
            guard (0..<bytes).contains(offset), !target.isEmpty else { return 0 }
            try channel.send(WorkerAnswer.read(offset: offset, count: min(target.count, WorkerBounds.readBytesMax)).message)
            guard case .bytes(let bytes) = try WorkerRequest(channel.receive()), bytes.count <= target.count else { throw WorkerChannel.Failure.closed }
            target.copyBytes(from: bytes)
            return bytes.count
        }
        try file.learnStreams()
        guard let video = file.streams.first(where: { $0.parameters.kind == .video }) else { throw UnusableSource(description: "there is no video in it") }
        self.video = video
        file.discard(streamsOtherThan: [video.index])
    }

    /// Of the video's packets; see `MadeRecord.sourcePacketsSHA256`. It reads the file to its end: before a file is begun
    /// whose header names the hash.
    static func packetsSHA256(_ bytes: Int64, _ channel: WorkerChannel) throws -> ContentHash {
        let source = try JobSource(bytes, channel)
        let packet = try Packet()
        var hash = SHA256()
        var damaged = 0
        reading: while true {
            switch Result(catching: { () throws(LibAVError) in try source.read(into: packet) }) {
            case .success(.done): if packet.streamIndex == source.video.index { hash.update(bufferPointer: packet.bytes) }
            case .success: break reading
            case .failure(let error):
                damaged += 1
                guard damaged <= Self.damagedMax else { throw error }
            }
        }
        return ContentHash(Array(hash.finalize())) ?? .zero
    }

    /// Packets that cannot be read; a file with more is none.
    static let damagedMax = 1_000

    func read(into packet: borrowing Packet) throws(LibAVError) -> TransferOutcome { try file.read(into: packet) }

    func ticks90k(_ time: Int64?) -> Int64? {
        guard let time, let ticks = video.timeBase.rescale(time, to: Rational(1, 90_000)), (0...Self.ticksMax).contains(ticks) else { return nil }
        return ticks
    }
}
