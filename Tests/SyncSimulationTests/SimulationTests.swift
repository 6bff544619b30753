import Synchronization
import Testing

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Nodes and a hub whose links, clocks, disks and power fail at random. `FIELDPOST_SYNC_SEED=<seed>` replays one course, of
/// 50 nodes with `FIELDPOST_SYNC_NODES=50`; `FIELDPOST_SYNC_TALLY=1` prints what happened in each.
@Suite("Simulated sync")
struct SimulationTests {
    private static func number(_ name: String) -> UInt64? { getenv(name).flatMap { UInt64(String(cString: $0)) } }
    private static var isLong: Bool { number("FIELDPOST_LONG") == 1 }

    /// Of one or two nodes and 20 steps each; every 20th of three nodes and 120 steps.
    static var seeds: [UInt64] {
        if let seed = number("FIELDPOST_SYNC_SEED") { return number("FIELDPOST_SYNC_NODES") == 50 ? [] : [seed] }
        return Array(1...(isLong ? 5_000 : 500))
    }
    static var crowds: [UInt64] {
        if let seed = number("FIELDPOST_SYNC_SEED") { return number("FIELDPOST_SYNC_NODES") == 50 ? [seed] : [] }
        return Array(1...(isLong ? 500 : 1))
    }

    private func run(_ seed: UInt64, nodes: Int, steps: Int) throws {
        let replay = "\(Self.isLong ? "FIELDPOST_LONG=1 " : "")FIELDPOST_SYNC_SEED=\(seed)\(nodes == 50 ? " FIELDPOST_SYNC_NODES=50" : "") deploy/test --filter SimulationTests"
        do {
            var simulation = try Simulation(seed: seed, nodes: nodes)
            try simulation.run(steps: steps)
            #expect(simulation.failures.isEmpty, "\(simulation.failures.prefix(6).joined(separator: "; ")); \(replay)")
            if getenv("FIELDPOST_SYNC_TALLY") != nil { print("seed \(seed), \(nodes) nodes: \(simulation.tally)") }
        } catch {
            Issue.record("\(error); \(replay)")
        }
    }

    @Test("delete nothing that the hub lacks, store nothing twice, and bring everything in the end", arguments: seeds)
    func few(seed: UInt64) throws {
        let isLong = Self.isLong || seed.isMultiple(of: 20)
        try run(seed, nodes: isLong ? 3 : 1 + Int(seed % 2), steps: isLong ? 120 : 20)
    }

    @Test("and so with 50 nodes", arguments: crowds)
    func many(seed: UInt64) throws { try run(seed, nodes: 50, steps: 800) }
}
