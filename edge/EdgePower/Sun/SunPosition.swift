import Glibc

/// Where a panel stands.
package struct PowerSite: Hashable, Sendable, Codable {
    /// North is positive.
    package var latitudeDegrees: Double
    /// East is positive.
    package var longitudeDegrees: Double
    package var altitudeMetres: Double

    package init(latitudeDegrees: Double, longitudeDegrees: Double, altitudeMetres: Double = 0) {
        self.latitudeDegrees = latitudeDegrees
        self.longitudeDegrees = longitudeDegrees
        self.altitudeMetres = altitudeMetres
    }
}

/// The sun's place in the sky by NOAA's low-precision formulas (gml.noaa.gov/grad/solcalc, after Meeus, "Astronomical
/// Algorithms", chapters 12 and 25): within 0.01° of the SPA between 1950 and 2050.
package struct SunPosition: Hashable, Sendable {
    /// Above the horizon, without the air's refraction.
    package var elevationDegrees: Double
    /// From north over east.
    package var azimuthDegrees: Double

    package init(elevationDegrees: Double, azimuthDegrees: Double) {
        self.elevationDegrees = elevationDegrees
        self.azimuthDegrees = azimuthDegrees
    }

    package init(unixMilliseconds: Int64, site: PowerSite) {
        let sun = Ephemeris(unixMilliseconds: unixMilliseconds)
        let hourAngle = radians(sun.solarMinutes(longitudeDegrees: site.longitudeDegrees) / 4 - 180)
        let latitude = radians(site.latitudeDegrees)
        let sine = sin(latitude) * sin(sun.declination) + cos(latitude) * cos(sun.declination) * cos(hourAngle)
        let seen = asin(max(-1, min(1, sine)))
        // From the ground the sun stands lower than from the Earth's centre, by up to 8.794 seconds of arc.
        elevationDegrees = degrees(seen) - 8.794 / 3_600 * cos(seen)
        let azimuth = degrees(atan2(sin(hourAngle), cos(hourAngle) * sin(latitude) - tan(sun.declination) * cos(latitude))) + 180
        azimuthDegrees = azimuth >= 360 ? azimuth - 360 : azimuth
    }

    /// With refraction for the pressure in hectopascal and the air's temperature (the SPA's formula, NREL/TP-560-34302, eq. 42).
    package func apparentElevationDegrees(pressureHectopascals: Double = 1013.25, celsius: Double = 12) -> Double {
        guard elevationDegrees > -0.9 else { return elevationDegrees }
        let angle = radians(elevationDegrees + 10.3 / (elevationDegrees + 5.11))
        return elevationDegrees + pressureHectopascals / 1010 * 283 / (273 + celsius) * 1.02 / (60 * tan(angle))
    }
}

/// Rise and noon of the sun at a site.
package enum SunTimes {
    /// The sun's upper edge at a flat horizon with the usual refraction.
    package static let riseElevationDegrees = -0.833
    private static let dayMilliseconds: Int64 = 86_400_000

    /// The first rise after this moment, to the second; nil where the sun does not rise within three days.
    package static func nextRise(afterUnixMilliseconds start: Int64, site: PowerSite) -> Int64? {
        let step: Int64 = 600_000
        var before = start
        var wasUp = isUp(before, site)
        while before < start + 3 * dayMilliseconds {
            let after = before + step
            let up = isUp(after, site)
            if up && !wasUp {
                var (low, high) = (before, after)
                while high - low > 1_000 {
                    let middle = (low + high) / 2
                    if isUp(middle, site) { high = middle } else { low = middle }
                }
                return high
            }
            (before, wasUp) = (after, up)
        }
        return nil
    }

    /// When the sun stands highest on the solar day around this moment.
    package static func transit(nearUnixMilliseconds moment: Int64, site: PowerSite) -> Int64 {
        let minutes = Ephemeris(unixMilliseconds: moment).solarMinutes(longitudeDegrees: site.longitudeDegrees)
        let guess = moment + Int64((720 - minutes) * 60_000)
        let rest = 720 - Ephemeris(unixMilliseconds: guess).solarMinutes(longitudeDegrees: site.longitudeDegrees)
        return guess + Int64(rest * 60_000)
    }

    private static func isUp(_ moment: Int64, _ site: PowerSite) -> Bool {
        SunPosition(unixMilliseconds: moment, site: site).elevationDegrees > riseElevationDegrees
    }
}

func radians(_ degrees: Double) -> Double { degrees * .pi / 180 }
func degrees(_ radians: Double) -> Double { radians * 180 / .pi }

/// The sun as all places on Earth see it.
private struct Ephemeris {
    /// Radians.
    let declination: Double
    /// Degrees that the sun has passed the meridian of Greenwich by.
    private let hourAngleDegrees: Double

    init(unixMilliseconds: Int64) {
        let days = Double(unixMilliseconds) / 86_400_000 - 10_957.5  // from 2000-01-01 12:00 UTC
        // The formulas run on dynamical time, about 69 s ahead of UTC in these years.
        let century = (days + 69.0 / 86_400) / 36_525
        let meanLongitude = (280.46646 + century * (36_000.76983 + century * 0.0003032)).truncatingRemainder(dividingBy: 360)
        let anomaly = radians(357.52911 + century * (35_999.05029 - 0.0001537 * century))
        let centre =
            sin(anomaly) * (1.914602 - century * (0.004817 + 0.000014 * century)) + sin(2 * anomaly) * (0.019993 - 0.000101 * century)
            + sin(3 * anomaly) * 0.000289
        let node = radians(125.04 - 1_934.136 * century)
        let nutation = -0.00478 * sin(node)
        let longitude = radians(meanLongitude + centre - 0.00569 + nutation)
        let meanObliquity = 23 + (26 + (21.448 - century * (46.815 + century * (0.00059 - century * 0.001813))) / 60) / 60
        let obliquity = radians(meanObliquity + 0.00256 * cos(node))
        declination = asin(sin(obliquity) * sin(longitude))
        // By sidereal time: the usual series for the equation of time is off by seconds, which are hundredths of a degree.
        let ascension = degrees(atan2(cos(obliquity) * sin(longitude), cos(longitude)))
        let sidereal = (280.46061837 + 360.98564736629 * days).truncatingRemainder(dividingBy: 360) + nutation * cos(obliquity)
        hourAngleDegrees = sidereal - ascension
    }

    /// True solar time, 0 to 1440: 720 at the sun's noon.
    func solarMinutes(longitudeDegrees: Double) -> Double {
        let minutes = (4 * (hourAngleDegrees + longitudeDegrees + 180)).truncatingRemainder(dividingBy: 1_440)
        return minutes < 0 ? minutes + 1_440 : minutes
    }
}
