import Logging

/// Sends the process's log to standard error, where systemd's journal, a container or a terminal picks it up.
package enum ServiceLogging {
    /// Overrides the configured level: `trace`, `debug`, `info`, `notice`, `warning`, `error` or `critical`.
    package static let levelVariable = "FIELDPOST_LOG_LEVEL"
    /// Overrides the configured format: `text` or `json`.
    package static let formatVariable = "FIELDPOST_LOG_FORMAT"

    /// Call once, before the first logger is made. The environment wins over the arguments; a value there that means
    /// nothing is ignored, and said so in the first line of the log.
    package static func bootstrap(level: Logger.Level = .info, format: LogFormat = .text, environment: (String) -> String? = processEnvironment) {
        let chosen = settings(level: level, format: format, environment: environment)
        LoggingSystem.bootstrap(
            { label, provider in LineLogHandler(component: label, level: chosen.level, format: chosen.format, metadataProvider: provider) },
            metadataProvider: nil)
        for variable in chosen.ignored { Logger(label: "logging").warning("ignored a value that means nothing here", metadata: ["variable": "\(variable)"]) }
    }

    package static func settings(level: Logger.Level, format: LogFormat, environment: (String) -> String?) -> (level: Logger.Level, format: LogFormat, ignored: [String]) {
        var result = (level: level, format: format, ignored: [String]())
        if let text = environment(levelVariable), !text.isEmpty {
            if let value = Logger.Level(rawValue: text) { result.level = value } else { result.ignored.append(levelVariable) }
        }
        if let text = environment(formatVariable), !text.isEmpty {
            if let value = LogFormat(rawValue: text) { result.format = value } else { result.ignored.append(formatVariable) }
        }
        return result
    }
}
