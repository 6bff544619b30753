import HTTPTypes
import HubStore
import Hummingbird
import Logging
import NIOCore
import NIOPosix
import RecordingModel
import StorageIO

/// One picture of an object of thumbnails.
struct Thumbnail: Encodable, Equatable {
    var unixMilliseconds: Int64
    /// Names the object by its content and the picture by its place in it, so that what is there never changes.
    var address: String
}

extension ReviewService {
    private struct ThumbnailList: Encodable {
        var asOfUnixMilliseconds: Int64
        var thumbnails: [Thumbnail]
    }

    func addThumbnailRoutes(to router: some RouterMethods<ReviewContext>) {
        router.get("api/v1/nodes/:node/cameras/:camera/thumbnails") { [self] request, context in
            let (node, camera) = (try context.node(), try context.camera())
            let window = try request.window(atMost: ReviewLimits.playMilliseconds)
            guard try context.requireSession().role.mayViewFootage else { throw Problem.noFootageRight }
            let found = try await thumbnails(node: node, camera: camera, window, atMost: ReviewLimits.thumbnailsOfWindow, context: context)
            return try Response.json(ThumbnailList(asOfUnixMilliseconds: now, thumbnails: found))
        }
        router.get("api/v1/nodes/:node/cameras/:camera/thumbnails/:hash/{offset}.jpg") { [self] _, context in
            let (node, camera) = (try context.node(), try context.camera())
            guard let hash = context.parameters.get("hash").flatMap({ ContentHash($0) }), let offset = context.parameters.get("offset").flatMap({ Int64($0) }) else { throw Problem.notFound }
            guard try context.requireSession().role.mayViewFootage else { throw Problem.noFootageRight }
            guard let object = try await store.segment(hash, node: node, camera: camera, kinds: [.thumbs], within: nil) else { throw Problem.notFound }
            try await audit(.viewSegment, "\(node)/\(object.record.id) \(hash) picture at \(offset) ms", context: context)
            let jpeg = try await picture(of: object, context) { file, index in
                try index.pictures.first { $0.offsetMilliseconds == offset }.map { try file.read(at: $0.bytes.lowerBound, count: $0.bytes.count) }
            }
            // What a node sent is shown as a picture or not at all.
            guard let jpeg = jpeg ?? nil, jpeg.starts(with: [0xFF, 0xD8]) else { throw Problem.notFound }
            return Response(
                status: .ok, headers: [.contentType: "image/jpeg", .cacheControl: "private, max-age=31536000, immutable"], body: .init(byteBuffer: ByteBuffer(bytes: jpeg)))
        }
    }

    /// Pictures of a window, spread evenly over it: the first of each of so many equal parts that have one.
    func thumbnails(node: NodeID, camera: CameraID, _ window: Range<Int64>, atMost limit: Int, context: ReviewContext) async throws -> [Thumbnail] {
        var firsts: [Int64: Thumbnail] = [:]
        var reads = 0
        for object in try await store.thumbnailObjects(node: node, camera: camera, within: window) where reads < ReviewLimits.thumbnailReads {
            let pictures = try await picture(of: object, context) { _, index in index.pictures } ?? []
            reads += pictures.count
            for picture in pictures {
                let time = object.startUnixMilliseconds + picture.offsetMilliseconds
                guard window.contains(time) else { continue }
                let part = (time - window.lowerBound) * Int64(limit) / Int64(window.count)
                if let first = firsts[part], first.unixMilliseconds <= time { continue }
                firsts[part] = Thumbnail(
                    unixMilliseconds: time,
                    address: "/api/v1/nodes/\(node)/cameras/\(camera)/thumbnails/\(object.record.sha256)/\(picture.offsetMilliseconds).jpg")
            }
        }
        return firsts.values.sorted { $0.unixMilliseconds < $1.unixMilliseconds }
    }

    /// Reads from an object, on the pool for blocking calls. Nil, and a line in the log, for one that is damaged or no such object.
    private func picture<Value: Sendable>(
        of object: PlayableSegment, _ context: ReviewContext, _ body: @escaping @Sendable (any ReadingFile, ThumbnailIndex) throws -> Value
    ) async throws -> Value? {
        guard let file = try await store.blob(object.record.sha256) else { return nil }
        do {
            return try await NIOThreadPool.singleton.runIfActive {
                let index = try ThumbnailIndex(length: file.length, initBytes: object.record.initBytes) { try file.read(at: $0, count: $1) }
                return try body(file, index)
            }
        } catch let fault as MediaFault {
            context.logger.warning("thumbnails cannot be read", metadata: ["segment": "\(object.record.id)", "sha256": "\(object.record.sha256)", "fault": "\(fault)"])
            return nil
        }
    }
}
