import EdgeCapture
import LibAV
import RecordingModel

/// In the worker: a segment decoded, made smaller, encoded, and written as a fragmented MP4 whose pictures have the
/// source's times. The source's sound is copied as it is.
final class ProxyMaker {
    private let job: ProxyJob
    private var encoder: VideoEncoder
    private let picture: Picture
    private let fragments = FragmentWriter()
    private let packet: Packet
    private var scaler = PictureScaler(.bicubic, isFullRange: false)
    private var isAnnexB: Bool
    private var begun = false
    private let survey: JobSource.Survey
    private let sound: SoundCopy?
    private var lastTicks: Int64 = -1
    private var lastDecodeTicks: Int64 = -1

    static func run(_ job: ProxyJob, _ channel: WorkerChannel) throws -> WorkerFigures {
        var figures = WorkerFigures(pictures: 0, damaged: 0, cpuMilliseconds: 0)
        var job = job
        let survey = try JobSource.survey(job.sourceBytes, channel)
        let takesSound = job.keepsEveryPicture || survey.soundBitsPerSecond <= job.bitsPerSecond / 2
        if takesSound, !job.keepsEveryPicture { job.leaveRoom(bitsPerSecond: survey.soundBitsPerSecond) }
        let source = try JobSource(job.sourceBytes, channel, withSound: takesSound)
        let sound = source.sound.map { SoundCopy($0) }
        var decoder = try PictureDecoder(source.video.parameters, timeBase: source.video.timeBase, keyFramesOnly: false, threads: job.threads)
        let packet = try Packet()
        let decoded = try DecodedPicture()
        var maker: ProxyMaker?
        var thinner = FrameThinner(framesPerSecondMax: job.framesPerSecondMax)
        var isOver = false
        while !isOver {
            switch Result(catching: { () throws(LibAVError) in try source.read(into: packet) }) {
            case .success(.done):
                guard packet.streamIndex == source.video.index else {
                    if packet.streamIndex == sound?.stream.index, sound?.take(packet, source) == false { figures.damaged += 1 }
                    continue
                }
                do { _ = try decoder.send(packet) } catch { figures.damaged += 1 }
            case .success:
                isOver = true
                try decoder.finish()
            case .failure(let error):
                figures.damaged += 1
                guard figures.damaged <= JobSource.damagedMax else { throw error }
                continue
            }
            while (try? decoder.receive(into: decoded)) == .done {
                guard let ticks = source.ticks90k(decoded.presentationTime), job.keepsEveryPicture || thinner.keeps(ticks) else { continue }
                if maker == nil { maker = try ProxyMaker(job, like: decoded, survey, sound) }
                try maker?.add(decoded, ticks, channel)
                figures.pictures += 1
            }
        }
        guard maker != nil else { throw UnusableSource(description: "none of its pictures can be decoded") }
        try maker?.finish(channel)
        return figures
    }

    private init(_ job: ProxyJob, like source: borrowing DecodedPicture, _ survey: JobSource.Survey, _ sound: SoundCopy?) throws {
        let size = PictureSize.fitting(source.widthPixels, source.heightPixels, side: job.sidePixels)
        var settings = job.encoderSettings(widthPixels: size.width, heightPixels: size.height)
        settings.colors = source.colors
        self.job = job
        self.survey = survey
        self.sound = sound
        encoder = try VideoEncoder(settings)
        picture = try Picture(widthPixels: size.width, heightPixels: size.height)
        packet = try Packet()
        isAnnexB = encoder.parameters.codec == .h264 || encoder.parameters.codec == .h265
    }

    private func add(_ source: borrowing DecodedPicture, _ ticks: Int64, _ channel: WorkerChannel) throws {
        guard ticks > lastTicks else { return }
        lastTicks = ticks
        try scaler.scale(source, into: picture)
        while try encoder.send(picture, presentationTime: ticks) == .wouldBlock { try drain(channel) }
        try drain(channel)
    }

    private func finish(_ channel: WorkerChannel) throws {
        try encoder.finish()
        try drain(channel)
        if !fragments.isEmpty { try flush(next: nil, channel) }
    }

    private func drain(_ channel: WorkerChannel) throws {
        while try encoder.receive(into: packet) == .done {
            guard let time = packet.presentationTime, time > lastDecodeTicks else { continue }
            if !begun { try begin(at: time, channel) }
            lastDecodeTicks = time
            if fragments.mustFlush(decodeTime: time, isKey: packet.isKey, byteCount: packet.byteCount) { try flush(next: time, channel) }
            if encoder.parameters.codec == .av1 { packet.removeTemporalDelimiter() }
            fragments.addVideo(packet.bytes, isAnnexB: isAnnexB, isKey: packet.isKey, at: MediaTimeline.Placement(decodeTime: time, compositionOffset: 0))
        }
    }

    private func begin(at ticks: Int64, _ channel: WorkerChannel) throws {
        let initSegment = try InitSegment(streams: [encoder.parameters] + (sound.map { [$0.stream.parameters] } ?? []))
        sound?.timescale = initSegment.tracks.last?.timescale ?? 0
        fragments.begin(
            tracks: initSegment.tracks, typicalVideoDuration: Int64(InitSegment.videoTimescale) / Int64(job.framesPerSecondMax), typicalAudioDuration: 1_024)
        begun = true
        try channel.send(
            WorkerAnswer.header(
                ProxyHeader(
                    initBytes: initSegment.bytes, codecs: initSegment.codecs, widthPixels: picture.widthPixels, heightPixels: picture.heightPixels,
                    startTicks90k: ticks, sourcePacketsSHA256: survey.packetsSHA256,
                    soundBitsPerSecond: survey.soundBitsPerSecond, isSoundCopied: sound != nil)
            ).message)
    }

    private func flush(next: Int64?, _ channel: WorkerChannel) throws {
        sound?.give(to: fragments, until: next)
        try fragments.flush(nextDecodeTime: next, isLast: next == nil) { bytes, summary in
            try channel.send(WorkerAnswer.fragment(Array(bytes), frames: summary.frames, durationTicks90k: summary.durationTicks).message)
        }
    }
}

extension ProxyJob {
    /// The rate is that of picture and sound together.
    mutating func leaveRoom(bitsPerSecond sound: Int) {
        let share = Double(bitsPerSecond - sound) / Double(max(1, bitsPerSecond))
        bitsPerSecond -= sound
        (peakBitsPerSecond, bufferBits) = (Int(Double(peakBitsPerSecond) * share), Int(Double(bufferBits) * share))
    }

    func encoderSettings(widthPixels: Int, heightPixels: Int) -> VideoEncoder.Settings {
        var settings = VideoEncoder.Settings(
            widthPixels: widthPixels, heightPixels: heightPixels, framesPerSecond: framesPerSecondMax, groupFrames: framesPerSecondMax * groupSeconds,
            bitsPerSecond: bitsPerSecond)
        settings.encoder = encoder
        settings.options = options
        settings.bufferBits = bufferBits
        settings.peakBitsPerSecond = peakBitsPerSecond
        settings.timeBase = Rational(1, InitSegment.videoTimescale)
        settings.threads = threads
        return settings
    }
}

extension Packet {
    /// AV1 in MP4 has no temporal delimiters (AV1 Codec ISO Media File Format Binding, 2.4): an empty unit of type 2 with a size.
    func removeTemporalDelimiter() {
        if bytes.starts(with: [0x12, 0x00]) { removeFirst(2) }
    }
}

/// In the worker: whether an encoder works on this machine, within this confinement and with these settings.
enum EncoderTrial {
    /// Longer than what encoders look ahead, so that one that never gives anything is found out.
    private static let pictures = 60
    /// What hardware takes too.
    private static let (widthPixels, heightPixels) = (320, 240)

    static func run(_ job: ProxyJob) throws -> WorkerFigures {
        var encoder = try VideoEncoder(job.encoderSettings(widthPixels: widthPixels, heightPixels: heightPixels))
        _ = try InitSegment(streams: [encoder.parameters])
        var picture = try Picture(widthPixels: widthPixels, heightPixels: heightPixels)
        let packet = try Packet()
        var packets = 0
        func drain() throws {
            while try encoder.receive(into: packet) == .done { packets += 1 }
        }
        for number in 0..<pictures {
            for plane in 0..<3 {
                try picture.withPlane(plane) { bytes, stride in
                    for index in bytes.indices { bytes[index] = UInt8(truncatingIfNeeded: plane == 0 ? 16 + (index % stride + index / stride + number * 3) % 200 : 128) }
                }
            }
            while try encoder.send(picture, presentationTime: Int64(number) * 90_000 / Int64(job.framesPerSecondMax)) == .wouldBlock { try drain() }
            try drain()
        }
        try encoder.finish()
        try drain()
        guard packets == pictures else { throw UnusableSource(description: "of \(pictures) pictures it gave \(packets)") }
        return WorkerFigures(pictures: packets, damaged: 0, cpuMilliseconds: 0)
    }
}

/// Leaves pictures out where there are more in a second than wanted; evenly, and whatever the source's rate is.
struct FrameThinner {
    private let intervalTicks: Int64
    private var nextTicks: Int64?

    init(framesPerSecondMax: Int) { intervalTicks = 90_000 / Int64(max(1, framesPerSecondMax)) }

    mutating func keeps(_ ticks: Int64) -> Bool {
        // Half a picture's jitter early is in time: a source at just this rate loses none.
        guard let next = nextTicks, ticks - next < 4 * intervalTicks, next - ticks < 4 * intervalTicks else {
            nextTicks = ticks + intervalTicks
            return true
        }
        guard ticks >= next - intervalTicks / 8 else { return false }
        nextTicks = next + intervalTicks
        return true
    }
}
