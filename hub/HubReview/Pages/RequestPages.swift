import HubStore
import Hummingbird
import RecordingModel

extension ReviewService {
    func addRequestPages(to router: some RouterMethods<ReviewContext>) {
        router.get("requests") { [self] _, context in
            let role = try context.requireSession().role
            let requests = try await store.requests(node: nil, camera: nil, withEnded: true)
            return try pages.page("requests", title: "Requests", RequestListValues(requests, mayWithdraw: role.mayRequestFootage, now: now), session: context.session)
        }
        router.post("requests/:id/withdraw") { [self] _, context in
            _ = try await withdraw(context: context)
            return Response.redirect(to: "/requests")
        }
        router.post("nodes/:node/cameras/:camera/requests") { [self] request, context in
            let node = try context.node()
            let camera = try context.camera()
            let form = try await request.form()
            func time(_ field: String) throws -> Int64 {
                guard let value = form[field].flatMap({ Int64($0) }), Plausibility.isCount(value) else {
                    throw Problem(.badRequest, "The field \(field) must be a time in milliseconds since 1970.", field: field)
                }
                return value
            }
            let start = try time("from")
            // The footage itself: once it is here nobody needs what was made of it.
            let new = NewFootageRequest(kind: .pull, camera: camera, stream: .main, startUnixMilliseconds: start, endUnixMilliseconds: try time("to"))
            // Read before anything is asked for, so that a broken form asks for nothing.
            let player = try form["play_from"].map { _ in (from: try time("play_from"), to: try time("play_to")) }
            _ = try await add(new, node: node, context: context)
            let address = "/nodes/\(node)/cameras/\(camera)"
            return Response.redirect(to: player.map { "\(address)/play?from=\($0.from)&to=\($0.to)" } ?? "\(address)?day=\(WallText.day(start))")
        }
    }
}

/// A form that asks the node for footage. Back on the player's page where that had it, else on the day's.
struct FootageAsk {
    var action: String
    var from: String
    var to: String
    var playFrom: String?
    var playTo: String?
}

/// What was asked for, by whom, and what has become of it.
struct RequestListValues {
    struct Row {
        var id: Int64
        var kind: String
        var node: String
        var camera: String
        var address: String
        var from: String
        var to: String
        var who: String
        var reason: String
        var state: String
        var progress: String
        var withdraw: String?
    }
    /// A page shows so many of the open ones; the API lists all.
    static let rowsMax = 200
    var open: [Row]
    var ended: [Row]
    var hasOpen: Bool
    var hasEnded: Bool
    var isCut: Bool
    var asOf: String

    init(_ requests: [FootageRequest], mayWithdraw: Bool, now: Int64) {
        let rows = requests.map { request in
            Row(
                id: request.id, kind: request.kind.rawValue, node: request.nodeName,
                camera: request.stream.map { "\(request.camera)/\($0.rawValue)" } ?? request.camera.description,
                address: "/nodes/\(request.node)/cameras/\(request.camera)?day=\(WallText.day(request.startUnixMilliseconds))",
                from: WallText.readable(request.startUnixMilliseconds), to: WallText.readable(request.endUnixMilliseconds),
                who: "\(request.user), \(WallText.ago(request.createdUnixMilliseconds, now: now))", reason: request.reason,
                state: Self.state(request, now: now), progress: request.progress?.words ?? "",
                withdraw: mayWithdraw && request.state == .open ? "/requests/\(request.id)/withdraw" : nil)
        }
        let isOpen = requests.map { $0.state == .open }
        let all = zip(rows, isOpen).filter(\.1).map(\.0)
        open = Array(all.prefix(Self.rowsMax))
        isCut = all.count > open.count
        ended = zip(rows, isOpen).filter { !$0.1 }.map(\.0)
        hasOpen = !open.isEmpty
        hasEnded = !ended.isEmpty
        asOf = WallText.readable(now)
    }

    private static func state(_ request: FootageRequest, now: Int64) -> String {
        let ended = request.endedUnixMilliseconds.map { " \(WallText.ago($0, now: now))" } ?? ""
        return switch request.state {
        case .open: "open"
        case .done: "done\(ended)"
        case .withdrawn: "withdrawn\(ended)\(request.endedBy.map { " by \($0)" } ?? "")"
        }
    }
}
