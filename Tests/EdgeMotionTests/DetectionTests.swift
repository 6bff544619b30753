import EdgeMotion
import Foundation
import LibAV
import TestSupport
import Testing

/// A scene in which a square crosses the picture between two moments, and nothing else moves.
struct MadeScene {
    static let seconds = 40
    static let moving = 20.0..<26.0
    static let framesPerSecond = 25
    static let groupSeconds = 2.0

    let folder: TemporaryDirectory
    var path: String { folder.path("scene.mp4") }

    /// - Parameter scene: filters of ffmpeg over the still background.
    init(_ encoder: [String], scene: String = "null", square: String = "y=80:x='mod((t-20)*60,280)'", size: Int = 40) throws {
        folder = try TemporaryDirectory("motion")
        let (status, _, errors) = try runBlocking(
            "/usr/bin/env",
            [
                "ffmpeg", "-v", "error", "-f", "lavfi", "-i", "mandelbrot=size=320x180:rate=1:maxiter=200", "-f", "lavfi", "-i",
                "color=c=white:size=\(size)x\(size):rate=\(Self.framesPerSecond)", "-filter_complex",
                // One picture of a rich scene, for ever.
                "[0]trim=end_frame=1,loop=loop=-1:size=1,fps=\(Self.framesPerSecond),setpts=N/\(Self.framesPerSecond)/TB,\(scene)[back];"
                    + "[back][1]overlay=\(square):enable='between(t,\(Self.moving.lowerBound),\(Self.moving.upperBound))'",
                "-t", "\(Self.seconds)", "-pix_fmt", "yuv420p", "-g", "\(Int(Self.groupSeconds) * Self.framesPerSecond)",
            ] + encoder + [folder.path("scene.mp4")])
        try #require(status == 0, "\(errors)")
    }

    struct Seen {
        var observations: [MotionObservation] = []
        var decodedPictures = 0
        /// When pictures were decoded, in seconds.
        var decodedAt: [Double] = []
        var note: String?

        func starts(_ seconds: Range<Double>, threshold: Int = 20) -> [MotionObservation] {
            observations.filter { $0.mayStart && $0.score >= threshold && seconds.contains(Double($0.toMilliseconds) / 1_000) }
        }
    }

    /// Shows every packet to a detector, at its own time.
    func watch(_ settings: MotionSettings, damagedFrom damaged: Double = .infinity) throws -> Seen {
        // A turn of its own: other tests decode at the same time.
        let detector = MotionDetector(settings, turn: DecodeTurn())
        detector.begin()
        var demuxer = try Demuxer(opening: "file:\(path)", settings: .init(options: ["protocol_whitelist": "file"], openMilliseconds: 5_000), interrupt: InterruptContext())
        let stream = try #require(demuxer.streams.first { $0.parameters.kind == .video })
        let packet = try Packet()
        let other = try Packet()
        var seen = Seen()
        while try demuxer.read(into: packet, milliseconds: 5_000) == .done {
            let time = try #require(packet.decodeTime.flatMap { stream.timeBase.rescale($0, to: Rational(1, 1_000_000_000)) })
            if Double(time) / 1e9 >= damaged {
                let bytes = packet.bytes.enumerated().map { $0.offset > 4 && $0.offset % 3 == 0 ? ~$0.element : $0.element }
                try bytes.withUnsafeBytes {
                    try other.fill(copying: $0, streamIndex: 0, presentationTime: 0, decodeTime: 0, duration: 0, isKey: packet.isKey)
                }
                if let found = detector.observe(other, stream.parameters, nanoseconds: time) { seen.observations.append(found) }
            } else if let found = detector.observe(packet, stream.parameters, nanoseconds: time) {
                seen.observations.append(found)
            }
            if detector.decodedPictures > seen.decodedPictures { seen.decodedAt.append(Double(time) / 1e9) }
            seen.decodedPictures = detector.decodedPictures
            seen.note = seen.note ?? detector.note
        }
        return seen
    }
}

@Suite("Motion in made video")
struct DetectionTests {
    static let free = ["-c:v", "libx264", "-preset", "veryfast", "-crf", "26"]
    static let freeH265 = ["-c:v", "libx265", "-preset", "ultrafast", "-crf", "28", "-x265-params", "log-level=none:keyint=50"]
    /// Holds 400 kbit/s whatever happens.
    static let heldRate = ["-c:v", "libx264", "-preset", "veryfast", "-b:v", "400k", "-minrate", "400k", "-maxrate", "400k", "-bufsize", "400k", "-x264-params", "nal-hrd=cbr"]

    @Test("Where the encoder is free sizes alone find a moving square, and no picture is decoded after learning", arguments: [
        (free, "null"), (free + ["-bf", "3"], "null"), (freeH265, "null"), (free, "noise=alls=3:allf=t"),
    ])
    func sizes(encoder: [String], scene: String) throws {
        let seen = try MadeScene(encoder, scene: scene).watch(MotionSettings())
        #expect(seen.starts(0..<20).isEmpty, "\(seen.starts(0..<20))")
        let first = try #require(seen.starts(20..<40).first)
        #expect(first.toMilliseconds < 20_000 + 4_000 && first.label == "motion")
        #expect(seen.starts(28.5..<40).isEmpty, "\(seen.starts(28.5..<40))")
        // Key frames are decoded while the quiet level is learned and around the square, and at no other time.
        #expect(!seen.decodedAt.contains { (13..<20).contains($0) || $0 >= 31 }, "\(seen.decodedAt)")
    }

    @Test("Where a bit rate is held, or the picture is noisy, key frames decide", arguments: [
        (heldRate, "noise=alls=12:allf=t"), (free, "noise=alls=24:allf=t"), (heldRate + ["-bf", "2"], "noise=alls=12:allf=t"),
    ])
    func pictures(encoder: [String], scene: String) throws {
        let seen = try MadeScene(encoder, scene: scene).watch(MotionSettings())
        #expect(seen.starts(0..<20).isEmpty, "\(seen.starts(0..<20))")
        let first = try #require(seen.starts(20..<40).first, "\(seen)")
        #expect(first.toMilliseconds <= 20_000 + 2 * 2_000)
        #expect(seen.starts(28.5..<40).isEmpty)
        #expect(seen.decodedPictures > 10 && seen.decodedPictures <= MadeScene.seconds)
    }

    @Test("Motion JPEG has key frames only, of which at most one a second is decoded")
    func motionJPEG() throws {
        let seen = try MadeScene(["-c:v", "mjpeg", "-q:v", "6"]).watch(MotionSettings())
        #expect(seen.starts(0..<20).isEmpty && seen.starts(28.5..<40).isEmpty)
        #expect(try #require(seen.starts(20..<40).first).toMilliseconds <= 22_000)
        #expect(seen.decodedPictures > 30 && seen.decodedPictures <= MadeScene.seconds + 1)
    }

    @Test("A change of the light is no motion")
    func light() throws {
        let scene = "eq=brightness='0.15*between(t,20,60)':eval=frame"
        let seen = try MadeScene(Self.heldRate, scene: "noise=alls=12:allf=t,\(scene)", square: "x=-100:y=0").watch(MotionSettings())
        #expect(seen.starts(0..<40).isEmpty, "\(seen.starts(0..<40))")
    }

    @Test("With zones only motion within one counts, and it is named")
    func zones() throws {
        // The square moves in the lower part of the picture, from 44 % of its height to 67 %.
        let above = MotionZone(name: "sky", x: 0, y: 0, width: 100, height: 40)
        let road = MotionZone(name: "road", x: 0, y: 40, width: 100, height: 60)
        let scene = try MadeScene(Self.free)
        #expect(try scene.watch(MotionSettings(zones: [above])).starts(0..<40).isEmpty)
        let seen = try scene.watch(MotionSettings(zones: [above, road]))
        #expect(try #require(seen.starts(20..<40).first).toMilliseconds <= 20_000 + 2 * 2_000)
        #expect(Set(seen.starts(0..<40).map(\.label)) == ["road"] && seen.starts(0..<20).isEmpty)
        #expect(seen.starts(28.5..<40).isEmpty)
        // Sizes still say when there is nothing to look at.
        #expect(!seen.decodedAt.contains { (13..<20).contains($0) || $0 >= 31 }, "\(seen.decodedAt)")
    }

    @Test("What is smaller than the minimum area is no motion")
    func area() throws {
        let scene = try MadeScene(Self.free)
        let zone = MotionZone(name: "all", x: 0, y: 0, width: 100, height: 100)
        #expect(try scene.watch(MotionSettings(zones: [zone], minimumAreaPercent: 30)).starts(0..<40).isEmpty)
        #expect(try !scene.watch(MotionSettings(zones: [zone], minimumAreaPercent: 1)).starts(0..<40).isEmpty)
    }

    @Test("Damaged pictures put the decoder to rest, with a note, and never end anything")
    func damaged() throws {
        let zone = MotionZone(name: "all", x: 0, y: 0, width: 100, height: 100)
        let seen = try MadeScene(Self.heldRate, scene: "noise=alls=12:allf=t").watch(MotionSettings(zones: [zone]), damagedFrom: 10)
        #expect(seen.note?.hasPrefix("motion is not looked for in pictures for 60 s: ") == true, "\(seen)")
        #expect(seen.decodedPictures >= 4)
    }
}
