"""Checks `config` of an Artillery file: targets, headers, phases, plugins and the checks of `ensure`."""

from typing import Any

from loadtests.artillery_reader.checks import (
    Check,
    CheckError,
    error_rate_check,
    legacy_check,
    parse_check,
    threshold_check,
)
from loadtests.artillery_reader.words import (
    MOST_ARRIVALS,
    MOST_PHASES,
    MOST_RATE,
    MOST_VUSERS,
    ValueChecker,
    dotted,
)
from loadtests.artillery_reader.yaml_text import Path, shown


class ConfigChecker:
    """Calls the checker's `fail` for the first unsupported value."""

    def __init__(self, values: ValueChecker) -> None:
        self.values = values

    def config(self, value: Any, path: Path) -> list[Check]:
        config = self.values.words(value, "config", path)
        if "target" in config:
            self.values.text(config["target"], (*path, "target"))
        if "mode" in config:
            self.values.choice(config["mode"], (*path, "mode"), "uniform")
        if "timeout" in config:
            self.values.number(config["timeout"], (*path, "timeout"), least=0.001, most=3600)
        if "variables" in config and not isinstance(config["variables"], dict):
            self.values.fail((*path, "variables"), f"is {shown(config['variables'])}: a mapping is needed here")
        self.defaults(config, path)
        if "http" in config:
            http = self.values.words(config["http"], "http", (*path, "http"))
            self.defaults(http, (*path, "http"))
            if "timeout" in http:
                self.values.number(http["timeout"], (*path, "http", "timeout"), least=0.001, most=3600)
            if "pool" in http:
                self.values.number(http["pool"], (*path, "http", "pool"), least=1, most=MOST_VUSERS, whole=True)
        self.phases(config, path)
        return self.judgements(config, path)

    def defaults(self, value: dict[str, Any], path: Path) -> None:
        if "defaults" in value:
            defaults = self.values.words(value["defaults"], "defaults", (*path, "defaults"))
            if "headers" in defaults:
                self.values.scalars(defaults["headers"], (*path, "defaults", "headers"))

    def phases(self, config: dict[str, Any], path: Path) -> None:
        if "phases" not in config:
            return
        phases = self.values.entries(config["phases"], (*path, "phases"))
        if len(phases) > MOST_PHASES:
            self.values.fail((*path, "phases"), f"has {len(phases)} entries: at most {MOST_PHASES} are run")
        pool = config.get("http", {}).get("pool", MOST_VUSERS)
        for index, phase in enumerate(phases):
            self.phase(phase, (*path, "phases", index))
            if float(phase.get("maxVusers", 0)) > float(pool):
                self.values.fail((*path, "phases", index, "maxVusers"), f"is above config.http.pool, {pool}")

    def phase(self, value: Any, path: Path) -> None:
        phase = self.values.words(value, "phase", path)
        if "mode" in phase:
            self.values.choice(phase["mode"], (*path, "mode"), "uniform")
        if "name" in phase:
            self.values.text(phase["name"], (*path, "name"))
        limits = {
            "arrivalRate": MOST_RATE,
            "rampTo": MOST_RATE,
            "arrivalCount": MOST_ARRIVALS,
            "maxVusers": MOST_VUSERS,
        }
        for name, most in limits.items():
            if name in phase:
                least = 1 if name == "maxVusers" else 0
                self.values.number(phase[name], (*path, name), least=least, most=most, whole=True)
        for name in ("duration", "pause"):
            if name in phase:
                self.values.seconds(phase[name], (*path, name), what="the length of the run", zero=False)
        if "pause" not in phase and "duration" not in phase:
            self.values.fail(path, "has neither duration nor pause: how long does it last?")
        if "pause" not in phase and not {"arrivalRate", "arrivalCount", "rampTo"} & set(phase):
            self.values.fail(path, "has no arrivalRate, arrivalCount, rampTo or pause: who arrives?")

    def judgements(self, config: dict[str, Any], path: Path) -> list[Check]:
        """Check `plugins`, `apdex` and `ensure`: an empty entry in plugins loads the settings in config."""
        plugins = self.values.words(config.get("plugins", {}), "plugins", (*path, "plugins"))
        expect = self.values.words(plugins.get("expect", {}), "plugins.expect", (*path, "plugins", "expect"))
        for value in list(expect.values())[:1]:
            self.values.choice(value, (*path, "plugins", "expect", "reportFailuresAsErrors"), True, False)
        checks: list[Check] = []
        for name in ("apdex", "ensure"):
            places = [((*path, name), config.get(name)), ((*path, "plugins", name), plugins.get(name))]
            written = [(place, self.values.words(value, name, place)) for place, value in places if value is not None]
            filled = [(place, value) for place, value in written if value]
            if len(filled) > 1:
                self.values.fail(filled[1][0], f"repeats {dotted(filled[0][0])}: write one of them")
            if name == "ensure" and written:
                checks = self.ensure(*(filled or written)[0])
            elif filled and "threshold" in filled[0][1]:
                self.values.number(filled[0][1]["threshold"], (*filled[0][0], "threshold"), least=1, most=3_600_000)
        return checks

    def ensure(self, path: Path, ensure: dict[str, Any]) -> list[Check]:
        checks: list[Check] = []
        for word, value in ensure.items():
            where = (*path, word)
            try:
                if word == "thresholds":
                    checks += [
                        self.threshold(entry, (*where, i)) for i, entry in enumerate(self.values.entries(value, where))
                    ]
                elif word == "conditions":
                    checks += [
                        self.condition(entry, (*where, i)) for i, entry in enumerate(self.values.entries(value, where))
                    ]
                elif word == "maxErrorRate":
                    checks.append(error_rate_check(self.values.number(value, where, most=100)))
                else:
                    checks.append(legacy_check(name=word, most=self.values.number(value, where, most=3_600_000)))
            except CheckError as error:
                self.values.fail(where, str(error))
        if not checks:
            self.values.fail(path, "has no check: give it thresholds, conditions or maxErrorRate")
        return checks

    def threshold(self, value: Any, path: Path) -> Check:
        if not isinstance(value, dict) or len(value) != 1:
            self.values.fail(path, f"is {shown(value)}: a mapping of one figure to its limit is needed here")
        ((figure, most),) = value.items()
        try:
            return threshold_check(figure=figure, most=self.values.number(most, (*path, figure), most=1e12))
        except CheckError as error:
            self.values.fail((*path, figure), str(error))

    def condition(self, value: Any, path: Path) -> Check:
        condition = self.values.words(value, "condition", path)
        if "strict" in condition:
            self.values.choice(condition["strict"], (*path, "strict"), True, False)
        where = (*path, "expression")
        try:
            return parse_check(
                self.values.text(condition.get("expression"), where), strict=condition.get("strict", True) is True
            )
        except CheckError as error:
            self.values.fail(where, f"is {shown(condition['expression'])}: the expression {error}")
