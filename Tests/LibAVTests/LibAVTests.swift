import LibAV
import Testing

@Suite("LibAV")
struct LibAVTests {
    @Test("Credentials never leave a URL", arguments: [
        ("rtsp://admin:s3cret@10.0.0.5:554/h264", "rtsp://***@10.0.0.5:554/h264"),
        ("rtsp://admin:p@ss/w0rd@10.0.0.5/h264", "rtsp://***@10.0.0.5/h264"),
        ("http://cam/video.cgi?user=a&pwd=s3cret&ch=1", "http://cam/video.cgi?***"),
        ("open 'rtsp://a:b@c/d' failed: no 'rtsp://e:f@g'", "open 'rtsp://***@c/d' failed: no 'rtsp://***@g'"),
        ("file:/videos/a@b.mp4", "file:/videos/a@b.mp4"), ("rtsp://[::1]:554/x", "rtsp://[::1]:554/x"), ("", ""), ("://", "://"),
        // XM and HiSilicon, two ways; Foscam; Swann; a token; escaped; and a path that has nothing to hide.
        ("rtsp://10.0.0.5:554/user=admin&password=s3cret&channel=1&stream=0.sdp?real_stream", "rtsp://10.0.0.5:554/user=***?***"),
        ("rtsp://10.0.0.5/user=admin_password=s3cret_channel=1_stream=0.sdp", "rtsp://10.0.0.5/user=***"),
        ("rtsp://10.0.0.5/channel=1_Password=s3cret_stream=0.sdp", "rtsp://10.0.0.5/channel=1_Password=***"),
        ("rtsp://10.0.0.5/videoMain&PWD=s3c/ret", "rtsp://10.0.0.5/videoMain&PWD=***"),
        ("rtsp://10.0.0.5:554/0/admin:s3cret/main", "rtsp://10.0.0.5:554/0/***/main"),
        ("http://[fe80::1]:8080/live;sessionToken=s3cret", "http://[fe80::1]:8080/live;sessionToken=***"),
        ("rtsp://10.0.0.5/live%26password%3Ds3cret", "rtsp://10.0.0.5/live%26password%3D***"),
        ("open '/user=admin&password=s3cret' failed", "open '/user=***' failed"),
        ("rtsp://10.0.0.5/Streaming/Channels/101: refused", "rtsp://10.0.0.5/Streaming/Channels/101: refused"),
    ])
    func scrubbing(text: String, expected: String) { #expect(scrubbed(text) == expected) }

    @Test("A URL is scrubbed as a whole, whatever its password is made of, and twice is the same as once")
    func wholeURL() {
        for url in ["rtsp://10.0.0.5/user=a&password=s3 cret'x&channel=1", "http://a:s3 cret@10.0.0.5/x"] {
            let hidden = withoutSecrets(ofURL: url)
            #expect(hidden.contains("10.0.0.5") && !hidden.contains("cret"), "\(hidden)")
            #expect(scrubbed(hidden) == hidden)
        }
    }

    @Test("Times that no camera means are none")
    func extremeTimes() throws {
        let packet = try Packet()
        for time in [Int64.max, .min + 1, .min, 1 << 61, -(1 << 61)] {
            try packet.fill([1, 2], streamIndex: 0, presentationTime: time, decodeTime: time, isKey: true)
            #expect(packet.presentationTime == nil && packet.decodeTime == nil && packet.isKey && packet.byteCount == 2)
        }
        let seconds = Rational(1, 1)
        #expect(seconds.rescale(1 << 60, to: Rational(1, 90_000)) == nil)
        #expect(seconds.rescale(2, to: Rational(1, 90_000)) == 180_000)
        #expect(Rational(1, 0).rescale(2, to: seconds) == nil)
        try packet.prepend([9], presentationTime: 5, decodeTime: nil, isKey: false)
        #expect(Array(packet.bytes) == [9, 1, 2] && packet.presentationTime == 5 && packet.isKey)
    }

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
