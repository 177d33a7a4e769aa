"""Tables 1, 3 and 4 of paper 3 from the runs that docs/results keeps, with the paper's numbers."""

from collections.abc import Iterator

from kept import cell, during, final, markdown, record, with_worst

METHODS = {
    "MA-AIRL": "ma_airl",
    "MA-GAIL": "ma_gail",
    "constant -1": "constant",
    "nearest": "nearest",
    "cloning": "bc",
}
GAMES = ("navigation", "communication")
ENDS = {"early": "early end", "fixed": "fixed horizon"}
KNOWN = {
    # docs/demonstrations.md: the demonstrating expert, 10,000 episodes or more, and random play
    ("navigation", "early"): ("-44.4", "-382.5"),
    ("navigation", "fixed"): ("-94.1", "-382.6"),
    ("communication", "early"): ("-12.4", "-125.5"),
    ("communication", "fixed"): ("-15.1", "-126.3"),
}
PAPER_RETURNS = {
    ("navigation", "expert"): "-43.2",
    ("navigation", "random"): "-391.3",
    ("navigation", "MA-GAIL"): "-52.8",
    ("navigation", "MA-AIRL"): "-47.5",
    ("communication", "expert"): "-12.7",
    ("communication", "random"): "-125.8",
    ("communication", "MA-GAIL"): "-12.8",
    ("communication", "MA-AIRL"): "-12.7",
}
PAPER_CORRELATIONS = {
    # Table 3: Pearson / Spearman, of discounted returns
    ("navigation", "MA-GAIL"): ".556 / .792",
    ("navigation", "MA-AIRL"): ".882 / .934",
    ("communication", "MA-GAIL"): ".612 / .879",
    ("communication", "MA-AIRL"): ".848 / .936",
}
PAPER_KEEP_AWAY = {
    # Table 4: the same; the good agent is the paper's agent 1
    ("agent_0", "MA-GAIL"): ".497 / .424",
    ("agent_0", "MA-AIRL"): ".720 / .534",
    ("adversary_0", "MA-GAIL"): ".392 / .653",
    ("adversary_0", "MA-AIRL"): ".667 / .907",
}
PLAYS = ("policy", "expert", "random")
SYMMETRIES = ("none", "permutations", "all")
LEVERS = {
    # What is typed after `marlrun +experiment=paper3_navigation env.early_end=false`, and the run
    "experiment/imitators=ma_airl": "paper3_navigation/ma_airl_fixed",
    "ma_airl algo.ppo.share=policy": "paper3_levers/ma_airl_shared_policy",
    "ma_airl algo.discriminator.normalise=false": "paper3_levers/ma_airl_raw_inputs",
    "ma_airl algo.discriminator.lr_final=0.003": "paper3_levers/ma_airl_constant_step",
    "ma_airl algo.demonstrations=2000": "paper3_levers/demonstrations_2000_ma_airl",
    "experiment/imitators=ma_gail": "paper3_navigation/ma_gail_fixed",
    "ma_gail algo.discriminator.lr_final=0.003": "paper3_levers/ma_gail_constant_step",
    "ma_gail algo.demonstrations=2000": "paper3_levers/demonstrations_2000_ma_gail",
    "constant algo.constant=1": "paper3_levers/constant_plus",
}
LEARNED_FROM = {
    "the true reward": "true",
    "g of MA-AIRL": "ma_airl",
    "log D of MA-GAIL": "ma_gail",
}
CLONED = (100_000, 600_000, 1_200_000)
WORLDS = {"": "as it was", "_mass": "`env.mass=2`", "_force": "`env.force=10`"}


def _return_table() -> str:
    """Table 1: returns in the true reward."""
    columns = [(game, end) for game in GAMES for end in ENDS]
    head = ["mean [95 % interval], worst seed"]
    for game, end in columns:
        head += [f"{game}, {ENDS[end]}"] + (["paper"] if end == "early" else [])
    rows = [head]
    for place, name in enumerate(("expert", "random")):
        row = [name]
        for game, end in columns:
            row += [KNOWN[game, end][place]]
            row += [PAPER_RETURNS[game, name]] if end == "early" else []
        rows.append(row)
    for name, run in METHODS.items():
        row = [name]
        for game, end in columns:
            values = final(f"paper3_{game}/{run}_{end}", "eval/return_mean")
            row += [with_worst(values)]
            row += [PAPER_RETURNS.get((game, name), "")] if end == "early" else []
        rows.append(row)
    return markdown(rows)


def _correlations(run: str, prefix: str, kind: str, digits: int = 2) -> list[str]:
    """Return for each play the Pearson and Spearman correlation of steps or returns."""
    cells: list[str] = []
    for play in PLAYS:
        pair = [final(run, f"{prefix}irl/{play}/{one}_{kind}") for one in ("pearson", "spearman")]
        cells.append(" / ".join(cell(values, digits) for values in pair))
    return cells


def _correlation_table(game: str, end: str, kind: str) -> str:
    head = ["Pearson / Spearman", *(f"{play} play" for play in PLAYS)]
    if kind == "return":
        head.append("paper")
    rows = [head]
    for name, run in METHODS.items():
        if run == "bc":
            continue
        row = [name, *_correlations(f"paper3_{game}/{run}_{end}", "", kind)]
        if kind == "return":
            row.append(PAPER_CORRELATIONS.get((game, name), ""))
        rows.append(row)
    return markdown(rows)


def _keep_away_table(kind: str) -> str:
    """Table 4."""
    rows = [["Pearson / Spearman", "of", *(f"{play} play" for play in PLAYS)]]
    if kind == "return":
        rows[0].append("paper")
    for name, run in METHODS.items():
        if run == "bc":
            continue
        for agent in ("agent_0", "adversary_0"):
            row = [name, agent, *_correlations(f"paper3_keep_away/{run}", f"agent/{agent}/", kind)]
            if kind == "return":
                row.append(PAPER_KEEP_AWAY.get((agent, name), ""))
            rows.append(row)
    return markdown(rows)


def _training_table(end: str) -> str:
    """How the agreement on random play, per step, moves during training."""
    points = (300_000, 900_000, 1_800_000, 3_000_000)
    rows = [["Pearson per step, random play, after", *(f"{point:,}" for point in points)]]
    for game in GAMES:
        for name in ("MA-AIRL", "MA-GAIL"):
            run = f"paper3_{game}/{METHODS[name]}_{end}"
            if record(run) is None:
                continue
            at = during(run, "irl/random/pearson_step")
            near = [min(at, key=lambda step, point=point: abs(step - point)) for point in points]
            rows.append([f"{name}, {game}", *(cell(at[step], 2) for step in near)])
    return markdown(rows)


def _epic_table() -> str:
    rows = [["EPIC on random play"] + [f"{game}, {ENDS[end]}" for game in GAMES for end in ENDS]]
    for name, run in METHODS.items():
        if run != "bc":
            runs = [f"paper3_{game}/{run}_{end}" for game in GAMES for end in ENDS]
            rows.append([name, *(cell(final(one, "irl/random/epic"), 2) for one in runs)])
    return markdown(rows)


def _symmetry_table() -> str:
    """Navigation under a fixed horizon, with knowledge of the world."""
    rows = [["return, worst seed; Pearson per step, random play", *SYMMETRIES]]
    for name, run in METHODS.items():
        cells = [
            _result(
                f"paper3_navigation/{run}_fixed"
                if kind == "none"
                else f"paper3_symmetries/{run}_{kind}"
            )
            for kind in SYMMETRIES
        ]
        if any(cell != "-" for cell in cells[1:]):
            rows.append([name, *cells])
    return markdown(rows)


def _result(run: str) -> str:
    """Return a run's return and how far its recovered reward agrees with the true one on random play."""
    returns = with_worst(final(run, "eval/return_mean"))
    agreement = final(run, "irl/random/pearson_step")
    return returns if agreement is None else f"{returns}; {cell(agreement, 2)}"


def _lever_table() -> str:
    rows = [["", "return, worst seed", "Pearson per step, random play"]]
    for words, run in LEVERS.items():
        returns = with_worst(final(run, "eval/return_mean"))
        rows.append([f"`{words}`", returns, cell(final(run, "irl/random/pearson_step"), 2)])
    return markdown(rows)


def _cloned_table() -> str:
    rows = [["after so many steps", "100,000", "600,000", "1,200,000", "3,000,000"]]
    for name in ("MA-AIRL", "MA-GAIL", "constant -1"):
        run = f"paper3_cloned/{METHODS[name]}"
        if record(run) is not None:
            at = during(run, "eval/return_mean")
            near = [min(at, key=lambda step, point=point: abs(step - point)) for point in CLONED]
            cells = [cell(at[step]) for step in near]
            rows.append([name, *cells, with_worst(final(run, "eval/return_mean"))])
    return markdown(rows)


def _anew_table() -> str:
    """What PPO makes of a frozen reward, in the world where it was recovered and in others."""
    rows = [["true return, worst seed", *WORLDS.values()]]
    for name, run in LEARNED_FROM.items():
        runs = [f"paper3_reoptimise/{run}{world}" for world in WORLDS]
        rows.append([name, *(with_worst(final(one, "eval/return_mean")) for one in runs)])
    return markdown(rows)


def sections() -> Iterator[str]:
    """Return the page, part by part."""
    yield "# Paper 3's tables\n\nMade by `PYTHONPATH=docs python -m paper3 tables` from the runs beside it."
    yield f"## Table 1: returns\n\n{_return_table()}"
    yield f"## From a cloned start, navigation, early end\n\n{_cloned_table()}"
    yield f"## Symmetries, navigation, fixed horizon\n\n{_symmetry_table()}"
    yield f"## What moves it, navigation, fixed horizon\n\n{_lever_table()}"
    yield f"## Learning anew, navigation, fixed horizon\n\n{_anew_table()}"
    for kind, what in (("step", "single steps"), ("return", "discounted returns to go")):
        for game in GAMES:
            for end, words in ENDS.items():
                table = _correlation_table(game, end, kind)
                yield f"## Table 3: correlation of {what}, {game}, {words}\n\n{table}"
        yield f"## Table 4: correlation of {what}, keep-away\n\n{_keep_away_table(kind)}"
    yield f"## EPIC\n\n{_epic_table()}"
    for end, words in ENDS.items():
        yield f"## During training, {words}\n\n{_training_table(end)}"


def tables() -> str:
    """Return the page."""
    return "\n\n".join(sections()) + "\n"
