import Foundation

/// Where this repository and what was built from it are.
public enum Here {
    public static let repository = URL(fileURLWithPath: #filePath).resolvingSymlinksInPath()
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent().path

    /// The folder that holds the test bundle holds the programs too: .build/debug.
    public static let products: String = {
        let bundle = URL(fileURLWithPath: CommandLine.arguments[0]).resolvingSymlinksInPath()
        var folder = bundle.deletingLastPathComponent()
        for argument in CommandLine.arguments where argument.hasSuffix(".xctest") {
            folder = URL(fileURLWithPath: argument).resolvingSymlinksInPath().deletingLastPathComponent()
        }
        return folder.path
    }()

    public static func product(_ name: String) throws -> String {
        for folder in [products, repository + "/.build/debug"] {
            let path = folder + "/" + name
            if FileManager.default.isExecutableFile(atPath: path) { return path }
        }
        throw TestFailure("\(name) is not built: no such program in \(products)")
    }

    public static func script(_ name: String) -> String {
        repository + "/deploy/" + name
    }
}
