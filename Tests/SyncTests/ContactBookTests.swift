@testable import EdgeSync
import Foundation
import RecordingModel
import Synchronization
import Testing

@Suite struct ContactBookTests {
    private static let wall: Int64 = 1_795_300_000_000

    private func moment(_ bootMilliseconds: Int64, wall: Int64 = ContactBookTests.wall, source: ClockSource = .ntp) -> Moment {
        Moment(bootNanoseconds: bootMilliseconds * 1_000_000, wall: WallEstimate(unixMilliseconds: wall + bootMilliseconds, source: source, uncertaintyMilliseconds: 1))
    }

    @Test("A contact counts its connected time, and as busy the time in which something was under way or arrived")
    func oneContact() throws {
        var history = ContactHistory(bootID: "a", now: moment(0))
        history.began(moment(10_000))
        history.moved(acknowledgedBytes: 500, isUnderWay: false, moment(11_000))
        history.moved(acknowledgedBytes: 500, isUnderWay: true, moment(12_000))
        history.moved(acknowledgedBytes: 10_500, isUnderWay: true, moment(14_000))
        // The link is silent, and something waits in the socket.
        history.moved(acknowledgedBytes: 10_500, isUnderWay: true, moment(20_000))
        history.moved(acknowledgedBytes: 20_500, isUnderWay: false, moment(21_000))
        history.moved(acknowledgedBytes: 20_500, isUnderWay: false, moment(50_000))
        history.ended(moment(60_000))
        let record = try #require(history.records(moment(70_000)).first)
        #expect(record == ContactRecord(
            startUnixMilliseconds: Self.wall + 10_000, endUnixMilliseconds: Self.wall + 60_000, connectedMilliseconds: 50_000, busyMilliseconds: 9_000, acknowledgedBytes: 20_000))
        // What was acknowledged before the hub's hello came is not of it, and after its end nothing is.
        history.moved(acknowledgedBytes: 99_999, isUnderWay: true, moment(80_000))
        #expect(history.records(moment(90_000)) == [record])
    }

    @Test("The contact that is going on is listed as far as it has gone")
    func running() {
        var history = ContactHistory(bootID: "a", now: moment(0))
        history.began(moment(0))
        #expect(history.records(moment(5_000)).map(\.connectedMilliseconds) == [5_000])
        history.began(moment(6_000))
        #expect(history.records(moment(9_000)).map(\.connectedMilliseconds) == [6_000, 3_000])
    }

    @Test("A clock that is set moves what this boot noted, and nothing of another boot")
    func clockStep() throws {
        var history = ContactHistory(bootID: "a", now: moment(0, wall: 0, source: .none))
        history.began(moment(10_000, wall: 0, source: .none))
        history.ended(moment(20_000, wall: 0, source: .none))
        #expect(history.observedSince(moment(20_000, wall: 0, source: .none)) == 0)
        history.began(moment(30_000))
        history.ended(moment(40_000))
        #expect(history.records(moment(50_000)).map(\.startUnixMilliseconds) == [Self.wall + 10_000, Self.wall + 30_000])
        #expect(history.observedSince(moment(50_000)) == Self.wall)
        // After a restart of the machine with an unset clock the old times stay.
        var later = try JSONDecoder().decode(ContactHistory.self, from: JSONEncoder().encode(history))
        later.resume(bootID: "b", now: moment(0, wall: 0, source: .none))
        later.began(moment(1_000, wall: 0, source: .none))
        later.ended(moment(2_000, wall: Self.wall + 86_400_000))
        #expect(later.records(moment(3_000)).map(\.startUnixMilliseconds) == [Self.wall + 10_000, Self.wall + 30_000, Self.wall + 86_401_000])
    }

    @Test("A link that is up ten seconds of every minute for ten days stays within its bound, and loses no contact time of a week")
    func bounds() throws {
        var history = ContactHistory(bootID: "a", now: moment(0))
        for minute in 0..<Int64(10 * 1_440) {
            history.began(moment(minute * 60_000))
            history.moved(acknowledgedBytes: 0, isUnderWay: true, moment(minute * 60_000))
            history.moved(acknowledgedBytes: 1_000, isUnderWay: false, moment(minute * 60_000 + 10_000))
            history.ended(moment(minute * 60_000 + 10_000))
        }
        let now = moment(10 * 86_400_000)
        let records = history.records(now)
        #expect(records.count <= ContactHistory.recordsMax)
        #expect(try JSONEncoder().encode(history).count < 64_000)
        var inputs = SyncReport.Inputs(now: now.wall)
        inputs.contacts = records
        inputs.observedSinceUnixMilliseconds = history.observedSince(now)
        let report = SyncReport(inputs)
        #expect((14_300...14_500).contains(report.contactSecondsLastDay) && (100_000...101_500).contains(report.contactSecondsLast7Days))
        #expect(report.throughput?.medianBytesPerSecond == 100)
    }

    @Test("The book keeps itself every ten minutes, and what it kept is what the next process begins with; what cannot be read is forgotten")
    func keeping() throws {
        let time = Mutex<Int64>(0)
        let now: @Sendable () -> Moment = { Moment(bootNanoseconds: time.withLock { $0 } * 1_000_000, wall: WallEstimate(unixMilliseconds: Self.wall + time.withLock { $0 }, source: .ntp, uncertaintyMilliseconds: 1)) }
        let book = ContactBook(bootID: "a", now: now)
        var connected = SyncProgress()
        connected.isConnected = true
        #expect(try book.dueForKeeping(isLast: true) == nil)
        book.progressed(from: SyncProgress(), to: connected)
        time.withLock { $0 = 599_999 }
        book.moved(acknowledgedBytes: 5, isUnderWay: false)
        #expect(try book.dueForKeeping() == nil)
        time.withLock { $0 = 600_000 }
        let kept = try #require(try book.dueForKeeping())
        #expect(try book.dueForKeeping(isLast: true) == nil)
        var ended = SyncProgress()
        ended.duplicateBytes = 7
        book.progressed(from: connected, to: ended)
        let last = try #require(try book.dueForKeeping(isLast: true))
        #expect(ContactBook(bootID: "a", kept: kept, now: now).history.records(now()).map(\.connectedMilliseconds) == [600_000])
        #expect(ContactBook(bootID: "a", kept: last, now: now).history.duplicateBytes == 7)
        #expect(ContactBook(bootID: "a", kept: Array("{".utf8), now: now).history.records(now()).isEmpty)
    }

    @Test("Only what had been handed to the link before counts as sent again")
    func resent() throws {
        let book = ContactBook(bootID: "a", now: { Moment(bootNanoseconds: 0, wall: WallEstimate(unixMilliseconds: 0, source: .none, uncertaintyMilliseconds: 0)) })
        let stream = try #require(StreamID("gate/main"))
        let segment = SegmentID(stream: stream, sequence: 1)
        book.sent(segment, offset: 0, count: 1_000)
        book.sent(segment, offset: 1_000, count: 1_000)
        #expect(book.history.resentBytes == 0)
        book.sent(segment, offset: 1_500, count: 1_000)
        #expect(book.history.resentBytes == 500)
        book.sent(segment, offset: 0, count: 1_000)
        #expect(book.history.resentBytes == 1_500)
        // A second round of more segments than are remembered is not noticed, and takes no memory.
        for sequence in 2..<2_000 as Range<UInt64> { book.sent(SegmentID(stream: stream, sequence: sequence), offset: 0, count: 10) }
        book.sent(segment, offset: 0, count: 10)
        #expect(book.history.resentBytes == 1_500)
    }
}
