import HTTPTypes
import HubStore
import Hummingbird
import NIOCore
import NIOPosix
import RecordingModel
import StorageIO

extension ReviewService {
    func addSegmentRoutes(to router: some RouterMethods<ReviewContext>) {
        router.get("api/v1/segments/:hash") { [self] request, context in
            guard let hash = context.parameters.get("hash").flatMap({ ContentHash($0) }) else { throw Problem.notFound }
            guard let node = try request.query("node").flatMap({ NodeID($0) }) else {
                throw Problem(.badRequest, "The parameter node must be a node's id.", field: "node")
            }
            guard let camera = try request.query("camera").flatMap({ CameraID($0) }) else {
                throw Problem(.badRequest, "The parameter camera must be \(CameraID.expectation).", field: "camera")
            }
            // First the right, so that nobody without it learns which content exists.
            guard try context.requireSession().role.mayViewFootage else { throw Problem.noFootageRight }
            guard let segment = try await store.segment(hash, node: node, camera: camera, kinds: [.main, .proxy], within: nil) else { throw Problem.notFound }
            try await audit(.viewSegment, "\(node)/\(segment.record.id) \(hash)", context: context)
            return try await segmentAnswer(segment, to: request)
        }
    }

    /// The bytes of a segment, or the part of them that was asked for. Content never changes under its hash.
    func segmentAnswer(_ segment: PlayableSegment, to request: Request) async throws -> Response {
        let hash = segment.record.sha256
        let tag = "\"\(hash)\""
        var headers: HTTPFields = [
            .eTag: tag, .cacheControl: "private, max-age=31536000, immutable", .acceptRanges: "bytes", .contentType: "video/mp4",
        ]
        if request.headers[.ifNoneMatch].map({ $0 == "*" || $0.contains(tag) }) == true { return Response(status: .notModified, headers: headers) }
        guard let file = try await store.blob(hash) else { throw Problem.notFound }
        let length = file.length
        // A range under another content's tag is for something that is no longer wanted: the whole is sent.
        let isCurrent = request.headers[.ifRange].map { $0 == tag } ?? true
        switch ByteRange.parse(isCurrent ? request.headers[.range] : nil, length: length) {
        case .whole:
            return Response(status: .ok, headers: headers, body: MediaBody.stream(file, 0..<length))
        case .part(let range):
            headers[.contentRange] = "bytes \(range.lowerBound)-\(range.upperBound - 1)/\(length)"
            return Response(status: .partialContent, headers: headers, body: MediaBody.stream(file, range))
        case .unsatisfiable:
            return Response(status: .rangeNotSatisfiable, headers: [.contentRange: "bytes */\(length)", .cacheControl: "no-store"])
        }
    }
}

/// One range of RFC 9110, section 14. Several ranges, or what is no range at all, mean the whole.
enum ByteRange: Equatable {
    case whole
    case part(Range<Int64>)
    case unsatisfiable

    static func parse(_ header: String?, length: Int64) -> ByteRange {
        guard let header, header.hasPrefix("bytes=") else { return .whole }
        let parts = header.dropFirst("bytes=".count).split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count == 2, !header.contains(",") else { return .whole }
        func number(_ text: Substring) -> Int64? { text.utf8.allSatisfy { (48...57).contains($0) } ? Int64(text) : nil }
        if parts[0].isEmpty {
            guard let suffix = number(parts[1]) else { return .whole }
            return suffix > 0 && length > 0 ? .part(max(0, length - suffix)..<length) : .unsatisfiable
        }
        guard let first = number(parts[0]) else { return .whole }
        var last = length - 1
        if !parts[1].isEmpty {
            guard let given = number(parts[1]), given >= first else { return .whole }
            last = min(given, last)
        }
        return first < length ? .part(first..<(last + 1)) : .unsatisfiable
    }
}

/// A file's bytes as a body: read in chunks on the pool for blocking calls, each when the one before it has gone,
/// so that a slow viewer costs one chunk of memory and not a segment.
enum MediaBody {
    static func stream(_ file: any ReadingFile, _ range: Range<Int64>) -> ResponseBody {
        ResponseBody(contentLength: Int(range.count)) { writer in
            var offset = range.lowerBound
            while offset < range.upperBound {
                let start = offset
                let count = Int(min(Int64(ReviewLimits.mediaChunkBytes), range.upperBound - start))
                let bytes = try await NIOThreadPool.singleton.runIfActive { try file.read(at: start, count: count) }
                // A file shorter than it was must not end as if it were complete: the connection breaks instead.
                guard !bytes.isEmpty else { throw Problem(.serviceUnavailable, "The footage could not be read.") }
                try await writer.write(ByteBuffer(bytes: bytes))
                offset += Int64(bytes.count)
            }
            try await writer.finish(nil)
        }
    }
}
