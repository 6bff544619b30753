import LibAV
import RecordingModel

/// The streams of a source that are recorded.
struct SourceTracks {
    let video: StreamDescription
    let audio: StreamDescription?
    /// Why something that was asked for is not recorded; one sentence.
    let note: String?

    init(_ streams: [StreamDescription], audio policy: AudioPolicy) throws(CaptureFailure) {
        let videos = streams.filter { $0.parameters.kind == .video }
        guard let video = videos.first(where: { Self.isSupported($0.parameters.codec) }) else {
            let names = videos.map { "\($0.parameters.codec)" }.joined(separator: ", ")
            throw .failed(.unsupported, videos.isEmpty ? "the source has no video" : "the video is \(names); H.264, H.265, AV1 and MJPEG are recorded")
        }
        self.video = video
        guard policy.isRecorded else {
            audio = nil
            note = nil
            return
        }
        let sounds = streams.filter { $0.parameters.kind == .audio }
        audio = sounds.first { Self.isCopied($0.parameters) }
        note = audio != nil ? nil : sounds.first.map { "sound is not recorded: \($0.parameters.codec) cannot be copied" } ?? "sound is not recorded: the source has none"
    }

    var indexes: [Int] { [video.index] + (audio.map { [$0.index] } ?? []) }

    var isAnnexB: Bool {
        switch video.parameters.codec {
        case .h264, .h265: !video.parameters.isLengthPrefixed
        default: false
        }
    }

    /// What a sound sample lasts whose successor is not known: 1,024 samples of AAC, 20 ms of Opus.
    var audioFrameTicks: Int64 {
        guard let audio else { return 1_024 }
        return audio.parameters.codec == .opus ? Int64(audio.parameters.sampleRateHertz) / 50 : 1_024
    }

    private static func isSupported(_ codec: Codec) -> Bool {
        switch codec {
        case .h264, .h265, .av1, .motionJPEG: true
        default: false
        }
    }

    private static func isCopied(_ parameters: CodecParameters) -> Bool {
        guard (1_000...768_000).contains(parameters.sampleRateHertz) else { return false }
        return switch parameters.codec {
        case .opus: true
        // Without its configuration AAC comes with ADTS headers, which MP4 does not know.
        case .aac: !parameters.extradata.isEmpty
        default: false
        }
    }
}
