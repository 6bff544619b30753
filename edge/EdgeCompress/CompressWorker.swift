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
                case .proxy(let job): try job.copiesKeyFrames ? KeyFrameCopier.run(job, channel) : ProxyMaker.run(job, channel)
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

/// The source of a job, whose bytes the node gives, its video, and its sound where that is asked for.
final class JobSource {
    /// Centuries; a time beyond is a damaged one.
    private static let ticksMax: Int64 = 1 << 52

    private(set) var file: MediaFile
    let video: StreamDescription
    /// What MP4 has a place for as it is.
    let sound: StreamDescription?

    init(_ bytes: Int64, _ channel: WorkerChannel, withSound: Bool = false) throws {
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
        sound = withSound ? file.streams.first { [.aac, .opus].contains($0.parameters.codec) && $0.parameters.sampleRateHertz > 0 } : nil
        file.discard(streamsOtherThan: [video.index] + (sound.map { [$0.index] } ?? []))
    }

    /// What must be known of the whole source before a file is begun.
    struct Survey {
        /// Of the video's packets; see `MadeRecord.sourcePacketsSHA256`.
        var packetsSHA256: ContentHash
        /// Mean over the video's length; 0 where there is no sound.
        var soundBitsPerSecond: Int
    }

    /// Reads the file to its end.
    static func survey(_ bytes: Int64, _ channel: WorkerChannel) throws -> Survey {
        let source = try JobSource(bytes, channel, withSound: true)
        let packet = try Packet()
        var hash = SHA256()
        var damaged = 0
        var (soundBits, firstTicks, lastTicks) = (0.0, Int64.max, Int64(0))
        reading: while true {
            switch Result(catching: { () throws(LibAVError) in try source.read(into: packet) }) {
            case .success(.done) where packet.streamIndex == source.video.index:
                hash.update(bufferPointer: packet.bytes)
                if let time = source.ticks90k(packet.decodeTime ?? packet.presentationTime) {
                    (firstTicks, lastTicks) = (min(firstTicks, time), max(lastTicks, time))
                }
            case .success(.done): soundBits += Double(packet.byteCount) * 8
            case .success: break reading
            case .failure(let error):
                damaged += 1
                guard damaged <= Self.damagedMax else { throw error }
            }
        }
        let seconds = max(1, Double(max(0, lastTicks - min(firstTicks, lastTicks))) / 90_000)
        return Survey(packetsSHA256: ContentHash(Array(hash.finalize())) ?? .zero, soundBitsPerSecond: Int(min(soundBits / seconds, 1e9)))
    }

    /// Packets that cannot be read; a file with more is none.
    static let damagedMax = 1_000

    func read(into packet: borrowing Packet) throws(LibAVError) -> TransferOutcome { try file.read(into: packet) }

    func ticks90k(_ time: Int64?) -> Int64? {
        guard let time, let ticks = video.timeBase.rescale(time, to: Rational(1, 90_000)), (0...Self.ticksMax).contains(ticks) else { return nil }
        return ticks
    }
}
