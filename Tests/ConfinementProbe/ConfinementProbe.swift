import CConfine
import EdgeCompress

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Stands in the worker's place and tries what nobody there may be able to do. It reports as a worker's failure would be:
/// one line, `name=0` for what succeeded and `name=errno` for what was refused.
@main enum ConfinementProbe {
    static func main() {
        let channel = WorkerChannel(owning: CCONFINE_CHANNEL)
        let threads = CommandLine.arguments.contains("--threads") ? 2 : 1
        let parent = getppid()
        let open3 = (4..<64).filter { fcntl(Int32($0), F_GETFD) >= 0 }.count
        guard let kept = try? Confinement.enter(threads: threads) else { return }
        if CommandLine.arguments.contains("--flood") {
            try? channel.send(WorkerAnswer.ready(kept).message)
            // A length that no message has.
            try? channel.send([0x7F, 0xFF, 0xFF, 0xFF])
            pause()
        }
        var results: [String] = ["descriptors=\(open3)"]
        func attempt(_ name: String, _ call: () -> Int) {
            errno = 0
            let result = call()
            results.append("\(name)=\(result < 0 ? Int(errno) : 0)")
        }
        attempt("socket") { Int(socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)) }
        attempt("unix") { Int(socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)) }
        attempt("connect") {
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            return withUnsafePointer(to: &address) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { Int(connect(CCONFINE_CHANNEL, $0, socklen_t(MemoryLayout<sockaddr_in>.size))) }
            }
        }
        attempt("fork") { cconfine_call(Int(SYS_clone), Int(SIGCHLD), 0, 0, 0) }
        attempt("clone3") { cconfine_call(Int(SYS_clone3), 0, 0, 0, 0) }
        attempt("exec") { Int(execv("/bin/true", [nil])) }
        attempt("etc") { Int(open("/etc/passwd", O_RDONLY)) }
        attempt("create") { Int(open("/tmp/probe", O_WRONLY | O_CREAT, 0o600)) }
        attempt("unlink") { Int(unlink("/tmp/probe")) }
        attempt("stat") {
            var information = stat()
            return Int(stat("/etc/passwd", &information))
        }
        attempt("kill") { Int(kill(parent > 0 ? parent : 1, 0)) }
        attempt("tgkill") { cconfine_call(Int(SYS_tgkill), Int(parent), Int(parent), 0, 0) }
        attempt("ptrace") { cconfine_call(Int(SYS_ptrace), 16 /* PTRACE_ATTACH */, Int(parent), 0, 0) }
        attempt("processmemory") { cconfine_call(Int(SYS_process_vm_readv), Int(parent), 0, 0, 0) }
        attempt("executable") { mmap(nil, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? -1 : 0 }
        attempt("unshare") { cconfine_call(Int(SYS_unshare), Int(CLONE_NEWNET), 0, 0, 0) }
        attempt("mount") { cconfine_call(Int(SYS_mount), 0, 0, 0, 0) }
        attempt("bpf") { cconfine_call(Int(SYS_bpf), 0, 0, 0, 0) }
        attempt("uring") { cconfine_call(Int(SYS_io_uring_setup), 1, 0, 0, 0) }
        attempt("limits") {
            var limit = rlimit(rlim_cur: .max, rlim_max: .max)
            return withUnsafeMutablePointer(to: &limit) { cconfine_call(Int(SYS_prlimit64), 0, 6 /* RLIMIT_NPROC */, Int(bitPattern: $0), 0) }
        }
        attempt("memory") { mmap(nil, 1 << 30, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? -1 : 0 }
        attempt("idle") { Int(sched_getscheduler(0)) == 5 ? 0 : -1 }
        try? channel.send(WorkerAnswer.failed(results.joined(separator: " ")).message)
    }
}
