import EvidenceLog
import LibAV
import RecordingModel

/// What is said of a file that was not taken whole.
extension FileRemuxer {
    static func whyUnsupported(_ streams: [StreamDescription]) -> String {
        let names = streams.filter { $0.parameters.kind == .video }.map { stream in
            if case .other(let name) = stream.parameters.codec { name } else { "\(stream.parameters.codec)" }
        }
        return names.isEmpty ? "there is no picture in it" : "its picture is \(names.joined(separator: ", ")), which browsers do not play; H.264, H.265, AV1 and MJPEG are imported"
    }

    static func leftOut(_ streams: [StreamDescription], _ tracks: SourceTracks, _ audio: AudioPolicy) -> [String] {
        func count(_ kind: MediaKind) -> Int { streams.count { $0.parameters.kind == kind } }
        var phrases: [String] = []
        if tracks.sound == nil, count(.audio) > 0 { phrases.append(audio.isRecorded ? tracks.note ?? "sound left out" : "sound left out") }
        if tracks.sound != nil, count(.audio) > 1 { phrases.append("\(Self.count(count(.audio) - 1, "more sound track", "more sound tracks")) left out") }
        if count(.video) > 1 { phrases.append("\(Self.count(count(.video) - 1, "more picture track", "more picture tracks")) left out") }
        if count(.other) > 0 { phrases.append("\(Self.count(count(.other), "track", "tracks")) of other data (position, text) left out") }
        return phrases
    }

    func describeDamage() {
        if stretches > 0 { outcome.damage.append("\(Self.count(stretches, "stretch", "stretches")) could not be read, \(Self.seconds(missingMilliseconds)) s in all") }
        if clockSteps > 0 { outcome.damage.append("the timestamps step \(Self.count(clockSteps, "time", "times")); what follows a step is placed right behind what came before") }
        if picturesWithoutKey > 0 { outcome.damage.append("\(Self.count(picturesWithoutKey, "picture", "pictures")) without a key frame left out") }
        let whole = header.declaredDurationMilliseconds ?? 0
        // Containers round, and sound may be longer than the picture.
        if whole > coveredMilliseconds + max(1_000, whole / 50) {
            outcome.damage.append("the file ends after \(Self.seconds(coveredMilliseconds)) of \(Self.seconds(whole)) s")
        } else if isBroken {
            outcome.damage.append("the file breaks off after \(Self.seconds(coveredMilliseconds)) s")
        }
        if soundPacketsDropped > 0 { outcome.damage.append("\(Self.count(soundPacketsDropped, "piece", "pieces")) of sound could not be read") }
    }

    static func count(_ number: Int, _ one: String, _ many: String) -> String { "\(number) \(number == 1 ? one : many)" }
    static func seconds(_ milliseconds: Int64) -> String { "\(Double(milliseconds / 100) / 10)" }
}
