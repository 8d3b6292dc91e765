"""Columns of the evaluation tables and their descriptions."""

_MM = {"Units": "mm"}
_ML = {"Units": "mL"}
_PERCENT = {"Units": "%"}
#: What identifies a pair.
KEYS = {
    "participant_id": {"Description": "Participant, or the file's name outside of BIDS"},
    "session_id": {"Description": "Session"},
    "model": {"Description": "Which prediction"},
}
#: Scores by which models are compared, with their descriptions.
SCORES = {
    "dice": {"Description": "Dice coefficient, 2TP / (2TP + FP + FN)"},
    "max_dice": {"Description": "Largest Dice coefficient over thresholds of the probability (mDSC)"},
    "pr_auc": {"Description": "Area under the curve of precision over recall, of the probability"},
    "jaccard": {"Description": "Jaccard index, TP / (TP + FP + FN)"},
    "precision": {"Description": "TP / (TP + FP)"},
    "sensitivity": {"Description": "TP / (TP + FN)"},
    "specificity": {"Description": "TN / (TN + FP), over the whole image"},
    "accuracy": {"Description": "(TP + TN) / all voxels of the image"},
    "hd_mm": {"Description": "Hausdorff distance of the surfaces"} | _MM,
    "hd95_mm": {"Description": "The larger of the two directed 95th percentiles of distance"} | _MM,
    "assd_mm": {"Description": "Average symmetric surface distance: mean of both directions"} | _MM,
    "asd_pooled_mm": {
        "Description": "Average distance of the voxels of both surfaces to the other surface (Anima)"
    }
    | _MM,
    "volume_difference_ml": {"Description": "Predicted minus true volume"} | _ML,
    "absolute_volume_difference_ml": {"Description": "Its absolute value"} | _ML,
    "relative_volume_difference": {"Description": "Predicted minus true volume over true"} | _PERCENT,
    "er_lv": {"Description": "Absolute error of the lesion volume over the true one"} | _PERCENT,
    "er_ll": {
        "Description": "Absolute error of the weighted CST load over the true one, on the side where "
        "the true load is larger"
    }
    | _PERCENT,
    "absolute_load_difference_ml": {
        "Description": "Absolute error of the weighted CST load, on that side"
    }
    | _ML,
    "count_difference": {"Description": "Predicted minus true number of lesions (26-connected)"},
    "f1_anima": {
        "Description": "Lesion-wise F1 of animaSegPerfAnalyzer, lesions over 3 mm3, 6-connected "
        "(Commowick et al. 2018)"
    },
    "f1_10percent": {
        "Description": "Lesion-wise F1, overlap of at least 10%, lesions 6-connected (text of Meddahi "
        "et al. 2024)"
    },
    "f1_atlas": {"Description": "Lesion-wise F1, one shared voxel, lesions 6-connected"},
    "f1_isles": {"Description": "Lesion-wise F1, one shared voxel, lesions 26-connected"},
    "rq": {
        "Description": "Recognition quality: lesion-wise F1, lesions 26-connected and matched one to "
        "one at an intersection over union of at least 0.25 (ISLES'26)"
    },
    "pq": {"Description": "Panoptic quality: rq times the mean intersection over union of the matches"},
}
#: All other columns of a pair.
MEASURES = {
    "true_volume_ml": {"Description": "Volume of the true mask"} | _ML,
    "predicted_volume_ml": {"Description": "Volume of the predicted mask"} | _ML,
    "true_load_ml": {"Description": "Weighted CST load of the true mask, larger side"} | _ML,
    "predicted_load_ml": {"Description": "Weighted CST load of the prediction, that side"} | _ML,
    "true_category": {"Description": "CST category of the true mask"},
    "predicted_category": {"Description": "CST category of the predicted mask"},
    "super_region": {"Description": "Super-region with the largest share of the true lesion"},
    "tp": {"Description": "True positive voxels"},
    "fp": {"Description": "False positive voxels"},
    "fn": {"Description": "False negative voxels"},
    "tn": {"Description": "True negative voxels"},
    "unit": {
        "Description": "Independent unit of the scan for intervals and tests: the participant, or the "
        "head of participants.tsv that simulated participants share"
    },
    "reason": {"Description": "Why a score is missing, or why the pair could not be compared"},
    "prediction": {"Description": "File of the predicted mask"},
    "truth": {"Description": "File of the true mask"},
}
COLUMNS = KEYS | SCORES | MEASURES
LESIONS = {
    "definition": {
        "Description": "Definition of detection: f1_anima, f1_10percent, f1_atlas, f1_isles or rq"
    },
    "mask": {"Description": "truth or prediction"},
    "lesion": {"Description": "Number of the lesion in its mask"},
    "volume_ml": {"Description": "Volume of the lesion"} | _ML,
    "detected": {"Description": "Whether the other mask has its counterpart"},
}
SUMMARY = {
    "model": KEYS["model"],
    "grouping": {"Description": "How the scans were grouped"},
    "group": {"Description": "Group of scans"},
    "score": {"Description": "Name of the score, a column of evaluation.tsv"},
    "n": {"Description": "Number of scans that have the score"},
    "mean": {"Description": "Mean"},
    "median": {"Description": "Median"},
    "sd": {"Description": "Standard deviation (n - 1)"},
    "low": {"Description": "Lower end of the 95% percentile bootstrap interval of the mean"},
    "high": {"Description": "Upper end of that interval (1000 resamples of units)"},
    "units": {"Description": "Number of independent units of these scans"},
}
COMPARISONS = {
    "score": SUMMARY["score"],
    "a": {"Description": "First model"},
    "b": {"Description": "Second model"},
    "n": {"Description": "Number of scans that both have"},
    "median_difference": {"Description": "Median of a minus b, over means of units"},
    "p": {"Description": "Wilcoxon signed-rank test over means of units, two-sided"},
    "p_holm": {"Description": "After Holm's correction over the pairs of models"},
    "effect": {"Description": "Matched-pairs rank-biserial correlation, -1 to 1; above 0 a is larger"},
    "units": {"Description": "Number of independent units of these scans"},
    "mean_difference": {"Description": "Mean of a minus b, over scans"},
    "low": {"Description": "Lower end of the 95% percentile bootstrap interval of the mean difference"},
    "high": {"Description": "Upper end of that interval (1000 resamples of units)"},
}
AGREEMENT = {
    "model": KEYS["model"],
    "measure": {"Description": "volume, load, or dice_by_log10_volume"},
    "n": {"Description": "Number of scans"},
    "pearson": {"Description": "Pearson's correlation of predicted with true values"},
    "pearson_p": {"Description": "p value of that of the means of units"},
    "spearman": {"Description": "Spearman's rank correlation"},
    "spearman_p": {"Description": "p value of that of the means of units"},
    "slope": {"Description": "Slope of the least-squares line"},
    "intercept": {"Description": "Intercept of that line"},
    "r2": {"Description": "Squared correlation"},
    "units": {"Description": "Number of independent units of these scans"},
    "bias": {"Description": "Mean of predicted minus true values (Bland-Altman)"},
    "low": {"Description": "Lower 95% limit of agreement"},
    "high": {"Description": "Upper 95% limit of agreement"},
}
