import Foundation

/// What Package.swift declares, as far as the house rules need it. It is read as text: asking SwiftPM during its own test run would wait for ever.
struct Manifest {
    /// Modules, by target: a target's name or a product's, with the characters that a module name cannot have replaced.
    let dependencies: [String: Set<String>]

    init() throws {
        let text = try String(contentsOfFile: Repository.root + "/Package.swift", encoding: .utf8)
        var products: [String: String] = [:]
        for match in text.matches(of: #/let (\w+): Target.Dependency = .product\(name: "(\w+)"/#) {
            products[String(match.output.1)] = String(match.output.2)
        }
        var dependencies: [String: Set<String>] = [:]
        for match in text.matches(of: #/(?:library|tool|tests)\("([^"]+)",(?:\s*in: "\w+",)?\s*\[([^\]]*)\]/#) {
            let list = match.output.2.replacing(#/package: "[^"]*"/#, with: "")
            let quoted = list.matches(of: #/"([^"]+)"/#).map { String($0.output.1) }
            let named = list.replacing(#/"[^"]*"/#, with: "").matches(of: #/\w+/#).compactMap { products[String($0.output)] }
            dependencies[String(match.output.1)] = Set((quoted + named).flatMap { [$0, $0.replacing("-", with: "_")] })
        }
        self.dependencies = dependencies
    }
}
