#!/usr/bin/python3
"""deploy/bench power: years of weather on a node's own energy policy, beside what is possible at best.

Five years come from pvlib's test data (its source package on PyPI): PVGIS at 45° N, NSRDB PSM3 at 40.5° N, and Amsterdam (IWEC),
Sand Point in Alaska and Greensboro in Carolina (TMY3), written here in NASA POWER's format. The policy's numbers were chosen on the first
three; the last two are held out and judge them. `fieldpost-edge simulate power` runs every policy on panels of 40, 60 and 100 W (tilt 45°, 512 Wh, cut-off
at 10 %, 50 % at the start). The bound is a linear programme over the same hours, harvest, battery and loads, solved by SciPy's HiGHS: the most
value-weighted hours that anyone could have, who knew the year's weather. Metrics end with the year, the panel and, for nights worth three
days, `_night3`; `_cold` is a battery that frost keeps from charging. The sun and the panel are compared with pvlib itself, hour by hour.
The table of all policies goes to standard error.
"""
import argparse
import csv
import glob
import json
import os
import subprocess
import sys
import tarfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
VENV = os.path.join(ROOT, ".build", "power-venv")
PACKAGES = ["pvlib==0.16.1", "scipy"]
SDIST = "pvlib==0.16.1"
CAPACITY, FLOOR, EFFICIENCY = 512.0, 0.1, 0.95
LOADS = {"full": 11.0, "reduced": 6.0, "sparse": 2.0, "asleep": 0.3}
VALUES = {"full": 1.0, "reduced": 0.65, "sparse": 0.1, "asleep": 0.0}
PANELS = [40, 60, 100]
POLICIES = ["always-on", "voltage", "ladder", "planner", "perfect"]
# File, place, and how the place is known.
YEARS = {
    "pvgis45n": ("pvgis_tmy_test.csv", "45,8,250"),
    "psm3_40n": ("test_psm3_tmy-2017.csv", "40.5137,-108.5449,2000"),
    "amsterdam52n": ("amsterdam.csv", "52.3,4.77,0"),
    "sandpoint55n": ("sandpoint.csv", "55.317,-160.517,7"),
    "greensboro36n": ("greensboro.csv", "36.1,-79.95,273"),
}
TARGETS = {
    "unclean_cuts_ladder": (0, "lower"), "unclean_cuts_planner": (0, "lower"), "bound_share_ladder": (0.95, "higher"), "bound_share_planner": (0.97, "higher"),
    "gap_ratio_planner_ladder": (0.5, "lower"), "year_seconds": (10, "lower"), "sun_error_degrees": (0.01, "lower"), "harvest_error_percent": (0.5, "lower"),
}


def say(text):
    print(text, file=sys.stderr, flush=True)


def emit(metric, value, unit, note="", base=None, runs=1):
    target, better = TARGETS.get(base or metric, (None, "lower" if any(word in metric for word in ("cuts", "gap", "age", "regret", "energy")) else "higher"))
    line = {"bench": "power", "metric": metric, "value": value, "unit": unit, "target": target, "better": better, "runs": runs, "note": note}
    print(json.dumps(line), flush=True)


def prepare(work):
    """Makes the Python environment and unpacks pvlib's test data; returns the folder of the years."""
    if not os.path.exists(f"{VENV}/bin/python3"):
        subprocess.run(["/usr/bin/python3", "-m", "venv", VENV], check=True, stdout=sys.stderr)
    pip = [f"{VENV}/bin/pip", "-q", "--disable-pip-version-check"]
    subprocess.run(pip + ["install"] + PACKAGES, check=True, stdout=sys.stderr)
    os.makedirs(work, exist_ok=True)
    if not os.path.exists(f"{work}/greensboro.csv"):
        subprocess.run(pip + ["download", "--no-deps", "--no-binary", ":all:", "-d", work, SDIST], check=True, stdout=sys.stderr)
        wanted = {"pvgis_tmy_test.csv", "test_psm3_tmy-2017.csv", "NLD_Amsterdam062400_IWEC.epw", "703165TY.csv", "723170TYA.CSV"}
        with tarfile.open(glob.glob(f"{work}/pvlib-*.tar.gz")[0]) as archive:
            for member in archive.getmembers():
                if os.path.basename(member.name) in wanted:
                    with open(os.path.join(work, os.path.basename(member.name)), "wb") as file:
                        file.write(archive.extractfile(member).read())
        subprocess.run([f"{VENV}/bin/python3", os.path.abspath(__file__), "--convert", work], check=True)
    return work


def convert(work):
    """Typical years in local standard time as NASA POWER files in UTC, whose hours are named by their begin."""
    import pandas
    import pvlib

    data, _ = pvlib.iotools.read_epw(f"{work}/NLD_Amsterdam062400_IWEC.epw", coerce_year=2021)
    write_power(f"{work}/amsterdam.csv", data)
    for source, target in (("703165TY.csv", "sandpoint.csv"), ("723170TYA.CSV", "greensboro.csv")):
        # TMY3 names an hour by its end.
        data, _ = pvlib.iotools.read_tmy3(f"{work}/{source}", coerce_year=2021, map_variables=True)
        data.index = data.index - pandas.Timedelta(hours=1)
        write_power(f"{work}/{target}", data)


def write_power(path, data):
    data = data.tz_convert("UTC")
    # The hours that UTC moves out of the year are those of its other end: a typical year has no before and after.
    data.index = data.index.map(lambda when: when.replace(year=2021))
    data = data[~data.index.duplicated()].sort_index()
    with open(path, "w") as file:
        file.write("-BEGIN HEADER-\nNASA/POWER Source Native Resolution Hourly Data\nDates (month/day/year): 01/01/2021 through 12/31/2021 in UTC\n")
        file.write("The value for missing source data that cannot be computed or is outside of the sources availability range: -999\nParameter(s):\n")
        file.write("ALLSKY_SFC_SW_DWN CERES SYN1deg All Sky Surface Shortwave Downward Irradiance (Wh/m^2)\n-END HEADER-\n")
        file.write("YEAR,MO,DY,HR,ALLSKY_SFC_SW_DWN,ALLSKY_SFC_SW_DNI,ALLSKY_SFC_SW_DIFF,T2M\n")
        for when, row in data.iterrows():
            file.write(f"{when.year},{when.month},{when.day},{when.hour},{row.ghi},{row.dni},{row.dhi},{row.temp_air}\n")


def bound(hours_file, night, cold):
    """The most value-weighted hours of the year and of each of its months: fractions of each hour in each state, with the battery between
    the floor and full. Which hours of equal worth it takes is HiGHS's choice, so a month's share of it is one of several."""
    import datetime

    import numpy as np
    from scipy.optimize import linprog
    from scipy.sparse import coo_matrix

    with open(hours_file) as file:
        rows = list(csv.DictReader(file))
    count, names = len(rows), ["full", "reduced", "sparse", "asleep"]
    # For each hour: the four fractions, watts in, watts out, and the energy at its end.
    width = 7
    cost = np.zeros(count * width)
    bounds, data, at_row, at_column, right = [], [], [], [], []

    def put(row, column, value):
        data.append(value), at_row.append(row), at_column.append(column)

    for hour, item in enumerate(rows):
        base = hour * width
        factor = night if item["is_night"] == "1" else 1.0
        frost = cold and float(item["celsius"]) < 0
        for index, name in enumerate(names):
            cost[base + index] = -VALUES[name] * factor
        bounds += [(0, 1)] * 4 + [(0, 0 if frost else None), (0, None), (FLOOR * CAPACITY, CAPACITY)]
    rows_equal = 0
    for hour in range(count):
        base = hour * width
        for index in range(4):
            put(rows_equal, base + index, 1.0)
        right.append(1.0)
        rows_equal += 1
        put(rows_equal, base + 6, 1.0), put(rows_equal, base + 4, -EFFICIENCY), put(rows_equal, base + 5, 1.0)
        if hour:
            put(rows_equal, base - 1, -1.0)
        right.append(0.0 if hour else 0.5 * CAPACITY)
        rows_equal += 1
    equal = coo_matrix((data, (at_row, at_column)), shape=(rows_equal, count * width))
    # In less out is at most harvest less load; the rest is thrown away.
    data, at_row, at_column, most = [], [], [], []
    for hour, item in enumerate(rows):
        base = hour * width
        for index, name in enumerate(names):
            put(hour, base + index, LOADS[name])
        put(hour, base + 4, 1.0), put(hour, base + 5, -1.0)
        most.append(float(item["harvest_watts"]))
    less = coo_matrix((data, (at_row, at_column)), shape=(count, count * width))
    result = linprog(cost, A_ub=less.tocsr(), b_ub=most, A_eq=equal.tocsr(), b_eq=right, bounds=bounds, method="highs")
    if not result.success:
        raise RuntimeError(f"HiGHS: {result.message}")
    # Days and months as the simulation counts them: from the first hour on, each day by the date of its middle.
    first, months = int(rows[0]["unix_seconds"]), {}
    for hour, item in enumerate(rows):
        middle = first - 1800 + (int(item["unix_seconds"]) - first) // 86400 * 86400 + 43200
        name = datetime.datetime.fromtimestamp(middle, datetime.timezone.utc).strftime("%Y-%m")
        base = hour * width
        months[name] = months.get(name, 0.0) - float(np.dot(cost[base:base + 4], result.x[base:base + 4]))
    return {"value_hours": -result.fun, "months": months}


def regret(outcome, months):
    """Value hours lost in the mean month and in the worst one, against the bound's months."""
    lost = {month["month"]: months[month["month"]] - month["value_hours"] for month in outcome["months"]}
    worst = max(lost, key=lost.get)
    return sum(lost.values()) / len(lost), worst, lost[worst]


def simulate(file, site, panel, night, cold, hours=None, policies=("all",), chart=None):
    edge = f"{os.environ['FIELDPOST_BIN']}/fieldpost-edge"
    command = [edge, "simulate", "power", "--year", file, "--site", site, "--panel-watts", str(panel), "--tilt", "45", "--night-value", str(night), "--json"]
    command += ["--no-charge-below", "0" if cold else "none"]
    command += [part for policy in policies for part in ("--policy", policy)]
    command += ["--hours", hours] if hours else []
    command += ["--chart", chart] if chart else []
    began = time.monotonic()
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if result.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {result.returncode}: {result.stderr[-800:]}")
    return [json.loads(line) for line in result.stdout.splitlines()], time.monotonic() - began


def row(cells):
    say("  ".join(str(cell).rjust(width) for cell, width in zip(cells, (10, 6, 6, 9, 9, 9, 8, 8, 7, 10, 9, 8, 6))))


def compare_years(work, wanted):
    for year, (name, site) in YEARS.items():
        for panel in PANELS:
            for night, cold in ((1, False), (3, False), (1, True)):
                if cold and panel != 60:
                    continue
                suffix = f"{year}_{panel}w" + ("_night3" if night == 3 else "") + ("_cold" if cold else "")
                if wanted and not any(suffix in item or item.startswith(suffix) for item in wanted) and not any(item in ("bound", "all") for item in wanted):
                    continue
                hours = f"{work}/hours-{suffix}.csv"
                outcomes, _ = simulate(f"{work}/{name}", site, panel, night, cold, hours)
                solved = subprocess.run(
                    [f"{VENV}/bin/python3", os.path.abspath(__file__), "--bound", hours, str(night), str(int(cold))], check=True, stdout=subprocess.PIPE, text=True)
                answer = json.loads(solved.stdout)
                best = answer["value_hours"]
                say(f"\n{suffix}: bound {best:.0f} value-weighted hours")
                row(["policy", "cuts", "gap h", "camera %", "value %", "of bound", "GB", "age h", "Wh/GB", "regret/mo", "spill Wh", "changes", "wakes"])
                by_policy = {outcome["policy"]: outcome for outcome in outcomes}
                for policy in POLICIES:
                    outcome = by_policy[policy]
                    share = outcome["value_hours"] / best
                    lost, worst, lost_worst = regret(outcome, answer["months"])
                    # Nothing delivered: no figure.
                    price = outcome.get("watt_hours_per_gigabyte_delivered")
                    row([
                        policy, outcome["unclean_cuts"], round(outcome["longest_gap_hours"]), f"{outcome['camera_share'] * 100:.1f}", f"{outcome['value_share'] * 100:.1f}",
                        f"{share:.3f}", round(outcome["bytes_delivered"] / 1e9), round(outcome["age_at_delivery_hours"]),
                        "-" if price is None else f"{price:.0f}", f"{lost:.1f}", round(outcome["spilled_watt_hours"]),
                        f"{outcome['state_changes_per_day']:.1f}", outcome["wake_ups"],
                    ])
                    word = policy.replace("-", "_")
                    emit(f"unclean_cuts_{word}_{suffix}", outcome["unclean_cuts"], "cuts", base=f"unclean_cuts_{word}")
                    emit(f"longest_gap_h_{word}_{suffix}", round(outcome["longest_gap_hours"], 1), "h")
                    emit(f"camera_hours_share_{word}_{suffix}", round(outcome["camera_share"], 4), "ratio")
                    is_target = year == "psm3_40n" and panel == 60 and not cold
                    emit(f"bound_share_{word}_{suffix}", round(share, 4), "ratio", base=f"bound_share_{word}" if is_target else "none")
                    emit(
                        f"bytes_delivered_{word}_{suffix}", round(outcome["bytes_delivered"]), "B",
                        f"mean age {outcome['age_at_delivery_hours']:.0f} h; {outcome['state_changes_per_day']:.2f} state changes a day; spill {outcome['spilled_watt_hours']:.0f} Wh")
                    emit(
                        f"regret_h_per_month_{word}_{suffix}", round(lost, 2), "h",
                        f"value hours lost against the bound; most in {worst}: {lost_worst:.1f}; against the planner that knows the harvest {outcome['regret_hours_per_month']:.2f}")
                    emit(f"energy_wh_per_gb_{word}_{suffix}", None if price is None else round(price, 1), "Wh/GB", "the whole node's draw for each GB that arrived")
                ladder, planner = by_policy["ladder"]["longest_gap_hours"], by_policy["planner"]["longest_gap_hours"]
                note = f"planner {planner:.1f} h, ladder {ladder:.1f} h"
                ratio = round(planner / ladder, 2) if ladder else (0 if not planner else None)
                emit(f"gap_ratio_planner_ladder_{suffix}", ratio, "ratio", note + ("" if ladder else "; the ladder has no gap to halve"), base="gap_ratio_planner_ladder")


def year_seconds(work):
    name, site = YEARS["psm3_40n"]
    times = {policy: sorted(simulate(f"{work}/{name}", site, 60, 1, False, policies=[policy])[1] for _ in range(3))[1] for policy in POLICIES}
    slowest = max(times, key=times.get)
    emit("year_seconds", round(times[slowest], 2), "s", "; ".join(f"{policy} {seconds:.2f}" for policy, seconds in times.items()), runs=3)


def compare_sun(work):
    answer = subprocess.run([f"{VENV}/bin/python3", os.path.abspath(__file__), "--sun"], check=True, stdout=subprocess.PIPE, text=True)
    found = json.loads(answer.stdout)
    emit("sun_error_degrees", found["degrees"], "deg", f"largest of elevation {found['elevation']} and azimuth {found['azimuth']} over {found['hours']} hours at three sites against pvlib's SPA")
    emit("harvest_error_percent", found["percent"], "%", f"largest of Haurwitz {found['haurwitz']}, plane of array {found['plane']} and PVWatts DC {found['dc']} against pvlib, of hours above 1 W/m²")


def sun_against_pvlib():
    import io

    import numpy as np
    import pandas as pd
    import pvlib

    edge = f"{os.environ['FIELDPOST_BIN']}/fieldpost-edge"
    worst = {"elevation": 0.0, "azimuth": 0.0, "haurwitz": 0.0, "plane": 0.0, "dc": 0.0, "hours": 0}
    for site in ("40.5137,-108.5449,2000", "45,8,250", "-33.9,151.2,0"):
        latitude, longitude, altitude = map(float, site.split(","))
        out = subprocess.run(
            [edge, "simulate", "sun", f"--site={site}", "--from", "1735689600", "--tilt", "45", "--azimuth", "170", "--panel-watts", "60"], check=True, stdout=subprocess.PIPE)
        ours = pd.read_csv(io.BytesIO(out.stdout))
        times = pd.to_datetime(ours.unix_seconds, unit="s", utc=True)
        theirs = pvlib.solarposition.get_solarposition(pd.DatetimeIndex(times), latitude, longitude, altitude=altitude, method="nrel_numpy")
        worst["hours"] += len(ours)
        worst["elevation"] = max(worst["elevation"], float(np.abs(ours.elevation.values - theirs.elevation.values).max()))
        # Straight overhead an azimuth says nothing: its error counts as the distance on the sky.
        turn = np.abs((ours.azimuth.values - theirs.azimuth.values + 180) % 360 - 180) * np.cos(np.radians(theirs.elevation.values))
        worst["azimuth"] = max(worst["azimuth"], float(turn.max()))
        haurwitz = pvlib.clearsky.haurwitz(90 - ours.apparent_elevation).ghi.values
        plane = pvlib.irradiance.get_total_irradiance(
            45, 170, 90 - ours.elevation.values, ours.azimuth.values, ours.beam.values, ours["global"].values, ours.diffuse.values, albedo=0.25, model="isotropic")["poa_global"]
        direct = pvlib.pvsystem.pvwatts_dc(ours.plane.values, 30, 60, -0.004)
        for name, mine, other in (("haurwitz", ours.haurwitz.values, haurwitz), ("plane", ours.plane.values, plane), ("dc", ours.direct_current_watts.values, direct)):
            up = (other > 1) & (ours.elevation.values > 0)
            worst[name] = max(worst[name], float(np.abs(mine[up] / np.asarray(other)[up] - 1).max() * 100))
    worst["degrees"] = max(worst["elevation"], worst["azimuth"])
    worst["percent"] = max(worst["haurwitz"], worst["plane"], worst["dc"])
    print(json.dumps({name: value if name == "hours" else round(value, 5) for name, value in worst.items()}))


def main():
    parser = argparse.ArgumentParser(prog="deploy/bench power", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--list", action="store_true", help="name the metrics and stop")
    parser.add_argument("--only", nargs="+", default=[], metavar="METRIC", help="metrics, or parts of their names such as psm3_40n_60w")
    parser.add_argument("--convert", metavar="DIRECTORY", help=argparse.SUPPRESS)
    parser.add_argument("--bound", nargs=3, help=argparse.SUPPRESS)
    parser.add_argument("--sun", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.list:
        for metric in ("sun_error_degrees", "harvest_error_percent", "year_seconds", "gap_ratio_planner_ladder_YEAR_PANEL"):
            print("power", metric)
        for metric in ("unclean_cuts", "longest_gap_h", "bound_share", "camera_hours_share", "bytes_delivered", "regret_h_per_month", "energy_wh_per_gb"):
            print("power", f"{metric}_POLICY_YEAR_PANEL")
        return
    if options.convert:
        return convert(options.convert)
    if options.bound:
        print(json.dumps(bound(options.bound[0], float(options.bound[1]), options.bound[2] == "1")))
        return
    if options.sun:
        return sun_against_pvlib()
    try:
        work = prepare(os.path.join(ROOT, ".build", "bench", "power"))
        only = set(options.only)
        if not only or only & {"sun_error_degrees", "harvest_error_percent"}:
            compare_sun(work)
        if not only or "year_seconds" in only:
            year_seconds(work)
        rest = only - {"sun_error_degrees", "harvest_error_percent", "year_seconds"}
        if not only or rest:
            compare_years(work, rest)
    except (RuntimeError, subprocess.CalledProcessError, OSError, ValueError, KeyError) as error:
        emit("all", None, "", str(error))
        sys.exit(1)


main()
