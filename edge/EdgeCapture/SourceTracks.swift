import LibAV
import RecordingModel

/// The streams of a source that are recorded.
struct SourceTracks {
    let video: StreamDescription
    /// Samples carry NAL units behind start codes.
    let isAnnexB: Bool
    let sound: SoundTrack?
    /// Why something that was asked for is not recorded; one sentence.
    let note: String?

    init(_ streams: [StreamDescription], audio policy: AudioPolicy) throws(CaptureFailure) {
        let videos = streams.filter { $0.parameters.kind == .video }
        guard let video = videos.first(where: { Self.isSupported($0.parameters.codec) }) else {
            let names = videos.map { "\($0.parameters.codec)" }.joined(separator: ", ")
            throw .failed(.unsupported, videos.isEmpty ? "the source has no video" : "the video is \(names); H.264, H.265, AV1 and MJPEG are recorded")
        }
        self.video = video
        isAnnexB = (video.parameters.codec == .h264 || video.parameters.codec == .h265) && !video.parameters.isLengthPrefixed
        guard policy.isRecorded else {
            sound = nil
            note = nil
            return
        }
        let sounds = streams.filter { $0.parameters.kind == .audio }
        var kept: SoundTrack?
        for stream in sounds where kept == nil { kept = SoundTrack(stream) }
        sound = kept
        note = kept != nil ? nil : sounds.first.map { Self.note(on: $0.parameters) } ?? "sound is not recorded: the source has none"
    }

    var indexes: [Int] { [video.index] + (sound.map { [$0.index] } ?? []) }


    private static func isSupported(_ codec: Codec) -> Bool {
        switch codec {
        case .h264, .h265, .av1, .motionJPEG: true
        default: false
        }
    }

    private static func note(on sound: CodecParameters) -> String {
        let name = if case .other(let name) = sound.codec { name } else { "\(sound.codec)" }
        return "sound is not recorded: it is \(name) at \(sound.sampleRateHertz) Hz with \(sound.channelCount) channels; AAC, Opus and G.711 with one channel are"
    }
}
