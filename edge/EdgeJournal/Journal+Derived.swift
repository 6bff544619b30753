import GRDB
import RecordingModel

/// What making small things of footage asks for.
extension Journal {
    /// The oldest segment of the stream from this number on whose file was not given up.
    package func nextSegment(of stream: StreamID, from sequence: UInt64) throws -> SegmentRecord? {
        try ask { try $0.segmentIndex(of: stream, from: sequence) }.flatMap { try records(at: [$0]).first }
    }

    /// Those with footage of their own in the log, recorded or from cards, whatever became of it.
    package func camerasWithFootage() throws -> [CameraID] {
        try ask { try $0.database.read { try JournalIndex.streamsOfSegments($0) } }.compactMap { StreamID($0) }.filter { $0.kind == .main }.map(\.camera)
    }

    /// The newest entry of the stream, whatever became of its file.
    package func newestSegment(of stream: StreamID) throws -> SegmentRecord? {
        try ask { try $0.newestSegmentIndex(of: stream) }.flatMap { try records(at: [$0]).first }
    }
}

extension JournalIndex {
    fileprivate func segmentIndex(of stream: StreamID, from sequence: UInt64) throws -> UInt64? {
        try database.read { database in
            let sql = "SELECT idx FROM entries WHERE kind = 'segment' AND stream = ? AND sequence >= ? AND removal IS NULL ORDER BY sequence LIMIT 1"
            return try Int64.fetchOne(database, sql: sql, arguments: [stream.description, Int64(clamping: sequence)]).map { UInt64(clamping: $0) }
        }
    }

    fileprivate func newestSegmentIndex(of stream: StreamID) throws -> UInt64? {
        try database.read { database in
            let sql = "SELECT idx FROM entries WHERE kind = 'segment' AND stream = ? ORDER BY sequence DESC LIMIT 1"
            return try Int64.fetchOne(database, sql: sql, arguments: [stream.description]).map { UInt64(clamping: $0) }
        }
    }
}
