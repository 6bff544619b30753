import Hummingbird
import HTTPTypes
import Logging
import Metrics
import NIOCore
import StorageIO
import SyncProtocol

/// Turns whatever a handler throws into the answers of design.md's table: a problem document without stack, path or
/// version. What is the hub's own fault is logged here and answered with 503 or 507, never blamed on the client.
struct ProblemAnswers: RouterMiddleware {
    let connections: Connections
    let logger: Logger

    func handle(_ request: Request, context: IngestContext, next: (Request, IngestContext) async throws -> Response) async throws -> Response {
        connections.requestBegan(context.channel)
        defer { connections.requestEnded(context.channel) }
        do {
            return try await next(request, context)
        } catch let problem as Problem {
            logger.info("refused", metadata: ["status": "\(problem.status)", "title": "\(problem.title)", "path": "\(request.uri.path)"])
            return answer(problem, context)
        } catch let error as HTTPError {
            return answer(Problem(status: error.status.code, title: error.status.reasonPhrase), context)
        } catch let error as StorageError {
            logger.error("the disk failed", metadata: ["error": "\(error)"])
            return answer(error.isNoSpace ? Problem(status: 507, title: "The hub's disk is full.") : Problem(status: 503, title: "The hub's disk failed; try again later."), context)
        } catch is CancellationError {
            throw CancellationError()
        } catch {
            logger.error("a call failed", metadata: ["error": "\(error)", "path": "\(request.uri.path)"])
            return answer(Problem(status: 503, title: "The hub could not take this now; try again later."), context)
        }
    }

    /// For what passes by itself: too much at once, a disk that is full or failed.
    private static let retryAfterSeconds = 60
    /// A refused body is not read for long: the connection closes once the answer has had time to arrive.
    private static let closeDelay = TimeAmount.seconds(2)

    private func answer(_ problem: Problem, _ context: IngestContext) -> Response {
        Counter(label: "fieldpost_ingest_problems_total", dimensions: [("status", "\(problem.status)")]).increment()
        let channel = context.channel
        channel.eventLoop.scheduleTask(in: Self.closeDelay) { channel.close(promise: nil) }
        var headers: HTTPFields = [.contentType: SyncRoutes.problemType, .connection: "close"]
        if [429, 503, 507].contains(problem.status) { headers[.retryAfter] = "\(Self.retryAfterSeconds)" }
        let body = (try? MessageCoding.json(problem)) ?? Array("{}".utf8)
        return Response(
            status: .init(code: problem.status), headers: headers,
            body: .init(byteBuffer: ByteBuffer(bytes: body)))
    }
}
