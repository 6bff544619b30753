import HTTPTypes
import HubStore
import Hummingbird
import RecordingModel

extension ReviewService {
    func addRequestRoutes(to router: some RouterMethods<ReviewContext>) {
        router.get("api/v1/requests") { [self] request, _ in
            let withEnded = try request.query("ended").map { text in
                guard ["0", "1"].contains(text) else { throw Problem(.badRequest, "The parameter ended must be 0 or 1.", field: "ended") }
                return text == "1"
            }
            let node = try request.query("node").map { text in
                guard let node = NodeID(text) else { throw Problem(.badRequest, "The parameter node must be a node's id.", field: "node") }
                return node
            }
            let requests = try await store.requests(node: node, camera: nil, withEnded: withEnded ?? false)
            return try Response.json(FootageRequestList(asOfUnixMilliseconds: now, requests: requests))
        }
        router.post("api/v1/nodes/:node/requests") { [self] request, context in
            let node = try context.node()
            let new = try await request.json(NewFootageRequest.self, upTo: ReviewLimits.formBytes)
            return try Response.json(try await add(new, node: node, context: context))
        }
        router.delete("api/v1/requests/:id") { [self] _, context in
            try Response.json(try await withdraw(context: context))
        }
    }

    func add(_ new: NewFootageRequest, node: NodeID, context: ReviewContext) async throws -> FootageRequest {
        let session = try context.requireSession()
        guard session.role.mayRequestFootage else { throw Problem.noRequestRight }
        let words = "\(new.kind.rawValue) \(node)/\(new.camera)\(new.stream.map { "/\($0.rawValue)" } ?? "") \(new.startUnixMilliseconds)-\(new.endUnixMilliseconds)"
        try await audit(.requestFootage, "\(words) \(new.reason ?? "")".prefix(1_000).description, context: context)
        do {
            return try await store.addRequest(new, node: node, user: session.user, nowUnixMilliseconds: now)
        } catch let fault as HubStore.RequestFault {
            throw Problem(fault)
        }
    }

    /// The request whose number is in the address.
    func withdraw(context: ReviewContext) async throws -> FootageRequest {
        let session = try context.requireSession()
        guard session.role.mayRequestFootage else { throw Problem.noRequestRight }
        guard let id = context.parameters.get("id").flatMap({ Int64($0) }), let known = try await store.request(id) else { throw Problem.notFound }
        try await audit(.withdrawRequest, "\(known.id) \(known.kind.rawValue) \(known.node)/\(known.camera) \(known.startUnixMilliseconds)-\(known.endUnixMilliseconds)", context: context)
        do {
            return try await store.withdrawRequest(id, user: session.user, nowUnixMilliseconds: now)
        } catch let fault as HubStore.RequestFault {
            throw Problem(fault)
        }
    }
}

extension Problem {
    init(_ fault: HubStore.RequestFault) {
        self =
            switch fault {
            case .unknownNode, .unknownCamera, .unknown: .notFound
            case .emptyRange, .rangeTooLong: Problem(.badRequest, fault.description, field: "endUnixMilliseconds")
            case .rangeAhead: Problem(.badRequest, fault.description, field: "startUnixMilliseconds")
            case .reasonMissing, .reasonTooLong: Problem(.badRequest, fault.description, field: "reason")
            case .tooMany, .notOpen: Problem(.conflict, fault.description)
            }
    }
}
