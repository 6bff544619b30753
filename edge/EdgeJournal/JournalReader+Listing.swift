import RecordingModel

extension JournalReader {
    /// The newest rows of a stretch of wall time, in order of their start. `source` and `uncertaintyMilliseconds` of a row are
    /// those of the time it has now, put right by clock entries where there are any.
    /// - Returns: also whether older ones were left out for the limit.
    package func newest(
        of stream: StreamID? = nil, fromUnixMilliseconds: Int64? = nil, toUnixMilliseconds: Int64? = nil, including: [JournalRow.Other], limit: Int
    ) throws -> (rows: [JournalRow], isCut: Bool) {
        try withIndex { index in
            // One more than asked for tells whether there are more.
            var rows = try index.spans(
                of: stream, from: fromUnixMilliseconds, to: toUnixMilliseconds, kinds: JournalRow.kinds(including), newestFirst: true, limit: limit + 1)
            if including.contains(.imports) { rows += try index.imports(of: stream, from: fromUnixMilliseconds, to: toUnixMilliseconds, limit: limit + 1) }
            rows.sort { ($0.startUnixMilliseconds ?? 0, $0.index) < ($1.startUnixMilliseconds ?? 0, $1.index) }
            let listed = try index.estimated(Array(rows.suffix(limit))).compactMap { item -> JournalRow? in
                guard var row = JournalRow(item.row) else { return nil }
                if let start = item.start { (row.source, row.uncertaintyMilliseconds) = (start.source, start.uncertaintyMilliseconds) }
                return row
            }
            return (listed, rows.count > limit)
        }
    }
}
