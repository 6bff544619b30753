import Foundation
import TestSupport
import Testing

/// A small disk of its own for one node, within a namespace where this test may mount.
private final class SmallDisk {
    let place: TemporaryDirectory
    private let keeper: RunningProcess
    var inside: [String] { ["nsenter", "-t", "\(keeper.pid)", "-U", "--preserve-credentials", "-m"] }
    /// How this process sees the disk.
    var root: String { "/proc/\(keeper.pid)/root" + place.path("disk") }
    private var filler: String { root + "/filler" }

    init(megabytes: Int) async throws {
        place = try TemporaryDirectory("small-disk")
        try FileManager.default.createDirectory(atPath: place.path("disk"), withIntermediateDirectories: false)
        let script = #"mount -t tmpfs -o size="$1"m tmpfs "$0" && echo ready && exec sleep 1000"#
        keeper = try RunningProcess("unshare", ["-rm", "/bin/sh", "-c", script, place.path("disk"), "\(megabytes)"])
        _ = try await keeper.line(within: .seconds(10)) { $0 == "ready" }
    }

    deinit { keeper.send(SIGKILL) }

    /// Somebody else takes all but so much of what is free.
    func fill(leavingKibibytes free: Int) throws {
        let descriptor = open(filler, O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
        try #require(descriptor >= 0)
        defer { close(descriptor) }
        var space = statvfs()
        try #require(fstatvfs(descriptor, &space) == 0)
        let bytes = Int(space.f_bavail) * Int(space.f_frsize) - free << 10
        if bytes > 0 { try #require(posix_fallocate(descriptor, 0, off_t(bytes)) == 0) }
    }

    func free() throws { try FileManager.default.removeItem(atPath: filler) }
}

extension Faults {
    /// Beside `CallTests`, which fails each call by itself: here a real disk fills up, down to the last blocks.
    @Suite struct FullDiskTests {
        @Test(.timeLimit(.minutes(60)))
        func theDiskFillsUpWhileItRecords() async throws {
            let sizes = Faults.replayed("FIELDPOST_FAULT_POINT").map { [Int($0)] } ?? (Faults.isLong ? Array(stride(from: 0, to: 1_024, by: 4)) : [0, 4, 8, 12, 20, 32, 64, 128])
            try await Faults.inLanes(4, sizes) { size in
                let replay = "FIELDPOST_FAULT_POINT=\(size) deploy/test --filter FullDiskTests"
                do {
                    let disk = try await SmallDisk(megabytes: 16)
                    let node = try await FaultedNode(cameras: ["gate"], data: disk.place.path("disk/node"), root: disk.root + "/node")
                    let prepare = try disk.inside + [Here.product("fieldpost-edge"), "init", "--prepare", "--config", node.node.config]
                    try await runSuccessfully(prepare[0], Array(prepare.dropFirst()))
                    try node.start(through: disk.inside)
                    try #require(try await node.waitUntilRecording())
                    try await Task.sleep(for: .milliseconds(.random(in: 0...2_000)))
                    try disk.fill(leavingKibibytes: size)
                    // Two of the recorder's own looks at the disk.
                    try await Task.sleep(for: .milliseconds(2_200))
                    #expect(node.node.process?.hasExited == false, "it ended by itself: \(node.node.log.suffix(1_500)); \(replay)")
                    try disk.free()
                    try await Task.sleep(for: .milliseconds(2_500))
                    try await node.stop()
                    #expect(node.lives.last?.wasClean == true, "\(node.node.lastLog.suffix(1_500)); \(replay)")
                    let log = node.node.lastLog
                    #expect(log.contains("the disk is full") || log.contains("footage was given up"), "it did not notice: \(log.suffix(1_500)); \(replay)")
                    try node.remember()
                    let copy = try await FaultedNode(copyOf: node.past)
                    try await copy.recover()
                    let verdict = try await copy.judge(lossMilliseconds: 0)
                    #expect(verdict.problems.isEmpty, "\(size) KiB left: \(verdict.problems.joined(separator: "; ")); \(replay)")
                    #expect(verdict.footageMilliseconds > 1_500, "\(size) KiB left: \(verdict.report); \(replay)")
                } catch {
                    Issue.record("\(size) KiB left: \(error); \(replay)")
                }
            }
        }
    }
}
