import HTTPTypes
import Hummingbird

extension ReviewService {
    func addHealthRoutes(to router: some RouterMethods<ReviewContext>) {
        router.get("healthz") { _, _ in Response.text("ok\n", type: "text/plain; charset=utf-8") }
        // Open on this machine, where the collector runs; elsewhere with a session.
        router.get("metrics") { [self] _, context in
            guard context.isLoopback || context.session != nil else { throw Problem(.unauthorized, "Metrics are for this machine or for a session.") }
            return Response.text(configuration.metricsText(), type: "text/plain; version=0.0.4; charset=utf-8")
        }
        router.get("favicon.ico") { _, _ in Response(status: .noContent) }
    }
}
