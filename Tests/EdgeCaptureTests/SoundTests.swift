@testable import EdgeCapture
import Foundation
import LibAV
import Testing

@Suite("Sound")
struct SoundTests {
    @Test("G.711 is decoded as ffmpeg decodes it, every code", arguments: ["mulaw", "alaw"])
    func telephone(law: String) throws {
        let scratch = try Scratch()
        let path = scratch.file("codes")
        try Data(0...255).write(to: URL(fileURLWithPath: path))
        let made = try runTool("ffmpeg", "-v", "error", "-f", law, "-ar", "8000", "-ac", "1", "-i", path, "-f", "s16le", scratch.file("samples"))
        try #require(made.status == 0, "\(made.errors)")
        let samples = try Data(contentsOf: URL(fileURLWithPath: scratch.file("samples")))
        try #require(samples.count == 512)
        for code in 0...255 {
            let expected = Int16(bitPattern: UInt16(samples[code * 2]) | UInt16(samples[code * 2 + 1]) << 8)
            let level = law == "mulaw" ? G711.muLaw(code) : G711.aLaw(code)
            #expect(level * 32_768 == Float(expected), "code \(code)")
        }
    }

    @Test("An ADTS header becomes the configuration that ffmpeg would write", arguments: [(48_000, 2), (44_100, 1), (16_000, 1), (8_000, 2)])
    func unwrapped(rate: Int, channels: Int) throws {
        let scratch = try Scratch()
        for name in ["wrapped.aac", "plain.mp4"] {
            let made = try runTool(
                "ffmpeg", "-v", "error", "-f", "lavfi", "-i", "sine=frequency=440:sample_rate=\(rate)", "-t", "1", "-ac", "\(channels)", "-c:a", "aac", scratch.file(name))
            try #require(made.status == 0, "\(made.errors)")
        }
        let bytes = try Array(Data(contentsOf: URL(fileURLWithPath: scratch.file("wrapped.aac"))))
        let frameBytes = Int(bytes[3] & 3) << 11 | Int(bytes[4]) << 3 | Int(bytes[5]) >> 5
        let header = try #require(bytes.withUnsafeBytes { ADTSHeader(UnsafeRawBufferPointer(rebasing: $0[0..<frameBytes])) })
        #expect(header.headerBytes == 7)
        #expect(ADTSHeader(sampleRateHertz: rate, channelCount: channels) == header)
        let plain = try Demuxer(
            opening: scratch.file("plain.mp4"), settings: Demuxer.Settings(options: [:], openMilliseconds: 1_000), interrupt: InterruptContext())
        let stream = try #require(plain.streams.first?.parameters)
        let made = try header.describe(stream)
        #expect(Array(made.extradata.prefix(2)) == Array(stream.extradata.prefix(2)) && made.sampleRateHertz == rate)
        // Cut short, or with another length in it, it is none.
        for count in 0..<frameBytes { #expect(bytes.withUnsafeBytes { ADTSHeader(UnsafeRawBufferPointer(rebasing: $0[0..<count])) } == nil) }
    }

    @Test("Sound that stops for a while, comes twice or jumps stays where its timestamps say")
    func gaps() throws {
        let scratch = try Scratch()
        let path = scratch.file("source.mkv")
        let made = try runTool("ffmpeg", "-v", "error", "-f", "lavfi", "-i", "sine=frequency=440:sample_rate=8000", "-t", "1", "-c:a", "pcm_mulaw", path)
        try #require(made.status == 0, "\(made.errors)")
        let source = try Demuxer(opening: path, settings: Demuxer.Settings(options: [:], openMilliseconds: 1_000), interrupt: InterruptContext())
        let parameters = try #require(source.streams.first?.parameters)
        let track = try #require(SoundTrack(StreamDescription(index: 0, timeBase: Rational(1, 8_000), parameters: parameters)))
        let packet = try Packet()
        var times: [Int64] = []
        func feed(_ starts: some Sequence<Int64>) throws {
            for start in starts {
                try packet.fill([UInt8](repeating: 0x55, count: 160), streamIndex: 0, presentationTime: start, decodeTime: start, isKey: true)
                #expect(track.take(packet) { times.append($0.presentationTime ?? -1) })
            }
        }
        let steady = stride(from: Int64(0), to: 16_000, by: 160)
        try feed(steady)
        // A second is missing, then half a second comes again, then an hour is over.
        try feed(steady.map { $0 + 24_000 })
        try feed(steady.map { $0 + 36_000 })
        try feed(steady.map { $0 + 28_800_000 })
        let jumps = zip(times, times.dropFirst()).map { $1 - $0 }.filter { $0 != 1_024 }
        #expect(times.first == -1_024 && jumps.count <= 2 && jumps.allSatisfy { $0 > 0 }, "\(times)")
        #expect(times.last.map { (28_812_000...28_816_000).contains($0) } == true, "\(times.suffix(3))")
    }
}
