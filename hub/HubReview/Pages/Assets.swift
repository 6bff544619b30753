import Crypto
import HTTPTypes
import Hummingbird
import NIOCore
import RecordingModel

/// The style sheet and scripts. Their addresses hold a hash of their content, so browsers keep them for good.
struct Assets: Sendable {
    struct Asset: Sendable {
        var bytes: [UInt8]
        var type: String
        var tag: String
    }
    private let byName: [String: Asset]

    init() {
        func asset(_ bytes: [UInt8], _ type: String) -> Asset {
            Asset(bytes: bytes, type: type, tag: Hex.encode(SHA256.hash(data: bytes).prefix(8)))
        }
        byName = [
            "style.css": asset(PackageResources.style_css, "text/css; charset=utf-8"),
            "player.js": asset(PackageResources.player_js, "text/javascript; charset=utf-8"),
        ]
    }

    func address(_ name: String) -> String { "/assets/\(byName[name]?.tag ?? "")/\(name)" }

    /// Only under the tag of the content that is served: an old page gets a 404 and not another version.
    func asset(tag: String, name: String) -> Asset? { byName[name].flatMap { $0.tag == tag ? $0 : nil } }
}

extension ReviewService {
    func addAssetRoutes(to router: some RouterMethods<ReviewContext>) {
        router.get("assets/:tag/:name") { [self] _, context in
            guard let tag = context.parameters.get("tag"), let name = context.parameters.get("name"), let asset = pages.assets.asset(tag: tag, name: name) else {
                throw Problem.notFound
            }
            return Response(
                status: .ok, headers: [.contentType: asset.type, .cacheControl: "public, max-age=31536000, immutable"],
                body: .init(byteBuffer: ByteBuffer(bytes: asset.bytes)))
        }
    }
}
