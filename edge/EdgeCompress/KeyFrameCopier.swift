import EdgeCapture
import LibAV
import RecordingModel

/// In the worker: the key frames of a segment as they are, each shown until the next. Nothing is decoded, and what a camera has signed
/// in them can still be checked.
enum KeyFrameCopier {
    static func run(_ job: ProxyJob, _ channel: WorkerChannel) throws -> WorkerFigures {
        var figures = WorkerFigures(pictures: 0, damaged: 0, cpuMilliseconds: 0)
        let survey = try JobSource.survey(job.sourceBytes, channel)
        let source = try JobSource(job.sourceBytes, channel)
        let parameters = source.video.parameters
        let isAnnexB = [.h264, .h265].contains(parameters.codec) && !parameters.isLengthPrefixed
        let fragments = FragmentWriter()
        let packet = try Packet()
        var newest: Int64 = -1
        /// A picture lasts until the next; the last one until what follows of its group ends.
        var end: Int64 = 0
        func flush(next: Int64) throws {
            try fragments.flush(nextDecodeTime: next, isLast: false) { bytes, summary in
                try channel.send(WorkerAnswer.fragment(Array(bytes), frames: summary.frames, durationTicks90k: summary.durationTicks).message)
            }
        }
        reading: while true {
            switch Result(catching: { () throws(LibAVError) in try source.read(into: packet) }) {
            case .success(.done): break
            case .success: break reading
            case .failure(let error):
                figures.damaged += 1
                guard figures.damaged <= JobSource.damagedMax else { throw error }
                continue
            }
            // The presentation time: what is shown out of order is not there any more.
            guard packet.streamIndex == source.video.index, let ticks = source.ticks90k(packet.presentationTime ?? packet.decodeTime) else { continue }
            end = max(end, ticks + (source.ticks90k(packet.duration) ?? 0))
            guard packet.isKey, ticks > newest, packet.byteCount > 0 else { continue }
            if newest < 0 {
                let initSegment = try InitSegment(streams: [parameters])
                fragments.begin(tracks: initSegment.tracks, typicalVideoDuration: 90_000, typicalAudioDuration: 1_024)
                try channel.send(
                    WorkerAnswer.header(
                        ProxyHeader(
                            initBytes: initSegment.bytes, codecs: initSegment.codecs, widthPixels: parameters.widthPixels, heightPixels: parameters.heightPixels,
                            startTicks90k: ticks, sourcePacketsSHA256: survey.packetsSHA256, soundBitsPerSecond: survey.soundBitsPerSecond)
                    ).message)
            } else {
                try flush(next: ticks)
            }
            newest = ticks
            fragments.addVideo(packet.bytes, isAnnexB: isAnnexB, isKey: true, at: MediaTimeline.Placement(decodeTime: ticks, compositionOffset: 0))
            figures.pictures += 1
        }
        guard figures.pictures > 0 else { throw UnusableSource(description: "there is no key frame in it") }
        try flush(next: max(end, newest + 1))
        return figures
    }
}
