import ArgumentParser

@main
struct Fieldpost: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "fieldpost",
        abstract: "See, fetch and check what the nodes recorded.",
        subcommands: [
            Login.self, Status.self, Sync.self, TimelineCommand.self, Get.self, Pull.self, Pin.self, Hold.self, Requests.self, Withdraw.self, Verify.self,
        ]
    )
}

/// A failure that a person can do something about: one sentence that says what.
struct Failure: Error, CustomStringConvertible, Equatable {
    var description: String
    init(_ description: String) { self.description = description }
}
