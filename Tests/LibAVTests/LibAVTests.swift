import LibAV
import Testing

@Suite("LibAV")
struct LibAVTests {
    @Test("Credentials never leave a URL", arguments: [
        ("rtsp://admin:s3cret@10.0.0.5:554/h264", "rtsp://***@10.0.0.5:554/h264"),
        ("rtsp://admin:p@ss/w0rd@10.0.0.5/h264", "rtsp://***@10.0.0.5/h264"),
        ("http://cam/video.cgi?user=a&pwd=s3cret&ch=1", "http://cam/video.cgi?user=***&pwd=***&ch=1"),
        ("open 'rtsp://a:b@c/d' failed: no 'rtsp://e:f@g'", "open 'rtsp://***@c/d' failed: no 'rtsp://***@g'"),
        ("file:/videos/a@b.mp4", "file:/videos/a@b.mp4"), ("rtsp://[::1]:554/x", "rtsp://[::1]:554/x"), ("", ""), ("://", "://"),
    ])
    func scrubbing(text: String, expected: String) { #expect(scrubbed(text) == expected) }

    @Test("The library that runs is the one that was compiled for")
    func version() throws { try LibraryVersion.check() }

    @Test("An error has FFmpeg's words, and no secrets")
    func errors() throws {
        do throws(LibAVError) {
            _ = try Demuxer(
                opening: "rtsp://admin:s3cret@127.0.0.1:1/x", settings: Demuxer.Settings(options: [:], openMilliseconds: 1_000),
                interrupt: InterruptContext())
            Issue.record("port 1 answered")
        } catch {
            #expect(error.description == "open rtsp://***@127.0.0.1:1/x: Connection refused")
            #expect(error.interruption == nil && error.kind == .other)
        }
    }

    @Test("A cancelled context ends a call, and says that it was cancelled")
    func cancelled() throws {
        let interrupt = InterruptContext()
        interrupt.cancel()
        do throws(LibAVError) {
            _ = try Demuxer(
                opening: "rtsp://127.0.0.1:1/x", settings: Demuxer.Settings(options: [:], openMilliseconds: 60_000), interrupt: interrupt)
            Issue.record("opened")
        } catch {
            #expect(error.interruption == .cancelled)
        }
    }

    @Test("An init segment names its codec and is the same each time")
    func initSegment() throws {
        var encoder = try VideoEncoder(
            VideoEncoder.Settings(widthPixels: 320, heightPixels: 180, framesPerSecond: 10, groupFrames: 10, bitsPerSecond: 100_000))
        let picture = try Picture(widthPixels: 320, heightPixels: 180)
        let packet = try Packet()
        #expect(try encoder.send(picture, presentationTime: 0) == .done)
        #expect(try encoder.receive(into: packet) == .done)
        #expect(packet.isKey && packet.decodeTime == 0)
        #expect(try encoder.receive(into: packet) == .wouldBlock)
        let one = try InitSegment(streams: [encoder.parameters])
        #expect(try one == InitSegment(streams: [encoder.parameters]))
        #expect(one.tracks == [InitSegment.Track(trackID: 1, timescale: 90_000)])
        #expect(String(decoding: one.bytes[4..<8], as: UTF8.self) == "ftyp")
    }
}
