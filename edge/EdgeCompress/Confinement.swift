import CConfine
import SystemPackage

/// What a process that decodes what cameras send gives up before it touches any of it. The other half, namespaces and
/// limits, is set by `WorkerProcess` before the program begins.
package enum Confinement {
    /// For the calling thread and all others; there is no way back.
    /// - Parameter threads: 1 for no further ones.
    /// - Returns: what holds, one line.
    /// - Throws: when the kernel has no seccomp: nothing is decoded then.
    package static func enter(threads: Int) throws -> String {
        var kept: [String] = []
        if cconfine_hide() == 0 { kept.append("undumpable") }
        let landlock = cconfine_landlock()
        kept.append(landlock > 0 ? "landlock \(landlock)" : "no landlock (\(Errno(rawValue: -landlock)))")
        if threads <= 1 { cconfine_no_more_processes() }
        let seccomp = cconfine_seccomp(threads > 1 ? 1 : 0)
        guard seccomp == 0 else {
            throw MalformedMessage(description: "this kernel takes no seccomp filter (\(Errno(rawValue: -seccomp))), and nothing is decoded without one")
        }
        kept.append("seccomp")
        return kept.joined(separator: ", ")
    }
}
