import HTTPTypes
import HubStore
import Hummingbird
import RecordingModel

extension ReviewService {
    func addSyncRoutes(to router: some RouterMethods<ReviewContext>) {
        router.get("api/v1/sync") { [self] _, _ in
            try Response.json(SyncStatusList(asOfUnixMilliseconds: now, nodes: try await store.syncStatuses(of: nil, nowUnixMilliseconds: now)))
        }
        router.get("api/v1/nodes/:node/sync") { [self] _, context in
            guard let status = try await store.syncStatuses(of: try context.node(), nowUnixMilliseconds: now).first else { throw Problem.notFound }
            return try Response.json(status)
        }
        router.get("api/v1/nodes/:node/power") { [self] _, context in
            let node = try context.node()
            guard try await store.nodeSummary(node) != nil else { throw Problem.notFound }
            return try Response.json(try await store.powerChanges(of: node, limit: ReviewLimits.powerChanges))
        }
        router.get("sync") { [self] request, context in
            let after = try request.query("after").map { text in
                guard let node = NodeID(text) else { throw Problem(.badRequest, "The parameter after must be a node's id.", field: "after") }
                return node
            }
            let values = SyncListValues(try await store.syncStatuses(of: nil, nowUnixMilliseconds: now), after: after, now: now)
            return try pages.page("sync", title: "Sync", values, session: context.session)
        }
    }
}
