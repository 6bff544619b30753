import EdgePower
import RecordingModel
import Testing

/// Reference values: NREL's SPA report and pvlib's own tests.
@Suite("The sun and the panel")
struct SunTests {
    let golden = PowerSite(latitudeDegrees: 39.742476, longitudeDegrees: -105.1786, altitudeMetres: 1830.14)

    @Test func `The sun stands within a hundredth of a degree of the solar position algorithm`() {
        let first = SunPosition(unixMilliseconds: 1_066_419_030_000, site: golden)  // 2003-10-17 19:30:30 UTC
        #expect(abs(first.elevationDegrees - 39.872046) < 0.01 && abs(first.azimuthDegrees - 194.340241) < 0.01)
        #expect(abs(first.apparentElevationDegrees(pressureHectopascals: 820, celsius: 11) - 39.888378) < 0.01)
        let next = SunPosition(unixMilliseconds: 1_066_505_430_000, site: golden)
        #expect(abs(next.elevationDegrees - 39.505196) < 0.01 && abs(next.azimuthDegrees - 194.311132) < 0.01)
    }

    @Test func `Rise and noon agree with the reference to the minute`() throws {
        // 2015-01-02 and 2015-08-02, midnight at -7 h; seconds of the local day.
        for (midnight, rise, transit): (Int64, Int64, Int64) in [(1_420_182_000, 26_515, 43_485), (1_438_498_800, 18_027, 43_618)] {
            let found = try #require(SunTimes.nextRise(afterUnixMilliseconds: midnight * 1_000, site: golden))
            #expect(abs(found - (midnight + rise) * 1_000) < 60_000)
            #expect(abs(SunTimes.transit(nearUnixMilliseconds: (midnight + 40_000) * 1_000, site: golden) - (midnight + transit) * 1_000) < 20_000)
        }
        let north = PowerSite(latitudeDegrees: 80, longitudeDegrees: 20)
        #expect(SunTimes.nextRise(afterUnixMilliseconds: 1_419_120_000_000, site: north) == nil, "there is no sunrise at 80° north on 21 December")
    }

    @Test(arguments: [(5.0, 48.6299), (10, 135.7417), (30, 487.8941), (50, 778.7667), (90, 1_035.0920)])
    func `Haurwitz gives the published irradiance`(elevation: Double, expected: Double) {
        #expect(abs(ClearSky.haurwitzGlobalHorizontal(elevationDegrees: elevation) - expected) < 0.001)
    }

    @Test func `The clear sky's parts add up, grow with altitude, and are nothing at night`() {
        for elevation in stride(from: -10.0, through: 90, by: 2.5) {
            let sun = SunPosition(elevationDegrees: elevation, azimuthDegrees: 180)
            let (low, high) = (ClearSky.irradiance(sun, altitudeMetres: 0), ClearSky.irradiance(sun, altitudeMetres: 2_000))
            #expect(low.directNormal >= 0 && low.diffuseHorizontal >= 0 && low.directNormal < 1_100)
            #expect(elevation > -1 || low.globalHorizontal == 0)
            // At the horizon itself the thinner air bends less light.
            #expect(elevation < 5 || (1.05...1.15).contains(high.globalHorizontal / low.globalHorizontal))
        }
    }

    @Test func `A panel is PVWatts'`() {
        #expect(abs(SolarPanel.pvwattsLossShare - 0.140757) < 1e-6)
        let panel = SolarPanel(watts: 100, tiltDegrees: 0, perKelvin: -0.003)
        #expect(abs(panel.directCurrentWatts(planeIrradiance: 900, cellCelsius: 30) - 88.65) < 1e-9)
        let sky = Irradiance(globalHorizontal: 500, directNormal: 600, diffuseHorizontal: 120)
        let sun = SunPosition(elevationDegrees: 30, azimuthDegrees: 180)
        // Level, a panel sees the beam's vertical part and the whole sky.
        #expect(abs(panel.planeIrradiance(sky, sun: sun) - (600 * 0.5 + 120)) < 1e-9)
        // Facing the sun it sees the whole beam; looking away from it, only sky and ground.
        let facing = SolarPanel(watts: 100, tiltDegrees: 60, azimuthDegrees: 180).planeIrradiance(sky, sun: sun)
        #expect(abs(facing - (600 + 120 * 0.75 + 500 * 0.25 * 0.25)) < 1e-9)
        let away = SolarPanel(watts: 100, tiltDegrees: 60, azimuthDegrees: 0).planeIrradiance(sky, sun: sun)
        #expect(abs(away - (120 * 0.75 + 500 * 0.25 * 0.25)) < 1e-9)
    }
}
