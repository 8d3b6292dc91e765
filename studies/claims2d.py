"""Claims of Mohapatra et al. 2023 (S1) and of Chowdhury et al. 2025 (S5)."""

from claims import Claim, best


def claims_s1(rows, selection):
    """Return the claims of the paper on its networks and ensembles.

    ``selection`` contains the models that were selected on validation data.
    """
    models = list(rows["model"].unique())
    single = [model for model in models if ":" not in model]
    mixed = [model for model in single if f"{model}_FT" in single]
    tuned = [f"{model}_FT" for model in mixed]
    selected = {
        key: part["model"].fillna("none").iloc[0]
        for key, part in selection.groupby(["scope", "method"], sort=False)
    }
    whole, by_region = "Whole-Brain", "Super-Region-wise"
    stack, window = selected[whole, "Stack"], selected[whole, "AW"]
    main = selected[by_region, "AW"]
    members = [name.strip() for name in stack.partition(":")[2].split(",")]
    others = [name for (scope, _), name in selected.items() if scope in (whole, by_region)]
    errors = {
        "volume": "absolute_volume_difference_ml",
        "load": "absolute_load_difference_ml",
    }
    yield Claim("Intermediate tasks are better than mixed data", "dice", tuned, [mixed])
    yield Claim("Intermediate tasks reduce false positives", "fp", tuned, [mixed], lower=True)
    yield best("AttUNet_FT is the best network", "dice", "AttUNet_FT", single)
    yield best("AttUNet_FT has the smallest load error", errors["load"], "AttUNet_FT", single, True)
    yield best("ResNet_FT has the smallest volume error", errors["volume"], "ResNet_FT", single, True)
    for scope, regions in (("1 & 4", ("R1", "R4")), ("2", ("R2",)), ("3", ("R3",))):
        pair = [selected[scope, "Agreement Window"]], [[selected[scope, "Stack"]]]
        for name, score in errors.items():
            words = f"Agreement window has smaller {name} errors than stacking in regions {scope}"
            yield Claim(words, score, *pair, lower=True, regions=regions)
    words = "AttUNet_FT has smaller volume errors than the agreement window in region 3"
    window_3 = selected["3", "Agreement Window"]
    yield Claim(words, errors["volume"], ["AttUNet_FT"], [[window_3]], lower=True, regions=("R3",))
    for scope in (whole, by_region):
        pair = [selected[scope, "AW"]], [[selected[scope, "Stack"]]]
        yield Claim(f"Agreement window is better than stacking, {scope.lower()}", "dice", *pair)
    words = "Stacking has fewer false positives than its members"
    yield Claim(words, "fp", [stack], [members], lower=True)
    yield Claim("Stacking underpredicts the volume", "volume_difference_ml", [stack], [], lower=True)
    yield Claim("Agreement window overpredicts the volume", "volume_difference_ml", [window], [])
    yield best("Super-region-wise agreement window is the best", "dice", main, others)
    for name, score in errors.items():
        words = f"Super-region-wise agreement window has the smallest {name} error"
        yield best(words, score, main, others, lower=True)


def categories(rows, selection):
    """Return in how many scans the super-region-wise agreement window has the true category."""
    is_main = (selection["scope"] == "Super-Region-wise") & (selection["method"] == "AW")
    part = rows[rows["model"].isin(selection.loc[is_main, "model"])].dropna(subset="true_category")
    same = (part["true_category"] == part["predicted_category"]).sum()
    return f"- Category of the tract load: the same in {same} of {len(part)} scans (paper: 18 of 22)"


def claims_s5(rows):
    """Return the claims of the paper on its planes and on ImageNet weights."""
    models = list(rows["model"].unique())
    encoder = models[0].partition(",")[0]
    vote = f"{encoder}, vote, ImageNet"
    planes = [f"{encoder}, {plane}, ImageNet" for plane in ("sagittal", "coronal", "axial")]
    yield best("The vote is better than each plane", "dice", vote, planes)
    yield best("The vote is more accurate than each plane", "accuracy", vote, planes)
    for score in ("dice", "sensitivity"):
        words = "ImageNet weights are better than random initialization (three planes)"
        random = [name.replace("ImageNet", "random") for name in planes]
        yield Claim(words, score, planes, [random])
    words = "ImageNet weights are better than random initialization (vote)"
    yield Claim(words, "dice", [vote], [[vote.replace("ImageNet", "random")]])
