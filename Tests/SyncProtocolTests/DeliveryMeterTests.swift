import RecordingModel
import SyncProtocol
import Testing

@Suite("What a connection is known to carry") struct DeliveryMeterTests {
    private func reading(
        acknowledged: UInt64, outstanding: UInt64 = 0, roundTrip: UInt32 = 600_000, least: UInt32 = 600_000, silence: UInt32 = 0, rate: UInt64 = 0,
        ofApplication: Bool = false, early: UInt64 = 0
    ) -> TransportReading {
        TransportReading(
            acknowledgedBytes: acknowledged, outstandingBytes: outstanding, roundTripMicroseconds: roundTrip, leastRoundTripMicroseconds: least,
            silenceMilliseconds: silence, deliveryRate: rate, isRateOfApplication: ofApplication, arrivedEarlyBytes: early)
    }

    @Test("A frame is delivered when the peer has acknowledged all that the kernel held after it")
    func delivery() {
        var meter = DeliveryMeter()
        meter.wrote(reading(acknowledged: 100, outstanding: 50), nowMilliseconds: 0)
        meter.wrote(reading(acknowledged: 120, outstanding: 80), nowMilliseconds: 1)
        #expect(meter.deliveredFrames == 0)
        meter.read(reading(acknowledged: 149, outstanding: 51), isAnswerDue: false, nowMilliseconds: 2)
        #expect(meter.deliveredFrames == 0)
        meter.read(reading(acknowledged: 150, outstanding: 50), isAnswerDue: false, nowMilliseconds: 3)
        #expect(meter.deliveredFrames == 1)
        meter.read(reading(acknowledged: 200), isAnswerDue: false, nowMilliseconds: 4)
        #expect(meter.deliveredFrames == 2)
    }

    @Test("Where a link does not carry events, their footage goes as what else it is, and where that may not cross it either it waits")
    func classes() {
        func kind(_ allowed: Set<TrafficClass>, isPulled: Bool = false) -> TrafficClass { TrafficClass(of: .main, isPulled: isPulled, hasEvent: true, among: allowed) }
        #expect(kind(Set(TrafficClass.allCases)) == .event && kind(Set(TrafficClass.allCases), isPulled: true) == .pulled)
        #expect(kind([.main]) == .main && kind([.main], isPulled: true) == .main && kind([.thumbnails]) == .main)
    }

    @Test("Without readings nothing counts as delivered, and however many frames are under way the memory is bounded")
    func bounds() {
        var blind = DeliveryMeter()
        for _ in 0..<10 { blind.wrote(nil, nowMilliseconds: 0) }
        #expect(blind.deliveredFrames == 0)
        var meter = DeliveryMeter()
        for frame in 0..<UInt64(3 * DeliveryMeter.framesMax) { meter.wrote(reading(acknowledged: 0, outstanding: frame + 1), nowMilliseconds: 0) }
        meter.read(reading(acknowledged: UInt64(3 * DeliveryMeter.framesMax)), isAnswerDue: false, nowMilliseconds: 1)
        #expect(meter.deliveredFrames == DeliveryMeter.framesMax)
    }

    @Test("Silence counts from when something was under way or an answer due, and ends with any sign of life")
    func stall() {
        var meter = DeliveryMeter()
        meter.read(reading(acknowledged: 10, silence: 60_000), isAnswerDue: false, nowMilliseconds: 60_000)
        #expect(meter.stalledMilliseconds == 0)
        meter.read(reading(acknowledged: 10, outstanding: 5, silence: 61_000), isAnswerDue: false, nowMilliseconds: 61_000)
        #expect(meter.stalledMilliseconds == 0)
        meter.read(reading(acknowledged: 10, outstanding: 5, silence: 65_000), isAnswerDue: false, nowMilliseconds: 65_000)
        #expect(meter.stalledMilliseconds == 4_000)
        meter.read(reading(acknowledged: 15, silence: 100), isAnswerDue: true, nowMilliseconds: 66_000)
        #expect(meter.stalledMilliseconds == 100)
        meter.read(reading(acknowledged: 15, silence: 5_000), isAnswerDue: true, nowMilliseconds: 71_000)
        #expect(meter.stalledMilliseconds == 5_000)
    }

    @Test("The rate grows by BBR's own factor until a link has bounded it, then doubles while that finds more, stays at what the link carries once less arrives than is sent, and falls below it where much waits")
    func pacing() {
        var meter = DeliveryMeter()
        let least = meter.pacingRate
        meter.read(reading(acknowledged: 1, rate: 30_000), isAnswerDue: false, nowMilliseconds: 1_000)
        #expect(least < 60_000 && meter.pacingRate == 86_666)
        meter.read(reading(acknowledged: 2, rate: 60_000), isAnswerDue: false, nowMilliseconds: 2_000)
        #expect(meter.pacingRate == 173_333)
        meter.read(reading(acknowledged: 3, rate: 100_000), isAnswerDue: false, nowMilliseconds: 3_000)
        #expect(meter.pacingRate == 288_888)
        meter.read(reading(acknowledged: 4, roundTrip: 800_000, rate: 100_000), isAnswerDue: false, nowMilliseconds: 4_000)
        #expect(meter.pacingRate == 100_000)
        // Long after the last growth an eighth more is tried, and given up when it only fills the queue.
        meter.read(reading(acknowledged: 5, rate: 100_000), isAnswerDue: false, nowMilliseconds: 60_000)
        #expect(meter.pacingRate == 112_500)
        meter.read(reading(acknowledged: 6, roundTrip: 1_100_000, rate: 95_000), isAnswerDue: false, nowMilliseconds: 61_000)
        #expect((80_000..<100_000).contains(meter.pacingRate))
        meter.read(reading(acknowledged: 7, rate: 110_000), isAnswerDue: false, nowMilliseconds: 90_000)
        #expect(meter.pacingRate == 220_000)
    }

    @Test("Round trips that vary do not slow a link down: what is sent arrives")
    func jitter() {
        var meter = DeliveryMeter()
        var carried: UInt64 = 0
        for tick in 1..<400 {
            // A link of 1 MB/s whose round trips are 80 to 240 ms for no reason.
            carried = UInt64(min(meter.pacingRate, 1_000_000))
            meter.read(reading(acknowledged: UInt64(tick), roundTrip: tick % 2 == 0 ? 240_000 : 90_000, least: 80_000, rate: carried), isAnswerDue: false, nowMilliseconds: Int64(tick) * 250)
        }
        #expect(carried >= 850_000 && meter.bytesPerSecond >= 900_000, "\(carried), \(meter.bytesPerSecond)")
    }

    @Test("On a steady link that is known and slow two seconds of it are under way at most, on a faster one three; after an outage more")
    func room() {
        func after(_ outstanding: UInt64, rate: Int64 = 5_000, silence: UInt32 = 0) -> DeliveryMeter {
            var meter = DeliveryMeter(bytesPerSecond: rate)
            meter.read(reading(acknowledged: 100, outstanding: 1), isAnswerDue: false, nowMilliseconds: 0)
            meter.read(reading(acknowledged: 100, outstanding: outstanding, silence: silence), isAnswerDue: false, nowMilliseconds: 5_000)
            return meter
        }
        #expect(after(9_999).hasRoom && !after(10_000).hasRoom)
        #expect(after(374_999, rate: 125_000).hasRoom && !after(375_000, rate: 125_000).hasRoom)
        #expect(after(63_999, rate: 0).hasRoom && !after(64_000, rate: 0).hasRoom)
        var away = after(30_000, silence: 5_000)
        #expect(away.hasRoom)
        for second in Int64(1)...90 {
            away.read(reading(acknowledged: 100 + UInt64(second), outstanding: 30_000), isAnswerDue: false, nowMilliseconds: 5_000 + second * 1_000)
            #expect(away.hasRoom == (second < 90))
        }
    }

    @Test("What has arrived behind a lost packet takes no room, as long as it is not more than what is still under way may be")
    func earlyArrivals() {
        func hasRoom(_ outstanding: UInt64, early: UInt64) -> Bool {
            var meter = DeliveryMeter(bytesPerSecond: 125_000)
            meter.read(reading(acknowledged: 100, outstanding: outstanding, early: early), isAnswerDue: false, nowMilliseconds: 0)
            return meter.hasRoom
        }
        #expect(hasRoom(500_000, early: 125_001) && !hasRoom(500_000, early: 125_000))
        #expect(hasRoom(749_999, early: 700_000) && !hasRoom(750_000, early: 700_000))
    }

    @Test("A slow link is known by its first full packet, and grows again where that was an accident", arguments: [
        (982_000, 5_000), (711_000, 24_000), (780_000, 17_700), (1_500_000, 1_771),
    ])
    func firstPacket(firstRoundTripMicroseconds: Int64, bytesPerSecond: Int64) {
        var meter = DeliveryMeter()
        let smoothed = UInt32(700_000 + (firstRoundTripMicroseconds - 700_000) / 8)
        meter.read(reading(acknowledged: 1_417, roundTrip: smoothed, least: 700_000), isAnswerDue: true, nowMilliseconds: 1_400)
        if bytesPerSecond < 16_000 {
            #expect(abs(meter.bytesPerSecond - bytesPerSecond) <= bytesPerSecond / 50 && meter.pacingRate < bytesPerSecond * 5 / 4 + 500)
        } else {
            #expect(meter.bytesPerSecond == 0 && meter.pacingRate == 24_000)
        }
        for tick in 1...80 {
            let rate = UInt64(min(meter.pacingRate, 500_000))
            meter.read(reading(acknowledged: 10_000 + UInt64(tick), roundTrip: 700_000, least: 700_000, rate: rate), isAnswerDue: true, nowMilliseconds: 1_400 + Int64(tick) * 125)
        }
        #expect(meter.bytesPerSecond > 400_000, "\(meter.bytesPerSecond)")
    }

    @Test("Before anything is known of a link it is given what TCP sends in a round trip anyway", arguments: [
        (0, 24_000), (700_000, 24_000), (600_000, 24_133), (80_000, 181_000), (40_000, 362_000), (100, 1_000_000),
    ])
    func firstRate(leastRoundTripMicroseconds: UInt32, bytesPerSecond: Int64) {
        var meter = DeliveryMeter()
        meter.read(reading(acknowledged: 0, roundTrip: leastRoundTripMicroseconds, least: leastRoundTripMicroseconds), isAnswerDue: true, nowMilliseconds: 100)
        #expect(meter.pacingRate == bytesPerSecond)
    }

    @Test("What waited for a link to come back says nothing of its queue or its rate")
    func outage() {
        var meter = DeliveryMeter(bytesPerSecond: 100_000)
        meter.read(reading(acknowledged: 1, outstanding: 9), isAnswerDue: false, nowMilliseconds: 0)
        meter.read(reading(acknowledged: 1, outstanding: 9, silence: 50_000), isAnswerDue: false, nowMilliseconds: 50_000)
        #expect(meter.isAfterOutage(50_000))
        for tick in 1...16 {
            meter.read(reading(acknowledged: 5, outstanding: 9, roundTrip: 40_000_000, rate: 2_000), isAnswerDue: false, nowMilliseconds: 50_000 + Int64(tick) * 250)
        }
        #expect(meter.bytesPerSecond == 100_000 && meter.pacingRate == 112_500)
        #expect(!meter.isAfterOutage(60_000))
    }

    @Test("What the sender held back says nothing against the link, and what a connection found is where the next one begins")
    func memory() {
        var meter = DeliveryMeter(bytesPerSecond: 100_000)
        #expect(meter.pace == LinkPace(bytesPerSecond: 100_000) && meter.pace.frameBytes == 50_000)
        for second in 1..<100 { meter.read(reading(acknowledged: 1, rate: 500, ofApplication: true), isAnswerDue: false, nowMilliseconds: Int64(second) * 1_000) }
        #expect(meter.bytesPerSecond == 100_000)
        for second in 100..<200 { meter.read(reading(acknowledged: 1, roundTrip: 3_900_000, rate: 10_000), isAnswerDue: false, nowMilliseconds: Int64(second) * 1_000) }
        #expect((9_000..<12_500).contains(meter.bytesPerSecond), "\(meter.bytesPerSecond)")
    }

    @Test("Frames and what the socket holds are half a second of the link, within bounds", arguments: [
        (0, 2_048, 4_096), (5_000, 2_500, 4_096), (125_000, 62_500, 62_500), (250_000, 65_536, 125_000), (100_000_000, 65_536, 262_144),
    ])
    func pace(rate: Int64, frame: Int, unsent: Int) {
        #expect(LinkPace(bytesPerSecond: rate) == LinkPace(frameBytes: frame, unsentBytes: unsent))
    }
}
