import Foundation

/// What a program that ended has left.
public struct Outcome: Sendable {
    public let status: Int32
    public let output: String
    public let errors: String

    public var succeeded: Bool { status == 0 }

    /// The output as a JSON object; its last line if there are several.
    public func json() throws -> [String: any Sendable] {
        for text in [output, output.split(separator: "\n").last.map(String.init) ?? ""] {
            if let object = try? JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: any Sendable] { return object }
        }
        throw TestFailure("no JSON object in: \(output) \(errors)")
    }
}

/// Runs a program to its end and keeps what it printed.
@discardableResult
public func run(
    _ program: String, _ arguments: [String], environment: [String: String] = [:], within limit: Duration = .seconds(60)
) async throws -> Outcome {
    let process = try RunningProcess(program, arguments, environment: environment)
    do {
        let status = try await process.exit(within: limit)
        return Outcome(status: status, output: try await process.wholeOutput(), errors: process.errors)
    } catch {
        process.send(SIGKILL)
        throw error
    }
}

/// As `run`, for a program that must succeed.
@discardableResult
public func runSuccessfully(
    _ program: String, _ arguments: [String], environment: [String: String] = [:], within limit: Duration = .seconds(60)
) async throws -> Outcome {
    let outcome = try await run(program, arguments, environment: environment, within: limit)
    guard outcome.succeeded else {
        let name = URL(fileURLWithPath: program).lastPathComponent
        throw TestFailure("\(name) \(arguments.first ?? "") ended with \(outcome.status): \(outcome.errors)\(outcome.output)")
    }
    return outcome
}
